//! The cluster's topics and settings: one administration client and one for metadata, shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;

use super::closing::Closing;
use super::context::PlainContext;
use super::error::{code_error, ends_error, error};
use super::limits::Learned;
use crate::{Created, Error, ErrorKind, Result, Retry, TopicInfo, TopicSpec};

/// Kafka's own topics.
const INTERNAL: [&str; 4] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
    "__cluster_metadata",
];

/// How long the cluster is asked before a refusal is looked for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a report may take to come, and a broker that hangs up is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// Shared by a broker and its producers.
pub(super) struct Cluster {
    pub(super) admin: AdminClient<PlainContext>,
    /// A consumer without a group: its metadata requests never create topics.
    pub(super) metadata: BaseConsumer<PlainContext>,
    pub(super) timeout: Duration,
    pub(super) learned: Learned,
    pub(super) closing: Arc<Closing>,
}

impl Cluster {
    /// Asks for one small answer. What the cluster refuses is told at once: waiting does not help.
    pub(super) fn reachable(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let refusal = &self.metadata.context().refusal;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // This client's requests never create the topic.
            let asked = self
                .metadata
                .fetch_metadata(Some("__consumer_offsets"), left.min(PATIENCE));
            // Reports come with polls; without a group nothing else does.
            let pause = if asked.is_ok() { Duration::ZERO } else { PAUSE };
            while self.metadata.poll(pause).is_some() {}
            let what = "asking the cluster for metadata";
            match asked {
                Ok(_) => {
                    refusal.forget();
                    return Ok(());
                }
                Err(e) => {
                    if let Some(reason) = refusal.get() {
                        let message = format!("{what}: {reason}");
                        return Err(Error::new(Retry::Never, ErrorKind::Denied, message));
                    }
                    if left <= PATIENCE {
                        let mut error = error(what, e);
                        if error.kind == ErrorKind::Unreachable {
                            error.message += "; look at bootstrap.servers and security.protocol";
                        }
                        return Err(error);
                    }
                }
            }
        }
    }

    pub(super) fn topics(&self) -> Result<Vec<TopicInfo>> {
        let metadata = self
            .metadata
            .fetch_metadata(None, self.timeout)
            .map_err(|e| error("listing topics", e))?;
        let mut topics: Vec<_> = metadata
            .topics()
            .iter()
            .filter(|topic| !INTERNAL.contains(&topic.name()) && topic.error().is_none())
            .map(info)
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    pub(super) fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        let what = || format!("looking for topic {name:?}");
        let metadata = self
            .metadata
            .fetch_metadata(Some(name), self.timeout)
            .map_err(|e| error(&what(), e))?;
        let Some(topic) = metadata.topics().first() else {
            return Ok(None);
        };
        match topic.error() {
            None => Ok(Some(info(topic))),
            Some(
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
            ) => Ok(None),
            // Being created: its leaders are being chosen.
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => Ok(Some(info(topic))),
            Some(code) => Err(code_error(&what(), RDKafkaErrorCode::from(code))),
        }
    }

    pub(super) fn create_topic(&self, spec: &TopicSpec) -> Result<Created> {
        let what = || format!("creating topic {:?}", spec.name);
        let mut topic = NewTopic::new(
            &spec.name,
            spec.partitions.unwrap_or(-1),
            TopicReplication::Fixed(spec.replication.unwrap_or(-1)),
        );
        for (key, value) in &spec.configs {
            topic = topic.set(key, value);
        }
        let results = block_on(self.admin.create_topics([&topic], &self.options()))
            .map_err(|e| error(&what(), e))?;
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(Created::Existed),
            Some(Err((_, code))) => Err(code_error(&what(), code)),
            Some(Ok(_)) | None => {
                self.wait_until(&what(), || self.is_led(&spec.name))?;
                Ok(Created::New)
            }
        }
    }

    /// Whether the leaders of all partitions answer for them: that they are chosen is known before they
    /// themselves know it.
    fn is_led(&self, name: &str) -> Result<bool> {
        let metadata = self
            .metadata
            .fetch_metadata(Some(name), self.timeout)
            .map_err(|e| error(&format!("looking for topic {name:?}"), e))?;
        let Some(topic) = metadata.topics().first() else {
            return Ok(false);
        };
        let partitions = topic.partitions();
        let chosen = partitions.iter().all(|partition| partition.leader() >= 0);
        if topic.error().is_some() || partitions.is_empty() || !chosen {
            return Ok(false);
        }
        for partition in partitions {
            match self.watermarks(name, partition.id()) {
                Ok(_) => {}
                Err(e) if e.retry == Retry::Backoff => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// `(low, high)` of a partition for readers of committed records.
    pub(super) fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.metadata
            .fetch_watermarks(topic, partition, self.timeout)
            .map_err(|e| ends_error(topic, partition, e))
    }

    fn wait_until(&self, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        while !done()? {
            if Instant::now() >= deadline {
                return Err(Error::new(
                    Retry::Backoff,
                    ErrorKind::Unreachable,
                    format!("{what}: not done by all brokers within {:?}", self.timeout),
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(super) fn delete_topic(&self, name: &str) -> Result<()> {
        let what = || format!("deleting topic {name:?}");
        let results = block_on(self.admin.delete_topics(&[name], &self.options()))
            .map_err(|e| error(&what(), e))?;
        if let Some(Err((_, code))) = results.into_iter().next() {
            return Err(code_error(&what(), code));
        }
        self.wait_until(&what(), || Ok(self.topic(name)?.is_none()))
    }

    pub(super) fn topic_config(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let what = || format!("reading the settings of topic {name:?}");
        let results = block_on(
            self.admin
                .describe_configs([&ResourceSpecifier::Topic(name)], &self.options()),
        )
        .map_err(|e| error(&what(), e))?;
        match results.into_iter().next() {
            // librdkafka's wrapper shows an unknown topic as one without settings.
            Some(Ok(config)) if config.entries.is_empty() => Err(Error::unknown_topic(name)),
            Some(Ok(config)) => {
                let pairs = config
                    .entries
                    .into_iter()
                    .filter_map(|entry| Some((entry.name, entry.value?)));
                Ok(pairs.collect())
            }
            Some(Err(code)) => Err(code_error(&what(), code)),
            None => Err(Error::unknown_topic(name)),
        }
    }

    pub(super) fn delete_group(&self, group: &str) -> Result<()> {
        let what = || format!("deleting group {group:?}");
        let results = block_on(self.admin.delete_groups(&[group], &self.options()))
            .map_err(|e| error(&what(), e))?;
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) | Some(Ok(_)) | None => Ok(()),
            Some(Err((_, code))) => Err(code_error(&what(), code)),
        }
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout))
    }
}

fn info(topic: &MetadataTopic) -> TopicInfo {
    let replication = topic
        .partitions()
        .first()
        .map_or(1, |partition| partition.replicas().len() as i32);
    TopicInfo {
        name: topic.name().into(),
        partitions: topic.partitions().len() as i32,
        replication,
    }
}
