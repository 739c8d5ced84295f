//! What the plugins of a worker share: broker, registry, contracts, keys.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use penstock_broker::Broker;
use penstock_connect::{Budget, Error, Metrics};
use penstock_contracts::Contracts;
use penstock_keys::{KeyError, KeyStore};
use penstock_registry::{RegistryClient, RegistryError, Retry};
use tokio::sync::OnceCell;

use crate::config::{ConnectorSpec, WorkerConfig};
use crate::converters::{Converter, Converters};
use crate::memory::{self, Shares};
use crate::personal::PersonalTopics;
use crate::startup::Startup;
use crate::tasks::task_error;

/// Kafka's own topics, which no pattern means.
const KAFKAS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// The services of one worker. Plugins get what they need from here when they are built.
pub struct Services {
    /// Topics, groups and transactions.
    pub broker: Arc<dyn Broker>,
    /// Schemas.
    pub registry: RegistryClient,
    /// Event contracts.
    pub contracts: Arc<Contracts>,
    /// The worker's metrics.
    pub metrics: Metrics,
    /// The bytes that buffers of sinks may take.
    pub budget: Budget,
    pub(crate) worker: WorkerConfig,
    /// The worker's converters, defaults of its connectors'.
    converters: Converters,
    home: Home,
    pub(crate) registry_address: Option<SocketAddr>,
    /// How far the worker's start has come.
    pub(crate) startup: Startup,
    handle: tokio::runtime::Handle,
    keys: OnceCell<Arc<KeyStore>>,
    shares: RwLock<Shares>,
    /// Topics of all connectors' dead letters and error events.
    rejects: RwLock<BTreeSet<String>>,
    personal: PersonalTopics,
}

impl Services {
    pub(crate) fn new(
        worker: WorkerConfig,
        converters: Converters,
        broker: Arc<dyn Broker>,
        registry: RegistryClient,
        registry_address: Option<SocketAddr>,
        contracts: Arc<Contracts>,
        shares: Shares,
    ) -> std::io::Result<Self> {
        let home = Home::take(&worker.data_dir)?;
        Ok(Self {
            broker,
            registry,
            contracts,
            metrics: Metrics::new(),
            budget: Budget::new(memory::bytes(shares.buffers)),
            shares: RwLock::new(shares),
            worker,
            converters,
            home,
            registry_address,
            startup: Startup::default(),
            handle: tokio::runtime::Handle::current(),
            keys: OnceCell::new(),
            rejects: RwLock::default(),
            personal: PersonalTopics::default(),
        })
    }

    /// Survives restarts: part of transactional ids.
    pub(crate) fn worker_id(&self) -> &str {
        &self.home.id
    }

    /// The key store, opened when first needed.
    pub async fn keys(&self) -> Result<Arc<KeyStore>, Error> {
        self.keys
            .get_or_try_init(|| crate::key_store::open(self))
            .await
            .cloned()
    }

    /// As [`Services::keys`], for code on a thread of its own (where plugins are built).
    pub fn keys_blocking(&self) -> Result<Arc<KeyStore>, Error> {
        self.handle.block_on(self.keys())
    }

    /// Whether the worker has event contracts: its records may then hold personal data.
    pub(crate) fn has_contracts(&self) -> bool {
        !self.contracts.is_empty()
    }

    /// Whether records of a topic may hold personal data, as some worker on this broker has noted.
    pub(crate) fn is_personal(&self, topic: &str) -> Result<bool, Error> {
        let personal = self.personal.contains(self.broker.as_ref(), topic);
        personal.map_err(task_error)
    }

    /// Notes for all workers that records of a topic may hold personal data.
    pub(crate) fn note_personal(&self, topic: &str) -> Result<(), Error> {
        let noted = self.personal.note(self.broker.as_ref(), topic);
        noted.map_err(task_error)
    }

    /// Partitions of topics that the worker makes; `None` is the broker's default.
    pub(crate) fn default_partitions(&self) -> Option<i32> {
        Some(self.worker.topic_partitions).filter(|partitions| *partitions > 0)
    }

    /// Replication factor of topics that the worker makes; `None` is the broker's default.
    pub(crate) fn replication(&self) -> Option<i32> {
        Some(self.worker.topic_replication).filter(|replication| *replication > 0)
    }

