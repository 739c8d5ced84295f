//! The sink against stores in memory and on disk, with kills and faults.
#![allow(clippy::unwrap_used)]

mod faulty;
mod kills;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use penstock_connect::{Budget, MemoryJournal, Metrics, Origin, Retry};
use penstock_files::{FileSpec, Format};
use penstock_formats::{Encoding, Payload};

use self::faulty::{Fault, Faulty};
use super::*;
use crate::{Layout, Rotation, Schedule, Store};

/// Puts records under their key; the clock's part of a name is the hour, if it is wanted.
struct ByKey {
    hours: bool,
}

impl Layout for ByKey {
    fn path(&self, record: &Record, out: &mut String) -> Result<Option<i64>, RecordError> {
        let key = record
            .key
            .as_ref()
            .ok_or_else(|| RecordError::field("the record has no key"))?;
        out.push_str(std::str::from_utf8(key.bytes()).unwrap());
        Ok(record.timestamp)
    }

    fn stamp(&self, clock: i64) -> String {
        if self.hours {
            format!("{}h", clock / 3_600_000)
        } else {
            String::new()
        }
    }

    fn name(&self, path: &str, stamp: &str, file: NamedBy<'_>) -> String {
        format!(
            "lake/{path}/{stamp}{}+{}+{:04}.jsonl",
            file.topic, file.partition, file.first
        )
    }
}

fn plan(store: Store, rotation: Rotation) -> Plan {
    Plan {
        store,
        prefix: "lake/".to_owned(),
        layout: Arc::new(ByKey { hours: false }),
        files: FileSpec::new(Format::JsonLines),
        rotation,
        nulls: NullValues::Fail,
        part_bytes: 100,
        notices: Some("files".into()),
        max_open: 1000,
    }
}

fn records(records: u64) -> Rotation {
    Rotation {
        records: Some(records),
        ..Rotation::default()
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: "demo".into(),
        partition: number,
    }
}

fn record_at(number: i32, offset: i64, key: &str, value: &str, time: i64) -> Record {
    let value = Payload::new(value.as_bytes().to_vec(), Encoding::Json);
    let mut record = Record::new("demo".into(), Some(value));
    record.key = Some(Payload::new(key.as_bytes().to_vec(), Encoding::Text));
    record.timestamp = Some(time);
    record.set_origin(Origin {
        index: 0,
        partition: Some(partition(number)),
        offset,
    });
    record
}

/// A record whose value is its offset.
fn record(offset: i64, key: &str) -> Record {
    record_at(0, offset, key, &offset.to_string(), offset)
}

struct Bench {
    sink: ObjectSink,
    journal: MemoryJournal,
    clock: Arc<AtomicI64>,
    context: TaskContext,
}

impl Bench {
    fn new(plan: Plan, budget: Budget) -> Self {
        let context = TaskContext {
            connector: "lake".into(),
            task: 0,
            tasks: 1,
            metrics: Metrics::new(),
            budget,
        };
        let clock = Arc::new(AtomicI64::new(0));
        Self {
            sink: sink(plan, &context, &clock),
            journal: MemoryJournal::default(),
            clock,
            context,
        }
    }

    /// As a kill -9 does.
    fn kill(&mut self, plan: Plan) {
        self.sink = sink(plan, &self.context, &self.clock);
    }

    async fn open(&mut self) -> Option<i64> {
        let opened = self.sink.open(&[partition(0)], &mut self.journal).await;
        opened.unwrap().first().map(|position| position.offset)
    }

    async fn write(&mut self, records: Vec<Record>) -> Vec<(usize, RecordError)> {
        self.sink.write(records).await.unwrap()
    }

    async fn flush(&mut self, reason: FlushReason) -> Result<Option<i64>, Error> {
        let positions = self.sink.flush(reason, &mut self.journal).await?;
        Ok(positions.first().map(|position| position.offset))
    }

    /// Flushes until nothing is on its way any more, as a runner does.
    async fn settle(&mut self) -> Result<Option<i64>, Error> {
        loop {
            let position = self.flush(FlushReason::Tick).await?;
            if self.sink.state.leaving == 0 && !self.sink.state.unnoted_upload {
                return Ok(position);
            }
            self.sink.uploads.wait(None).await?;
        }
    }

