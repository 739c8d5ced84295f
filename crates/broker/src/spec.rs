//! What a caller asks of a broker: topics, producers, consumers, readers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Topic name: letters, digits, `.`, `_` and `-`, at most 249.
    pub name: String,
    /// Number of partitions; `None`: the broker's default.
    pub partitions: Option<i32>,
    /// Replication factor; `None`: the broker's default. The embedded log has one copy.
    pub replication: Option<i32>,
    /// Topic settings by Kafka's names (`cleanup.policy`, `message.timestamp.type`, `retention.ms` …).
    pub configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic with the broker's default settings.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions: Some(partitions),
            replication: None,
            configs: BTreeMap::new(),
        }
    }

    /// With this topic setting.
    #[must_use]
    pub fn config(mut self, key: &str, value: impl Into<String>) -> Self {
        self.configs.insert(key.to_owned(), value.into());
        self
    }
}

/// What `create_topic` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The topic is new.
    New,
    /// It was there; its partitions and settings are as they were.
    Existed,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Topic name.
    pub name: Arc<str>,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
}

/// A producer to be opened.
#[derive(Clone, Debug, Default)]
pub struct ProducerSpec {
    /// Name under which the broker lists this client.
    pub client_id: String,
    /// Set for a transactional producer. A second producer with the same id fences the first.
    pub transactional_id: Option<String>,
    /// Client settings by the Java client's names that go before the broker's own (Kafka only).
    pub overrides: BTreeMap<String, String>,
}

/// Where a group begins that has no committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    #[default]
    Earliest,
    /// With the records that come from now on.
    Latest,
}

/// A group member to be opened.
#[derive(Clone, Debug)]
pub struct ConsumerSpec {
    /// Group name (`group.id`).
    pub group: String,
    /// Name under which the broker lists this client.
    pub client_id: String,
    /// Topics to read. One that does not exist yet is waited for.
    pub topics: Vec<String>,
    /// Where the group begins without a committed offset.
    pub start: Start,
    /// Hide records of open and aborted transactions.
    pub read_committed: bool,
    /// Bytes of a single poll, roughly: a poll ends once it holds this much.
    pub poll_bytes: usize,
    /// Bytes fetched ahead of the polls (librdkafka's queue). The embedded log fetches nothing ahead.
    pub prefetch_bytes: usize,
    /// Client settings by the Java client's names that go before the broker's own (Kafka only).
    pub overrides: BTreeMap<String, String>,
}

impl ConsumerSpec {
    /// A member of `group` that reads `topics` from the oldest record, committed records only.
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> Self {
        let group = group.into();
        Self {
            client_id: group.clone(),
            group,
            topics,
            start: Start::Earliest,
            read_committed: true,
            poll_bytes: 4 << 20,
            prefetch_bytes: 16 << 20,
            overrides: BTreeMap::new(),
        }
    }
}

/// A reader to be opened.
#[derive(Clone, Debug)]
pub struct ReaderSpec {
    /// Name under which the broker lists this client.
    pub client_id: String,
    /// Hide records of open and aborted transactions.
    pub read_committed: bool,
    /// Bytes of a single poll, roughly: a poll ends once it holds this much.
    pub poll_bytes: usize,
    /// Bytes fetched ahead of the polls (librdkafka's queue). The embedded log fetches nothing ahead.
    pub prefetch_bytes: usize,
    /// Client settings by the Java client's names that go before the broker's own (Kafka only).
    pub overrides: BTreeMap<String, String>,
}

impl ReaderSpec {
    /// A reader of committed records.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            read_committed: true,
            poll_bytes: 4 << 20,
            prefetch_bytes: 4 << 20,
            overrides: BTreeMap::new(),
        }
    }
}

/// Where a reader begins in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest record.
    Earliest,
    /// With the records that come from now on.
    Latest,
    /// With this offset, or the next one that is still there.
    Offset(i64),
}
