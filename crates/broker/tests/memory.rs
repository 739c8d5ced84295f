//! Reading a long topic holds no more in memory than the settings allow. One test, since it looks at
//! the memory of the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_broker::{Broker, ConsumerSpec, OutRecord, Polled, ProducerSpec, TopicSpec};

const RECORDS: usize = 200_000;
const RECORD: [u8; 1000] = [7; 1000];

#[test]
fn reading_200_mb_holds_a_small_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings {
        cache_bytes: 8 << 20,
        ..EmbeddedSettings::new(directory.path())
    };
    read_slowly(&EmbeddedBroker::open(&settings).unwrap());

    match std::env::var("PENSTOCK_TEST_KAFKA") {
        Ok(server) => {
            let properties = BTreeMap::from([("bootstrap.servers".to_owned(), server)]);
            read_slowly(&KafkaBroker::new(client_config(&properties).unwrap()).unwrap());
        }
        Err(_) => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "PENSTOCK_TEST_KAFKA is not set in CI"
            );
            eprintln!("not run on Kafka: PENSTOCK_TEST_KAFKA (host:port) is not set");
        }
    }
}

fn read_slowly(broker: &dyn Broker) {
    let topic = format!("memory-{}", std::process::id());
    broker.create_topic(&TopicSpec::new(&topic, 1)).unwrap();
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    for i in 0..RECORDS {
        producer
            .send(OutRecord::new(&topic, Some(&RECORD)))
            .unwrap();
        if i % 10_000 == 0 {
            producer.flush(Duration::from_secs(60)).unwrap();
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    drop(producer);

    // 5: forget the peak so far, see proc_pid_clear_refs(5).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let spec = ConsumerSpec {
        prefetch_bytes: 4 << 20,
        poll_bytes: 1 << 20,
        ..ConsumerSpec::new(&*topic, vec![topic.clone()])
    };
    let mut member = broker.consumer(spec).unwrap();
    let mut read = 0;
    while read < RECORDS {
        if let Polled::Messages(messages) = member.poll(10_000, Duration::from_secs(1)).unwrap() {
            assert!(messages.len() <= 1_100, "a poll holds a megabyte");
            read += messages.len();
            // Slower than the fetching, so that whatever may fill does fill.
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    let growth = memory("VmHWM").saturating_sub(before) >> 20;
    assert!(
        growth < 50,
        "{}: reading took {growth} MB more",
        broker.kind()
    );
    broker.delete_topic(&topic).unwrap();
}

/// A value of `/proc/self/status` in bytes.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        << 10
}
