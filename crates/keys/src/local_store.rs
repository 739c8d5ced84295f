//! The local copy of the keys topic: its live records and how far they are read, in one embedded store.
//! Keys stay wrapped in it.

mod entries;
mod tables;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use penstock_broker::Message;
use redb::backends::InMemoryBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use tables::Tables;
pub(crate) use view::View;

use crate::error::KeyError;
use crate::link::KeyLink;
use crate::record::{FormatError, MARKER_KEY, Value};

type Bytes16 = &'static [u8; 16];
/// Scope → its live records, see [`entries`].
const SCOPES: TableDefinition<'_, Bytes16, &[u8]> = TableDefinition::new("scopes");
/// Link → broker's stamp and value of the live record.
const RECORDS: TableDefinition<'_, Bytes16, (i64, &[u8])> = TableDefinition::new("records");
/// Links of candidates that landed void → broker's stamp.
const VOIDS: TableDefinition<'_, Bytes16, i64> = TableDefinition::new("voids");
/// Partition → next offset to fold.
const POSITIONS: TableDefinition<'_, i32, i64> = TableDefinition::new("positions");
/// `format`, `topic`, and `complete at`: when all of the topic was read, milliseconds since the epoch.
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

const FORMAT: &str = "1";

/// The local copy. One process at a time.
pub(crate) struct LocalStore {
    /// `None` only after a failed reopening; the next use tries again.
    database: RwLock<Option<Arc<Database>>>,
    /// `None`: in memory.
    path: Option<PathBuf>,
    cache_bytes: usize,
    topic: String,
}

/// A live record with its value.
pub(crate) struct Stored {
    pub(crate) appended: i64,
    pub(crate) value: Vec<u8>,
}

/// What a fold did that concerns keys in memory.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Keys that are gone.
    pub(crate) removed: Vec<KeyLink>,
    /// Keys that must not encrypt any more: removed after having been current, or behind a barrier.
    pub(crate) retired: Vec<KeyLink>,
    /// By partition: whether its last record is another than a marker.
    pub(crate) unmarked: BTreeMap<i32, bool>,
}

impl LocalStore {
    /// Opens the copy in `directory`, or makes an empty one; without a directory, in memory.
    pub(crate) fn open(
        directory: Option<&Path>,
        cache_bytes: usize,
        topic: &str,
    ) -> Result<Self, KeyError> {
        let store = Self {
            database: RwLock::new(None),
            path: directory.map(|directory| directory.join("keys.redb")),
            cache_bytes,
            topic: topic.to_owned(),
        };
        if let Some(directory) = directory {
            store.run(|| Ok(std::fs::create_dir_all(directory)?))?;
        }
        match store.reopen() {
            // It is a copy: what cannot be read is read anew from the topic.
            Err(KeyError::LocalStore {
                source: Some(source),
                ..
            }) if is_damaged(&source) => {
                if let Some(path) = &store.path {
                    tracing::warn!(path = %path.display(), "the local key store cannot be read; it is made anew");
                    store.run(|| Ok(std::fs::remove_file(path)?))?;
                }
                store.reopen()?;
            }
            opened => opened?,
        }
        Ok(store)
    }

    /// Opens the file again, as the store demands after a failed write. The copy is then as it was when
    /// it was last durable.
    pub(crate) fn reopen(&self) -> Result<(), KeyError> {
        let mut open = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *open = None;
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        let database = self.run(|| {
            Ok(match &self.path {
                Some(path) => builder.create(path)?,
                None => builder.create_with_backend(InMemoryBackend::new())?,
            })
        })?;
        let usable = self.run(|| {
            let write = begin(&database, true)?;
            make_tables(&write)?;
            let usable = {
                let meta = write.open_table(META)?;
                let is = |key, text: &str| {
                    Ok::<_, redb::Error>(meta.get(key)?.is_some_and(|t| t.value() == text))
                };
                is("format", FORMAT)? && is("topic", &self.topic)?
            };
            write.commit()?;
            Ok(usable)
        })?;
        if !usable {
            self.run(|| clear(&database, &self.topic))?;
        }
        *open = Some(Arc::new(database));
        Ok(())
    }

    fn database(&self) -> Result<Arc<Database>, KeyError> {
        let open = self
            .database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        open.ok_or_else(|| KeyError::LocalStore {
            path: self.shown_path(),
            reason: "it could not be opened again after a failure; that is tried on".to_owned(),
            source: None,
        })
    }

    fn shown_path(&self) -> PathBuf {
        self.path
            .clone()
            .unwrap_or_else(|| PathBuf::from("(in memory)"))
    }

    /// Forgets everything; the topic is read anew.
    pub(crate) fn clear(&self) -> Result<(), KeyError> {
        let database = self.database()?;
        self.run(|| clear(&database, &self.topic))
    }

