//! A sink that writes files as an object store takes them: each is announced in the journal before it
//! is made, cut where the announcement says, and told of in a notice once it is there. How many records
//! go into a file depends on nothing but chance, so only the journal makes a second attempt the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use penstock_connect::{
    Error, FlushReason, Journal, JournalEntry, Need, Position, Record, RecordError, Sink, SinkMode,
    StartAt, TaskContext, TopicPartition, choice, config,
};
use penstock_formats::{Encoding, Payload};
use serde::{Deserialize, Serialize};
use serde_json::json;

config! {
    /// Writes files with a journal.
    pub struct LedgerConfig {
        /// Folder of the files; without it `files-` and the connector's name.
        "dir" => dir: Option<PathBuf>,
        /// Records of a file, more or less.
        "rows" => rows: usize = "100",
        /// Topic of the notices.
        "notices" => notices: String,
        /// Where it begins.
        "start" => start: Start = "earliest",
        /// How it reads.
        "mode" => mode: Mode = "group",
        /// Asks for room from so many records on, and makes nothing of them before this file is there.
        "gate" => gate: Option<PathBuf>,
        /// While the file `HOLD-TASK` is there, the task waits before it writes to the journal.
        "hold" => hold: Option<String>,
    }
}

choice! {
    /// Where the sink begins.
    pub enum Start {
        /// At the first record.
        Earliest = "earliest",
        /// With the next record.
        Latest = "latest",
    }
}

/// What stands in the journal: the last file that was announced, from its first offset up to the next.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Note {
    first: i64,
    next: i64,
    /// It is there, and its notice was sent.
    done: bool,
}

impl Note {
    fn position(self) -> i64 {
        if self.done { self.next } else { self.first }
    }
}

choice! {
    /// How the sink reads.
    pub enum Mode {
        /// As a member of a group.
        Group = "group",
        /// Every partition.
        Broadcast = "broadcast",
    }
}

#[derive(Default)]
struct Book {
    /// Offsets and values of records that are not in a file.
    held: Vec<(i64, String)>,
    /// The file that was announced and is not known to be there: its first offset, and the next one
    /// after it.
    announced: Option<(i64, i64)>,
    durable: i64,
}

pub(crate) struct Ledger {
    dir: PathBuf,
    config: LedgerConfig,
    task: usize,
    books: BTreeMap<TopicPartition, Book>,
}

impl Ledger {
    pub(crate) fn new(config: LedgerConfig, context: &TaskContext) -> Self {
        let dir = config.dir.clone();
        Self {
            dir: dir.unwrap_or_else(|| format!("files-{}", context.connector).into()),
            config,
            task: context.task,
            books: BTreeMap::new(),
        }
    }

    fn file(&self, partition: &TopicPartition, first: i64) -> PathBuf {
        let name = format!("{}-{}-{first:08}", partition.topic, partition.partition);
        self.dir.join(name)
    }

    fn is_shut(&self) -> bool {
        self.config.gate.as_ref().is_some_and(|gate| !gate.exists())
    }

    fn held(&self) -> usize {
        self.books.values().map(|book| book.held.len()).sum()
    }