    fn notices(&self) -> Vec<serde_json::Value> {
        let notices = self.journal.notices().iter();
        notices
            .map(|record| serde_json::from_slice(record.value.as_ref().unwrap().bytes()).unwrap())
            .collect()
    }
}

fn sink(plan: Plan, context: &TaskContext, clock: &Arc<AtomicI64>) -> ObjectSink {
    let clock = clock.clone();
    let now = Arc::new(move || clock.load(Ordering::Relaxed));
    ObjectSink::with_clock(plan, context, now).unwrap()
}

/// Each object's lines.
async fn objects(store: &dyn ObjectStore) -> BTreeMap<String, Vec<String>> {
    let mut objects = BTreeMap::new();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    for meta in listed {
        let object = store.get(&meta.location).await.unwrap();
        let text = String::from_utf8(object.bytes().await.unwrap().to_vec()).unwrap();
        let lines = text.lines().map(str::to_owned).collect();
        objects.insert(meta.location.to_string(), lines);
    }
    objects
}

fn names(objects: &BTreeMap<String, Vec<String>>) -> Vec<&str> {
    objects.keys().map(String::as_str).collect()
}

fn faulty() -> (Faulty, Store) {
    let faulty = Faulty::new();
    (faulty.clone(), Store::in_parts(faulty, "mem://lake"))
}

#[tokio::test]
async fn files_are_announced_then_uploaded_then_noted_and_the_position_follows() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, records(2)), Budget::unlimited());
    assert_eq!(bench.open().await, None);
    bench
        .write(vec![record(5, "a"), record(6, "b"), record(8, "a")])
        .await;
    assert_eq!(bench.sink.need(), Need::Flush, "a file has ended");
    assert_eq!(bench.flush(FlushReason::Tick).await.unwrap(), Some(5));
    let entry = bench.journal.entry(&partition(0)).unwrap();
    let entry = Entry::decode(&partition(0), &entry.note).unwrap();
    assert_eq!(&*entry.announced[0].name, "lake/a/demo+0+0005.jsonl");
    assert!(bench.notices().is_empty(), "it is not there yet");

    assert_eq!(bench.settle().await.unwrap(), Some(6));
    let entry = bench.journal.entry(&partition(0)).unwrap();
    assert_eq!(entry.position.offset, 6);
    assert_eq!(
        bench.notices(),
        [serde_json::json!({
            "connector": "lake", "topic": "demo", "partition": 0,
            "name": "lake/a/demo+0+0005.jsonl",
            "url": "mem://lake/lake/a/demo+0+0005.jsonl",
            "format": "jsonl", "rows": 2, "bytes": 4, "first_offset": 5, "last_offset": 8,
            "schema_id": null, "min_timestamp": 5, "max_timestamp": 8
        })]
    );
    let key = bench.journal.notices()[0].key.as_ref().unwrap().bytes();
    assert_eq!(&key[..], b"lake/a/demo+0+0005.jsonl");

    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(9));
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        ["lake/a/demo+0+0005.jsonl", "lake/b/demo+0+0006.jsonl"]
    );
    assert_eq!(there["lake/a/demo+0+0005.jsonl"], ["5", "8"]);
    assert_eq!(bench.sink.need(), Need::Nothing);
    assert_eq!(bench.sink.holder.held(), 0);
}

#[tokio::test]
async fn large_files_go_up_in_parts_while_they_collect() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.part_bytes = 100 << 10;
    let mut bench = Bench::new(plan, Budget::unlimited());
    bench.open().await;
    let value = format!("\"{}\"", "x".repeat(50_000));
    for offset in 0..10 {
        bench
            .write(vec![record_at(0, offset, "a", &value, 0)])
            .await;
        bench.settle().await.unwrap();
        bench.sink.uploads.wait(None).await.unwrap();
    }
    assert!(faulty.uploads()[0] >= 3, "{:?}", faulty.uploads());
    assert!(
        bench.sink.holder.held() < 300 << 10,
        "{}",
        bench.sink.holder.held()
    );
    assert!(objects(&*faulty.memory).await.is_empty());
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"], vec![value; 10]);
    assert!(faulty.uploads().is_empty());
}

