//! The sink: brings records to the files of their partitions, keeps memory and open files bounded, and
//! says what it needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use penstock_connect::{
    BudgetHolder, Error, FlushReason, Journal, Need, Position, Record, RecordError,
    RecordErrorKind, Sink, TaskContext, TopicPartition,
};

use crate::bucket::Bucket;
use crate::counters::Counters;
use crate::entry::{Entry, PendingUpload};
use crate::naming::{key_of, name_of, namesake, path_of};
use crate::open_file::OpenFile;
use crate::partition::{FileId, Opening, Partition, Place};
use crate::pressure::State;
use crate::rotation::Rules;
use crate::uploads::Uploads;
use crate::{NamedBy, NullValues, Plan, replay};

/// As long as the writers of a sink hold less than this, memory is not short for them.
const ROOMY: usize = 4 << 20;

/// What the clock says, in milliseconds since the epoch.
type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Writes records as files into an object store, each record once.
///
/// Records go to the files of their partitions. A file that ends is announced in the journal, then it
/// becomes an object, then the journal forgets it and the position moves over it: all in
/// [`Sink::flush`], with the requests to the store in the background.
pub struct ObjectSink {
    pub(crate) plan: Plan,
    pub(crate) connector: Arc<str>,
    pub(crate) rules: Rules,
    pub(crate) bucket: Bucket,
    pub(crate) counters: Arc<Counters>,
    pub(crate) partitions: Vec<Held>,
    /// Places in `partitions`.
    pub(crate) index: HashMap<TopicPartition, usize>,
    pub(crate) uploads: Uploads,
    pub(crate) holder: BudgetHolder,
    pub(crate) clock: Clock,
    stamp: Arc<str>,
    ids: FileId,
    pub(crate) batch: u64,
    /// Whether the store was asked if it can be written.
    checked: bool,
    pub(crate) state: State,
    key: String,
    /// Bytes that writers hold.
    pub(crate) writing: usize,
}

/// A partition that is ours.
pub(crate) struct Held {
    pub(crate) partition: TopicPartition,
    pub(crate) books: Partition<OpenFile>,
    /// What the journal holds.
    pub(crate) note: Option<Bytes>,
    /// The uploads that it names.
    pub(crate) uploads: Vec<PendingUpload>,
    /// Uploads of earlier tasks that could not be given up.
    pub(crate) left: Vec<PendingUpload>,
    /// The batch that last had records of it, and the next offset before that batch.
    pub(crate) batch: u64,
    taken: i64,
}

