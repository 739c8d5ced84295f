//! Transactions: all or nothing, seen once committed, and only by the newest instance.

use penstock_broker::{
    ErrorKind, OutRecord, Polled, ReaderSpec, Retry, StartAt, TopicPartitionOffset,
};

use crate::groups::impatient_member;
use crate::support::{
    Fixture, LIMIT, MOMENT, collect, eventually, next_offsets, unique, until_assigned, values,
};

pub(crate) fn outputs_and_offsets_become_visible_together(fixture: &Fixture) {
    let (input, one, two) = (
        fixture.topic("in", 1),
        fixture.topic("one", 2),
        fixture.topic("two", 1),
    );
    let group = unique("group");
    fixture.fill(&input, 0, ["a", "b", "c"]);
    let mut member = fixture.member(&group, &input);
    let mut producer = fixture.transactional(&unique("tx"));
    let read = collect(&mut *member, 3);

    producer.begin().unwrap();
    for message in &read {
        let value = message.value.as_deref();
        producer
            .send(OutRecord::new(&one, value).partition((message.offset % 2) as i32))
            .unwrap();
        producer.send(OutRecord::new(&two, value)).unwrap();
    }
    assert!(
        producer.flush(LIMIT).unwrap().is_empty(),
        "deliveries come with the commit"
    );
    assert!(fixture.visible(&one).is_empty() && fixture.visible(&two).is_empty());
    assert_eq!(
        fixture
            .broker
            .group_offsets(&group, &[&input])
            .unwrap_or_default(),
        []
    );

    let metadata = member.group_metadata().unwrap();
    let deliveries = producer
        .commit(Some((&metadata, &next_offsets(&read))))
        .unwrap();
    assert_eq!(deliveries.len(), 6);
    for (message, deliveries) in read.iter().zip(deliveries.chunks(2)) {
        let (one, two) = (
            deliveries[0].as_ref().unwrap(),
            deliveries[1].as_ref().unwrap(),
        );
        assert_eq!(
            (one.partition, two.partition),
            ((message.offset % 2) as i32, 0)
        );
    }
    assert_eq!(values(&fixture.read_partition(&one, 0)), ["a", "c"]);
    assert_eq!(values(&fixture.read_partition(&one, 1)), ["b"]);
    let outputs = fixture.read_all(&two);
    assert_eq!(values(&outputs), ["a", "b", "c"]);
    for (output, delivery) in outputs.iter().zip(deliveries.iter().skip(1).step_by(2)) {
        assert_eq!(output.offset, delivery.as_ref().unwrap().offset);
    }
    assert_eq!(
        fixture.broker.group_offsets(&group, &[&input]).unwrap(),
        [TopicPartitionOffset::new(&*input, 0, 3)]
    );
}

pub(crate) fn aborted_records_are_never_seen_and_positions_pass_them(fixture: &Fixture) {
    let topic = fixture.topic("aborted", 1);
    let mut producer = fixture.transactional(&unique("tx"));
    for (value, keep) in [("a", true), ("x", false), ("b", true), ("y", false)] {
        producer.begin().unwrap();
        producer
            .send(OutRecord::new(&topic, Some(value.as_bytes())))
            .unwrap();
        if keep {
            producer.commit(None).unwrap();
        } else {
            producer.flush(LIMIT).unwrap();
            producer.abort().unwrap();
        }
    }
    // read_all ends only when the position has come to the end, past the last aborted record.
    assert_eq!(values(&fixture.read_all(&topic)), ["a", "b"]);
    assert_eq!(
        values(&collect(&mut *fixture.member(&unique("group"), &topic), 2)),
        ["a", "b"]
    );
    producer.begin().unwrap();
    producer.commit(None).unwrap();
}

pub(crate) fn an_open_transaction_holds_readers_back(fixture: &Fixture) {
    let topic = fixture.topic("open", 1);
    fixture.fill(&topic, 0, ["before"]);
    let mut producer = fixture.transactional(&unique("tx"));
    producer.begin().unwrap();
    producer
        .send(OutRecord::new(&topic, Some(b"inside")))
        .unwrap();
    producer.flush(LIMIT).unwrap();

    let mut reader = fixture
        .broker
        .reader(ReaderSpec::new(unique("reader")))
        .unwrap();
    reader.assign(&topic, 0, StartAt::Earliest).unwrap();
    assert_eq!(
        reader.watermarks(&topic, 0).unwrap(),
        (0, 1),
        "the last stable offset"
    );
    assert_eq!(fixture.broker.watermarks(&topic, 0).unwrap(), (0, 1));
    assert_eq!(values(&reader.poll(10, LIMIT).unwrap()), ["before"]);
    assert!(reader.poll(10, MOMENT).unwrap().is_empty());

    producer.commit(None).unwrap();
    let mut seen = Vec::new();
    eventually("the committed record is read", || {
        seen.extend(reader.poll(10, MOMENT).unwrap());
        !seen.is_empty()
    });
    assert_eq!(values(&seen), ["inside"]);
}

pub(crate) fn a_newer_producer_fences_the_older(fixture: &Fixture) {
    let topic = fixture.topic("fence", 1);
    let id = unique("tx");
    let mut older = fixture.transactional(&id);
    older.begin().unwrap();
    older.send(OutRecord::new(&topic, Some(b"older"))).unwrap();
    let mut newer = fixture.transactional(&id);
    let error = older.commit(None).unwrap_err();
    assert_eq!(
        (error.retry, error.kind),
        (Retry::Fenced, ErrorKind::Fenced),
        "{error}"
    );
    newer.begin().unwrap();
    newer.send(OutRecord::new(&topic, Some(b"newer"))).unwrap();
    newer.commit(None).unwrap();
    assert_eq!(values(&fixture.read_all(&topic)), ["newer"]);
    assert_eq!(older.begin().unwrap_err().retry, Retry::Fenced, "for good");
}