#[tokio::test]
async fn records_that_fit_nowhere_are_rejected_alone() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, Rotation::default()), Budget::unlimited());
    bench.open().await;
    let mut without_key = record(2, "a");
    without_key.key = None;
    let mut tombstone = record(3, "a");
    tombstone.value = None;
    let rejected = bench
        .write(vec![
            record(1, "a"),
            without_key,
            tombstone,
            record(4, "../b"),
            record(5, "a//b"),
            record_at(0, 6, "a", "{", 0),
            record(7, &"k".repeat(1100)),
            record(8, "a\0b"),
            record(9, "a"),
        ])
        .await;
    let rejected: Vec<(usize, &str)> = rejected
        .iter()
        .map(|(index, error)| (*index, error.message.as_str()))
        .collect();
    let bad_part = "the name of the record's file would have an empty part, a part that is . or .., or a slash at its end";
    assert_eq!(
        rejected[..4],
        [
            (1, "the record has no key"),
            (
                2,
                "the record has no value, and behavior.on.null.values is fail"
            ),
            (3, bad_part),
            (4, bad_part),
        ]
    );
    assert_eq!(rejected[4].0, 5, "not JSON");
    assert_eq!(
        rejected[5..],
        [
            (
                6,
                "the name of the record's file would have 1123 bytes, and stores take 1024"
            ),
            (
                7,
                "a name of a file cannot be made of a value that has a NUL in it"
            ),
        ]
    );
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(10));
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0001.jsonl"], ["1", "9"]);
    assert_eq!(there.len(), 1);
}

#[tokio::test]
async fn records_of_one_offset_with_other_schemas_have_files_of_their_own_also_after_a_kill() {
    let of = |offset: i64, schema: u32| {
        let text = format!(r#"{{"title": "s{schema}"}}"#);
        let schema_of = penstock_formats::Schema::json(&text, &[]).unwrap();
        let mut record = record_at(0, offset, "a", &format!("\"{offset}-{schema}\""), 0);
        let value = record.value.take().unwrap();
        record.value = Some(value.with_schema(Arc::new(schema_of.with_id(schema, None))));
        record
    };
    let batch = || vec![of(0, 3), of(1, 1), of(1, 2), of(1, 1), of(2, 2), of(3, 1)];
    let expected = BTreeMap::from(
        [
            ("lake/a/demo+0+0000.jsonl", vec!["\"0-3\""]),
            (
                "lake/a/demo+0+0001.jsonl",
                vec!["\"1-1\"", "\"1-1\"", "\"3-1\""],
            ),
            ("lake/a/demo+0+0001+1.jsonl", vec!["\"1-2\"", "\"2-2\""]),
        ]
        .map(|(name, lines)| {
            (
                name.to_owned(),
                lines.into_iter().map(str::to_owned).collect(),
            )
        }),
    );
    for durable in [None, Some(1), Some(2)] {
        let (faulty, store) = faulty();
        let plan = plan(store, Rotation::default());
        let mut bench = Bench::new(plan.clone(), Budget::unlimited());
        bench.open().await;
        assert_eq!(bench.write(batch()).await, []);
        if let Some(schema) = durable {
            // One of the two is there, and the position stays before both.
            let books = &mut bench.sink.partitions[0].books;
            let ours = |key: &&Arc<str>| key.ends_with(&format!("\0{schema}"));
            let keys: Vec<_> = books
                .collecting()
                .map(|file| file.what.key.clone())
                .collect();
            let key = keys.iter().find(ours).unwrap_or_else(|| panic!("{keys:?}"));
            books.end(key);
            bench.settle().await.unwrap();
            assert_eq!(objects(&*faulty.memory).await.len(), 1);
        }
        bench.kill(plan);
        let from = bench.open().await.unwrap_or(0);
        assert_eq!(from, 0);
        assert_eq!(bench.write(batch()).await, []);
        bench.flush(FlushReason::End).await.unwrap();
        assert_eq!(objects(&*faulty.memory).await, expected, "{durable:?}");
    }
}

#[tokio::test]
async fn a_batch_that_is_given_again_is_not_written_again() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, Rotation::default()), Budget::unlimited());
    bench.open().await;
    let batch = vec![record(1, "a"), record(1, "b"), record(2, "a")];
    bench.write(batch.clone()).await;
    bench.write(batch).await;
    bench.write(vec![record(3, "a")]).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0001.jsonl"], ["1", "2", "3"]);
    assert_eq!(there["lake/b/demo+0+0001.jsonl"], ["1"]);
    assert_eq!(bench.sink.counters.taken_before.get(), 3);
}

