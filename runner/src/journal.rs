//! What sinks have written down, kept in the compacted topic `_penstock.journal`: one entry for each
//! partition of each connector, written in one transaction with the positions they belong to. Beside
//! it stand pages that say which of the partition's records were rejected, each written in one
//! transaction with their dead letters.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use penstock_broker::{Broker, OutRecord, Producer, Result};
use penstock_connect::TopicPartition;

use crate::compacted;

/// Name of the topic.
pub(crate) const TOPIC: &str = "_penstock.journal";

/// Makes the topic if it is not there.
pub(crate) fn create_topic(broker: &dyn Broker, replication: Option<i32>) -> Result<()> {
    compacted::create(broker, TOPIC, 5, replication)
}

fn key(connector: &str, partition: &TopicPartition) -> Vec<u8> {
    serde_json::json!([connector, &*partition.topic, partition.partition])
        .to_string()
        .into_bytes()
}

fn page_key(connector: &str, partition: &TopicPartition, page: i64) -> Vec<u8> {
    serde_json::json!([connector, &*partition.topic, partition.partition, page])
        .to_string()
        .into_bytes()
}

/// Whose a record of the topic is, and which page of rejections, if it is one.
fn owner(key: &[u8]) -> Option<(String, TopicPartition, Option<i64>)> {
    let (connector, topic, partition, page) =
        match serde_json::from_slice::<(String, String, i32, i64)>(key) {
            Ok((connector, topic, partition, page)) => (connector, topic, partition, Some(page)),
            Err(_) => {
                let (connector, topic, partition) = serde_json::from_slice(key).ok()?;
                (connector, topic, partition, None)
            }
        };
    let topic = topic.into();
    Some((connector, TopicPartition { topic, partition }, page))
}

/// What the journal holds of some partitions.
#[derive(Default)]
pub(crate) struct Loaded {
    /// Their entries; those without one are left out.
    pub(crate) entries: BTreeMap<TopicPartition, Bytes>,
    /// Their pages of rejections.
    pub(crate) pages: HashMap<TopicPartition, BTreeMap<i64, Bytes>>,
}

/// What the journal holds of these partitions.
pub(crate) fn load(
    broker: &dyn Broker,
    connector: &str,
    wanted: &[TopicPartition],
) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let Some(topic) = broker.topic(TOPIC)? else {
        return Ok(loaded);
    };
    compacted::read(broker, TOPIC, 0..topic.partitions, |message| {
        let Some((owner, partition, page)) = message.key.as_deref().and_then(owner) else {
            return;
        };
        if owner != connector || !wanted.contains(&partition) {
            return;
        }
        // A copy: the message's bytes keep their neighbours in memory.
        let value = message.value.map(|value| Bytes::copy_from_slice(&value));
        match (page, value) {
            (None, Some(note)) => {
                loaded.entries.insert(partition, note);
            }
            (None, None) => {
                loaded.entries.remove(&partition);
            }
            (Some(page), Some(bits)) => {
                let pages = loaded.pages.entry(partition).or_default();
                pages.insert(page, bits);
            }
            (Some(page), None) => {
                if let Some(pages) = loaded.pages.get_mut(&partition) {
                    pages.remove(&page);
                }
            }
        }
    })?;
    Ok(loaded)
}

/// Writes a partition's entry with the producer's open transaction.
pub(crate) fn write(
    producer: &mut dyn Producer,
    connector: &str,
    partition: &TopicPartition,
    note: &[u8],
) -> Result<()> {
    producer.send(OutRecord::new(TOPIC, Some(note)).key(&key(connector, partition)))
}

/// Writes a page of a partition's rejections with the producer's open transaction; `None` takes it
/// away.
pub(crate) fn write_page(
    producer: &mut dyn Producer,
    connector: &str,
    partition: &TopicPartition,
    page: i64,
    bits: Option<&[u8]>,
) -> Result<()> {
    producer.send(OutRecord::new(TOPIC, bits).key(&page_key(connector, partition, page)))
}

/// Takes away a connector's entries and pages: those of these partitions, or all. Durable when this returns.
pub(crate) fn forget(
    broker: &dyn Broker,
    connector: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<()> {
    let Some(topic) = broker.topic(TOPIC)? else {
        return Ok(());
    };
    let mut keys = BTreeSet::new();
    compacted::read(broker, TOPIC, 0..topic.partitions, |message| {
        let key = message.key.unwrap_or_default();
        let ours = owner(&key).is_some_and(|(owner, partition, _)| {
            owner == connector
                && partitions.is_none_or(|partitions| partitions.contains(&partition))
        });
        if ours {
            keys.insert(key.to_vec());
        }
    })?;
    let tombstones: Vec<OutRecord<'_>> = keys
        .iter()
        .map(|key| OutRecord::new(TOPIC, None).key(key))
        .collect();
    compacted::write(broker, &tombstones).map(drop)
}
