//! Records: what is sent comes back, at the offset and in the partition that were said.

use std::time::Duration;

use penstock_broker::{
    ErrorKind, OutRecord, Producer, ReaderSpec, Retry, TopicPartition, TopicSpec, murmur2_partition,
};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::support::{Fixture, LIMIT, header, now_ms, unique, values};

pub(crate) fn records_come_back_as_they_were_sent(fixture: &Fixture) {
    let topic = fixture.topic("records", 2);
    let headers = [
        header("a", Some(b"1")),
        header("a", None),
        header("é", Some(b"")),
    ];
    let sent = [
        OutRecord::new(&topic, Some(b"value"))
            .key(b"key")
            .timestamp(1_700_000_000_000),
        OutRecord::new(&topic, None)
            .key(b"key")
            .headers(&headers)
            .timestamp(1_600_000_000_000),
        OutRecord::new(&topic, Some(b"")).key(b"").timestamp(5),
        OutRecord::new(&topic, Some(b"\x00\xff")).headers(&headers[..1]),
        OutRecord::new(&topic, None),
    ];
    let before = now_ms();
    let mut producer = fixture.producer();
    for record in sent {
        producer.send(record.partition(1)).unwrap();
    }
    producer
        .flush(LIMIT)
        .unwrap()
        .into_iter()
        .for_each(|delivery| assert!(delivery.is_ok(), "{delivery:?}"));

    let read = fixture.read_all(&topic);
    assert_eq!(read.len(), sent.len());
    for (i, (sent, read)) in sent.iter().zip(&read).enumerate() {
        assert_eq!(
            (&*read.topic, read.partition, read.offset),
            (&*topic, 1, i as i64)
        );
        assert_eq!(
            (read.key.as_deref(), read.value.as_deref()),
            (sent.key, sent.value),
            "record {i}"
        );
        assert_eq!(read.headers, sent.headers, "record {i}");
        match sent.timestamp {
            Some(timestamp) => assert_eq!(read.timestamp, timestamp),
            None => assert!(
                (before..=now_ms()).contains(&read.timestamp),
                "now by default"
            ),
        }
    }
}

pub(crate) fn offsets_are_contiguous_and_deliveries_come_in_order_of_sends(fixture: &Fixture) {
    let topic = fixture.topic("order", 3);
    let mut producer = fixture.producer();
    for i in 0..300 {
        let value = format!("{i}");
        producer
            .send(OutRecord::new(&topic, Some(value.as_bytes())).partition(i % 3))
            .unwrap();
    }
    let mut deliveries = producer.poll(LIMIT).unwrap();
    assert!(!deliveries.is_empty(), "a poll waits for at least one");
    deliveries.extend(producer.flush(LIMIT).unwrap());
    for (i, delivery) in deliveries.iter().enumerate() {
        let placed = delivery.as_ref().unwrap();
        assert_eq!(
            (placed.partition, placed.offset),
            (i as i32 % 3, i as i64 / 3)
        );
    }
    assert_eq!(deliveries.len(), 300);
    assert!(
        producer.poll(Duration::ZERO).unwrap().is_empty()
            && producer.flush(LIMIT).unwrap().is_empty()
    );
    for partition in 0..3 {
        assert_eq!(
            fixture.broker.watermarks(&topic, partition).unwrap(),
            (0, 100)
        );
        let read = fixture.read_partition(&topic, partition);
        let expected: Vec<String> = (0..100).map(|n| format!("{}", n * 3 + partition)).collect();
        assert_eq!(values(&read), expected);
        assert!(read.iter().enumerate().all(|(i, m)| m.offset == i as i64));
    }
}