#[tokio::test]
async fn a_quiet_file_and_a_scheduled_moment_and_a_new_stamp_end_files_without_records() {
    for (case, rotation, hours) in [
        (
            "idle",
            Rotation {
                idle: Some(Duration::from_secs(3600)),
                ..Rotation::default()
            },
            false,
        ),
        (
            "schedule",
            Rotation {
                schedule: Some(Schedule {
                    interval: Duration::from_secs(3600),
                    zone: crate::layout::Zone::UTC,
                }),
                ..Rotation::default()
            },
            false,
        ),
        ("stamp", Rotation::default(), true),
    ] {
        let (faulty, store) = faulty();
        let mut plan = plan(store, rotation);
        plan.layout = Arc::new(ByKey { hours });
        let mut bench = Bench::new(plan, Budget::unlimited());
        bench.open().await;
        bench.write(vec![record(1, "a")]).await;
        bench.clock.store(3_599_999, Ordering::Relaxed);
        assert_eq!(bench.settle().await.unwrap(), Some(1), "{case}");
        bench.clock.store(3_600_000, Ordering::Relaxed);
        if case != "stamp" {
            assert_eq!(bench.sink.need(), Need::Flush, "{case}");
        }
        assert_eq!(bench.settle().await.unwrap(), Some(2), "{case}");
        assert_eq!(objects(&*faulty.memory).await.len(), 1, "{case}");
        bench.write(vec![record(2, "a")]).await;
        bench.flush(FlushReason::End).await.unwrap();
        let there = objects(&*faulty.memory).await;
        let second = if hours {
            "lake/a/1hdemo+0+0002.jsonl"
        } else {
            "lake/a/demo+0+0002.jsonl"
        };
        assert!(there.contains_key(second), "{case}: {there:?}");
    }
}

#[tokio::test]
async fn records_that_are_read_again_lie_under_the_hour_in_which_they_were_first_read() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.layout = Arc::new(ByKey { hours: true });
    let mut bench = Bench::new(plan.clone(), Budget::unlimited());
    bench.open().await;
    for (clock, batch) in [
        (0, vec![record(0, "a"), record(1, "b")]),
        (20_000, vec![record(2, "a")]),
        // Of this one the journal is not told before the kill.
        (20_001, vec![record(3, "a")]),
    ] {
        bench.clock.store(clock, Ordering::Relaxed);
        bench.write(batch).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    for clock in [3_600_000, 7_200_000] {
        // Killed once more while it reads them again.
        bench.kill(plan.clone());
        bench.clock.store(clock, Ordering::Relaxed);
        assert_eq!(bench.open().await, Some(0));
        bench.write(vec![record(0, "a"), record(1, "b")]).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    for record in [record(2, "a"), record(3, "a"), record(4, "a")] {
        bench.write(vec![record]).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        there.into_iter().collect::<Vec<_>>(),
        [
            ("lake/a/0hdemo+0+0000.jsonl", vec!["0", "2"]),
            ("lake/a/2hdemo+0+0003.jsonl", vec!["3", "4"]),
            ("lake/b/0hdemo+0+0001.jsonl", vec!["1"]),
        ]
        .map(|(name, lines)| (
            name.to_owned(),
            lines.into_iter().map(str::to_owned).collect()
        ))
    );
}

#[tokio::test]
async fn records_behind_those_that_are_read_again_lie_under_the_hour_of_now() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.layout = Arc::new(ByKey { hours: true });
    let mut bench = Bench::new(plan.clone(), Budget::unlimited());
    bench.open().await;
    for (clock, batch) in [
        (0, vec![record(0, "a")]),
        (20_000, vec![record(1, "a"), record(2, "b")]),
    ] {
        bench.clock.store(clock, Ordering::Relaxed);
        bench.write(batch).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    bench.kill(plan);
    bench.clock.store(3_600_000, Ordering::Relaxed);
    assert_eq!(bench.open().await, Some(0));
    let records = ["a", "a", "b", "a", "a"];
    let records = records.iter().zip(0..).map(|(key, at)| record(at, key));
    bench.write(records.collect()).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        [
            "lake/a/0hdemo+0+0000.jsonl",
            "lake/a/1hdemo+0+0003.jsonl",
            "lake/b/0hdemo+0+0002.jsonl",
        ]
    );
    assert_eq!(there["lake/a/0hdemo+0+0000.jsonl"], ["0", "1"]);
    assert_eq!(there["lake/a/1hdemo+0+0003.jsonl"], ["3", "4"]);
}

