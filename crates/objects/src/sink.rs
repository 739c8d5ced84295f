//! The sink: brings records to the files of their partitions, keeps memory and open files bounded, and
//! says what it needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use penstock_connect::{
    BudgetHolder, Error, FlushReason, Journal, Need, Position, Record, RecordError,
    RecordErrorKind, Sink, TaskContext, TopicPartition,
};

use crate::bucket::Bucket;
use crate::counters::Counters;
use crate::entry::{Entry, PendingUpload};
use crate::naming::{key_of, name_of, path_of};
use crate::open_file::OpenFile;
use crate::partition::{FileId, Opening, Partition, Place};
use crate::rotation::Rules;
use crate::uploads::Uploads;
use crate::{NamedBy, NullValues, Plan, replay};

/// Ended files that may wait for their objects before no more records are taken.
const MOST_LEAVING: usize = 512;

/// A file whose writer holds so much is asked to give memory back before it is ended for it.
const SHRINK_AT: usize = 1 << 20;

/// How long the word that an object is there may wait for others, in milliseconds.
const NOTE_AFTER: i64 = 500;

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
    holder: BudgetHolder,
    clock: Clock,
    stamp: Arc<str>,
    ids: FileId,
    batch: u64,
    /// Whether the store was asked if it can be written.
    checked: bool,
    state: State,
    key: String,
    /// Bytes that writers hold.
    pub(crate) writing: usize,
}

/// What [`Sink::need`] answers from, as of the last write or flush.
#[derive(Default)]
struct State {
    /// Ended files, and those of them that wait to be announced.
    leaving: usize,
    unannounced: bool,
    /// Since when the word of an object waits for the journal.
    unnoted_since: Option<i64>,
    /// An upload cannot go on before the journal names it.
    unnoted_upload: bool,
    /// When the clock next ends a file.
    clock_due: Option<i64>,
    rebuilding: bool,
}

/// A partition that is ours.
pub(crate) struct Held {
    pub(crate) partition: TopicPartition,
    pub(crate) books: Partition<OpenFile>,
    /// What the journal holds.
    pub(crate) note: Option<Bytes>,
    /// Uploads of earlier tasks that could not be given up.
    pub(crate) left: Vec<PendingUpload>,
    /// The batch that last had records of it, and the next offset before that batch.
    batch: u64,
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

