//! The embedded durable log: a broker in this process, on one store under a data directory.
//!
//! Records lie in batches in an embedded store (module `batch`); the store's atomic write batch is the
//! transaction: outputs and offsets become durable and visible together, and what is not committed
//! was never written. One thread writes (module `writer`), readers are woken by it. One process at a time
//! has the directory.

mod apply;
mod assignment;
mod batch;
mod bell;
mod cleaner;
mod commit;
mod consumer;
mod cursor;
mod groups;
mod outbox;
mod producer;
mod reader;
mod staged;
mod store;
mod topic_config;
mod topics;
mod wire;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::assignment::Slot;
use self::cleaner::Cleaner;
use self::consumer::EmbeddedConsumer;
use self::groups::Groups;
use self::producer::EmbeddedProducer;
use self::reader::EmbeddedReader;
use self::store::{OFFSETS, Store};
use self::topic_config::TopicConfig;
use self::topics::Topics;
use self::writer::{Command, GroupOffsets, ProducerEpoch, Writer};
use crate::{
    Broker, Consumer, ConsumerSpec, Created, Error, Producer, ProducerSpec, Reader, ReaderSpec,
    Result, TopicInfo, TopicPartitionOffset, TopicSpec,
};

/// Where the log lies and what it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// The data directory; made if it does not exist.
    pub directory: PathBuf,
    /// The store's cache in bytes.
    pub cache_bytes: usize,
    /// How often retention and compaction look for work.
    pub cleaning_interval: Duration,
}

impl EmbeddedSettings {
    /// A log in `directory` with a cache of 32 MiB.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_owned(),
            cache_bytes: 32 << 20,
            cleaning_interval: Duration::from_secs(15),
        }
    }
}

/// The embedded broker. Clients that it opened keep the log open when the broker itself is dropped.
pub struct EmbeddedBroker {
    log: Arc<Log>,
}

impl EmbeddedBroker {
    /// Opens the log, or makes a new one.
    ///
    /// # Errors
    /// [`Locked`](crate::ErrorKind::Locked) if another process has the directory open;
    /// [`Storage`](crate::ErrorKind::Storage) if it cannot be written.
    pub fn open(settings: &EmbeddedSettings) -> Result<Self> {
        let store = Arc::new(Store::open(&settings.directory, settings.cache_bytes)?);
        let topics = Arc::new(Topics::load(&store)?);
        let groups = Arc::new(Groups::default());
        let writer = Arc::new(Writer::start(
            store.clone(),
            topics.clone(),
            groups.clone(),
        )?);
        let cleaner = Cleaner::start(
            store.clone(),
            topics.clone(),
            writer.clone(),
            settings.cleaning_interval,
        )?;
        let log = Log {
            _cleaner: cleaner,
            writer,
            topics,
            groups,
            producers: Mutex::default(),
            store,
        };
        Ok(Self { log: Arc::new(log) })
    }
}

/// What the broker and its clients share. The cleaner stops first, then the writer.
struct Log {
    _cleaner: Cleaner,
    writer: Arc<Writer>,
    topics: Arc<Topics>,
    groups: Arc<Groups>,
    /// The newest instance of each transactional id.
    producers: Mutex<HashMap<Arc<str>, Arc<AtomicU64>>>,
    store: Arc<Store>,
}

impl Log {
    fn slot(&self, topic: &str, partition: i32) -> Result<Slot> {
        let topic = self.topics.expect(topic)?;
        topic.partition(partition)?;
        Ok(Slot {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partition: partition as u32,
        })
    }

    /// Offsets in the form in which they are stored.
    fn stored_offsets(&self, offsets: &[TopicPartitionOffset]) -> Result<Vec<(Slot, u64)>> {
        offsets
            .iter()
            .map(|offset| {
                let next = u64::try_from(offset.offset).map_err(|_| {
                    Error::invalid(format!(
                        "{} is not an offset: offsets begin with 0",
                        offset.offset
                    ))
                })?;
                Ok((self.slot(&offset.topic, offset.partition)?, next))
            })
            .collect()
    }