    /// The next offset to fold of each partition, and when all of the topic was read.
    pub(crate) fn checkpoint(&self, partitions: i32) -> Result<(Vec<i64>, Option<i64>), KeyError> {
        let read = self.read()?;
        self.run(|| {
            let table = read.open_table(POSITIONS)?;
            let mut positions = Vec::new();
            for partition in 0..partitions {
                positions.push(table.get(partition)?.map_or(0, |offset| offset.value()));
            }
            let meta = read.open_table(META)?;
            let complete_at = meta
                .get("complete at")?
                .and_then(|text| text.value().parse().ok());
            Ok((positions, complete_at))
        })
    }

    /// Folds records in and moves the positions with them, as one act. `durable`: it survives a crash of
    /// the machine; else a crash takes the copy back to the last one that does.
    pub(crate) fn fold(
        &self,
        messages: &[Message],
        positions: &[i64],
        complete_at: i64,
        durable: bool,
    ) -> Result<Folded, KeyError> {
        let database = self.database()?;
        let write = self.run(|| begin(&database, durable))?;
        let folded = self.fold_into(&write, messages)?;
        self.run(|| {
            let mut table = write.open_table(POSITIONS)?;
            for (partition, position) in (0i32..).zip(positions) {
                table.insert(partition, position)?;
            }
            write
                .open_table(META)?
                .insert("complete at", complete_at.to_string().as_str())?;
            Ok(())
        })?;
        self.run(|| Ok(write.commit()?))?;
        Ok(folded)
    }

    fn fold_into(
        &self,
        write: &WriteTransaction,
        messages: &[Message],
    ) -> Result<Folded, KeyError> {
        let mut folded = Folded::default();
        let mut tables = self.run(|| {
            Ok(Tables {
                scopes: write.open_table(SCOPES)?,
                records: write.open_table(RECORDS)?,
                voids: write.open_table(VOIDS)?,
            })
        })?;
        for message in messages {
            let at = || format!("{}-{}@{}", message.topic, message.partition, message.offset);
            if message.key.as_deref() == Some(MARKER_KEY) {
                folded.unmarked.insert(message.partition, false);
                continue;
            }
            let link = message
                .key
                .as_deref()
                .and_then(|key| std::str::from_utf8(key).ok());
            let Some(link) = link.and_then(|link| link.parse::<KeyLink>().ok()) else {
                tracing::warn!(
                    at = at(),
                    "a record whose key is no key link is passed over"
                );
                continue;
            };
            folded.unmarked.insert(message.partition, true);
            let Some(bytes) = message.value.as_deref() else {
                self.run(|| tables.remove(link, &mut folded))?;
                continue;
            };
            match Value::decode(bytes) {
                Ok(value) => self.run(|| tables.put(link, message, &value, bytes, &mut folded))?,
                Err(FormatError::Malformed) => {
                    tracing::warn!(at = at(), "a record that is no key is passed over");
                }
                Err(error @ FormatError::Later) => {
                    return Err(KeyError::corrupt(at(), error.to_string()));
                }
            }
        }
        Ok(folded)
    }

    /// Looks things up as of now.
    pub(crate) fn view(&self) -> Result<View<'_>, KeyError> {
        let read = self.read()?;
        self.run(|| View::new(self, read))
    }

    fn read(&self) -> Result<ReadTransaction, KeyError> {
        let database = self.database()?;
        self.run(|| Ok(database.begin_read()?))
    }

    fn run<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, KeyError> {
        work().map_err(|e| store_error(self.shown_path(), e))
    }
}

fn begin(database: &Database, durable: bool) -> Result<WriteTransaction, redb::Error> {
    let mut write = database.begin_write()?;
    if durable {
        // Opening after a kill then takes no repair.
        write.set_quick_repair(true);
    } else {
        write.set_durability(Durability::None)?;
    }
    Ok(write)
}

fn clear(database: &Database, topic: &str) -> Result<(), redb::Error> {
    let write = begin(database, true)?;
    write.delete_table(SCOPES)?;
    write.delete_table(RECORDS)?;
    write.delete_table(VOIDS)?;
    write.delete_table(POSITIONS)?;
    write.delete_table(META)?;
    make_tables(&write)?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("topic", topic)?;
    }
    write.commit()?;
    Ok(())
}

fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(SCOPES)?;
    write.open_table(RECORDS)?;
    write.open_table(VOIDS)?;
    write.open_table(POSITIONS)?;
    write.open_table(META)?;
    Ok(())
}

fn is_damaged(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted => true,
        redb::Error::Io(e) => e.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn store_error(path: PathBuf, source: redb::Error) -> KeyError {
    let reason = match &source {
        redb::Error::DatabaseAlreadyOpen => {
            "another process has it open; stop that one, or give this worker a directory of its own"
                .to_owned()
        }
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
            "the disk is full; make room, work goes on by itself".to_owned()
        }
        e => format!(
            "{e}; it is a copy of the keys topic, and may be deleted while the worker is stopped"
        ),
    };
    KeyError::LocalStore {
        path,
        reason,
        source: Some(Arc::new(source)),
    }
}