#[tokio::test]
async fn the_file_that_waited_longest_ends_when_too_many_are_open() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.max_open = 2;
    let mut bench = Bench::new(plan, Budget::unlimited());
    bench.open().await;
    bench.write(vec![record(1, "a"), record(2, "b")]).await;
    bench.clock.store(1, Ordering::Relaxed);
    bench.write(vec![record(3, "a"), record(4, "c")]).await;
    bench.settle().await.unwrap();
    assert_eq!(
        names(&objects(&*faulty.memory).await),
        ["lake/b/demo+0+0002.jsonl"]
    );
    assert_eq!(bench.sink.counters.cut_short.get(), 1);
    // Records of one offset are not parted, even if that leaves one file too many.
    bench
        .write(vec![
            record(5, "a"),
            record(5, "b"),
            record(5, "c"),
            record(5, "d"),
            record(5, "a"),
        ])
        .await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    let fives = there.values().flatten().filter(|line| *line == "5").count();
    assert_eq!(fives, 5, "{there:?}");
}

#[tokio::test]
async fn without_room_nothing_more_is_taken_until_files_have_left() {
    let (faulty, store) = faulty();
    let budget = Budget::new(20_000);
    let mut plan = plan(store, Rotation::default());
    plan.part_bytes = 1 << 20;
    let mut bench = Bench::new(plan, budget.clone());
    bench.open().await;
    faulty.rule(|asked, _| {
        if asked == "put" {
            Fault::Hangs
        } else {
            Fault::None
        }
    });
    let mut offset = 0;
    while bench.sink.need() != Need::Room {
        let value = format!("\"{}\"", "x".repeat(2000));
        let record = record_at(0, offset, &format!("k{offset}"), &value, 0);
        bench.write(vec![record]).await;
        offset += 1;
        assert!(offset < 100, "{} bytes are held", budget.used());
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    assert!(
        bench.sink.counters.cut_short.get() > 0,
        "the largest have ended"
    );
    bench.flush(FlushReason::Tick).await.unwrap();
    assert_eq!(bench.sink.need(), Need::Room, "they do not get away");
    // Another task of the worker has room all the same.
    let mut other = budget.holder();
    other.set(4_000);
    assert!(!other.is_full());
}

#[tokio::test]
async fn a_file_that_is_rebuilt_gets_its_records_though_there_is_no_room() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, records(40));
    plan.part_bytes = 1 << 20;
    let mut bench = Bench::new(plan.clone(), Budget::unlimited());
    bench.open().await;
    faulty.rule(|asked, _| {
        if asked == "put" {
            Fault::Hangs
        } else {
            Fault::None
        }
    });
    let batch = |range: std::ops::Range<i64>| -> Vec<Record> {
        let value = format!("\"{}\"", "x".repeat(1000));
        range
            .map(|offset| record_at(0, offset, "a", &value, 0))
            .collect()
    };
    bench.write(batch(0..40)).await;
    bench.flush(FlushReason::Tick).await.unwrap();
    faulty.well();
    bench.context.budget = Budget::new(20_000);
    bench.kill(plan);
    assert_eq!(bench.open().await, Some(0));
    for offset in 0..40 {
        bench.write(batch(offset..offset + 1)).await;
        while bench.sink.need() == Need::Room {
            bench.flush(FlushReason::Tick).await.unwrap();
        }
    }
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"].len(), 40);
}

