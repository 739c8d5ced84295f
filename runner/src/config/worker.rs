//! The worker's own keys.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use penstock_connect::config;
use penstock_connect::config::{ByteSize, Millis, PlainListenAddress, Secret};

config! {
    /// Settings of the worker: where its topics, schemas, contracts and keys are, and where it listens.
    #[check(check)]
    pub struct WorkerConfig {
        /// Kafka brokers. Without it the worker keeps its topics in the embedded log under `data.dir`.
        "bootstrap.servers" => bootstrap_servers: Option<String>,
        /// Directory of the embedded log and registry, the key-encryption key file and the local key cache.
        "data.dir" => data_dir: PathBuf = "data",
        /// Address of the worker's own HTTP listener: health, metrics, REST.
        "listeners" => listeners: PlainListenAddress = "http://127.0.0.1:8083",
        /// Name that workers of one installation share; prefix of consumer groups and transactions.
        "group.id" => group_id: String = "penstock",
        /// Schema registries (comma-separated URLs), default of every converter. Without it the worker serves the embedded registry.
        "schema.registry.url" => registry_url: Option<String>,
        /// `user:password` for the registry.
        "basic.auth.user.info" => registry_user_info: Option<Secret>,
        /// Where the user of the registry comes from; only USER_INFO is supported.
        "basic.auth.credentials.source" => registry_credentials_source: Option<String>,
        /// Serve the embedded registry although the broker is Kafka. Schema ids of two such workers would differ.
        "registry.embedded" => registry_embedded: bool = "false",
        /// Address of the embedded registry.
        "registry.listen" => registry_listen: PlainListenAddress = "127.0.0.1:8081",
        /// Directory of schemas to register at start, as `handle/name/x.y.z.avsc` or `.json`.
        "schemas.dir" => schemas_dir: Option<PathBuf>,
        /// Directory of event contracts, as `handle/name/x.y.z.json`.
        "contracts.dir" => contracts_dir: Option<PathBuf>,
        /// Topic that holds the encryption keys.
        "keys.topic" => keys_topic: String = "_penstock.keys",
        /// Partitions of the keys topic; fixed when it is made.
        "keys.partitions" => keys_partitions: i32 = "8",
        /// Age after which the key of a key-field value is replaced.
        "keys.window.ms" => keys_window: Millis = "86400000",
        /// How long a key is kept once its window is over, at least an hour; then it counts as erased, and nobody can decrypt what it encrypted. Without it keys are kept until they are erased.
        "keys.retention.ms" => keys_retention: Option<Millis>,
        /// Cipher for personal fields: `AES256_SIV` (Tink's format) or `AES256_GCM_SIV`.
        "keys.cipher" => keys_cipher: String = "AES256_SIV",
        /// File with the key-encryption key (32 bytes in base64), readable by its owner only. On the embedded broker it is made while there are no keys yet, and lies in `data.dir` if this is not given; on Kafka it has to be there.
        "keys.kek.file" => keys_kek_file: Option<PathBuf>,
        /// The key-encryption key itself (32 bytes in base64), as a reference to a secret. Without it and `keys.kek.file` the environment variable PENSTOCK_KEK is used, if it is set.
        "keys.kek" => keys_kek: Option<Secret>,
        /// Bearer token that requests for keys and opened dead letters have to carry. Without it only programs on the worker's own machine are answered, not through a proxy.
        "rest.reveal.token" => reveal_token: Option<Secret>,
        /// Bytes that records in flight may take in the whole worker; queues and caches are sized from it.
        "memory.budget" => memory_budget: ByteSize = "256mb",
        /// Bytes that may wait to be sent in each producer of a source or pipeline; without it they are a share of `memory.budget`.
        "producer.buffer.memory" => send_buffer: Option<ByteSize>,
        /// Longest time between two moments at which sinks make progress durable and commit.
        "offset.flush.interval.ms" => offset_flush_interval: Millis = "1000",
        /// Longest time that a topic-to-topic or source transaction stays open under load.
        "transaction.interval.ms" => transaction_interval: Millis = "100",
        /// Longest time that a task may take to stop before the worker gives it up.
        "task.shutdown.graceful.timeout.ms" => shutdown_timeout: Millis = "5000",
        /// First pause before a failed task is started again; doubles with jitter up to the maximum.
        "task.restart.delay.ms" => restart_delay: Millis = "300",
        /// Longest pause before a failed task is started again.
        "task.restart.delay.max.ms" => restart_delay_max: Millis = "60000",
        /// Partitions of topics that the worker makes; -1 is the broker's default (1 on the embedded log). A derived topic has as many as its origin.
        "topic.creation.default.partitions" => topic_partitions: i32 = "-1",
        /// Replication factor of topics that the worker makes; -1 is the broker's default.
        "topic.creation.default.replication.factor" => topic_replication: i32 = "-1",
        /// Default of the connectors' `key.converter`.
        "key.converter" => key_converter: Option<String>,
        /// Default of the connectors' `value.converter`.
        "value.converter" => value_converter: Option<String>,
    }
}

/// Prefix of topics that belong to the worker itself.
const INTERNAL: &str = "_penstock.";

impl WorkerConfig {
    /// Whether a topic belongs to the worker itself: its records are of one form, which readers rely on.
    pub(crate) fn is_internal(&self, topic: &str) -> bool {
        topic.starts_with(INTERNAL) || topic == self.keys_topic
    }

