//! All servers of one test run, fetched and started side by side.

use std::path::PathBuf;
use std::thread;

use super::{KAFKA_VARIABLE, Kafka, PYTHON_VARIABLE, REGISTRY_VARIABLE, Registry};
use crate::paths::RunDir;
use crate::{Error, Result, fetch, tools};

/// Proof that everything the servers need is in the cache.
#[derive(Debug)]
pub struct Fetched {
    python: PathBuf,
}

impl Fetched {
    /// Fetches what is not in the cache yet.
    ///
    /// # Errors
    /// The first thing that is missing or could not be fetched.
    pub fn all() -> Result<Self> {
        for tool in [tools::JAVA, tools::MAVEN, tools::PYTHON, tools::TAR] {
            tool.require()?;
        }
        thread::scope(|scope| {
            let python = scope.spawn(fetch::python::environment);
            fetch::maven::kafka()?;
            fetch::maven::apicurio()?;
            Ok(Self {
                python: python.join().map_err(|_| panicked())??,
            })
        })
    }

    /// The Python interpreter.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.python.clone()
    }
}

/// Running servers; dropping this stops them and removes their data.
#[derive(Debug)]
pub struct Services {
    kafka: Kafka,
    registry: Registry,
    python: PathBuf,
    _dir: RunDir,
}

impl Services {
    /// Starts all servers and waits until they are ready.
    ///
    /// # Errors
    /// As [`Kafka::start`] and [`Registry::start`].
    pub fn start(fetched: &Fetched) -> Result<Self> {
        let dir = RunDir::create()?;
        let (kafka, registry) = thread::scope(|scope| {
            let kafka = scope.spawn(|| Kafka::start(&dir.path().join("kafka")));
            let registry = Registry::start(&dir.path().join("registry"));
            (kafka.join(), registry)
        });
        Ok(Self {
            kafka: kafka.map_err(|_| panicked())??,
            registry: registry?,
            python: fetched.python(),
            _dir: dir,
        })
    }

    /// The variables by which tests find the servers.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            (KAFKA_VARIABLE, self.kafka.bootstrap_servers()),
            (REGISTRY_VARIABLE, self.registry.url()),
            (PYTHON_VARIABLE, self.python.display().to_string()),
        ]
    }
}

fn panicked() -> Error {
    Error::Other("a helper thread of the task panicked".into())
}
