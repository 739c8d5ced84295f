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

/// Writes a partition's entry, or takes it away with `None`, with the producer's next commit or flush.
pub(crate) fn write(
    producer: &mut dyn Producer,
    connector: &str,
    partition: &TopicPartition,
    note: Option<&[u8]>,
) -> Result<()> {
    producer.send(OutRecord::new(TOPIC, note).key(&key(connector, partition)))
}