    /// Waits while the test wants that.
    fn wait(&self) {
        let Some(hold) = &self.config.hold else {
            return;
        };
        while Path::new(&format!("{hold}-{}", self.task)).exists() {
            let _ = fs::write(format!("stuck-{}", self.task), "");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Notes what became of a write to the journal, for the test.
    fn note(&self, stored: Result<(), Error>) -> Result<(), Error> {
        if let (Err(error), Some(_)) = (&stored, &self.config.hold) {
            let _ = fs::write(
                format!("failed-{}", self.task),
                format!("{:?}: {error}", error.retry),
            );
        }
        stored
    }

    fn store(
        &self,
        journal: &mut dyn Journal,
        partition: &TopicPartition,
        note: Note,
        notices: Vec<Record>,
    ) -> Result<(), Error> {
        let entry = JournalEntry {
            position: Position {
                partition: partition.clone(),
                offset: note.position(),
            },
            note: Bytes::from(serde_json::to_vec(&note).unwrap_or_default()),
        };
        self.note(journal.store(vec![entry], notices))
    }

    fn notice(&self, partition: &TopicPartition, first: i64, next: i64) -> Record {
        let text = json!({"partition": partition.partition, "first": first, "next": next});
        let value = Payload::new(text.to_string().into_bytes(), Encoding::Json);
        Record::new(self.config.notices.as_str().into(), Some(value))
    }

    /// Makes one file, or ends one that was announced.
    fn make(
        &mut self,
        journal: &mut dyn Journal,
        partition: &TopicPartition,
        reason: FlushReason,
    ) -> Result<bool, Error> {
        let file = |first| self.file(partition, first);
        let Some(book) = self.books.get(partition) else {
            return Ok(false);
        };
        let (first, next) = match book.announced {
            Some((first, next)) if file(first).exists() => (first, next),
            Some((first, next)) => {
                if book.held.last().is_none_or(|(last, _)| *last + 1 < next) {
                    return Ok(false);
                }
                (first, next)
            }
            None => {
                let rows = match reason {
                    FlushReason::End => book.held.len(),
                    _ => 1 + any(self.config.rows),
                };
                if book.held.len() < rows || rows == 0 {
                    return Ok(false);
                }
                (book.held[0].0, book.held[rows - 1].0 + 1)
            }
        };
        self.wait();
        let mut note = Note {
            first,
            next,
            done: false,
        };
        if book.announced.is_none() {
            self.store(journal, partition, note, Vec::new())?;
        }
        if !file(first).exists() {
            let of_file = book.held.iter().take_while(|(offset, _)| *offset < next);
            let text: String = of_file.map(|(_, value)| format!("{value}\n")).collect();
            let part = self.dir.join(format!("part-{}", self.task));
            let made = fs::write(&part, text).and_then(|()| fs::rename(&part, file(first)));
            made.map_err(|error| Error::backoff(error.to_string()))?;
        }
        let notice = self.notice(partition, first, next);
        note.done = true;
        self.store(journal, partition, note, vec![notice])?;
        if let Some(book) = self.books.get_mut(partition) {
            book.held.retain(|(offset, _)| *offset >= next);
            book.announced = None;
            book.durable = next;
        }
        Ok(true)
    }
}

/// Any number below this one.
fn any(below: usize) -> usize {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.subsec_nanos() as usize / 1000) % below.max(1)
}

#[async_trait]
impl Sink for Ledger {
    fn mode(&self) -> SinkMode {
        match self.config.mode {
            Mode::Group => SinkMode::Group,
            Mode::Broadcast => SinkMode::Broadcast,
        }
    }

    fn start_at(&self) -> StartAt {
        match self.config.start {
            Start::Earliest => StartAt::Earliest,
            Start::Latest => StartAt::Latest,
        }
    }

    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        fs::create_dir_all(&self.dir).map_err(|error| Error::never(error.to_string()))?;
        for partition in partitions {
            self.books.insert(partition.clone(), Book::default());
        }
        let mut positions = Vec::new();
        for (partition, note) in journal.load(partitions)? {
            let note: Note =
                serde_json::from_slice(&note).map_err(|error| Error::never(error.to_string()))?;
            let there = self.file(&partition, note.first).exists();
            let offset = if there { note.next } else { note.first };
            let book = self.books.entry(partition.clone()).or_default();
            book.announced = Some((note.first, note.next)).filter(|_| !note.done);
            book.durable = note.position();
            positions.push(Position { partition, offset });
        }
        Ok(positions)
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        for record in records {
            let origin = record.origin();
            let Some(partition) = &origin.partition else {
                continue;
            };
            let value = record.value.as_ref().map(|value| value.bytes().to_vec());
            let text = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
            let book = self.books.entry(partition.clone()).or_default();
            book.held.push((origin.offset, text));
        }
        if self.config.gate.is_some() {
            let _ = fs::write(format!("held-{}", self.task), self.held().to_string());
        }
        Ok(Vec::new())
    }

    fn need(&self) -> Need {
        if self.is_shut() && self.held() >= self.config.rows {
            Need::Room
        } else if self
            .books
            .values()
            .any(|book| !book.held.is_empty() || book.announced.is_some())
        {
            Need::Flush
        } else {
            Need::Nothing
        }
    }

    async fn flush(
        &mut self,
        reason: FlushReason,
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        if self.config.gate.is_some() {
            // Counted in the file, so that the test can begin anew.
            let file = format!("flushes-{}", self.task);
            let count: usize = fs::read_to_string(&file)
                .ok()
                .and_then(|count| count.parse().ok())
                .unwrap_or_default();
            let _ = fs::write(file, (count + 1).to_string());
        }
        let partitions: Vec<_> = self.books.keys().cloned().collect();
        for partition in partitions {
            while !self.is_shut() && self.make(journal, &partition, reason)? {}
        }
        let durable = self.books.iter().filter(|(_, book)| book.durable > 0);
        Ok(durable
            .map(|(partition, book)| Position {
                partition: partition.clone(),
                offset: book.durable,
            })
            .collect())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        for partition in partitions {
            self.books.remove(partition);
        }
        Ok(())
    }
}
