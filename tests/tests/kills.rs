//! What was acknowledged is there exactly once, whatever was killed meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::senders::{Senders, Sent, each_once};
use penstock_tests::{Deployment, Estate, on_both_brokers};
use serde_json::Value;

/// Every acknowledged event lies in the topic's files once; one that was sent when the worker
/// died may lie there once or not at all.
async fn exactly_once(deployment: &Deployment, topic: &str, sent: &Sent) {
    each_once(sent, topic, async || {
        let events = deployment.output(topic).into_iter();
        let marker = |event: Value| event["notSensitiveValue"].as_str().unwrap().to_owned();
        events.map(marker).collect()
    })
    .await;
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
