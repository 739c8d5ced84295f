//! Positions of replayable sources, kept in the compacted topic `_penstock.offsets` and written in
//! one transaction with the records they belong to.

use penstock_broker::{Broker, OutRecord, Producer, Result, murmur2_partition};
use serde_json::Value;

use crate::compacted;

/// Name of the topic.
pub(crate) const TOPIC: &str = "_penstock.offsets";

/// Makes the topic if it is not there.
pub(crate) fn create_topic(broker: &dyn Broker, replication: Option<i32>) -> Result<()> {
    compacted::create(broker, TOPIC, 5, replication)
}

fn key(connector: &str, task: usize) -> Vec<u8> {
    serde_json::json!([connector, task])
        .to_string()
        .into_bytes()
}

/// The last position stored for a task, if any.
pub(crate) fn load(broker: &dyn Broker, connector: &str, task: usize) -> Result<Option<Value>> {
    let key = key(connector, task);
    let partitions = broker.topic(TOPIC)?.map_or(1, |topic| topic.partitions);
    let partition = murmur2_partition(&key, partitions);
    let mut position = None;
    compacted::read(broker, TOPIC, [partition], |message| {
        if message.key.as_deref() == Some(&key[..]) {
            position = message
                .value
                .as_deref()
                .and_then(|value| serde_json::from_slice(value).ok());
        }
    })?;
    Ok(position)
}

/// Sets a task's position from outside, or takes it away with `None`; durable when this returns.
pub(crate) fn set(
    broker: &dyn Broker,
    connector: &str,
    task: usize,
    position: Option<&Value>,
) -> Result<()> {
    let value = position.map(ToString::to_string);
    let out = OutRecord::new(TOPIC, value.as_deref().map(str::as_bytes));
    compacted::write(broker, &[out.key(&key(connector, task))]).map(drop)
}

/// Writes a position within the producer's open transaction.
pub(crate) fn store(
    producer: &mut dyn Producer,
    connector: &str,
    task: usize,
    position: &Value,
) -> Result<()> {
    let key = key(connector, task);
    let value = position.to_string();
    producer.send(OutRecord::new(TOPIC, Some(value.as_bytes())).key(&key))
}
