//! A broker that is away for longer than a transaction may take: it has given up what was open, and
//! nothing is lost or doubled.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_broker::{Broker, OutRecord, ProducerSpec, ReaderSpec, Retry, StartAt, TopicSpec};
use penstock_tests::senders::Senders;
use penstock_tests::{Estate, eventually};
use xtask::services::KafkaOptions;

const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A broker that looks for transactions which take too long every moment.
async fn estate() -> Estate {
    Estate::kafka_with(KafkaOptions {
        properties: vec![(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms".into(),
            "200".into(),
        )],
        ..KafkaOptions::default()
    })
    .await
}

/// The broker is away for longer than a transaction may take. The time itself is what is tested.
async fn outage(estate: &Estate) {
    let mut broker = estate.broker().await;
    broker.kill();
    tokio::time::sleep(TRANSACTION_TIMEOUT * 2).await;
    tokio::task::block_in_place(|| broker.restart()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_is_told_that_its_transaction_was_given_up() {
    let estate = estate().await;
    let servers = estate.bootstrap_servers().unwrap();
    let given = BTreeMap::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    let broker = KafkaBroker::new(client_config(&given).unwrap()).unwrap();
    broker.create_topic(&TopicSpec::new("out", 1)).unwrap();
    let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
    let open = || {
        let spec = ProducerSpec {
            transactional_id: Some("task".into()),
            overrides: BTreeMap::from([("transaction.timeout.ms".into(), timeout.clone())]),
            ..ProducerSpec::default()
        };
        broker.producer(spec).unwrap()
    };
    let mut producer = open();
    producer.begin().unwrap();
    producer
        .send(OutRecord::new("out", Some(b"given up")).partition(0))
        .unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    outage(&estate).await;
    let mut reader = broker.reader(ReaderSpec::new("looks")).unwrap();
    eventually("a transaction that is given up", async || {
        // A committed reader's end lies in front of what is open; behind the record comes its marker.
        let (_, end) = reader.watermarks("out", 0).ok()?;
        (end == 2).then_some(())
    })
    .await;
    let error = producer.commit(None).unwrap_err();
    // As one whom another instance has replaced: it is opened anew, and reads from what is committed.
    assert_eq!(error.retry, Retry::Fenced, "{error:?}");

    drop(producer);
    let mut producer = open();
    producer.begin().unwrap();
    producer
        .send(OutRecord::new("out", Some(b"done again")).partition(0))
        .unwrap();
    producer.commit(None).unwrap();
    reader.assign("out", 0, StartAt::Earliest).unwrap();
    let values = eventually("a committed record", async || {
        let read = reader.poll(1000, Duration::from_millis(500)).unwrap();
        let values: Vec<_> = read
            .into_iter()
            .filter_map(|message| message.value)
            .collect();
        (!values.is_empty()).then_some(values)
    })
    .await;
    assert_eq!(values, [&b"done again"[..]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_broker_gave_up_is_done_again() {
    let estate = estate().await;
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
        outage(&estate).await;
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
