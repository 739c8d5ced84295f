//! All servers of one test run, fetched and started side by side.

use std::path::PathBuf;
use std::thread::{self, ScopedJoinHandle};

use super::{Azurite, FakeGcs, Kafka, Minio, PYTHON_VARIABLE, Registry};
use crate::paths::RunDir;
use crate::{Error, Result, fetch, tools};

/// Proof that everything the servers need is in the cache.
#[derive(Debug)]
pub struct Fetched {
    python: PathBuf,
}

impl Fetched {
    /// Fetches or builds what is not in the cache yet.
    ///
    /// # Errors
    /// The first thing that is missing or could not be had.
    pub fn all() -> Result<Self> {
        for tool in [
            tools::JAVA,
            tools::MAVEN,
            tools::PYTHON,
            tools::GO,
            tools::TAR,
        ] {
            tool.require()?;
        }
        thread::scope(|scope| {
            let stores = scope.spawn(|| {
                fetch::go::compose_spec()?;
                fetch::go::fake_gcs()?;
                fetch::go::minio()
            });
            let python = scope.spawn(|| {
                fetch::python::hadolint()?;
                fetch::node::azurite()?;
                fetch::python::environment()
            });
            fetch::maven::kafka()?;
            fetch::maven::apicurio()?;
            joined(stores)?;
            Ok(Self {
                python: joined(python)?,
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
    minio: Minio,
    gcs: FakeGcs,
    azurite: Azurite,
    python: PathBuf,
    _dir: RunDir,
}

impl Services {
    /// Starts all servers and waits until they are ready.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(fetched: &Fetched) -> Result<Self> {
        let dir = RunDir::create()?;
        let folder = |name| dir.path().join(name);
        let (kafka, registry, azurite, minio, gcs) = thread::scope(|scope| {
            let kafka = scope.spawn(|| Kafka::start(&folder("kafka")));
            let registry = scope.spawn(|| Registry::start(&folder("registry")));
            let azurite = scope.spawn(|| Azurite::start(&folder("azurite")));
            let minio = Minio::start(&folder("minio"));
            let gcs = FakeGcs::start(&folder("gcs"));
            (joined(kafka), joined(registry), joined(azurite), minio, gcs)
        });
        Ok(Self {
            kafka: kafka?,
            registry: registry?,
            minio: minio?,
            gcs: gcs?,
            azurite: azurite?,
            python: fetched.python(),
            _dir: dir,
        })
    }

    /// The variables by which tests find the servers.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.kafka.variables();
        variables.extend(self.registry.variables());
        variables.extend(self.minio.variables());
        variables.extend(self.gcs.variables());
        variables.extend(self.azurite.variables());
        variables.push((PYTHON_VARIABLE, self.python.display().to_string()));
        variables
    }
}

fn joined<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle
        .join()
        .map_err(|_| Error::Other("a helper thread of the task panicked".into()))?
}
