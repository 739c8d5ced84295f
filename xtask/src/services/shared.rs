//! Servers that outlive the command that started them, for work on a few tests at a time:
//! `cargo xtask services start`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Fetched, KAFKA_VARIABLE, Kafka, PYTHON_VARIABLE, REGISTRY_VARIABLE, Registry};
use crate::fetch::lock;
use crate::process::{is_alive, stop_group};
use crate::{Error, Result, paths};

const STOP_LIMIT: Duration = Duration::from_secs(20);

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

    /// Returns running servers: those started earlier if all of them live, else new ones.
    ///
    /// # Errors
    /// As [`Kafka::start`] and [`Registry::start`].
    pub fn start() -> Result<Self> {
        let runs = paths::runs();
        fs::create_dir_all(&runs).map_err(Error::io("make the folder", &runs))?;
        let _turn = lock(&runs.join("shared.lock"))?;
        if let Some(earlier) = Self::find()? {
            if earlier.processes.values().all(|id| is_alive(*id)) {
                return Ok(earlier);
            }
            earlier.stop()?;
        }
        let fetched = Fetched::all()?;
        let dir = runs.join("shared");
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
        }
        let shared = Self::launch(&dir, &fetched)?;
        let file = state_file();
        let text = serde_json::to_vec_pretty(&shared)
            .map_err(|error| Error::Other(format!("cannot write down the servers: {error}")))?;
        fs::write(&file, text).map_err(Error::io("write", &file))?;
        Ok(shared)
    }

    fn launch(dir: &Path, fetched: &Fetched) -> Result<Self> {
        let (kafka, registry) = thread::scope(|scope| {
            let kafka = scope.spawn(|| Kafka::start_detached(&dir.join("kafka")));
            let registry = Registry::start_detached(&dir.join("registry"));
            (kafka.join(), registry)
        });
        let kafka = kafka.map_err(|_| Error::Other("starting Kafka panicked".into()))??;
        let registry = registry?;
        let variables = [
            (KAFKA_VARIABLE, kafka.bootstrap_servers()),
            (REGISTRY_VARIABLE, registry.url()),
            (PYTHON_VARIABLE, fetched.python().display().to_string()),
        ];
        Ok(Self {
            dir: dir.into(),
            variables: variables.map(|(key, value)| (key.into(), value)).into(),
            processes: [
                ("kafka".into(), kafka.detach()),
                ("registry".into(), registry.detach()),
            ]
            .into(),
        })
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

fn state_file() -> PathBuf {
    paths::runs().join("shared.json")
}
