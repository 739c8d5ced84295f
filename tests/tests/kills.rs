//! What was acknowledged is there exactly once, whatever was killed meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use penstock_tests::senders::{Senders, Sent};
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};

/// Every acknowledged event lies in the topic's files once; one that was sent when the worker
/// died may lie there once or not at all.
async fn exactly_once(deployment: &Deployment, topic: &str, sent: &Sent) {
    let acknowledged = sent.iter().filter(|(_, done)| *done).count();
    let what = format!("{acknowledged} acknowledged events in {topic}");
    let written = eventually(&what, async || {
        let mut written: HashMap<String, usize> = HashMap::new();
        for event in deployment.output(topic) {
            let marker = event["notSensitiveValue"].as_str().unwrap().to_owned();
            *written.entry(marker).or_default() += 1;
        }
        let complete = sent
            .iter()
            .all(|(marker, done)| !done || written.contains_key(marker));
        complete.then_some(written)
    })
    .await;
    for (marker, count) in &written {
        assert_eq!(*count, 1, "{marker} in {topic}");
        assert!(sent.iter().any(|(other, _)| other == marker), "{marker}");
    }
}

on_both_brokers! {
    async fn a_killed_worker_neither_loses_nor_doubles_events(estate: Estate) {
        let deployment = estate.deploy("demo");
        for file in ["demo-2.properties", "files.properties"] {
            // Kafka hands a dead member's partitions over when its session has ended.
            deployment.set(file, "consumer.override.session.timeout.ms", "6000");
        }
        let mut worker = deployment.start().await;
        let senders = Senders::start(&deployment.gateway(), 4);
        for _ in 0..3 {
            senders.acknowledge(200).await;
            worker.kill();
            worker = deployment.start().await;
        }
        senders.acknowledge(200).await;
        let sent = senders.stop().await;
        exactly_once(&deployment, "demo", &sent).await;
        exactly_once(&deployment, "demo-2", &sent).await;
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_is_waited_for() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    let mut worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 4);
    senders.acknowledge(200).await;
    {
        let mut broker = estate.broker().await;
        broker.kill();
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    senders.acknowledge(200).await;
    let sent = senders.stop().await;
    exactly_once(&deployment, "demo", &sent).await;
    exactly_once(&deployment, "demo-2", &sent).await;
    assert!(worker.is_running(), "the worker has recovered by itself");
    assert!(worker.stop().success());
}
