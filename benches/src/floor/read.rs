//! The floor of what writes elsewhere than to a topic: reading alone.

use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

/// Reads a topic's only partition and commits now and then.
pub(crate) fn read(
    consumer: &BaseConsumer,
    topic: &str,
    interval: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut last = Instant::now();
    let mut next = None;
    loop {
        let message = consumer.poll(Duration::from_millis(10));
        if let Some(message) = message {
            next = Some(message?.offset() + 1);
        }
        let Some(offset) = next.filter(|_| last.elapsed() >= interval) else {
            continue;
        };
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, Offset::Offset(offset))?;
        consumer.commit(&offsets, CommitMode::Sync)?;
        (last, next) = (Instant::now(), None);
    }
}