pub(crate) fn keys_are_placed_as_the_java_client_places_them(fixture: &Fixture) {
    let topic = fixture.topic("keys", 7);
    let mut producer = fixture.producer();
    for i in 0..100 {
        let key = format!("key-{i}");
        producer
            .send(OutRecord::new(&topic, Some(b"v")).key(key.as_bytes()))
            .unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let read = fixture.read_all(&topic);
    assert_eq!(read.len(), 100);
    for message in read {
        assert_eq!(
            message.partition,
            murmur2_partition(&message.key.unwrap(), 7)
        );
    }
}

pub(crate) fn records_without_a_key_spread_over_the_partitions(fixture: &Fixture) {
    let topic = fixture.topic("keyless", 3);
    let mut producer = fixture.producer();
    for _ in 0..300 {
        producer
            .send(OutRecord::new(&topic, Some(&[7; 1000])))
            .unwrap();
    }
    producer.flush(LIMIT).unwrap();
    for partition in 0..3 {
        assert!(
            fixture.broker.watermarks(&topic, partition).unwrap().1 > 0,
            "partition {partition} is empty"
        );
    }
}

pub(crate) fn log_append_time_is_the_brokers(fixture: &Fixture) {
    let topic = unique("append-time");
    let spec = TopicSpec::new(&topic, 1).config("message.timestamp.type", "LogAppendTime");
    fixture.broker.create_topic(&spec).unwrap();
    let mut producer = fixture.producer();
    let before = now_ms();
    producer
        .send(OutRecord::new(&topic, Some(b"v")).timestamp(5))
        .unwrap();
    producer.flush(LIMIT).unwrap();
    let read = fixture.read_all(&topic);
    assert!(
        (before..=now_ms()).contains(&read[0].timestamp),
        "{}",
        read[0].timestamp
    );
}

pub(crate) fn a_mebibyte_passes_and_more_than_the_topic_takes_is_refused(fixture: &Fixture) {
    let topic = unique("large");
    let spec = TopicSpec::new(&topic, 1).config("max.message.bytes", "2097152");
    fixture.broker.create_topic(&spec).unwrap();
    let large: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut producer = fixture.producer();
    producer
        .send(OutRecord::new(&topic, Some(b"before")))
        .unwrap();
    producer.send(OutRecord::new(&topic, Some(&large))).unwrap();
    let error = producer
        .send(OutRecord::new(&topic, Some(&large.repeat(2))))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(
        error.message.contains("max.message.bytes=2097152"),
        "{error}"
    );
    producer
        .send(OutRecord::new(&topic, Some(b"after")))
        .unwrap();
    assert_eq!(
        producer.flush(LIMIT).unwrap().len(),
        3,
        "what was refused has no delivery"
    );
    let read = fixture.read_all(&topic);
    assert_eq!(read.len(), 3);
    assert!(read[1].value.as_deref() == Some(&*large));
}

pub(crate) fn offsets_are_found_by_time(fixture: &Fixture) {
    let topic = fixture.topic("times", 1);
    let mut producer = fixture.producer();
    let start = now_ms() - 1_000_000;
    for i in 0..10 {
        producer
            .send(
                OutRecord::new(&topic, Some(b"v"))
                    .partition(0)
                    .timestamp(start + i * 1000),
            )
            .unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let mut reader = fixture
        .broker
        .reader(ReaderSpec::new(unique("reader")))
        .unwrap();
    let partition = [TopicPartition::new(&*topic, 0)];
    for (time, offset) in [
        (0, 0),
        (start + 3000, 3),
        (start + 3001, 4),
        (start + 99_000, 10),
    ] {
        assert_eq!(
            reader.offsets_for_times(&partition, time).unwrap(),
            [partition[0].at(offset)]
        );
    }
}

/// Sends a load that fills many batches, with one record that is too large in its middle.
fn send_load(producer: &mut dyn Producer, topic: &str) {
    for number in 0..LOAD {
        let key = format!("key-{}", number % 50);
        let value = format!("{number:0>1000}");
        let out = OutRecord::new(topic, Some(value.as_bytes()));
        match number % 3 {
            0 => producer.send(out).unwrap(),
            1 => producer.send(out.key(key.as_bytes())).unwrap(),
            _ => producer.send(out.partition(1)).unwrap(),
        }
        if number == LOAD / 2 {
            let large = vec![b'x'; 20_001];
            let error = producer
                .send(OutRecord::new(topic, Some(&large)))
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge);
        }
    }
}

const LOAD: usize = 3_000;

pub(crate) fn a_full_load_passes_a_topic_that_takes_only_small_batches(fixture: &Fixture) {
    let topic = unique("small-batches");
    let spec = TopicSpec::new(&topic, 3).config("max.message.bytes", "20000");
    fixture.broker.create_topic(&spec).unwrap();
    let mut producer = fixture.producer();
    send_load(producer.as_mut(), &topic);
    let deliveries = producer.flush(LIMIT).unwrap();
    assert_eq!(deliveries.iter().filter(|d| d.is_ok()).count(), LOAD);

    let mut producer = fixture.transactional(&unique("small-batches"));
    for _ in 0..2 {
        producer.begin().unwrap();
        send_load(producer.as_mut(), &topic);
        assert_eq!(producer.commit(None).unwrap().len(), LOAD);
    }
    producer.begin().unwrap();
    send_load(producer.as_mut(), &topic);
    producer.abort().unwrap();
    producer.begin().unwrap();
    send_load(producer.as_mut(), &topic);
    producer.commit(None).unwrap();
    assert_eq!(fixture.read_all(&topic).len(), 4 * LOAD);
}

pub(crate) fn a_topic_that_takes_less_than_it_did_takes_what_comes_again(fixture: &Fixture) {
    let topic = fixture.topic("takes-less", 1);
    let mut producer = fixture.producer();
    producer
        .send(OutRecord::new(&topic, Some(b"before")))
        .unwrap();
    producer.flush(LIMIT).unwrap();

    let servers = fixture.address.strip_prefix("kafka:").unwrap();
    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .unwrap();
    let change =
        AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "20000");
    let changed = admin.alter_configs([&change], &AdminOptions::new());
    futures::executor::block_on(changed).unwrap()[0]
        .as_ref()
        .unwrap();
    let value = vec![b'v'; 1_000];
    let mut send = || {
        for _ in 0..200 {
            producer.send(OutRecord::new(&topic, Some(&value))).unwrap();
        }
        producer.flush(LIMIT).unwrap()
    };
    let refused = send();
    let error = refused.into_iter().find_map(Result::err).unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (ErrorKind::TooLarge, Retry::Backoff)
    );
    assert!(send().iter().all(Result::is_ok));
}
