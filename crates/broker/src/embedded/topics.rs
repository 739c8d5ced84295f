//! The topics of the log: what they are and how far each partition goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use redb::ReadableTable;

use super::bell::Bell;
use super::store::{PARTITIONS, Store, StoredExtent, TOPICS};
use super::topic_config::TopicConfig;
use crate::{Error, Result, TopicInfo};

/// How far a partition goes. The writer alone changes it, after its commit.
#[derive(Debug, Default)]
pub(super) struct Partition {
    low: AtomicU64,
    next: AtomicU64,
    bytes: AtomicU64,
    clean: AtomicU64,
    dirty_bytes: AtomicU64,
}

/// The stored form of a [`Partition`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Offset of the oldest record, or where it was.
    pub(super) low: u64,
    /// The offset that the next record gets.
    pub(super) next: u64,
    /// Bytes of all batches.
    pub(super) bytes: u64,
    /// Compaction has cleaned all below this offset.
    pub(super) clean: u64,
    /// Bytes of the batches from there on.
    pub(super) dirty_bytes: u64,
}

impl Extent {
    pub(super) fn stored(self) -> StoredExtent {
        (
            self.low,
            self.next,
            self.bytes,
            self.clean,
            self.dirty_bytes,
        )
    }

    pub(super) fn from_stored(
        (low, next, bytes, clean, dirty_bytes): (u64, u64, u64, u64, u64),
    ) -> Self {
        Self {
            low,
            next,
            bytes,
            clean,
            dirty_bytes,
        }
    }
}

impl Partition {
    pub(super) fn extent(&self) -> Extent {
        Extent {
            next: self.next.load(Ordering::Acquire),
            low: self.low.load(Ordering::Acquire),
            bytes: self.bytes.load(Ordering::Relaxed),
            clean: self.clean.load(Ordering::Relaxed),
            dirty_bytes: self.dirty_bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, extent: Extent) {
        self.bytes.store(extent.bytes, Ordering::Relaxed);
        self.clean.store(extent.clean, Ordering::Relaxed);
        self.dirty_bytes
            .store(extent.dirty_bytes, Ordering::Relaxed);
        self.low.store(extent.low, Ordering::Release);
        self.next.store(extent.next, Ordering::Release);
    }
}

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) config: TopicConfig,
    pub(super) partitions: Vec<Partition>,
    deleted: AtomicBool,
    /// Those who wait for records of this topic.
    bells: Mutex<Vec<Weak<Bell>>>,
}

impl Topic {
    pub(super) fn new(id: u32, name: Arc<str>, config: TopicConfig, partitions: u32) -> Self {
        let partitions = std::iter::repeat_with(Partition::default)
            .take(partitions as usize)
            .collect();
        Self {
            id,
            name,
            config,
            partitions,
            deleted: AtomicBool::new(false),
            bells: Mutex::default(),
        }
    }

    pub(super) fn info(&self) -> TopicInfo {
        TopicInfo {
            name: self.name.clone(),
            partitions: self.partitions.len() as i32,
            replication: 1,
        }
    }

    pub(super) fn partition(&self, partition: i32) -> Result<&Partition> {
        usize::try_from(partition)
            .ok()
            .and_then(|p| self.partitions.get(p))
            .ok_or_else(|| {
                let (name, count) = (&self.name, self.partitions.len());
                let mut error = Error::unknown_topic(name);
                error.message = format!(
                    "topic {name:?} has no partition {partition}, its partitions are 0 to {}",
                    count - 1
                );
                error
            })
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(super) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.ring();
    }

    /// Rings `bell` at every commit to this topic, for as long as its owner keeps it.
    pub(super) fn listen(&self, bell: &Arc<Bell>) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.retain(|known| known.strong_count() > 0);
        let bell = Arc::downgrade(bell);
        if !bells.iter().any(|known| known.ptr_eq(&bell)) {
            bells.push(bell);
        }
    }

    pub(super) fn ring(&self) {
        for bell in self
            .bells
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            if let Some(bell) = bell.upgrade() {
                bell.ring();
            }
        }
    }
}

/// All topics by name.
#[derive(Debug, Default)]
pub(super) struct Topics(RwLock<BTreeMap<Arc<str>, Arc<Topic>>>);

impl Topics {
    /// Reads the topics of the store.
    pub(super) fn load(store: &Store) -> Result<Self> {
        let read = store.read()?;
        let stored = (|| -> Result<Vec<_>, redb::Error> {
            let topics = read.open_table(TOPICS)?;
            let partitions = read.open_table(PARTITIONS)?;
            let mut stored = Vec::new();
            for entry in topics.iter()? {
                let (name, topic) = entry?;
                let (id, count, settings) = topic.value();
                let mut extents = Vec::new();
                for partition in 0..count {
                    let extent = partitions.get((id, partition))?;
                    extents.push(
                        extent
                            .map(|e| Extent::from_stored(e.value()))
                            .unwrap_or_default(),
                    );
                }
                stored.push((name.value().to_owned(), id, settings.to_owned(), extents));
            }
            Ok(stored)
        })()
        .map_err(|e| store.error(e))?;

        let mut topics = BTreeMap::new();
        for (name, id, settings, extents) in stored {
            let config = TopicConfig::from_lines(&name, &settings)?;
            let name: Arc<str> = name.into();
            let topic = Topic::new(id, name.clone(), config, extents.len() as u32);
            for (partition, extent) in topic.partitions.iter().zip(extents) {
                partition.set(extent);
            }
            topics.insert(name, Arc::new(topic));
        }
        Ok(Self(RwLock::new(topics)))
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(super) fn expect(&self, name: &str) -> Result<Arc<Topic>> {
        self.get(name).ok_or_else(|| Error::unknown_topic(name))
    }

    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(super) fn insert(&self, topic: Arc<Topic>) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(topic.name.clone(), topic);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }
}

/// Kafka's rule for topic names.
pub(super) fn check_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name.len() > 249
        || name == "."
        || name == ".."
        || !name.chars().all(legal)
    {
        return Err(Error::invalid(format!(
            "{name:?} is not a topic name: letters, digits, '.', '_' and '-', at most 249 of them"
        )));
    }
    Ok(())
}
