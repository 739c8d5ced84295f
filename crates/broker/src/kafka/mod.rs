//! Kafka, through librdkafka.
//!
//! [`client_config`] maps the Java client's settings, [`KafkaBroker`] opens clients with them.

mod closing;
mod cluster;
mod consumer;
mod context;
mod deliveries;
mod error;
mod jaas;
mod keys;
mod limits;
mod message;
mod pem;
mod producer;
mod reader;
mod refusal;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::ThreadedProducer;

use self::closing::Idle;
use self::cluster::Cluster;
use self::consumer::{KafkaConsumer, known_offsets, offset_list};
use self::context::{MemberContext, PlainContext, list};
use self::deliveries::Deliveries;
use self::error::error;
use self::producer::{Capacity, KafkaProducer};
use self::reader::KafkaReader;
pub use self::settings::{
    ClientSettings, Problem, client_config, client_setting_names, is_client_setting,
};
use crate::{
    Broker, Consumer, ConsumerSpec, Created, Error, ErrorKind, Producer, ProducerSpec, Reader,
    ReaderSpec, Result, Retry, Start, TopicInfo, TopicPartition, TopicPartitionOffset, TopicSpec,
};

/// How long a single request to the cluster may take, retries included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// librdkafka's default for `batch.size`.
const BATCH_BYTES: usize = 1_000_000;

/// Settings of every client, below what the worker's file says.
const COMMON: &[(&str, &str)] = &[
    // The first pause; it doubles. A new client's second connection, to the broker that it has learned of
    // by the first, waits half of it.
    ("reconnect.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.connection.setup.timeout.ms", "10000"),
    // A topic that is subscribed before it exists is found within this time.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("socket.keepalive.enable", "true"),
];

const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "3"),
    // The topic's own max.message.bytes decides.
    ("message.max.bytes", "104857600"),
    ("queue.buffering.max.kbytes", "65536"),
    // The first pause; it doubles up to retry.backoff.max.ms.
    ("retry.backoff.ms", "20"),
];

const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("allow.auto.create.topics", "false"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A killed member's partitions are taken over after this time; heartbeats come from a thread of
    // librdkafka's own, so a busy task does not miss them.
    ("session.timeout.ms", "10000"),
    ("auto.offset.reset", "earliest"),
    // How long fetching rests once the prefetch is full: the default of 1 s starves a small one.
    ("fetch.queue.backoff.ms", "20"),
];

/// A Kafka cluster. Connections are made by the first calls, not when this is made.
pub struct KafkaBroker {
    settings: ClientSettings,
    cluster: Arc<Cluster>,
}

impl KafkaBroker {
    /// A broker with settings from [`client_config`]; `bootstrap.servers` is needed.
    pub fn new(settings: ClientSettings) -> Result<Self> {
        if !settings.common.contains_key("bootstrap.servers") {
            return Err(Error::invalid("bootstrap.servers is missing"));
        }
        settings.check_stores()?;
        let what = "opening a Kafka client";
        let config = client(&settings.common, &BTreeMap::new(), &[]);
        let metadata = client(
            &settings.common,
            &BTreeMap::new(),
            &[
                ("allow.auto.create.topics", "false"),
                ("isolation.level", "read_committed"),
            ],
        );
        let cluster = Cluster {
            admin: config
                .create_with_context(PlainContext::default())
                .map_err(|e| error(what, e))?,
            metadata: metadata
                .create_with_context(PlainContext::default())
                .map_err(|e| error(what, e))?,
            timeout: TIMEOUT,
            learned: Default::default(),
            closing: Default::default(),
        };
        Ok(Self {
            settings,
            cluster: Arc::new(cluster),
        })
    }

    fn settings(&self, overrides: &BTreeMap<String, String>) -> Result<ClientSettings> {
        let overrides = client_config(overrides).map_err(|problems| {
            let texts: Vec<_> = problems
                .iter()
                .map(|p| format!("{} {}", p.key, p.message))
                .collect();
            Error::invalid(texts.join("; "))
        })?;
        Ok(self.settings.with(&overrides))
    }

    /// A client that speaks for a group from outside.
    fn group_client(&self, group: &str) -> Result<BaseConsumer<PlainContext>> {
        let mut config = client(&self.settings.common, &BTreeMap::new(), &[]);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .create_with_context(PlainContext::default())
            .map_err(|e| error(&format!("opening a client for group {group:?}"), e))
    }
}

/// What a record that was read ahead is taken to hold at least.
const RECORD_AT_LEAST: usize = 512;

/// Defaults, then the worker's settings.
fn client(
    common: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
    defaults: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Warning);
    for (key, value) in COMMON.iter().chain(defaults) {
        config.set(*key, *value);
    }
    for (key, value) in common.iter().chain(own) {
        config.set(key, value);
    }
    config
}

fn set_reading(config: &mut ClientConfig, read_committed: bool, prefetch_bytes: usize) {
    let kilobytes = (prefetch_bytes >> 10).max(1);
    config.set(
        "isolation.level",
        if read_committed {
            "read_committed"
        } else {
            "read_uncommitted"
        },
    );
    config.set("queued.max.messages.kbytes", kilobytes.to_string());
    // librdkafka counts keys and values; what it keeps beside those of a small record is more than they are.
    let records = (prefetch_bytes / RECORD_AT_LEAST).clamp(1, 100_000);
    config.set("queued.min.messages", records.to_string());
    // A single answer stays within the prefetch, too; one record larger than this still comes.
    let fetch = prefetch_bytes.clamp(1 << 20, 50 << 20);
    config.set("fetch.message.max.bytes", fetch.min(1 << 20).to_string());
    config.set("fetch.max.bytes", fetch.to_string());
    config.set("message.max.bytes", "1000000");
}

