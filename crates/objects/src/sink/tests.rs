//! The sink against stores in memory and on disk, with kills and faults.
#![allow(clippy::unwrap_used)]

mod again;
mod failures;
mod faulty;
mod files;
mod kills;
mod room;
mod rotation;

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

/// Files lie under the hour of the clock, and end with the last record.
fn by_hours(store: Store) -> Plan {
    Plan {
        layout: Arc::new(ByKey { hours: true }),
        ..plan(store, Rotation::default())
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

/// Records of one key, one for each offset.
fn of_one_key(offsets: std::ops::Range<i64>) -> Vec<Record> {
    offsets.map(|offset| record(offset, "a")).collect()
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

    /// One that has its partition and as much memory as it likes.
    async fn opened(plan: Plan) -> Self {
        let mut bench = Self::new(plan, Budget::unlimited());
        bench.open().await;
        bench
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
