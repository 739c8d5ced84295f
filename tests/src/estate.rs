//! The servers that a worker leans on: none at all, or a Kafka broker of its own and a registry.

use std::path::Path;

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use xtask::paths;
use xtask::services::{Kafka, KafkaOptions, REGISTRY_VARIABLE, Registry};

use crate::Deployment;

/// Servers and folders of one test.
#[derive(Debug)]
pub struct Estate {
    dir: TempDir,
    servers: Option<Servers>,
}

#[derive(Debug)]
struct Servers {
    /// Each test has a broker of its own: the acceptance files name their topics.
    kafka: Mutex<Kafka>,
    bootstrap_servers: String,
    registry_url: String,
    /// Held when no registry was running already.
    _registry: Option<Registry>,
}

impl Estate {
    /// No servers: the worker keeps its topics in the embedded log.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            servers: None,
        }
    }

    /// A fresh Kafka broker, and a registry that other tests may share.
    ///
    /// # Panics
    /// When one of them does not start.
    pub async fn kafka() -> Self {
        Self::kafka_with(KafkaOptions::default()).await
    }

    /// As [`Estate::kafka`], with a broker of other settings.
    ///
    /// # Panics
    /// As [`Estate::kafka`].
    pub async fn kafka_with(options: KafkaOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("servers");
        let servers = tokio::task::spawn_blocking(move || Servers::start(&path, options))
            .await
            .expect("starting servers does not panic");
        Self {
            dir,
            servers: Some(servers.unwrap_or_else(|error| panic!("{error}"))),
        }
    }

    /// Whether the worker's topics are on Kafka.
    #[must_use]
    pub fn is_kafka(&self) -> bool {
        self.servers.is_some()
    }

    /// The broker, to be killed and restarted.
    ///
    /// # Panics
    /// On an embedded estate.
    pub async fn broker(&self) -> MutexGuard<'_, Kafka> {
        let servers = self.servers.as_ref().expect("an estate with Kafka");
        servers.kafka.lock().await
    }

    /// Address of the broker, on Kafka.
    #[must_use]
    pub fn bootstrap_servers(&self) -> Option<&str> {
        Some(&self.servers.as_ref()?.bootstrap_servers)
    }

    /// Address of the registry, on Kafka.
    #[must_use]
    pub fn registry_url(&self) -> Option<&str> {
        Some(&self.servers.as_ref()?.registry_url)
    }

    /// A copy of the acceptance folder of that name, with free ports, connected to this estate.
    /// Each call makes another copy.
    ///
    /// # Panics
    /// When the folder cannot be copied.
    #[must_use]
    pub fn deploy(&self, folder: &str) -> Deployment {
        let acceptance = paths::workspace().join("tests/acceptance");
        let deployment = self.copy(&acceptance.join(folder));
        if let Some(servers) = &self.servers {
            deployment.connect(&servers.bootstrap_servers, &servers.registry_url);
        }
        deployment
    }

    /// A copy of any folder of properties files, with free ports.
    ///
    /// # Panics
    /// When the folder cannot be copied.
    #[must_use]
    pub fn copy(&self, folder: &Path) -> Deployment {
        Deployment::copy(folder, self.dir.path())
    }

    /// A folder of the test's own, removed at its end.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Servers {
    fn start(dir: &Path, options: KafkaOptions) -> xtask::Result<Self> {
        let kafka = Kafka::start_with(&dir.join("kafka"), options)?;
        let (registry_url, registry) = match std::env::var(REGISTRY_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let registry = Registry::start(&dir.join("registry"))?;
                (registry.url(), Some(registry))
            }
        };
        Ok(Self {
            bootstrap_servers: kafka.bootstrap_servers(),
            kafka: Mutex::new(kafka),
            registry_url,
            _registry: registry,
        })
    }
}