#[tokio::test]
async fn requests_whose_answers_are_lost_are_settled_by_looking() {
    for what in ["put", "complete"] {
        let (faulty, store) = faulty();
        let mut bench = Bench::new(
            plan(store, records(if what == "put" { 2 } else { 60 })),
            Budget::unlimited(),
        );
        bench.open().await;
        let mut lost = 0;
        faulty.rule(move |asked, _| {
            lost += usize::from(asked == what);
            if asked == what && lost == 1 {
                Fault::After
            } else {
                Fault::None
            }
        });
        bench
            .write((0..60).map(|offset| record(offset, "a")).collect())
            .await;
        bench.flush(FlushReason::End).await.unwrap();
        let there = objects(&*faulty.memory).await;
        let lines: Vec<String> = there.into_values().flatten().collect();
        let expected: Vec<String> = (0..60).map(|offset| offset.to_string()).collect();
        assert_eq!(lines, expected, "{what}");
        assert_eq!(
            faulty.asked("head"),
            if what == "put" { 1 } else { 2 },
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_large_object_is_compared_range_by_range_and_each_is_asked_for_again() {
    let (faulty, store) = faulty();
    let bucket = Bucket(store);
    let (path, bytes) = (Path::from("lake/large"), vec![7; 20 << 20]);
    let known = [crate::entry::Content {
        bytes: bytes.len() as u64,
        checksum: crc32fast::hash(&bytes),
    }];
    faulty.memory.put(&path, bytes.into()).await.unwrap();
    let mut asked = 0;
    faulty.rule(move |what, _| {
        asked += usize::from(what == "get");
        if what == "get" && asked % 3 != 0 {
            Fault::Before
        } else {
            Fault::None
        }
    });
    assert!(bucket.holds(&path, &known).await.unwrap());
    assert_eq!(
        faulty.asked("get"),
        9,
        "three ranges, each asked for twice in vain"
    );
    // Another object takes its place after the first range.
    let (memory, mut asked) = (faulty.memory.clone(), 0);
    let other = path.clone();
    faulty.rule(move |what, _| {
        asked += usize::from(what == "get");
        if what == "get" && asked == 2 {
            let put = memory.put(&other, vec![8; 20 << 20].into());
            put.now_or_never().unwrap().unwrap();
        }
        Fault::None
    });
    let error = bucket.holds(&path, &known).await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff, "{error}");
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_before_the_task_starts_anew() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, records(60)), Budget::unlimited());
    bench.open().await;
    let mut failures = 0;
    faulty.rule(move |asked, _| {
        failures += usize::from(asked == "part");
        if asked == "part" && failures <= 2 {
            Fault::Before
        } else {
            Fault::None
        }
    });
    bench
        .write((0..60).map(|offset| record(offset, "a")).collect())
        .await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"].len(), 60);
}

#[tokio::test]
async fn a_store_that_stays_away_makes_the_task_start_anew_and_nothing_is_lost() {
    for what in ["put", "create", "part", "complete", "head"] {
        let (faulty, store) = faulty();
        let plan = plan(store, records(60));
        let mut bench = Bench::new(plan.clone(), Budget::unlimited());
        bench.open().await;
        faulty.rule(move |asked, _| {
            if asked == what {
                Fault::Before
            } else {
                Fault::None
            }
        });
        let batch = |from: i64| -> Vec<Record> {
            // Large files under one key, small ones under the other.
            let key = |offset: i64| if offset % 30 == 7 { "small" } else { "large" };
            (from..130)
                .map(|offset| record(offset, key(offset)))
                .collect()
        };
        bench.write(batch(0)).await;
        let error = bench.flush(FlushReason::End).await.unwrap_err();
        assert_eq!(error.retry, Retry::Backoff, "{what}: {error}");
        assert!(error.message.starts_with("mem://lake cannot "), "{error}");
        assert!(bench.sink.counters.upload_failures.get() > 0);
        faulty.well();
        bench.kill(plan);
        let from = bench.open().await.unwrap_or(0);
        bench.write(batch(from)).await;
        bench.flush(FlushReason::End).await.unwrap();
        let mut lines: Vec<i64> = objects(&*faulty.memory)
            .await
            .into_values()
            .flatten()
            .map(|line| line.parse().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..130).collect::<Vec<_>>(), "{what}");
        assert!(faulty.uploads().iter().all(|parts| *parts == 0), "{what}");
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_stops_the_task() {
    for size in [1, 60] {
        let (faulty, store) = faulty();
        let name = "lake/a/demo+0+0000.jsonl";
        let path = object_store::path::Path::from(name);
        faulty.memory.put(&path, "theirs".into()).await.unwrap();
        let mut bench = Bench::new(plan(store, records(size)), Budget::unlimited());
        bench.open().await;
        bench
            .write((0..size as i64).map(|offset| record(offset, "a")).collect())
            .await;
        let error = bench.flush(FlushReason::End).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert_eq!(
            error.message,
            "mem://lake has an object lake/a/demo+0+0000.jsonl already, and not the one that is to be written there: it is \
             something else's, or the topic was made anew; move it away or change the prefix of the names, and restart \
             the task"
        );
        assert_eq!(objects(&*faulty.memory).await[name], ["theirs"]);
    }
}

#[tokio::test]
async fn what_was_exported_before_is_found_and_counts() {
    for size in [2, 60] {
        let (faulty, store) = faulty();
        let plan = plan(store, records(size));
        for _ in 0..2 {
            // A journal of its own each time: the connector was made anew.
            let mut bench = Bench::new(plan.clone(), Budget::unlimited());
            bench.open().await;
            bench
                .write((0..120).map(|offset| record(offset, "a")).collect())
                .await;
            bench.flush(FlushReason::End).await.unwrap();
            assert_eq!(bench.notices().len() as u64, 120 / size);
        }
        let there = objects(&*faulty.memory).await;
        assert_eq!(there.len() as u64, 120 / size);
        assert!(faulty.uploads().is_empty());
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_not_asked_again() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, records(1)), Budget::unlimited());
    bench.open().await;
    faulty.rule(|asked, _| {
        if asked == "put" {
            Fault::Denied
        } else {
            Fault::None
        }
    });
    bench.write(vec![record(1, "a")]).await;
    let error = bench.flush(FlushReason::End).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(faulty.asked("put"), 1);
    let (faulty, store) = self::faulty();
    faulty.rule(|_, _| Fault::Denied);
    let mut bench = Bench::new(plan(store, records(1)), Budget::unlimited());
    let opened = bench.sink.open(&[partition(0)], &mut bench.journal).await;
    assert_eq!(
        opened.unwrap_err().retry,
        Retry::Never,
        "before the first record"
    );
}

