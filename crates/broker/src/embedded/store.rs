//! The store under a data directory: tables, the lock that keeps a second process out, and errors.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use crate::{Error, ErrorKind, Result, Retry};

/// (topic id, partition, base offset).
pub(super) type LogKey = (u32, u32, u64);
/// (low, next, bytes, cleaned up to, bytes not cleaned yet).
pub(super) type StoredExtent = (u64, u64, u64, u64, u64);

/// Batches, see [`super::batch`].
pub(super) const LOG: TableDefinition<'_, LogKey, &[u8]> = TableDefinition::new("log");
/// (topic id, partition) → how far it goes.
pub(super) const PARTITIONS: TableDefinition<'_, (u32, u32), StoredExtent> =
    TableDefinition::new("partitions");
/// Topic name → (topic id, partitions, settings as `key=value` lines).
pub(super) const TOPICS: TableDefinition<'_, &str, (u32, u32, &str)> =
    TableDefinition::new("topics");
/// (group, topic id, partition) → next offset to read.
pub(super) const OFFSETS: TableDefinition<'_, (&str, u32, u32), u64> =
    TableDefinition::new("offsets");
/// `format` → version of this layout, `topic` → next topic id.
pub(super) const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

const FORMAT: u32 = 1;

/// The open store. One process at a time.
pub(super) struct Store {
    directory: PathBuf,
    cache_bytes: usize,
    /// `None` only after a failed reopening; the next write tries again.
    database: RwLock<Option<Arc<Database>>>,
    /// Held for the life of the store.
    _lock: File,
}

impl Store {
    pub(super) fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|e| {
            io_error(
                directory,
                "cannot be created; check the path and the rights on its parent",
                e,
            )
        })?;
        let lock = lock(directory)?;
        let store = Self {
            directory: directory.to_owned(),
            cache_bytes,
            database: RwLock::new(None),
            _lock: lock,
        };
        store.reopen()?;
        let write = store.write()?;
        prepare(&write)
            .and_then(|found| write.commit().map(|()| found).map_err(redb::Error::from))
            .map_err(|e| store.error(e))
            .and_then(|found| match found {
                FORMAT => Ok(()),
                other => Err(Error::new(
                    Retry::Never,
                    ErrorKind::Corrupt,
                    format!(
                        "data directory {} has layout {other}, this version reads layout {FORMAT}; use the version \
                         that wrote it",
                        directory.display()
                    ),
                )),
            })?;
        Ok(store)
    }

    fn database(&self) -> Result<Arc<Database>> {
        let open = self
            .database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match open {
            Some(database) => Ok(database),
            None => self.reopen(),
        }
    }

    /// Opens the file again, as the store demands after a failed write.
    pub(super) fn reopen(&self) -> Result<Arc<Database>> {
        let mut open = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *open = None;
        let file = self.directory.join("log.redb");
        let database = Database::builder()
            .set_cache_size(self.cache_bytes)
            .create(&file)
            .map_err(|e| self.error(e.into()))?;
        Ok(open.insert(Arc::new(database)).clone())
    }

    pub(super) fn read(&self) -> Result<ReadTransaction> {
        self.database()?
            .begin_read()
            .map_err(|e| self.error(e.into()))
    }

    /// Begins the atomic write batch. Every commit saves the allocator state, so that reopening after
    /// a kill takes a millisecond whatever the size.
    pub(super) fn write(&self) -> Result<WriteTransaction> {
        let mut write = self
            .database()?
            .begin_write()
            .map_err(|e| self.error(e.into()))?;
        write.set_quick_repair(true);
        Ok(write)
    }

    /// What a store error means to the caller.
    pub(super) fn error(&self, e: redb::Error) -> Error {
        let directory = self.directory.display();
        let (retry, kind, what) = match &e {
            redb::Error::Io(io) if is_full(io.kind()) => (
                Retry::Backoff,
                ErrorKind::Storage,
                format!(
                    "the disk of data directory {directory} is full; make room, work goes on by itself"
                ),
            ),
            redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => (
                Retry::Never,
                ErrorKind::Corrupt,
                format!("data directory {directory} cannot be read; restore it from a copy"),
            ),
            redb::Error::DatabaseAlreadyOpen => (
                Retry::Backoff,
                ErrorKind::Locked,
                format!(
                    "data directory {directory} is in use by another process; stop it or choose another directory"
                ),
            ),
            _ => (
                Retry::Backoff,
                ErrorKind::Storage,
                format!("data directory {directory} cannot be read or written"),
            ),
        };
        Error::new(retry, kind, format!("{what}: {e}")).with_source(e)
    }
}

/// No room on the device, in the quota, or below the limit of a file.
fn is_full(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// Makes the tables of a new store; returns the layout found.
fn prepare(write: &WriteTransaction) -> Result<u32, redb::Error> {
    write.open_table(LOG)?;
    write.open_table(PARTITIONS)?;
    write.open_table(TOPICS)?;
    write.open_table(OFFSETS)?;
    let mut meta = write.open_table(META)?;
    let found = meta.get("format")?.map(|version| version.value());
    if found.is_none() {
        meta.insert("format", FORMAT)?;
    }
    Ok(found.unwrap_or(FORMAT))
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| io_error(directory, "is not writable; check its rights", e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            let owner = owner.trim();
            let owner = if owner.is_empty() {
                String::new()
            } else {
                format!(" (process {owner})")
            };
            return Err(Error::new(
                Retry::Never,
                ErrorKind::Locked,
                format!(
                    "data directory {} is in use by another process{owner}; stop it or choose another directory",
                    directory.display()
                ),
            ));
        }
        Err(TryLockError::Error(e)) => return Err(io_error(directory, "cannot be locked", e)),
    }
    let id = std::process::id().to_string();
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(id.as_bytes()))
        .map_err(|e| {
            io_error(
                directory,
                "is not writable; check its rights and free space",
                e,
            )
        })?;
    Ok(file)
}

fn io_error(directory: &Path, what: &str, e: std::io::Error) -> Error {
    Error::new(
        Retry::Never,
        ErrorKind::Storage,
        format!("data directory {} {what}: {e}", directory.display()),
    )
    .with_source(e)
}
