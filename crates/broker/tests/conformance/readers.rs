//! Readers: explicit assignment, positions, limits.

use std::time::{Duration, Instant};

use penstock_broker::{ErrorKind, OutRecord, ReaderSpec, StartAt};

use crate::support::{Fixture, LIMIT, MOMENT, unique, values};

pub(crate) fn a_reader_starts_where_it_is_told(fixture: &Fixture) {
    let topic = fixture.topic("reader", 2);
    fixture.fill(&topic, 0, ["a", "b", "c"]);
    fixture.fill(&topic, 1, ["x"]);
    let mut reader = fixture
        .broker
        .reader(ReaderSpec::new(unique("reader")))
        .unwrap();
    assert_eq!(
        reader.position(&topic, 0).unwrap_err().kind,
        ErrorKind::State
    );
    assert!(
        reader
            .assign(&unique("unknown"), 0, StartAt::Earliest)
            .is_err()
    );

    reader.assign(&topic, 0, StartAt::Latest).unwrap();
    assert_eq!(reader.position(&topic, 0).unwrap(), 3);
    assert!(reader.poll(10, MOMENT).unwrap().is_empty());
    fixture.fill(&topic, 0, ["d"]);
    assert_eq!(values(&reader.poll(10, LIMIT).unwrap()), ["d"]);

    reader.assign(&topic, 0, StartAt::Offset(1)).unwrap();
    assert_eq!(values(&reader.poll(2, LIMIT).unwrap()), ["b", "c"]);
    reader.unassign(&topic, 0).unwrap();
    reader.assign(&topic, 1, StartAt::Earliest).unwrap();
    assert_eq!(
        values(&reader.poll(10, LIMIT).unwrap()),
        ["x"],
        "partition 0 is no longer read"
    );
    assert_eq!(reader.position(&topic, 1).unwrap(), 1);
}

pub(crate) fn a_waiting_reader_is_woken(fixture: &Fixture) {
    let topic = fixture.topic("woken", 1);
    let mut reader = fixture
        .broker
        .reader(ReaderSpec::new(unique("reader")))
        .unwrap();
    reader.assign(&topic, 0, StartAt::Latest).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || reader.poll(10, LIMIT).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        fixture.fill(&topic, 0, ["v"]);
        assert_eq!(values(&waiting.join().unwrap()), ["v"]);
    });
}

pub(crate) fn polls_end_at_their_limits(fixture: &Fixture) {
    let topic = fixture.topic("limits", 1);
    fixture.fill(&topic, 0, (0..1000).map(|i| format!("{i:0>1000}")));
    let spec = ReaderSpec {
        poll_bytes: 20_000,
        ..ReaderSpec::new(unique("reader"))
    };
    let mut reader = fixture.broker.reader(spec).unwrap();
    reader.assign(&topic, 0, StartAt::Earliest).unwrap();
    let mut read = 0;
    while read < 1000 {
        let messages = reader.poll(15, LIMIT).unwrap();
        assert!(messages.len() <= 15);
        read += messages.len();
        let messages = reader.poll(1000, MOMENT).unwrap();
        assert!(messages.len() <= 20, "20 records of 1000 bytes fill a poll");
        read += messages.len();
    }
    assert_eq!(read, 1000);
}

pub(crate) fn nothing_is_missed_of_a_partition_that_grows_while_another_is_read(fixture: &Fixture) {
    const GROWING: i64 = 300;
    let topic = fixture.topic("growing", 2);
    fixture.fill(&topic, 0, (0..5000).map(|i| i.to_string()));
    let spec = ReaderSpec {
        poll_bytes: 64 << 20,
        ..ReaderSpec::new(unique("reader"))
    };
    let mut reader = fixture.broker.reader(spec).unwrap();
    reader.assign(&topic, 0, StartAt::Earliest).unwrap();
    reader.assign(&topic, 1, StartAt::Earliest).unwrap();
    std::thread::scope(|scope| {
        let mut producer = fixture.producer();
        let to = &topic;
        scope.spawn(move || {
            for _ in 0..GROWING {
                let record = OutRecord::new(to, Some(b"v")).partition(1);
                producer.send(record).unwrap();
                producer.flush(LIMIT).unwrap();
            }
        });
        let mut next = 0;
        let deadline = Instant::now() + LIMIT;
        while next < GROWING {
            assert!(Instant::now() < deadline, "came as far as {next}");
            // The long partition is read again in every poll, so that a poll takes its time.
            reader.assign(&topic, 0, StartAt::Earliest).unwrap();
            let messages = reader.poll(100_000, MOMENT).unwrap();
            for message in messages.iter().filter(|message| message.partition == 1) {
                assert_eq!(message.offset, next);
                next += 1;
            }
        }
    });
}
