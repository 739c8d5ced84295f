//! What the plugins of a worker share: broker, registry, contracts, keys.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use penstock_broker::Broker;
use penstock_connect::{Error, Metrics};
use penstock_contracts::Contracts;
use penstock_keys::{KeyError, KeyStore};
use penstock_registry::{RegistryClient, RegistryError, Retry};
use tokio::sync::OnceCell;

use crate::config::{ConnectorSpec, WorkerConfig};
use crate::converters::Converter;

/// Prefix of topics that belong to the worker itself.
pub(crate) const INTERNAL: &str = "_penstock.";

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
    pub(crate) worker: WorkerConfig,
    /// Survives restarts: part of transactional ids.
    pub(crate) worker_id: String,
    pub(crate) registry_address: Option<SocketAddr>,
    handle: tokio::runtime::Handle,
    keys: OnceCell<Arc<KeyStore>>,
    consumers: AtomicUsize,
}

impl Services {
    pub(crate) fn new(
        worker: WorkerConfig,
        broker: Arc<dyn Broker>,
        registry: RegistryClient,
        registry_address: Option<SocketAddr>,
        contracts: Arc<Contracts>,
    ) -> std::io::Result<Self> {
        let worker_id = worker_id(&worker.data_dir)?;
        Ok(Self {
            broker,
            registry,
            contracts,
            metrics: Metrics::new(),
            worker,
            worker_id,
            registry_address,
            handle: tokio::runtime::Handle::current(),
            keys: OnceCell::new(),
            consumers: AtomicUsize::new(1),
        })
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
        !self.contracts.list().is_empty()
    }

    /// Partitions of topics that the worker makes; `None` is the broker's default.
    pub(crate) fn default_partitions(&self) -> Option<i32> {
        Some(self.worker.topic_partitions).filter(|partitions| *partitions > 0)
    }

    /// Replication factor of topics that the worker makes; `None` is the broker's default.
    pub(crate) fn replication(&self) -> Option<i32> {
        Some(self.worker.topic_replication).filter(|replication| *replication > 0)
    }

    /// Tells how many consumers share the memory budget.
    pub(crate) fn set_consumers(&self, count: usize) {
        self.consumers.store(count.max(1), Ordering::Relaxed);
    }

    /// Bytes that one consumer may hold ahead: half of the budget, shared out, within bounds that
    /// keep throughput and start-up reasonable.
    pub(crate) fn consumer_budget(&self) -> usize {
        let consumers = self.consumers.load(Ordering::Relaxed);
        let share =
            usize::try_from(self.worker.memory_budget.0).unwrap_or(usize::MAX) / 2 / consumers;
        share.clamp(256 << 10, 16 << 20)
    }

    /// The consumer group of a sink or pipeline.
    pub(crate) fn group_of(&self, spec: &ConnectorSpec) -> String {
        spec.common
            .group
            .clone()
            .unwrap_or_else(|| format!("connect-{}", spec.common.name))
    }

    /// The topics that a connector reads now: those it names, or those that match. Internal topics
    /// and its own dead letter topic never match.
    pub(crate) fn topics_of(&self, spec: &ConnectorSpec) -> penstock_broker::Result<Vec<String>> {
        let Some(regex) = &spec.common.topics_regex else {
            return Ok(spec.common.topics.0.clone());
        };
        let dead_letters = [&spec.common.dlq_topic, &spec.common.error_stream_topic];
        Ok(self
            .broker
            .topics()?
            .into_iter()
            .map(|topic| topic.name.to_string())
            .filter(|name| !name.starts_with("_") && full_match(regex, name))
            .filter(|name| !dead_letters.iter().any(|own| own.as_deref() == Some(name)))
            .collect())
    }

    /// Key and value converter of a connector, with the worker's as defaults.
    pub(crate) fn converters(&self, spec: &ConnectorSpec) -> (Converter, Converter) {
        let default = |class: &Option<String>| {
            let settings = penstock_connect::Settings::default();
            Converter::parse(class.as_deref(), settings, &mut Vec::new()).unwrap_or(Converter::Auto)
        };
        (
            spec.key_converter
                .unwrap_or_else(|| default(&self.worker.key_converter)),
            spec.value_converter
                .unwrap_or_else(|| default(&self.worker.value_converter)),
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

/// Whether the pattern matches the whole name, as Java's `matches` does.
fn full_match(regex: &regex::Regex, name: &str) -> bool {
    // The leftmost match may be shorter than another one that spans the name, so anchor it.
    regex::Regex::new(&format!("^(?:{})$", regex.as_str()))
        .is_ok_and(|anchored| anchored.is_match(name))
}

/// An id that stays with the data directory.
fn worker_id(data_dir: &Path) -> std::io::Result<String> {
    std::fs::create_dir_all(data_dir)?;
    let path = data_dir.join("worker.id");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        _ => {
            let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
            std::fs::write(&path, &id)?;
            Ok(id)
        }
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
    fn a_topic_pattern_has_to_match_the_whole_name() {
        for (pattern, name, expected) in [
            ("demo.*", "demo-2", true),
            ("demo", "demo-2", false),
            ("a|ab", "ab", true),
            ("emo", "demo", false),
        ] {
            assert_eq!(
                full_match(&regex::Regex::new(pattern).unwrap(), name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn the_worker_id_stays_with_the_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = worker_id(dir.path()).unwrap();
        assert_eq!(worker_id(dir.path()).unwrap(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(worker_id(other.path()).unwrap(), first);
    }
}