impl Broker for KafkaBroker {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.cluster.topics()
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.cluster.topic(name)
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<Created> {
        self.cluster.create_topic(spec)
    }

    fn topic_config(&self, name: &str) -> Result<BTreeMap<String, String>> {
        self.cluster.topic_config(name)
    }

    fn delete_topic(&self, name: &str) -> Result<()> {
        self.cluster.delete_topic(name)
    }

    fn producer(&self, spec: ProducerSpec) -> Result<Box<dyn Producer>> {
        let settings = self.settings(&spec.overrides)?;
        let mut config = client(&settings.common, &settings.producer, PRODUCER);
        config.set("client.id", &spec.client_id);
        if let Some(id) = &spec.transactional_id {
            config.set("transactional.id", id);
        }
        let kilobytes = config.get("queue.buffering.max.kbytes");
        let buffer_bytes = kilobytes
            .and_then(|kilobytes| kilobytes.parse::<usize>().ok())
            .map_or(usize::MAX, |kilobytes| kilobytes.saturating_mul(1 << 10));
        let batch_bytes = config
            .get("batch.size")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(BATCH_BYTES);
        let producer: ThreadedProducer<Deliveries> = config
            .create_with_context(Deliveries::new(batch_bytes))
            .map_err(|e| error(&format!("opening producer {:?}", spec.client_id), e))?;
        Ok(Box::new(KafkaProducer::new(
            Idle::new(producer, self.cluster.closing.clone()),
            self.cluster.clone(),
            spec.transactional_id,
            Capacity {
                buffer_bytes,
                batch_bytes,
            },
            TIMEOUT,
        )?))
    }

    fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>> {
        if spec.group.is_empty() {
            return Err(Error::invalid(
                "a group member needs a group name (group.id)",
            ));
        }
        let settings = self.settings(&spec.overrides)?;
        let mut defaults = client(&settings.common, &BTreeMap::new(), CONSUMER);
        set_reading(&mut defaults, spec.read_committed, spec.prefetch_bytes);
        let reset = if spec.start == Start::Earliest {
            "earliest"
        } else {
            "latest"
        };
        defaults.set("auto.offset.reset", reset);
        for (key, value) in &settings.consumer {
            defaults.set(key, value);
        }
        defaults
            .set("client.id", &spec.client_id)
            .set("group.id", &spec.group);
        let consumer: BaseConsumer<MemberContext> = defaults
            .create_with_context(MemberContext::default())
            .map_err(|e| error(&format!("opening a member of group {:?}", spec.group), e))?;
        Ok(Box::new(KafkaConsumer::new(
            consumer,
            spec.group,
            &spec.topics,
            spec.poll_bytes,
            TIMEOUT,
        )?))
    }

    fn reader(&self, spec: ReaderSpec) -> Result<Box<dyn Reader>> {
        let settings = self.settings(&spec.overrides)?;
        let mut config = client(&settings.common, &BTreeMap::new(), CONSUMER);
        set_reading(&mut config, spec.read_committed, spec.prefetch_bytes);
        for (key, value) in &settings.consumer {
            config.set(key, value);
        }
        // librdkafka wants a group name even where partitions are assigned by hand.
        config
            .set("client.id", &spec.client_id)
            .set("group.id", &spec.client_id);
        let consumer: BaseConsumer<PlainContext> = config
            .create_with_context(PlainContext::default())
            .map_err(|e| error(&format!("opening reader {:?}", spec.client_id), e))?;
        // Both see the last stable offset as the end.
        let ends = spec.read_committed.then(|| self.cluster.clone());
        Ok(Box::new(KafkaReader::new(
            Idle::new(consumer, self.cluster.closing.clone()),
            ends,
            spec.poll_bytes,
            TIMEOUT,
        )))
    }

    fn group_offsets(&self, group: &str, topics: &[&str]) -> Result<Vec<TopicPartitionOffset>> {
        let mut partitions = Vec::new();
        for topic in topics {
            if let Some(topic) = self.topic(topic)? {
                let name = topic.name;
                partitions
                    .extend((0..topic.partitions).map(|p| TopicPartition::new(name.clone(), p)));
            }
        }
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .group_client(group)?
            .committed_offsets(list(&partitions), TIMEOUT)
            .map_err(|e| error(&format!("reading offsets of group {group:?}"), e))?;
        Ok(known_offsets(&found))
    }

    fn set_group_offsets(&self, group: &str, offsets: &[TopicPartitionOffset]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let committed = self
            .group_client(group)?
            .commit(&offset_list(offsets)?, CommitMode::Sync);
        committed.map_err(|e| match e {
            KafkaError::ConsumerCommit(
                RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress,
            ) => Error::new(
                Retry::Backoff,
                ErrorKind::State,
                format!("group {group:?} has members; stop the tasks that read with it first"),
            ),
            e => error(&format!("setting offsets of group {group:?}"), e),
        })
    }

    fn delete_group(&self, group: &str) -> Result<()> {
        self.cluster.delete_group(group)
    }

    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.cluster.watermarks(topic, partition)
    }

    fn reachable(&self, timeout: Duration) -> Result<()> {
        self.cluster.reachable(timeout)
    }
}
