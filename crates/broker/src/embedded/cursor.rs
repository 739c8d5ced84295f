//! A place in one partition from which messages are read on.

use std::sync::Arc;

use bytes::Bytes;
use redb::ReadOnlyTable;

use super::batch::BatchReader;
use super::store::{LOG, LogKey, Store};
use super::topics::Topic;
use crate::{Message, Result, Start};

/// What one poll may still take.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }
}

/// The log at one moment, opened when the first cursor needs it.
pub(super) struct Snapshot<'a> {
    store: &'a Store,
    log: Option<ReadOnlyTable<LogKey, &'static [u8]>>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, log: None }
    }

    /// Forgets the moment: the next look is at the log as it is then.
    fn renew(&mut self) {
        self.log = None;
    }

    /// The batch that holds `offset`, or the next one: its base offset and its bytes.
    pub(super) fn batch_at(
        &mut self,
        topic_id: u32,
        partition: u32,
        offset: u64,
    ) -> Result<Option<(u64, Bytes)>> {
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                let read = self.store.read()?;
                none.insert(
                    read.open_table(LOG)
                        .map_err(|e| self.store.error(e.into()))?,
                )
            }
        };
        let first = (topic_id, partition, 0);
        let last = (topic_id, partition, u64::MAX);
        let here = (topic_id, partition, offset);
        (|| {
            if let Some(entry) = log.range(first..=here)?.next_back() {
                let (key, entry) = entry?;
                let base = key.value().2;
                let covers = super::batch::Head::read(entry.value())
                    .is_ok_and(|head| base + u64::from(head.last_delta) >= offset);
                if covers {
                    return Ok(Some((base, Bytes::copy_from_slice(entry.value()))));
                }
            }
            match log.range(here..=last)?.next() {
                Some(entry) => {
                    let (key, entry) = entry?;
                    Ok(Some((key.value().2, Bytes::copy_from_slice(entry.value()))))
                }
                None => Ok(None),
            }
        })()
        .map_err(|e: redb::Error| self.store.error(e))
    }
}

/// A place in a partition.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: i32,
    /// The next offset to hand out.
    position: u64,
    /// What is left of the batch at hand.
    batch: Option<BatchReader>,
    pub(super) paused: bool,
    /// Where to go on if the position lies beyond the end.
    start: Start,
}

impl Cursor {
    /// A cursor at `position` in a partition that exists.
    pub(super) fn new(topic: Arc<Topic>, partition: i32, position: u64, start: Start) -> Self {
        Self {
            topic,
            partition,
            position,
            batch: None,
            paused: false,
            start,
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn seek(&mut self, position: u64) {
        self.position = position;
        self.batch = None;
    }

    /// Reads what there is into `out`. `true` if the position moved.
    pub(super) fn read(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        room: &mut Room,
        out: &mut Vec<Message>,
    ) -> Result<bool> {
        let begin = self.position;
        let extent = self.topic.partitions[self.partition as usize].extent();
        if self.position < extent.low {
            self.seek(extent.low);
        } else if self.position > extent.next {
            self.seek(match self.start {
                Start::Earliest => extent.low,
                Start::Latest => extent.next,
            });
        }
        // The snapshot may have been taken for another cursor, before the extent: what it does not
        // show may have been written since.
        let mut snapshot_is_later = false;
        while self.position < extent.next && !room.is_full() {
            let batch = match &mut self.batch {
                Some(batch) => batch,
                none => {
                    let found =
                        snapshot.batch_at(self.topic.id, self.partition as u32, self.position)?;
                    let Some((base, entry)) = found else {
                        if !snapshot_is_later {
                            snapshot.renew();
                            snapshot_is_later = true;
                            continue;
                        }
                        // Compaction has left nothing from here to the end.
                        self.position = extent.next;
                        break;
                    };
                    none.insert(BatchReader::new(entry, base as i64)?)
                }
            };
            match batch.next(&self.topic.name, self.partition)? {
                Some(message) if message.offset < self.position as i64 => {}
                Some(message) => {
                    self.position = message.offset as u64 + 1;
                    room.records -= 1;
                    room.bytes = room.bytes.saturating_sub(message.size());
                    out.push(message);
                }
                None => {
                    self.position = self.position.max(batch.end() as u64);
                    self.batch = None;
                }
            }
        }
        if self.position >= extent.next {
            self.batch = None;
        }
        Ok(self.position != begin)
    }
}
