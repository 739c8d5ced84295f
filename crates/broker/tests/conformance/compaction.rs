//! Compacted topics.

use penstock_broker::{ErrorKind, OutRecord, Producer, TopicSpec};

use crate::support::{Fixture, LIMIT, eventually, unique, values};

fn send(producer: &mut dyn Producer, topic: &str, key: &str, value: Option<&str>) -> i64 {
    producer
        .send(OutRecord::new(topic, value.map(str::as_bytes)).key(key.as_bytes()))
        .unwrap();
    producer.flush(LIMIT).unwrap().remove(0).unwrap().offset
}

pub(crate) fn compaction_keeps_the_last_of_each_key_and_its_offset(fixture: &Fixture) {
    let topic = unique("compacted");
    // Small enough that Kafka's segments roll and are cleaned while the test waits.
    let spec = TopicSpec::new(&topic, 1)
        .config("cleanup.policy", "compact")
        .config("segment.ms", "200")
        .config("max.compaction.lag.ms", "200")
        .config("min.cleanable.dirty.ratio", "0.001")
        .config("delete.retention.ms", "1000");
    fixture.broker.create_topic(&spec).unwrap();
    let mut producer = fixture.producer();
    send(&mut *producer, &topic, "a", Some("a1"));
    send(&mut *producer, &topic, "b", Some("b1"));
    send(&mut *producer, &topic, "gone", Some("secret"));
    let last_a = send(&mut *producer, &topic, "a", Some("a2"));
    let last_b = send(&mut *producer, &topic, "b", Some("b2"));
    send(&mut *producer, &topic, "gone", None);

    let mut rolls = 0;
    eventually("only the last of each key is left", || {
        // Kafka cleans what lies before the segment that is being written.
        send(&mut *producer, &topic, "roll", Some(&rolls.to_string()));
        rolls += 1;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let kept = fixture.read_all(&topic);
        let before_rolls: Vec<_> = kept
            .iter()
            .filter(|m| m.key.as_deref() != Some(b"roll"))
            .cloned()
            .collect();
        values(&before_rolls) == ["a2", "b2"]
            && before_rolls[0].offset == last_a
            && before_rolls[1].offset == last_b
    });
    let (low, high) = fixture.broker.watermarks(&topic, 0).unwrap();
    assert_eq!(
        (low, high),
        (0, last_b + 2 + rolls),
        "offsets are not given anew"
    );
}

pub(crate) fn a_compacted_topic_takes_no_record_without_a_key(fixture: &Fixture) {
    let topic = unique("keyed");
    fixture
        .broker
        .create_topic(&TopicSpec::new(&topic, 1).config("cleanup.policy", "compact"))
        .unwrap();
    let mut producer = fixture.producer();
    let error = producer
        .send(OutRecord::new(&topic, Some(b"v")))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoKey);
    assert!(error.message.contains("need a key"), "{error}");
}
