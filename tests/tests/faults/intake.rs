//! An intake that is stopped under load: whoever was told 204 finds the event, and nobody waits in vain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, Gateway, eventually, on_both_brokers};

/// What the sender of an event knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Written,
    NotNow,
    Nothing,
}

async fn send(gateway: &Gateway, marker: &str) -> Known {
    let mut event = demo("a session", &[2]);
    event["notSensitiveValue"] = marker.into();
    let request = gateway
        .post("/event")
        .header("Strm-Schema-Ref", DEMO_SCHEMA)
        // Far above what an answer takes: one that never comes is told from one that does.
        .timeout(Duration::from_secs(60))
        .json(&event);
    match request.send().await {
        Ok(answer) if answer.status() == 204 => Known::Written,
        Ok(answer) => {
            assert!(matches!(answer.status().as_u16(), 429 | 503), "{answer:?}");
            assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
            Known::NotNow
        }
        Err(error) => {
            assert!(!error.is_timeout(), "no answer to {marker}");
            Known::Nothing
        }
    }
}

on_both_brokers! {
    async fn stopping_under_load_loses_and_doubles_nothing(estate: Estate) {
        let deployment = estate.deploy("demo");
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicUsize::new(0));
        let mut worker = deployment.start().await;
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let gateway = deployment.gateway();
                let (stop, written) = (stop.clone(), written.clone());
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let marker = format!("{sender}-{}", sent.len());
                        let known = send(&gateway, &marker).await;
                        if known == Known::Written {
                            written.fetch_add(1, Ordering::Relaxed);
                        } else {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        sent.push((marker, known));
                    }
                    sent
                })
            })
            .collect();
        for round in 1..=3 {
            eventually("acknowledged events", async || {
                (written.load(Ordering::Relaxed) >= round * 150).then_some(())
            })
            .await;
            assert!(worker.stop().success());
            worker = deployment.start().await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for sender in senders {
            sent.extend(sender.await.unwrap());
        }
        let acknowledged = sent.iter().filter(|(_, known)| *known == Known::Written).count();
        for topic in ["demo", "demo-2"] {
            let counts = eventually(&format!("all events in {topic}"), async || {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                for event in deployment.output(topic) {
                    let marker = event["notSensitiveValue"].as_str().unwrap();
                    *counts.entry(marker.to_owned()).or_default() += 1;
                }
                let there = |(marker, known): &&(String, Known)| {
                    *known == Known::Written && counts.contains_key(marker)
                };
                (sent.iter().filter(there).count() == acknowledged).then_some(counts)
            })
            .await;
            for (marker, known) in &sent {
                let count = counts.get(marker).copied().unwrap_or(0);
                let possible = match known {
                    Known::Written => 1..=1,
                    Known::NotNow | Known::Nothing => 0..=1,
                };
                assert!(possible.contains(&count), "{marker} ({known:?}) {count} times in {topic}");
            }
        }
        assert!(worker.stop().success());
    }
}
