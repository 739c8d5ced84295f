//! A broker that is away for longer than a transaction may take: it has given up what was open, and
//! nothing is lost or doubled.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use penstock_tests::senders::Senders;
use penstock_tests::{Estate, eventually};
use xtask::services::KafkaOptions;

const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_broker_gave_up_is_done_again() {
    let estate = Estate::kafka_with(KafkaOptions {
        properties: vec![(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms".into(),
            "200".into(),
        )],
        ..KafkaOptions::default()
    })
    .await;
    let deployment = estate.deploy("demo");
    deployment.set(
        "demo-2.properties",
        "producer.override.transaction.timeout.ms",
        &TRANSACTION_TIMEOUT.as_millis().to_string(),
    );
    let mut worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 4);
    for _ in 0..2 {
        senders.acknowledge(200).await;
        let mut broker = estate.broker().await;
        broker.kill();
        // The time itself is what is tested.
        tokio::time::sleep(TRANSACTION_TIMEOUT * 2).await;
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    senders.acknowledge(200).await;
    let sent = senders.stop().await;
    for topic in ["demo", "demo-2"] {
        let acknowledged = || sent.iter().filter(|(_, done)| *done);
        let written = eventually(topic, async || {
            let events = deployment.output(topic).into_iter();
            let mut written: Vec<String> = events
                .map(|event| event["notSensitiveValue"].as_str().unwrap().to_owned())
                .collect();
            written.sort_unstable();
            acknowledged()
                .all(|(marker, _)| written.binary_search(marker).is_ok())
                .then_some(written)
        })
        .await;
        for pair in written.windows(2) {
            assert_ne!(pair[0], pair[1], "twice in {topic}");
        }
    }
    assert!(worker.is_running(), "the worker has recovered by itself");
    assert!(worker.stop().success());
}
