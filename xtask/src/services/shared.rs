//! Servers that outlive the command that started them, for work on a few tests at a time:
//! `cargo xtask services start`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Azurite, FakeGcs, Fetched, Kafka, Minio, PYTHON_VARIABLE, Registry, Variables};
use crate::fetch::lock;
use crate::process::{is_alive, stop_group};
use crate::{Error, Result, paths};

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Starts a server in a folder; returns its process group and the variables by which it is found.
type Start = fn(&Path) -> Result<(u32, Variables)>;

const SERVERS: &[(&str, Start)] = &[
    ("kafka", |dir| Kafka::start_detached(dir).map(Kafka::detach)),
    ("registry", |dir| {
        Registry::start_detached(dir).map(Registry::detach)
    }),
    ("minio", |dir| Minio::start_detached(dir).map(Minio::detach)),
    ("gcs", |dir| {
        FakeGcs::start_detached(dir).map(FakeGcs::detach)
    }),
    ("azurite", |dir| {
        Azurite::start_detached(dir).map(Azurite::detach)
    }),
];

/// What is written down about running servers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shared {
    /// Where their logs and data are.
    dir: PathBuf,
    /// Name to process group.
    processes: BTreeMap<String, u32>,
    /// The variables by which tests find them.
    variables: BTreeMap<String, String>,
}

impl Shared {
    /// The servers that were started earlier, if they were; some may have died since.
    ///
    /// # Errors
    /// When what was written down cannot be read.
    pub fn find() -> Result<Option<Self>> {
        let file = state_file();
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::Other(format!(
                    "{} is not what `services start` writes ({error}): remove it",
                    file.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &file)(error)),
        }
    }

    /// Returns running servers: those of an earlier start that live, and new ones for the others.
    ///
    /// # Errors
    /// When one of them cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        let runs = paths::runs();
        fs::create_dir_all(&runs).map_err(Error::io("make the folder", &runs))?;
        let _turn = lock(&runs.join("shared.lock"))?;
        let mut shared = Self::find()?.unwrap_or_else(|| Self {
            dir: runs.join("shared"),
            processes: BTreeMap::new(),
            variables: BTreeMap::new(),
        });
        shared.processes.retain(|_, id| is_alive(*id));
        let missing: Vec<_> = SERVERS
            .iter()
            .filter(|(name, _)| !shared.processes.contains_key(*name))
            .collect();
        let fetched = Fetched::all()?;
        let python = fetched.python().display().to_string();
        shared.variables.insert(PYTHON_VARIABLE.into(), python);
        let dir = &shared.dir;
        let started: Vec<_> = thread::scope(|scope| {
            let starting: Vec<_> = missing
                .iter()
                .map(|(name, start)| {
                    (
                        *name,
                        scope.spawn(move || start_in(&dir.join(name), *start)),
                    )
                })
                .collect();
            starting
                .into_iter()
                .map(|(name, handle)| (name, handle.join()))
                .collect()
        });
        let mut failed = None;
        for (name, outcome) in started {
            match outcome {
                Ok(Ok((id, variables))) => {
                    shared.processes.insert(name.into(), id);
                    let variables = variables.into_iter();
                    let variables = variables.map(|(key, value)| (key.to_owned(), value));
                    shared.variables.extend(variables);
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(Error::Other(format!("starting {name} panicked"))),
            }
        }
        // Those that did start are to be found and stopped, too.
        let text = serde_json::to_vec_pretty(&shared)
            .map_err(|error| Error::Other(format!("cannot write down the servers: {error}")))?;
        let file = state_file();
        fs::write(&file, text).map_err(Error::io("write", &file))?;
        failed.map_or(Ok(shared), Err)
    }

    /// Stops the servers and removes their data.
    ///
    /// # Errors
    /// When files cannot be removed.
    pub fn stop(self) -> Result<()> {
        for id in self.processes.values() {
            stop_group(*id, STOP_LIMIT);
        }
        let file = state_file();
        fs::remove_file(&file).map_err(Error::io("remove", &file))?;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).map_err(Error::io("remove", &self.dir))?;
        }
        Ok(())
    }

    /// Shell lines that set the variables.
    #[must_use]
    pub fn exports(&self) -> String {
        self.variables
            .iter()
            .map(|(key, value)| format!("export {key}='{value}'\n"))
            .collect()
    }

    /// One line per server: its name, process id and whether it lives.
    #[must_use]
    pub fn status(&self) -> String {
        self.processes
            .iter()
            .map(|(name, id)| {
                let state = if is_alive(*id) { "running" } else { "dead" };
                format!("{name}\t{id}\t{state}\n")
            })
            .collect()
    }
}

/// What an earlier server has left in the folder goes.
fn start_in(dir: &Path, start: Start) -> Result<(u32, Variables)> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(Error::io("remove", dir))?;
    }
    start(dir)
}

fn state_file() -> PathBuf {
    paths::runs().join("shared.json")
}