    /// Tells which connectors there are: they share the memory budget, and patterns never match the
    /// topics of their rejects.
    pub(crate) fn set_connectors<'s>(
        &self,
        specs: impl Iterator<Item = &'s ConnectorSpec>,
        shares: Shares,
    ) {
        let rejects = specs
            .flat_map(|spec| spec.reject_topics().cloned())
            .collect();
        self.budget.resize(memory::bytes(shares.buffers));
        *self.shares.write().unwrap_or_else(PoisonError::into_inner) = shares;
        *self.rejects.write().unwrap_or_else(PoisonError::into_inner) = rejects;
    }

    /// How the memory budget is split now. Tasks that run keep the share that they were started with.
    pub(crate) fn shares(&self) -> Shares {
        *self.shares.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that one task may hold ahead, or keep in an open transaction.
    pub(crate) fn task_budget(&self) -> usize {
        memory::bytes(self.shares().reading)
    }

    /// Bytes that may wait in the queue of one intake that does not ask for a size itself.
    pub(crate) fn intake_budget(&self) -> u64 {
        self.shares().intake
    }

    /// `(low, high)` of a partition; one of a new topic, whose leader is not known everywhere yet, is
    /// waited for. Blocks.
    pub(crate) fn watermarks(
        &self,
        topic: &str,
        partition: i32,
    ) -> penstock_broker::Result<(i64, i64)> {
        let mut attempts = 20;
        loop {
            match self.broker.watermarks(topic, partition) {
                Err(error) if error.retry == penstock_broker::Retry::Backoff && attempts > 1 => {
                    attempts -= 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                ended => return ended,
            }
        }
    }

    /// The consumer group of a sink or pipeline.
    pub(crate) fn group_of(&self, spec: &ConnectorSpec) -> String {
        spec.common
            .group
            .clone()
            .unwrap_or_else(|| format!("connect-{}", spec.common.name))
    }

    /// The topics that a connector reads now: those it names, or those that match. Internal topics,
    /// topics of rejects and those that the connector itself writes never match.
    pub(crate) fn topics_of(&self, spec: &ConnectorSpec) -> penstock_broker::Result<Vec<String>> {
        let Some(pattern) = &spec.topics_pattern else {
            return Ok(spec.common.topics.0.clone());
        };
        let topics = self.broker.topics()?;
        let rejects = self.rejects.read().unwrap_or_else(PoisonError::into_inner);
        Ok(topics
            .into_iter()
            .map(|topic| topic.name.to_string())
            .filter(|name| pattern.is_match(name))
            .filter(|name| !self.worker.is_internal(name) && !KAFKAS.contains(&name.as_str()))
            .filter(|name| !rejects.contains(name) && !spec.writes.contains(name))
            .collect())
    }

    /// Key and value converter of a connector, with the worker's as defaults.
    pub(crate) fn converters(&self, spec: &ConnectorSpec) -> (Converter, Converter) {
        let (key, value) = self.converters;
        (
            spec.key_converter.or(key).unwrap_or(Converter::Auto),
            spec.value_converter.or(value).unwrap_or(Converter::Auto),
        )
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("broker", &self.broker.kind())
            .finish_non_exhaustive()
    }
}

/// The worker's hold on its data directory: an id that stays with it, and a lock, since two workers of
/// one id would fence each other without end.
struct Home {
    id: String,
    _lock: File,
}

impl Home {
    fn take(data_dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.join("worker.id");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(std::io::Error::other(format!(
                    "another worker runs in {}; each needs a data.dir of its own",
                    data_dir.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut id = String::new();
        file.read_to_string(&mut id)?;
        if id.trim().is_empty() {
            id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
            file.rewind()?;
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
        }
        Ok(Self {
            id: id.trim().to_owned(),
            _lock: file,
        })
    }
}

/// A registry error as a task's.
pub(crate) fn registry_error(what: &str, error: RegistryError) -> Error {
    let message = format!("{what}: {error}");
    match error.retry() {
        Retry::Never => Error::never(message),
        Retry::Backoff => Error::backoff(message),
    }
}

/// A key store error as a task's.
pub(crate) fn key_error(error: KeyError) -> Error {
    let message = error.to_string();
    match error.retry() {
        penstock_keys::Retry::Never => Error::never(message).with_source(error),
        penstock_keys::Retry::Backoff => Error::backoff(message).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_worker_id_stays_with_the_data_directory_which_has_one_worker_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::take(dir.path()).unwrap();
        let refused = Home::take(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("data.dir"), "{refused}");
        let id = first.id.clone();
        drop(first);
        assert_eq!(Home::take(dir.path()).unwrap().id, id);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Home::take(other.path()).unwrap().id, id);
    }
}