    /// Addresses of its schema registry. One that listens everywhere is known by its address on loopback.
    pub(crate) fn registries(&self) -> Vec<String> {
        match &self.registry_url {
            Some(urls) => urls
                .split(',')
                .map(|url| url.trim().to_owned())
                .filter(|url| !url.is_empty())
                .collect(),
            None => {
                let mut address = self.registry_listen.0;
                if address.ip().is_unspecified() {
                    address.set_ip(Ipv4Addr::LOCALHOST.into());
                }
                vec![format!("http://{address}")]
            }
        }
    }
}

/// The shortest time that keys are kept: the key store takes none that is shorter.
const SHORTEST_RETENTION: Duration = Duration::from_secs(60 * 60);

fn check(config: &WorkerConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if config.keys_partitions < 1 {
        problems.push(("keys.partitions", "must be at least 1".to_owned()));
    }
    if config
        .keys_retention
        .is_some_and(|kept| kept.0 < SHORTEST_RETENTION)
    {
        problems.push((
            "keys.retention.ms",
            "must be at least an hour (3600000)".to_owned(),
        ));
    }
    if config.keys_kek.is_some() && config.keys_kek_file.is_some() {
        problems.push((
            "keys.kek",
            "give either keys.kek or keys.kek.file, not both".to_owned(),
        ));
    }
    if !matches!(config.keys_cipher.as_str(), "AES256_SIV" | "AES256_GCM_SIV") {
        problems.push((
            "keys.cipher",
            "must be AES256_SIV or AES256_GCM_SIV".to_owned(),
        ));
    }
    if config.registry_url.is_some() && config.registry_embedded {
        problems.push((
            "registry.embedded",
            "give either schema.registry.url or registry.embedded=true".to_owned(),
        ));
    }
    if config.bootstrap_servers.is_some()
        && config.registry_url.is_none()
        && !config.registry_embedded
    {
        problems.push((
            "schema.registry.url",
            "is required with bootstrap.servers; for the embedded registry (schema ids of two workers would differ) \
             say registry.embedded=true"
                .to_owned(),
        ));
    }
    if config.bootstrap_servers.is_none() && config.memory_budget.0 < (16 << 20) {
        problems.push(("memory.budget", "must be at least 16mb".to_owned()));
    }
    if config
        .registry_credentials_source
        .as_deref()
        .is_some_and(|source| source != "USER_INFO")
    {
        problems.push((
            "basic.auth.credentials.source",
            "only USER_INFO is supported".to_owned(),
        ));
    }
    problems
}

/// Keys of Kafka Connect workers that mean nothing here: accepted with a note.
pub(crate) const ACCEPTED: &[(&str, &str)] = &[
    ("plugin.path", "plugins are compiled in"),
    ("plugin.discovery", "plugins are compiled in"),
    (
        "offset.storage.file.filename",
        "positions are kept in the broker",
    ),
    (
        "offset.flush.timeout.ms",
        "a flush is bounded by the delivery timeout",
    ),
    (
        "config.providers",
        "env, file and directory references always work",
    ),
    (
        "config.storage.topic",
        "configuration is kept in _penstock.configs",
    ),
    (
        "config.storage.replication.factor",
        "see topic.creation.default.replication.factor",
    ),
    (
        "offset.storage.topic",
        "positions are kept in _penstock.offsets",
    ),
    (
        "offset.storage.replication.factor",
        "see topic.creation.default.replication.factor",
    ),
    (
        "offset.storage.partitions",
        "positions are kept in _penstock.offsets",
    ),
    ("status.storage.topic", "status is served over REST"),
    (
        "status.storage.replication.factor",
        "status is served over REST",
    ),
    ("status.storage.partitions", "status is served over REST"),
    (
        "exactly.once.source.support",
        "sources that can be replayed are always exactly once",
    ),
    (
        "rest.advertised.host.name",
        "workers do not forward requests",
    ),
    ("rest.advertised.port", "workers do not forward requests"),
    (
        "rest.advertised.listener",
        "workers do not forward requests",
    ),
    ("rest.extension.classes", "there are no REST extensions"),
    (
        "response.http.headers.config",
        "answers have no headers of one's choice",
    ),
    (
        "admin.listeners",
        "log levels are changed over the worker's one listener",
    ),
    (
        "connector.client.config.override.policy",
        "connectors may override client settings, but none that the worker sets itself",
    ),
    (
        "topic.creation.enable",
        "topics that a connector writes are made where they are missing",
    ),
    ("header.converter", "headers are always bytes"),
    ("rebalance.timeout.ms", NO_CLUSTER),
    ("scheduled.rebalance.max.delay.ms", NO_CLUSTER),
    ("connect.protocol", NO_CLUSTER),
    ("worker.sync.timeout.ms", NO_CLUSTER),
    ("worker.unsync.backoff.ms", NO_CLUSTER),
    ("ssl.client.auth", NO_TLS),
];

const NO_CLUSTER: &str = "workers form no group of their own: tasks are spread by the consumer groups of their connectors";
const NO_TLS: &str = "the worker's own listener has no TLS";

/// Prefixes of Kafka Connect workers that mean nothing here.
pub(crate) const ACCEPTED_PREFIXES: &[(&str, &str)] = &[
    (
        "config.providers.",
        "env, file and directory references always work",
    ),
    (
        "internal.key.converter",
        "internal topics have their own format",
    ),
    (
        "internal.value.converter",
        "internal topics have their own format",
    ),
    (
        "confluent.",
        "licence and telemetry settings mean nothing here",
    ),
    ("metric", "metrics are served at /metrics"),
    ("header.converter.", "headers are always bytes"),
    ("inter.worker.", NO_CLUSTER),
    ("access.control.", "pages of other origins are refused"),
    ("admin.listeners.https.", NO_TLS),
    ("listeners.https.", NO_TLS),
    (
        "topic.tracking.",
        "topics in use are always shown, and may be reset",
    ),
];
