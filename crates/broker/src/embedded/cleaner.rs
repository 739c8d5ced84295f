//! Retention and compaction, in the background and in small steps beside the writes.
//!
//! Compaction removes a record once a later one has its key, and a tombstone once
//! `delete.retention.ms` have gone by since the compaction that removed what it deletes: whoever reads
//! from the start within that time sees every deletion. Offsets stay.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::batch::{Head, records, retain};
use super::cursor::Snapshot;
use super::now_ms;
use super::store::Store;
use super::topics::{Extent, Topic, Topics};
use super::writer::{Cleaned, Command, Writer};
use crate::{Error, ErrorKind, Result, Retry};

/// Keys of one compaction pass: some 10 MB of memory.
const PASS_KEYS: usize = 200_000;
/// Bytes that one step rewrites, so that appends never wait long.
const STEP_BYTES: usize = 1 << 20;
/// Less than this is not worth a compaction before `max.compaction.lag.ms`.
const MIN_DIRTY_BYTES: u64 = 1 << 20;

/// The background thread; dropping it stops it.
pub(super) struct Cleaner {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cleaner {
    pub(super) fn start(
        store: Arc<Store>,
        topics: Arc<Topics>,
        writer: Arc<Writer>,
        interval: Duration,
    ) -> Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("penstock-clean".to_owned())
            .spawn(move || {
                let cleaning = Cleaning {
                    store: &store,
                    writer: &writer,
                    hashers: <_>::default(),
                };
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    for topic in topics.all() {
                        if let Err(e) = cleaning.topic(&topic) {
                            tracing::warn!(topic = &*topic.name, "cleaning has to wait: {e}");
                        }
                    }
                }
            })
            .map_err(|e| {
                Error::new(
                    Retry::Backoff,
                    ErrorKind::Other,
                    "the log's cleaner thread cannot be started",
                )
                .with_source(e)
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Cleaning<'a> {
    store: &'a Store,
    writer: &'a Writer,
    hashers: (RandomState, RandomState),
}

impl Cleaning<'_> {
    fn topic(&self, topic: &Arc<Topic>) -> Result<()> {
        for (partition, state) in topic.partitions.iter().enumerate() {
            if topic.config.delete {
                self.expire(topic, partition as u32, state.extent())?;
            }
            if topic.config.compact && self.is_due(topic, partition as u32, state.extent())? {
                self.compact(topic, partition as u32, state.extent())?;
            }
        }
        Ok(())
    }

    /// Removes batches from the front that are too old or too many.
    fn expire(&self, topic: &Arc<Topic>, partition: u32, extent: Extent) -> Result<()> {
        const STEP_BATCHES: usize = 1000;
        let oldest = topic
            .config
            .retention_ms
            .map(|ms| now_ms().saturating_sub(ms));
        let limit = topic.config.retention_bytes.unwrap_or(u64::MAX);
        let (mut low, mut bytes) = (extent.low, extent.bytes);
        let mut snapshot = Snapshot::new(self.store);
        let mut batches = Vec::new();
        while low < extent.next {
            let Some((base, entry)) = snapshot.batch_at(topic.id, partition, low)? else {
                break;
            };
            let head = Head::read(&entry)?;
            let rest = bytes.saturating_sub(entry.len() as u64);
            if !(oldest.is_some_and(|oldest| head.max_timestamp < oldest) || rest >= limit) {
                break;
            }
            batches.push((base, None));
            low = base + u64::from(head.last_delta) + 1;
            bytes = rest;
            if batches.len() == STEP_BATCHES {
                self.clean(
                    topic,
                    partition,
                    std::mem::take(&mut batches),
                    Some(low),
                    None,
                )?;
            }
        }
        if batches.is_empty() {
            Ok(())
        } else {
            self.clean(topic, partition, batches, Some(low), None)
        }
    }

    fn is_due(&self, topic: &Topic, partition: u32, extent: Extent) -> Result<bool> {
        let config = &topic.config;
        if extent.dirty_bytes == 0 {
            return Ok(false);
        }
        let share = extent.dirty_bytes as f64 / extent.bytes.max(1) as f64;
        if extent.dirty_bytes >= MIN_DIRTY_BYTES && share >= config.min_cleanable_dirty_ratio {
            return Ok(true);
        }
        let first = Snapshot::new(self.store).batch_at(topic.id, partition, extent.clean)?;
        Ok(match first {
            Some((_, entry)) => {
                now_ms() - Head::read(&entry)?.append_time > config.max_compaction_lag_ms
            }
            None => false,
        })
    }

    fn compact(&self, topic: &Arc<Topic>, partition: u32, extent: Extent) -> Result<()> {
        let mut clean = extent.clean.max(extent.low);
        while clean < extent.next {
            let latest = self.latest_by_key(topic, partition, clean, extent.next)?;
            if latest.end == clean {
                break; // The rest is younger than min.compaction.lag.ms.
            }
            self.sweep(topic, partition, extent.low, &latest)?;
            let through = Some((latest.end, latest.bytes));
            self.clean(topic, partition, Vec::new(), None, through)?;
            clean = latest.end;
        }
        Ok(())
    }

    /// Collects the last offset of each key from `from` on.
    fn latest_by_key(&self, topic: &Topic, partition: u32, from: u64, to: u64) -> Result<Latest> {
        let youngest = now_ms().saturating_sub(topic.config.min_compaction_lag_ms);
        let mut latest = Latest {
            offsets: HashMap::new(),
            end: from,
            bytes: 0,
        };
        let mut snapshot = Snapshot::new(self.store);
        while latest.end < to && latest.offsets.len() < PASS_KEYS {
            let Some((base, entry)) = snapshot.batch_at(topic.id, partition, latest.end)? else {
                latest.end = to;
                break;
            };
            let head = Head::read(&entry)?;
            if topic.config.min_compaction_lag_ms > 0 && head.append_time > youngest {
                break;
            }
            for record in records(&entry)? {
                let record = record?;
                if let Some(key) = record.key {
                    latest
                        .offsets
                        .insert(self.hash(key), base + u64::from(record.delta));
                }
            }
            latest.end = base + u64::from(head.last_delta) + 1;
            latest.bytes += entry.len() as u64;
        }
        Ok(latest)
    }

    /// Rewrites all batches below `latest.end` without the records that a later one replaces.
    fn sweep(&self, topic: &Arc<Topic>, partition: u32, low: u64, latest: &Latest) -> Result<()> {
        let now = now_ms();
        let mut snapshot = Snapshot::new(self.store);
        let mut at = low;
        let mut step = Vec::new();
        let mut step_bytes = 0;
        while at < latest.end {
            let Some((base, entry)) = snapshot.batch_at(topic.id, partition, at)? else {
                break;
            };
            let head = Head::read(&entry)?;
            at = base + u64::from(head.last_delta) + 1;
            let expired = head.delete_horizon.is_some_and(|horizon| now >= horizon);
            let mut tombstones = false;
            let horizon = head
                .delete_horizon
                .unwrap_or(now.saturating_add(topic.config.delete_retention_ms));
            let mut kept = retain(&entry, Some(horizon), |record| {
                let offset = base + u64::from(record.delta);
                let replaced = record
                    .key
                    .and_then(|key| latest.offsets.get(&self.hash(key)))
                    .is_some_and(|last| *last > offset);
                let goes = replaced || (record.is_tombstone && expired);
                tombstones |= !goes && record.is_tombstone;
                !goes
            })?;
            let same_records = kept.as_ref().is_some_and(|kept| kept.len() == entry.len());
            if same_records && (!tombstones || head.delete_horizon.is_some()) {
                continue;
            }
            if !tombstones && let Some(bytes) = &kept {
                kept = retain(bytes, None, |_| true)?;
            }
            step_bytes += kept.as_ref().map_or(0, Vec::len);
            step.push((base, kept));
            if step_bytes >= STEP_BYTES || step.len() >= 1000 {
                self.clean(topic, partition, std::mem::take(&mut step), None, None)?;
                step_bytes = 0;
            }
        }
        if step.is_empty() {
            Ok(())
        } else {
            self.clean(topic, partition, step, None, None)
        }
    }

    fn clean(
        &self,
        topic: &Arc<Topic>,
        partition: u32,
        batches: Vec<(u64, Option<Vec<u8>>)>,
        low: Option<u64>,
        through: Option<(u64, u64)>,
    ) -> Result<()> {
        let cleaned = Cleaned {
            topic: topic.clone(),
            partition,
            batches,
            low,
            through,
        };
        self.writer.ask(|reply| Command::Clean { cleaned, reply })
    }

    /// 128 bits with seeds of this process: two keys never share one in practice.
    fn hash(&self, key: &[u8]) -> u128 {
        u128::from(self.hashers.0.hash_one(key)) << 64 | u128::from(self.hashers.1.hash_one(key))
    }
}

/// The last offset of each key in a stretch of a partition.
struct Latest {
    offsets: HashMap<u128, u64>,
    /// The stretch ends before this offset.
    end: u64,
    /// Bytes of its batches.
    bytes: u64,
}