    fn committed(&self, group: &str, slot: &Slot) -> Result<Option<u64>> {
        let read = self.store.read()?;
        (|| {
            let offsets = read.open_table(OFFSETS)?;
            Ok(offsets
                .get((group, slot.topic_id, slot.partition))?
                .map(|offset| offset.value()))
        })()
        .map_err(|e: redb::Error| self.store.error(e))
    }

    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let extent = self.topics.expect(topic)?.partition(partition)?.extent();
        Ok((extent.low as i64, extent.next as i64))
    }

    /// A new instance of a transactional producer: no older one writes any more once this returns.
    fn fence(&self, id: &str) -> Result<ProducerEpoch> {
        let id: Arc<str> = id.into();
        let mut producers = self
            .producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let newest = producers.entry(id.clone()).or_default().clone();
        drop(producers);
        let mine = newest.fetch_add(1, Ordering::AcqRel) + 1;
        self.writer.ask(|reply| Command::Barrier { reply })?;
        Ok(ProducerEpoch { id, mine, newest })
    }
}

impl Broker for EmbeddedBroker {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        Ok(self
            .log
            .topics
            .all()
            .iter()
            .map(|topic| topic.info())
            .collect())
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.log.topics.get(name).map(|topic| topic.info()))
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<Created> {
        topics::check_name(&spec.name)?;
        if self.log.topics.get(&spec.name).is_some() {
            return Ok(Created::Existed);
        }
        let partitions = spec.partitions.unwrap_or(1);
        let partitions = u32::try_from(partitions)
            .ok()
            .filter(|n| (1..=10_000).contains(n))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "topic {:?}: {partitions} partitions; from 1 to 10000 are possible",
                    spec.name
                ))
            })?;
        let config = TopicConfig::new(&spec.name, &spec.configs)?;
        let name: Arc<str> = spec.name.as_str().into();
        self.log.writer.ask(|reply| Command::Create {
            name,
            partitions,
            config,
            reply,
        })
    }

    fn topic_config(&self, name: &str) -> Result<BTreeMap<String, String>> {
        Ok(self.log.topics.expect(name)?.config.all())
    }

    fn delete_topic(&self, name: &str) -> Result<()> {
        self.log.writer.ask(|reply| Command::Delete {
            name: name.into(),
            reply,
        })
    }

    fn producer(&self, spec: ProducerSpec) -> Result<Box<dyn Producer>> {
        let epoch = spec
            .transactional_id
            .map(|id| self.log.fence(&id))
            .transpose()?;
        Ok(Box::new(EmbeddedProducer::new(self.log.clone(), epoch)))
    }

    fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(EmbeddedConsumer::new(self.log.clone(), spec)?))
    }

    fn reader(&self, spec: ReaderSpec) -> Result<Box<dyn Reader>> {
        Ok(Box::new(EmbeddedReader::new(self.log.clone(), &spec)))
    }

    fn group_offsets(&self, group: &str, topics: &[&str]) -> Result<Vec<TopicPartitionOffset>> {
        let mut found = Vec::new();
        for name in topics {
            let Some(topic) = self.log.topics.get(name) else {
                continue;
            };
            for partition in 0..topic.partitions.len() as u32 {
                let slot = Slot {
                    topic: topic.name.clone(),
                    topic_id: topic.id,
                    partition,
                };
                let committed = self.log.committed(group, &slot)?;
                found.extend(committed.map(|offset| slot.topic_partition().at(offset as i64)));
            }
        }
        Ok(found)
    }

    fn set_group_offsets(&self, group: &str, offsets: &[TopicPartitionOffset]) -> Result<()> {
        let offsets = self.log.stored_offsets(offsets)?;
        let offsets = GroupOffsets {
            group: group.into(),
            member: None,
            offsets,
        };
        self.log
            .writer
            .ask(|reply| Command::Offsets { offsets, reply })
    }

    fn delete_group(&self, group: &str) -> Result<()> {
        self.log.writer.ask(|reply| Command::DeleteGroup {
            group: group.into(),
            reply,
        })
    }

    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.log.watermarks(topic, partition)
    }

    fn reachable(&self, timeout: Duration) -> Result<()> {
        self.log.store.read()?;
        self.log.writer.is_alive(timeout)
    }
}

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