impl ObjectSink {
    /// A sink for one task. Once it is opened it needs a tokio runtime around it.
    pub fn new(plan: Plan, context: &TaskContext) -> Result<Self, Error> {
        let clock = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            })
        };
        Self::with_clock(plan, context, Arc::new(clock))
    }

    pub(crate) fn with_clock(
        plan: Plan,
        context: &TaskContext,
        clock: Clock,
    ) -> Result<Self, Error> {
        plan.files.check()?;
        let counters = Arc::new(Counters::new(context));
        let bucket = Bucket(plan.store.clone());
        Ok(Self {
            connector: context.connector.clone(),
            rules: Rules::new(&plan.rotation, plan.part_bytes),
            uploads: Uploads::new(bucket.clone(), plan.part_bytes, counters.clone()),
            bucket,
            counters,
            partitions: Vec::new(),
            index: HashMap::new(),
            holder: context.budget.holder(),
            stamp: plan.layout.stamp(clock()).into(),
            clock,
            ids: 0,
            batch: 0,
            checked: false,
            state: State::default(),
            key: String::new(),
            writing: 0,
            plan,
        })
    }

    fn hold(&mut self, partition: TopicPartition, entry: Option<(Bytes, Entry, replay::Found)>) {
        let ids = &mut self.ids;
        let mut held = Held {
            books: Partition::new(),
            note: None,
            uploads: Vec::new(),
            left: Vec::new(),
            batch: 0,
            taken: i64::MIN,
            partition: partition.clone(),
        };
        if let Some((note, entry, found)) = entry {
            let exists = |file: &crate::entry::Announced| found.there.contains(&file.name);
            held.books = Partition::resume(entry, exists, || {
                *ids += 1;
                *ids
            });
            held.note = Some(note);
            held.left = found.left;
        }
        self.index.insert(partition, self.partitions.len());
        self.partitions.push(held);
    }

    /// Lets go of partitions, and of their files that are not durable.
    async fn release(&mut self, partitions: &[TopicPartition]) {
        let mut files = Vec::new();
        for partition in partitions {
            let Some(place) = self.index.remove(partition) else {
                continue;
            };
            let held = self.partitions.swap_remove(place);
            files.extend(held.books.files());
            self.writing -= held
                .books
                .taking()
                .map(|file| file.body.held())
                .sum::<usize>();
            if let Some(moved) = self.partitions.get(place) {
                self.index.insert(moved.partition.clone(), place);
            }
        }
        self.uploads.drop_files(files.into_iter()).await;
        self.account();
    }

    /// The time; files that the clock's part of their name or the time itself ends have ended then.
    pub(crate) fn look_at_clock(&mut self, always: bool) -> i64 {
        let now = (self.clock)();
        let stamp = self.plan.layout.stamp(now);
        let changed = stamp != *self.stamp;
        if changed {
            self.stamp = stamp.into();
        }
        if changed || always {
            self.state.clock_due = None;
            for held in &mut self.partitions {
                held.books.end_due(now, &self.stamp, &self.rules);
                held.books.end_overgrown();
                let due = held.books.clock_due(&self.rules);
                self.state.clock_due = due.into_iter().chain(self.state.clock_due).min();
            }
        }
        now
    }

    /// Brings a record to its file; `earlier` are those before it in the batch. `Err` rejects it.
    fn take(
        &mut self,
        place: usize,
        (earlier, record): (&[Record], &Record),
        now: i64,
    ) -> Result<(), RecordError> {
        let offset = record.origin().offset;
        let rules = &self.rules;
        let held = &mut self.partitions[place];
        if offset < held.taken {
            self.counters.taken_before.inc();
            return Ok(());
        }
        held.books.reach(offset, &self.stamp);
        if record.value.is_none() && self.plan.nulls != NullValues::Write {
            held.books.pass(offset, rules);
            if self.plan.nulls == NullValues::Ignore {
                self.counters.tombstones.inc();
                return Ok(());
            }
            return Err(RecordError::new(
                RecordErrorKind::Schema,
                "the record has no value, and behavior.on.null.values is fail",
            ));
        }
        let event_time = match key_of(&self.plan, record, &mut self.key) {
            Ok(event_time) => event_time,
            Err(error) => {
                held.books.pass(offset, rules);
                return Err(error);
            }
        };
        match held.books.place(offset, &self.key, event_time, rules) {
            Place::Durable => self.counters.durable_before.inc(),
            Place::File(file) => {
                let before = file.body.held();
                file.body.push(record)?;
                file.took(offset, record.timestamp, now);
                if let Some(chunk) = file.body.drain(self.writing < ROOMY) {
                    self.uploads.push(file.id, chunk);
                }
                self.writing = self.writing + file.body.held() - before;
                if !file.is_rebuilt() && rules.full(file.what.rows, file.body.length()) {
                    let key = file.what.key.clone();
                    held.books.full(key);
                }
            }
            Place::New(named) => return self.open_file(place, (earlier, record), named, now),
        }
        Ok(())
    }

    fn open_file(
        &mut self,
        place: usize,
        (earlier, record): (&[Record], &Record),
        named: Option<(Arc<str>, Arc<str>)>,
        now: i64,
    ) -> Result<(), RecordError> {
        let offset = record.origin().offset;
        let held = &self.partitions[place];
        let (name, stamp) = match named {
            Some(named) => named,
            None => {
                let by = NamedBy {
                    topic: &held.partition.topic,
                    partition: held.partition.partition,
                    first: offset,
                };
                let namesake = namesake(&self.plan, earlier, record, &self.key);
                let stamp = held.books.stamp_of(offset).unwrap_or(&self.stamp).clone();
                let name = name_of(&self.plan, &self.key, &stamp, by, namesake)?;
                (name, stamp)
            }
        };
        let path = path_of(&name)?;
        let body = OpenFile::begin(&self.plan.files, record)?;
        let length = body.length();
        self.writing += body.held();
        self.make_room_for_one();
        self.ids += 1;
        let id = self.ids;
        let schema = record.value.as_ref().and_then(|value| value.schema());
        let opening = Opening {
            id,
            name: name.clone(),
            stamp,
            schema_id: schema.and_then(|schema| schema.id()),
            timestamp: record.timestamp,
            now,
            body,
        };
        let key: Arc<str> = self.key.as_str().into();
        let held = &mut self.partitions[place];
        let rebuilt = held.books.open(offset, key.clone(), opening, &self.rules);
        self.uploads.open(id, held.partition.clone(), name, path);
        let due = [
            self.rules.idle.map(|idle| now.saturating_add(idle)),
            self.rules.moment(now),
        ];
        self.state.clock_due = due.into_iter().flatten().chain(self.state.clock_due).min();
        if !rebuilt && self.rules.full(1, length) {
            held.books.full(key);
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for ObjectSink {
    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        if !self.checked {
            self.plan.store.check(&self.plan.prefix).await?;
            self.checked = true;
        }
        self.release(partitions).await;
        let mut entries = Vec::new();
        let mut notes = HashMap::new();
        for (partition, note) in journal.load(partitions)? {
            entries.push(Entry::decode(&partition, &note)?);
            notes.insert(partition, (entries.len() - 1, note));
        }
        let found = replay::look(&self.bucket, &entries).await?;
        let mut known: Vec<_> = entries.into_iter().zip(found).map(Some).collect();
        for partition in partitions {
            let entry = notes.remove(partition).and_then(|(index, note)| {
                let (entry, found) = known.get_mut(index)?.take()?;
                Some((note, entry, found))
            });
            self.hold(partition.clone(), entry);
        }
        self.account();
        Ok(self.positions(partitions))
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        // What can fail comes before the first record.
        self.hear()?;
        let now = self.look_at_clock(false);
        self.batch += 1;
        let mut rejected = Vec::new();
        let mut touched = Vec::new();
        let mut last: Option<(TopicPartition, usize)> = None;
        for (index, record) in records.iter().enumerate() {
            let Some(partition) = &record.origin().partition else {
                return Err(Error::never(
                    "an object sink takes records that were read from a topic, and this one was not",
                ));
            };
            let place = match &last {
                Some((before, place)) if before == partition => *place,
                _ => {
                    let place = *self.index.get(partition).ok_or_else(|| {
                        Error::reconnect(format!(
                            "a record of {}-{} came, which is not ours",
                            partition.topic, partition.partition
                        ))
                    })?;
                    last = Some((partition.clone(), place));
                    let held = &mut self.partitions[place];
                    if held.batch != self.batch {
                        held.batch = self.batch;
                        held.taken = held.books.next().unwrap_or(i64::MIN);
                        touched.push(place);
                    }
                    place
                }
            };
            if let Err(error) = self.take(place, (&records[..index], record), now) {
                rejected.push((index, error));
            }
        }
        drop(records);
        for place in touched {
            self.partitions[place].books.settle();
        }
        self.finish_ended()?;
        self.relieve()?;
        self.uploads.dispatch();
        Ok(rejected)
    }

    fn need(&self) -> Need {
        self.needs()
    }

    async fn flush(
        &mut self,
        reason: FlushReason,
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        self.flush_for(reason, journal).await?;
        let partitions: Vec<_> = self.index.keys().cloned().collect();
        Ok(self.positions(&partitions))
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.release(partitions).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