    /// Brings a record to its file. `Err` rejects it.
    fn take(&mut self, place: usize, record: &Record, now: i64) -> Result<(), RecordError> {
        let offset = record.origin().offset;
        let rules = &self.rules;
        let held = &mut self.partitions[place];
        if offset < held.taken {
            self.counters.taken_before.inc();
            return Ok(());
        }
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
                if let Some(chunk) = file.body.drain() {
                    self.uploads.push(file.id, chunk);
                }
                self.writing = self.writing + file.body.held() - before;
                if !file.is_rebuilt() && rules.full(file.what.rows, file.body.length()) {
                    let key = file.what.key.clone();
                    held.books.full(key);
                }
            }
            Place::New(named) => return self.open_file(place, record, named, now),
        }
        Ok(())
    }

    fn open_file(
        &mut self,
        place: usize,
        record: &Record,
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
                let name = name_of(&self.plan, &self.key, &self.stamp, by)?;
                (name, self.stamp.clone())
            }
        };
        let path = path_of(&name)?;
        if held.books.has_begun(offset, &name) {
            return Err(RecordError::schema(
                "another record that was made of the same one, with another schema, begins a file of the same name",
            ));
        }
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
            self.rules.schedule.map(|schedule| schedule.next(now)),
        ];
        self.state.clock_due = due.into_iter().flatten().chain(self.state.clock_due).min();
        if !rebuilt && self.rules.full(1, length) {
            held.books.full(key);
        }
        Ok(())
    }

    /// Ends the files that took a record longest ago until one more may be opened. A file that has
    /// records of the offset at hand stays.
    fn make_room_for_one(&mut self) {
        let batch = self.batch;
        let mut open: usize = self
            .partitions
            .iter()
            .map(|held| held.books.collecting().len())
            .sum();
        while open >= self.plan.max_open.max(1) {
            let files = self
                .partitions
                .iter()
                .enumerate()
                .flat_map(|(place, held)| {
                    let current = held.books.next().filter(|_| held.batch == batch);
                    let files = held.books.collecting();
                    files
                        .filter(move |file| Some(file.what.last + 1) != current)
                        .map(move |file| (file.touched, file.id, place, &file.what.key))
                });
            let Some((.., place, key)) = files.min_by_key(|(touched, id, ..)| (*touched, *id))
            else {
                return;
            };
            let key = key.clone();
            self.partitions[place].books.end(&key);
            self.counters.cut_short.inc();
            open -= 1;
        }
    }

    /// Gives memory back where this sink is the one that has to: the largest files first shrink, then
    /// end, until what still collects is half of what was held. What is on its way out goes by itself.
    pub(crate) fn relieve(&mut self) -> Result<(), Error> {
        self.account();
        if !self.holder.must_yield() {
            return Ok(());
        }
        let mut files: Vec<(usize, usize, Arc<str>)> = Vec::new();
        let mut collecting = 0;
        for (place, held) in self.partitions.iter().enumerate() {
            for file in held.books.collecting() {
                let bytes = file.body.held() + self.uploads.waiting(file.id);
                collecting += bytes;
                files.push((bytes, place, file.what.key.clone()));
            }
        }
        files.sort_unstable();
        let enough = self.holder.held() / 2;
        while collecting > enough
            && let Some((bytes, place, key)) = files.pop()
        {
            let books = &mut self.partitions[place].books;
            let Some(file) = books.collecting_mut(&key) else {
                continue;
            };
            if file.body.held() >= SHRINK_AT {
                let before = file.body.held();
                let chunk = file.body.shrink()?;
                self.writing = self.writing + file.body.held() - before;
                let id = file.id;
                self.uploads.push(id, chunk);
                let now = file.body.held() + self.uploads.waiting(id);
                if now <= bytes / 2 {
                    collecting -= bytes - now;
                    continue;
                }
            }
            books.end(&key);
            self.counters.cut_short.inc();
            collecting -= bytes;
        }
        self.finish_ended()?;
        self.account();
        Ok(())
    }

    /// Says what is held, and finds out what is needed.
    pub(crate) fn account(&mut self) {
        let mut state = State {
            unnoted_upload: self.uploads.unnoted(),
            clock_due: self.state.clock_due,
            ..State::default()
        };
        let (mut open, mut unnoted) = (0, false);
        for held in &self.partitions {
            let books = &held.books;
            open += books.collecting().len();
            state.leaving += books.leaving();
            state.unannounced |= books.unannounced();
            unnoted |= books.unnoted();
            state.rebuilding |= books.is_rebuilding();
        }
        state.unnoted_since =
            unnoted.then(|| self.state.unnoted_since.unwrap_or_else(|| (self.clock)()));
        self.state = state;
        self.holder.set(self.writing + self.uploads.held());
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.counters.open.set(gauge(open));
        self.counters.held.set(gauge(self.holder.held()));
    }

    fn has_no_room(&self) -> bool {
        let state = &self.state;
        // Files that are rebuilt end with their last record alone: where nothing else could go, it has
        // to come.
        let only_rebuilding = state.rebuilding && state.leaving == 0 && !self.uploads.in_flight();
        state.leaving >= MOST_LEAVING || (self.holder.is_full() && !only_rebuilding)
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
            if let Err(error) = self.take(place, record, now) {
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
        if self.has_no_room() {
            return Need::Room;
        }
        let state = &self.state;
        let now = (self.clock)();
        let noted_at = state.unnoted_since.map(|since| since + NOTE_AFTER);
        let due = [state.clock_due, noted_at].into_iter().flatten().min();
        let flush = state.unannounced
            || state.unnoted_upload
            || self.uploads.has_news()
            || due.is_some_and(|due| now >= due);
        if flush { Need::Flush } else { Need::Nothing }
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

/// How long a flush waits for room, so that nobody spins.
pub(crate) const ROOM: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
