//! The durable store of the embedded registry: one redb file, a JSON body per entry, every change
//! synced before it is answered or seen.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::{Change, State};

const SCHEMAS: TableDefinition<u32, &[u8]> = TableDefinition::new("schemas");
const VERSIONS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("versions");
const CONFIGS: TableDefinition<&str, &[u8]> = TableDefinition::new("configs");
const MODES: TableDefinition<&str, &[u8]> = TableDefinition::new("modes");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const LAST_ID: &str = "last_id";
/// Everything is read once at start and kept in memory; the page cache serves writes alone.
const PAGE_CACHE: usize = 4 * 1024 * 1024;

/// The content of an embedded registry. All of it is in memory, every change is on disk first.
pub struct Store {
    database: Database,
    state: RwLock<State>,
    /// Held from reading the state to making the change, so that checks and changes are one.
    writer: Mutex<()>,
}

/// The store's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("registry store {path}: {cause}")]
pub struct StoreError {
    path: PathBuf,
    cause: String,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, or makes it with the directories above it. One process at a time.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |cause: String| StoreError {
            path: path.to_owned(),
            cause,
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| failed(e.to_string()))?;
        }
        let database = Database::builder()
            .set_cache_size(PAGE_CACHE)
            .create(path)
            .map_err(|e| {
                failed(match e {
                    redb::DatabaseError::DatabaseAlreadyOpen => {
                        "another process has it open; stop that worker or give this one a data directory of its own".into()
                    }
                    other => other.to_string(),
                })
            })?;
        let state = load(&database).map_err(failed)?;
        Ok(Self {
            database,
            state: RwLock::new(state),
            writer: Mutex::new(()),
        })
    }

    /// What the registry holds now.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on the state, then makes the changes durable and visible, in this order.
    pub(super) fn change<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<(Vec<Change>, T), ApiError>,
    ) -> Result<T, ApiError> {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, answer) = decide(&self.read())?;
        if changes.is_empty() {
            return Ok(answer);
        }
        persist(&self.database, &changes).map_err(ApiError::store)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            state.apply(change);
        }
        Ok(answer)
    }
}

fn load(database: &Database) -> Result<State, String> {
    let mut state = State::default();
    let read = database.begin_read().map_err(|e| e.to_string())?;
    macro_rules! each {
        ($table:expr, |$key:ident, $value:ident| $change:expr) => {
            match read.open_table($table) {
                Ok(table) => {
                    for entry in table.iter().map_err(|e| e.to_string())? {
                        let ($key, $value) = entry.map_err(|e| e.to_string())?;
                        let ($key, $value) = ($key.value(), $value.value());
                        state.apply($change);
                    }
                }
                // A new file has no tables.
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        };
    }
    each!(SCHEMAS, |_id, body| Change::Schema(Arc::new(parse(body)?)));
    each!(VERSIONS, |key, body| Change::Version(
        key.0.to_owned(),
        key.1,
        parse(body)?
    ));
    each!(CONFIGS, |subject, body| Change::Config(
        subject.to_owned(),
        Some(parse(body)?)
    ));
    each!(MODES, |subject, body| Change::Mode(
        subject.to_owned(),
        Some(parse(body)?)
    ));
    each!(COUNTERS, |_name, value| Change::LastId(
        u32::try_from(value).map_err(|e| e.to_string())?
    ));
    Ok(state)
}

fn persist(database: &Database, changes: &[Change]) -> Result<(), String> {
    persist_all(database, changes).map_err(|e| e.to_string())
}

fn persist_all(database: &Database, changes: &[Change]) -> Result<(), Box<dyn std::error::Error>> {
    // redb's default durability syncs the file before `commit` returns.
    let write = database.begin_write()?;
    {
        let mut schemas = write.open_table(SCHEMAS)?;
        let mut versions = write.open_table(VERSIONS)?;
        let mut configs = write.open_table(CONFIGS)?;
        let mut modes = write.open_table(MODES)?;
        let mut counters = write.open_table(COUNTERS)?;
        for change in changes {
            match change {
                Change::Schema(schema) => {
                    schemas.insert(schema.id, body(schema.as_ref())?.as_slice())?;
                }
                Change::NoSchema(id) => {
                    schemas.remove(id)?;
                }
                Change::Version(subject, number, version) => {
                    let key = (subject.as_str(), *number);
                    versions.insert(key, body(version)?.as_slice())?;
                }
                Change::NoVersion(subject, number) => {
                    versions.remove((subject.as_str(), *number))?;
                }
                Change::Config(subject, Some(config)) => {
                    configs.insert(subject.as_str(), body(config)?.as_slice())?;
                }
                Change::Config(subject, None) => {
                    configs.remove(subject.as_str())?;
                }
                Change::Mode(subject, Some(mode)) => {
                    modes.insert(subject.as_str(), body(mode)?.as_slice())?;
                }
                Change::Mode(subject, None) => {
                    modes.remove(subject.as_str())?;
                }
                Change::LastId(id) => {
                    counters.insert(LAST_ID, u64::from(*id))?;
                }
            }
        }
    }
    write.commit()?;
    Ok(())
}

fn body(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(value)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| format!("an entry cannot be read: {e}"))
}
