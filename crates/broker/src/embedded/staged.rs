//! Records on their way into the log: encoded, in batches, in the order they were sent.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::{BatchBuilder, record_size};
use super::topics::Topic;
use crate::partition::{KeylessRun, murmur2_partition};
use crate::{Error, ErrorKind, OutRecord, Placed, Result, Retry};

/// One batch of one partition.
#[derive(Debug)]
pub(super) struct StagedBatch {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: u32,
    pub(super) builder: BatchBuilder,
}

/// Records of one producer that go into the log together.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) batches: Vec<StagedBatch>,
    /// The batch that takes more records of a (topic id, partition).
    open: HashMap<(u32, u32), usize>,
    /// For each record in the order of the sends: its batch.
    order: Vec<u32>,
    bytes: usize,
}

impl Staged {
    pub(super) fn push(
        &mut self,
        topic: &Arc<Topic>,
        partition: u32,
        record: &OutRecord<'_>,
        timestamp: i64,
    ) {
        let size = record_size(record);
        let slot = self.open.get(&(topic.id, partition)).copied();
        let index = match slot.filter(|index| !self.batches[*index].builder.is_full_for(size)) {
            Some(index) => index,
            None => {
                let batch = StagedBatch {
                    topic: topic.clone(),
                    partition,
                    builder: BatchBuilder::new(),
                };
                self.batches.push(batch);
                self.open
                    .insert((topic.id, partition), self.batches.len() - 1);
                self.batches.len() - 1
            }
        };
        self.batches[index].builder.push(record, timestamp);
        self.order.push(index as u32);
        self.bytes += size;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Bytes held, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Topic and place of each record, in the order of the sends, once each batch has its base offset.
    pub(super) fn placed(&self, bases: &[u64]) -> impl Iterator<Item = (&Topic, Placed)> {
        let mut next = bases.to_vec();
        self.order.iter().map(move |index| {
            let index = *index as usize;
            let offset = next[index] as i64;
            next[index] += 1;
            let batch = &self.batches[index];
            (
                &*batch.topic,
                Placed {
                    partition: batch.partition as i32,
                    offset,
                },
            )
        })
    }
}

/// Chooses partitions: murmur2 of the key; without a key in runs.
#[derive(Debug, Default)]
pub(super) struct Partitioner {
    /// By topic id.
    keyless: HashMap<u32, KeylessRun>,
}

impl Partitioner {
    /// The partition of `record`, or why the topic does not take it.
    pub(super) fn place(&mut self, topic: &Topic, record: &OutRecord<'_>) -> Result<u32> {
        let size = record_size(record);
        if size > topic.config.max_message_bytes {
            return Err(Error::new(
                Retry::Never,
                ErrorKind::TooLarge,
                format!(
                    "a record of {size} bytes is larger than topic {:?} takes (max.message.bytes={})",
                    topic.name, topic.config.max_message_bytes
                ),
            ));
        }
        if topic.config.compact && record.key.is_none() {
            return Err(Error::no_key(&topic.name));
        }
        let count = topic.partitions.len() as u32;
        match (record.partition, record.key) {
            (Some(partition), _) => topic.partition(partition).map(|_| partition as u32),
            (None, Some(key)) => Ok(murmur2_partition(key, count as i32) as u32),
            (None, None) => Ok(self
                .keyless
                .entry(topic.id)
                .or_default()
                .place(size, count as i32) as u32),
        }
    }
}