#[tokio::test]
async fn files_that_collect_are_dropped_when_their_partition_goes_and_come_again() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, records(20));
    plan.part_bytes = 20;
    let mut bench = Bench::new(plan.clone(), Budget::unlimited());
    bench.open().await;
    bench
        .write((0..27).map(|offset| record(offset, "a")).collect())
        .await;
    let position = bench.flush(FlushReason::Close).await.unwrap();
    assert_eq!(position, Some(20), "the file that ended is there");
    bench.sink.close(&[partition(0)]).await.unwrap();
    assert_eq!(objects(&*faulty.memory).await.len(), 1);
    assert_eq!(bench.sink.holder.held(), 0);
    assert!(faulty.uploads().is_empty());
    bench.kill(plan);
    assert_eq!(bench.open().await, Some(20));
}

#[tokio::test]
async fn a_file_whose_records_have_gone_is_written_with_those_that_are_left() {
    let (faulty, store) = faulty();
    let plan = plan(store, records(3));
    let mut bench = Bench::new(plan.clone(), Budget::unlimited());
    bench.open().await;
    faulty.rule(|asked, _| {
        if asked == "put" {
            Fault::Hangs
        } else {
            Fault::None
        }
    });
    bench
        .write(
            (0..6)
                .map(|offset| record(offset, if offset < 3 { "a" } else { "b" }))
                .collect(),
        )
        .await;
    bench.flush(FlushReason::Tick).await.unwrap();
    bench.kill(plan);
    faulty.well();
    assert_eq!(bench.open().await, Some(0));
    // Retention took 0 to 1, and compaction everything of the second file.
    bench.write(vec![record(2, "a"), record(9, "c")]).await;
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(10));
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        ["lake/a/demo+0+0000.jsonl", "lake/c/demo+0+0009.jsonl"]
    );
    assert_eq!(there["lake/a/demo+0+0000.jsonl"], ["2"]);
    let entry = bench.journal.entry(&partition(0)).unwrap();
    assert!(
        Entry::decode(&partition(0), &entry.note)
            .unwrap()
            .announced
            .is_empty()
    );
}

#[tokio::test]
async fn a_directory_takes_small_and_large_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::directory(directory.path()).unwrap();
    let objects_of = store.objects().clone();
    let mut bench = Bench::new(plan(store, records(60)), Budget::unlimited());
    bench.open().await;
    let key = |offset: i64| if offset % 2 == 0 { "a" } else { "b" };
    bench
        .write((0..130).map(|offset| record(offset, key(offset))).collect())
        .await;
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(130));
    let there = objects(&*objects_of).await;
    assert_eq!(
        names(&there),
        [
            "lake/a/demo+0+0000.jsonl",
            "lake/a/demo+0+0120.jsonl",
            "lake/b/demo+0+0001.jsonl",
            "lake/b/demo+0+0121.jsonl"
        ]
    );
    assert_eq!(there.values().map(Vec::len).sum::<usize>(), 130);
}
