//! Moments of the day at which files end, and events that all come between two of them.

use std::time::Duration;

use chrono::Utc;
use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Worker, eventually};

use crate::table::metric;

/// What may happen between the last look at the clock and the moment.
const MARGIN: Duration = Duration::from_millis(500);

/// Moments that lie so far apart from midnight (UTC) on, a divisor of an hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments(pub(crate) Duration);

impl Moments {
    fn step(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap()
    }

    /// The last one, in milliseconds since the epoch.
    pub(crate) fn last(self) -> i64 {
        let now = Utc::now().timestamp_millis();
        now - now % self.step()
    }

    /// Waits for the one that comes `after` this one, if it is not over.
    pub(crate) async fn next(self, after: i64) {
        let left = after + self.step() - Utc::now().timestamp_millis();
        if let Ok(left) = u64::try_from(left) {
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
    }

    /// Sends `count` events from `number` on, and waits until the exports have taken them, all within
    /// one interval. What was sent before, and what comes too late for its interval, lies in files that
    /// have ended. Returns the number of the first event and the moment before it.
    pub(crate) async fn send_between(
        self,
        deployment: &Deployment,
        (worker, exports): (&Worker, &[&str]),
        (mut number, count): (usize, usize),
        patience: Duration,
    ) -> (usize, i64) {
        loop {
            self.next(self.last()).await;
            let last = self.last();
            for export in exports {
                eventually("no file is open", async || {
                    let open = metric(worker, "penstock_object_sink_open_files", export).await;
                    (open == 0.0).then_some(())
                })
                .await;
            }
            let mut expected = Vec::new();
            for export in exports {
                expected.push(taken(worker, export).await + count as f64);
            }
            send(deployment, number..number + count).await;
            for (export, expected) in exports.iter().zip(expected) {
                eventually("all events are taken", async || {
                    (taken(worker, export).await >= expected).then_some(())
                })
                .await;
            }
            tokio::time::sleep(patience + MARGIN).await;
            if self.last() == last {
                return (number, last);
            }
            number += count;
        }
    }
}

/// Records that an export has been given.
async fn taken(worker: &Worker, export: &str) -> f64 {
    let name = "kafka_connect_sink_task_metrics_sink_record_send_total";
    metric(worker, name, export).await
}

/// The session of an event.
pub(crate) fn session(number: usize) -> String {
    format!("session-{}", number % 5)
}

/// Sends events of these numbers, one after the other.
pub(crate) async fn send(deployment: &Deployment, numbers: std::ops::Range<usize>) {
    let gateway = deployment.gateway();
    for number in numbers {
        let mut event = demo(&session(number), &[2]);
        event["notSensitiveValue"] = number.to_string().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}