pub(crate) fn a_zombie_commits_nothing_after_the_group_went_on(fixture: &Fixture) {
    let (input, output) = (fixture.topic("in", 1), fixture.topic("out", 1));
    let group = unique("group");
    fixture.fill(&input, 0, ["a", "b"]);
    let mut zombie = impatient_member(fixture, &group, &input);
    let mut zombies_producer = fixture.transactional(&unique("tx"));
    let read = collect(&mut *zombie, 2);
    let metadata = zombie.group_metadata().unwrap();
    zombies_producer.begin().unwrap();
    zombies_producer
        .send(OutRecord::new(&output, Some(b"zombie")))
        .unwrap();

    let mut heir = impatient_member(fixture, &group, &input);
    let mut producer = fixture.transactional(&unique("tx"));
    let again = collect(&mut *heir, 2);
    producer.begin().unwrap();
    producer
        .send(OutRecord::new(&output, Some(b"heir")))
        .unwrap();
    producer
        .commit(Some((
            &heir.group_metadata().unwrap(),
            &next_offsets(&again),
        )))
        .unwrap();

    let error = zombies_producer
        .commit(Some((&metadata, &next_offsets(&read))))
        .unwrap_err();
    assert_eq!(error.retry, Retry::Fenced, "{error}");
    drop(zombies_producer);
    assert_eq!(values(&fixture.read_all(&output)), ["heir"]);
    assert_eq!(
        fixture.broker.group_offsets(&group, &[&input]).unwrap(),
        [TopicPartitionOffset::new(&*input, 0, 2)]
    );
}

pub(crate) fn old_group_metadata_is_fenced(fixture: &Fixture) {
    let (input, output) = (fixture.topic("in", 2), fixture.topic("out", 1));
    let group = unique("group");
    let mut first = fixture.member(&group, &input);
    until_assigned(&mut *first, 2);
    let old = first.group_metadata().unwrap();
    let mut second = fixture.member(&group, &input);
    eventually("the group has a new generation", || {
        for member in [&mut first, &mut second] {
            if let Polled::Revoked { .. } = member.poll(10, MOMENT).unwrap() {
                member.release().unwrap();
            }
        }
        first.assignment().len() == 1 && second.assignment().len() == 1
    });

    let mut producer = fixture.transactional(&unique("tx"));
    let kept: Vec<_> = first
        .assignment()
        .iter()
        .map(|partition| partition.at(0))
        .collect();
    producer.begin().unwrap();
    producer
        .send(OutRecord::new(&output, Some(b"old")))
        .unwrap();
    assert_eq!(
        producer.commit(Some((&old, &kept))).unwrap_err().retry,
        Retry::Fenced
    );

    let mut producer = fixture.transactional(&unique("tx"));
    producer.begin().unwrap();
    producer
        .send(OutRecord::new(&output, Some(b"fresh")))
        .unwrap();
    producer
        .commit(Some((&first.group_metadata().unwrap(), &kept)))
        .unwrap();
    assert_eq!(values(&fixture.read_all(&output)), ["fresh"]);
}

pub(crate) fn calls_out_of_turn_are_refused(fixture: &Fixture) {
    let topic = fixture.topic("turn", 1);
    let record = OutRecord::new(&topic, Some(b"v"));
    let mut plain = fixture.producer();
    assert_eq!(
        plain.begin().unwrap_err().kind,
        ErrorKind::State,
        "no transactional.id"
    );
    let mut producer = fixture.transactional(&unique("tx"));
    assert_eq!(
        producer.send(record).unwrap_err().kind,
        ErrorKind::State,
        "send before begin"
    );
    assert_eq!(producer.commit(None).unwrap_err().kind, ErrorKind::State);
    assert_eq!(producer.abort().unwrap_err().kind, ErrorKind::State);
    producer.begin().unwrap();
    assert_eq!(
        producer.begin().unwrap_err().kind,
        ErrorKind::State,
        "begin twice"
    );
    producer.send(record).unwrap();
    producer.commit(None).unwrap();
    assert_eq!(fixture.read_all(&topic).len(), 1);
}

pub(crate) fn a_refused_record_leaves_the_transaction_whole(fixture: &Fixture) {
    let topic = fixture.topic("refused", 1);
    let mut producer = fixture.transactional(&unique("tx"));
    producer.begin().unwrap();
    producer.send(OutRecord::new(&topic, Some(b"a"))).unwrap();
    let large = vec![0; 3 << 20];
    assert_eq!(
        producer
            .send(OutRecord::new(&topic, Some(&large)))
            .unwrap_err()
            .kind,
        ErrorKind::TooLarge
    );
    let unknown = unique("unknown");
    assert_eq!(
        producer
            .send(OutRecord::new(&unknown, Some(b"x")))
            .unwrap_err()
            .kind,
        ErrorKind::UnknownTopic
    );
    producer.send(OutRecord::new(&topic, Some(b"b"))).unwrap();
    assert_eq!(producer.commit(None).unwrap().len(), 2);
    assert_eq!(values(&fixture.read_all(&topic)), ["a", "b"]);
}
