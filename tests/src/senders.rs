//! Clients of the intake that know which of their events were acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::events::{DEMO_SCHEMA, demo};
use crate::{Gateway, eventually};

/// Clients that send one event after the other and note which were acknowledged.
#[derive(Debug)]
pub struct Senders {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Sent>>,
}

/// Every event's marker (its `notSensitiveValue`), and whether it was acknowledged.
pub type Sent = Vec<(String, bool)>;

impl Senders {
    /// Starts so many clients.
    #[must_use]
    pub fn start(gateway: &Gateway, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let tasks = (0..count)
            .map(|sender| {
                let (gateway, stop) = (gateway.clone(), Arc::clone(&stop));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let marker = format!("{sender}-{}", sent.len());
                        let mut event = demo(&format!("session {}", sent.len() % 50), &[2]);
                        event["notSensitiveValue"] = marker.clone().into();
                        let done = send(&gateway, &event).await;
                        acknowledged.fetch_add(usize::from(done), Ordering::Relaxed);
                        sent.push((marker, done));
                        if !done {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                    sent
                })
            })
            .collect();
        Self {
            stop,
            acknowledged,
            tasks,
        }
    }

    /// Waits until another `count` events were acknowledged.
    ///
    /// # Panics
    /// When a minute has passed without.
    pub async fn acknowledge(&self, count: usize) {
        let target = self.acknowledged.load(Ordering::Relaxed) + count;
        eventually("more acknowledged events", async || {
            (self.acknowledged.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await;
    }

    /// Stops them.
    ///
    /// # Panics
    /// When a refused event ended one of them.
    pub async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for task in self.tasks {
            sent.extend(task.await.unwrap());
        }
        sent
    }
}

/// Waits until every acknowledged event is written; each is there once, and one that was sent when the
/// worker died once or not at all. `written` reads the markers of what is there.
///
/// # Panics
/// When one is not there after a minute, twice, or unknown.
pub async fn each_once(sent: &Sent, place: &str, written: impl AsyncFn() -> Vec<String>) {
    let acknowledged = sent.iter().filter(|(_, done)| *done).count();
    let what = format!("{acknowledged} acknowledged events in {place}");
    let counts = eventually(&what, async || {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for marker in written().await {
            *counts.entry(marker).or_default() += 1;
        }
        let complete = sent
            .iter()
            .all(|(marker, done)| !done || counts.contains_key(marker));
        complete.then_some(counts)
    })
    .await;
    for (marker, count) in &counts {
        assert_eq!(*count, 1, "{marker} in {place}");
        assert!(sent.iter().any(|(other, _)| other == marker), "{marker}");
    }
}

/// Sends an event; a worker that is away or dies has not acknowledged it.
async fn send(gateway: &Gateway, event: &Value) -> bool {
    let request = gateway
        .post("/event")
        .header("Strm-Schema-Ref", DEMO_SCHEMA)
        .json(event);
    match request.send().await {
        Ok(answer) if answer.status() == 204 => true,
        Ok(answer) => {
            // Passing reasons only: the events themselves are fine.
            assert!(answer.status().is_server_error(), "{answer:?}");
            false
        }
        Err(_) => false,
    }
}
