//! The log's reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Log;
use super::batch::{Head, records};
use super::bell::Bell;
use super::cursor::{Cursor, Room, Snapshot};
use crate::{
    Error, Message, Reader, ReaderSpec, Result, Start, StartAt, TopicPartition,
    TopicPartitionOffset,
};

pub(super) struct EmbeddedReader {
    log: Arc<Log>,
    bell: Arc<Bell>,
    cursors: Vec<Cursor>,
    /// The cursor that a poll begins with, so that each gets its turn.
    turn: usize,
    poll_bytes: usize,
}

impl EmbeddedReader {
    pub(super) fn new(log: Arc<Log>, spec: &ReaderSpec) -> Self {
        Self {
            log,
            bell: Arc::default(),
            cursors: Vec::new(),
            turn: 0,
            poll_bytes: spec.poll_bytes,
        }
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.cursors
            .iter()
            .position(|c| *c.topic.name == *topic && c.partition == partition)
    }
}

impl Reader for EmbeddedReader {
    fn assign(&mut self, topic: &str, partition: i32, start: StartAt) -> Result<()> {
        let topic = self.log.topics.expect(topic)?;
        let extent = topic.partition(partition)?.extent();
        let position = match start {
            StartAt::Earliest => extent.low,
            StartAt::Latest => extent.next,
            StartAt::Offset(offset) => u64::try_from(offset).map_err(|_| {
                Error::invalid(format!("{offset} is not an offset: offsets begin with 0"))
            })?,
        };
        topic.listen(&self.bell);
        let cursor = Cursor::new(topic.clone(), partition, position, Start::Earliest);
        match self.find(&topic.name, partition) {
            Some(index) => self.cursors[index] = cursor,
            None => self.cursors.push(cursor),
        }
        Ok(())
    }

    fn unassign(&mut self, topic: &str, partition: i32) -> Result<()> {
        if let Some(index) = self.find(topic, partition) {
            self.cursors.remove(index);
        }
        Ok(())
    }

    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Message>> {
        let deadline = Instant::now() + timeout;
        let mut messages = Vec::new();
        loop {
            if let Some(gone) = self.cursors.iter().find(|cursor| cursor.topic.is_deleted()) {
                return Err(Error::unknown_topic(&gone.topic.name));
            }
            let mut room = Room {
                records: max,
                bytes: self.poll_bytes,
            };
            let moved = read_in_turn(
                &self.log,
                &mut self.cursors,
                &mut self.turn,
                &mut room,
                &mut messages,
            )?;
            if moved || !self.bell.wait(deadline) {
                return Ok(messages);
            }
        }
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<i64> {
        let index = self.find(topic, partition).ok_or_else(|| {
            Error::state(format!(
                "partition {partition} of topic {topic:?} is not assigned to this reader"
            ))
        })?;
        Ok(self.cursors[index].position() as i64)
    }

    fn watermarks(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.log.watermarks(topic, partition)
    }

    fn offsets_for_times(
        &mut self,
        partitions: &[TopicPartition],
        timestamp: i64,
    ) -> Result<Vec<TopicPartitionOffset>> {
        partitions
            .iter()
            .map(|wanted| {
                let topic = self.log.topics.expect(&wanted.topic)?;
                let extent = topic.partition(wanted.partition)?.extent();
                // Taken after the extent: the log shows at least what the extent covers.
                let mut snapshot = Snapshot::new(&self.log.store);
                let mut at = extent.low;
                let mut found = None;
                while let Some((base, entry)) = snapshot
                    .batch_at(topic.id, wanted.partition as u32, at)?
                    .filter(|_| found.is_none())
                {
                    let head = Head::read(&entry)?;
                    if head.max_timestamp >= timestamp {
                        for record in records(&entry)? {
                            let record = record?;
                            if record.timestamp >= timestamp {
                                found = found.or(Some(base + u64::from(record.delta)));
                            }
                        }
                    }
                    at = base + u64::from(head.last_delta) + 1;
                }
                Ok(wanted.at(found.unwrap_or(extent.next) as i64))
            })
            .collect()
    }
}

/// Reads from all cursors that are not paused, beginning with the one whose turn it is. `true` if a
/// position moved.
pub(super) fn read_in_turn(
    log: &Log,
    cursors: &mut [Cursor],
    turn: &mut usize,
    room: &mut Room,
    out: &mut Vec<Message>,
) -> Result<bool> {
    let mut snapshot = Snapshot::new(&log.store);
    let mut moved = false;
    let count = cursors.len();
    for step in 0..count {
        let cursor = &mut cursors[(*turn + step) % count];
        if !cursor.paused {
            moved |= cursor.read(&mut snapshot, room, out)?;
        }
        if room.is_full() {
            // The next poll begins after the one that filled this.
            *turn = (*turn + step + 1) % count;
            break;
        }
    }
    Ok(moved)
}
