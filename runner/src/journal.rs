//! What sinks have written down, kept in the compacted topic `_penstock.journal`: one entry for each
//! partition of each connector, written in one transaction with the positions they belong to.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use penstock_broker::{Broker, OutRecord, Producer, Result, murmur2_partition};
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

/// The entries of these partitions; those without one are left out.
pub(crate) fn load(
    broker: &dyn Broker,
    connector: &str,
    wanted: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Bytes)>> {
    let Some(topic) = broker.topic(TOPIC)? else {
        return Ok(Vec::new());
    };
    let keys: BTreeMap<Vec<u8>, &TopicPartition> = wanted
        .iter()
        .map(|partition| (key(connector, partition), partition))
        .collect();
    let places: BTreeSet<i32> = keys
        .keys()
        .map(|key| murmur2_partition(key, topic.partitions))
        .collect();
    let mut found = BTreeMap::new();
    compacted::read(broker, TOPIC, places, |message| {
        let Some(partition) = message.key.as_deref().and_then(|key| keys.get(key)) else {
            return;
        };
        match message.value {
            // A copy: the message's bytes keep their neighbours in memory.
            Some(note) => found.insert((*partition).clone(), Bytes::copy_from_slice(&note)),
            None => found.remove(*partition),
        };
    })?;
    Ok(found.into_iter().collect())
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

/// Takes away a connector's entries: those of these partitions, or all. Durable when this returns.
pub(crate) fn forget(
    broker: &dyn Broker,
    connector: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<()> {
    let Some(topic) = broker.topic(TOPIC)? else {
        return Ok(());
    };
    let keys: BTreeSet<Vec<u8>> = match partitions {
        Some(partitions) => partitions
            .iter()
            .map(|partition| key(connector, partition))
            .collect(),
        None => {
            let mut keys = BTreeSet::new();
            compacted::read(broker, TOPIC, 0..topic.partitions, |message| {
                let key = message.key.unwrap_or_default();
                let named = serde_json::from_slice::<(String, String, i32)>(&key);
                if named.is_ok_and(|(name, ..)| name == connector) {
                    keys.insert(key.to_vec());
                }
            })?;
            keys
        }
    };
    let tombstones: Vec<OutRecord<'_>> = keys
        .iter()
        .map(|key| OutRecord::new(TOPIC, None).key(key))
        .collect();
    compacted::write(broker, &tombstones)
}
