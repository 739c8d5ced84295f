//! The stored form of records: batches of some 60 kB, each one entry of the store.
//!
//! ```text
//! batch  = magic u8 · flags u8 · count u32 · last delta u32 · append time i64 · max timestamp i64
//!          · delete horizon i64 · record*
//! record = offset delta varint · timestamp i64 · key · value · header count varint · header*
//! header = name length varint · name · value
//! key, value = length + 1 as varint (0 is null) · bytes
//! ```
//!
//! Integers are little endian, varints LEB128. Offsets are the entry's base offset plus the delta.

use std::sync::Arc;

use bytes::Bytes;

use super::wire::{Scan, corrupt, put_nullable, put_varint};
use crate::{Header, Message, OutRecord, Result};

const MAGIC: u8 = 1;
const HEADER: usize = 34;
const FLAG_LOG_APPEND_TIME: u8 = 1;

/// A batch ends before it grows past this, so that it fits the store's 64 KiB pages. A record that is
/// larger by itself makes a batch of its own.
pub(super) const TARGET_BYTES: usize = 60_000;

/// Collects records of one partition, in order.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    /// Room for the head, then the records.
    entry: Vec<u8>,
    count: u32,
    max_timestamp: i64,
}

impl BatchBuilder {
    pub(super) fn new() -> Self {
        Self {
            entry: vec![0; HEADER],
            count: 0,
            max_timestamp: i64::MIN,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn len(&self) -> usize {
        self.entry.len()
    }

    /// Whether a record of `size` bytes (see [`record_size`]) belongs into the next batch.
    pub(super) fn is_full_for(&self, size: usize) -> bool {
        self.count > 0 && self.len() + size > TARGET_BYTES
    }

    pub(super) fn push(&mut self, record: &OutRecord<'_>, timestamp: i64) {
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let out = &mut self.entry;
        put_varint(out, u64::from(self.count));
        out.extend_from_slice(&timestamp.to_le_bytes());
        put_nullable(out, record.key);
        put_nullable(out, record.value);
        put_varint(out, record.headers.len() as u64);
        for header in record.headers {
            put_varint(out, header.name.len() as u64);
            out.extend_from_slice(header.name.as_bytes());
            put_nullable(out, header.value.as_deref());
        }
        self.count += 1;
    }

    /// The entry to store. With `log_append_time` the records carry `now` instead of their own time.
    pub(super) fn finish(&mut self, now: i64, log_append_time: bool) -> &[u8] {
        let head = Head {
            log_append_time,
            count: self.count,
            last_delta: self.count.saturating_sub(1),
            append_time: now,
            max_timestamp: if log_append_time {
                now
            } else {
                self.max_timestamp
            },
            delete_horizon: None,
        };
        self.entry[..HEADER].copy_from_slice(&head.to_bytes());
        &self.entry
    }
}

/// Upper bound of the bytes a record takes in a batch.
pub(super) fn record_size(record: &OutRecord<'_>) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|h| 10 + h.name.len() + h.value.as_ref().map_or(0, Bytes::len))
        .sum();
    28 + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}

/// The fixed part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) log_append_time: bool,
    pub(super) count: u32,
    /// Delta of the last offset that the batch ever held; compaction keeps it.
    pub(super) last_delta: u32,
    /// When the batch was written, milliseconds since the epoch.
    pub(super) append_time: i64,
    pub(super) max_timestamp: i64,
    /// From when on compaction may drop the batch's tombstones; set by the compaction that has
    /// removed what they delete.
    pub(super) delete_horizon: Option<i64>,
}

impl Head {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = MAGIC;
        bytes[1] = if self.log_append_time {
            FLAG_LOG_APPEND_TIME
        } else {
            0
        };
        bytes[2..6].copy_from_slice(&self.count.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.last_delta.to_le_bytes());
        bytes[10..18].copy_from_slice(&self.append_time.to_le_bytes());
        bytes[18..26].copy_from_slice(&self.max_timestamp.to_le_bytes());
        bytes[26..].copy_from_slice(&self.delete_horizon.unwrap_or(0).to_le_bytes());
        bytes
    }

    /// Reads the fixed part of an entry.
    pub(super) fn read(entry: &[u8]) -> Result<Self> {
        let mut fields = Scan {
            bytes: entry,
            at: 0,
        };
        let magic = fields.array::<1>()?[0];
        if magic != MAGIC {
            return Err(corrupt(&format!("batch format {magic} is not known")));
        }
        let flags = fields.array::<1>()?[0];
        let head = Self {
            log_append_time: flags & FLAG_LOG_APPEND_TIME != 0,
            count: u32::from_le_bytes(fields.array()?),
            last_delta: u32::from_le_bytes(fields.array()?),
            append_time: i64::from_le_bytes(fields.array()?),
            max_timestamp: i64::from_le_bytes(fields.array()?),
            delete_horizon: Some(i64::from_le_bytes(fields.array()?)).filter(|at| *at != 0),
        };
        Ok(head)
    }
}

/// A stored record, as ranges of its entry.
pub(super) struct StoredRecord<'a> {
    pub(super) delta: u32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) is_tombstone: bool,
    pub(super) timestamp: i64,
    /// All bytes of the record.
    bytes: &'a [u8],
}

/// The records of an entry without copying them.
pub(super) fn records(entry: &[u8]) -> Result<impl Iterator<Item = Result<StoredRecord<'_>>>> {
    let head = Head::read(entry)?;
    let mut scan = Scan {
        bytes: entry,
        at: HEADER,
    };
    let mut left = head.count;
    Ok(std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some(read_stored(&mut scan, &head))
    }))
}

fn read_stored<'a>(scan: &mut Scan<'a>, head: &Head) -> Result<StoredRecord<'a>> {
    let start = scan.at;
    let delta = scan.delta()?;
    let timestamp = i64::from_le_bytes(scan.array()?);
    let key = scan.nullable()?.map(|(from, to)| &scan.bytes[from..to]);
    let is_tombstone = scan.nullable()?.is_none();
    for _ in 0..scan.varint()? {
        let name = scan.varint()?;
        scan.take(name)?;
        scan.nullable()?;
    }
    let bytes = &scan.bytes[start..scan.at];
    let timestamp = if head.log_append_time {
        head.append_time
    } else {
        timestamp
    };
    Ok(StoredRecord {
        delta,
        key,
        is_tombstone,
        timestamp,
        bytes,
    })
}

/// The entry with only those records that `keep` wants; `None` if none are left.
pub(super) fn retain(
    entry: &[u8],
    delete_horizon: Option<i64>,
    mut keep: impl FnMut(&StoredRecord<'_>) -> bool,
) -> Result<Option<Vec<u8>>> {
    let mut head = Head {
        count: 0,
        delete_horizon,
        ..Head::read(entry)?
    };
    let mut kept = vec![0; HEADER];
    for record in records(entry)? {
        let record = record?;
        if keep(&record) {
            kept.extend_from_slice(record.bytes);
            head.count += 1;
        }
    }
    kept[..HEADER].copy_from_slice(&head.to_bytes());
    Ok((head.count > 0).then_some(kept))
}

/// Decodes messages out of one entry; keys, values and header values are slices of it.
#[derive(Debug)]
pub(super) struct BatchReader {
    entry: Bytes,
    head: Head,
    base: i64,
    at: usize,
    left: u32,
    /// Headers of a topic are mostly alike: names are shared with the record before.
    names: Vec<Arc<str>>,
}

impl BatchReader {
    /// Reads `entry`, whose first offset is `base`.
    pub(super) fn new(entry: Bytes, base: i64) -> Result<Self> {
        let head = Head::read(&entry)?;
        Ok(Self {
            entry,
            head,
            base,
            at: HEADER,
            left: head.count,
            names: Vec::new(),
        })
    }

    /// The next message of the entry.
    pub(super) fn next(&mut self, topic: &Arc<str>, partition: i32) -> Result<Option<Message>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        let mut scan = Scan {
            bytes: &self.entry,
            at: self.at,
        };
        let delta = scan.delta()?;
        let timestamp = i64::from_le_bytes(scan.array()?);
        let slice =
            |range: Option<(usize, usize)>| range.map(|(from, to)| self.entry.slice(from..to));
        let key = slice(scan.nullable()?);
        let value = slice(scan.nullable()?);
        let count = scan.varint()?;
        let mut headers = Vec::with_capacity(count.min(64));
        for i in 0..count {
            let length = scan.varint()?;
            let (from, to) = scan.take(length)?;
            let name = header_name(&mut self.names, i, &self.entry[from..to])?;
            headers.push(Header {
                name,
                value: slice(scan.nullable()?),
            });
        }
        self.at = scan.at;
        self.left = left;
        Ok(Some(Message {
            topic: topic.clone(),
            partition,
            offset: self.base + i64::from(delta),
            timestamp: if self.head.log_append_time {
                self.head.append_time
            } else {
                timestamp
            },
            key,
            value,
            headers,
        }))
    }

    /// The offset after the last one that this entry covers.
    pub(super) fn end(&self) -> i64 {
        self.base + i64::from(self.head.last_delta) + 1
    }
}

fn header_name(names: &mut Vec<Arc<str>>, i: usize, name: &[u8]) -> Result<Arc<str>> {
    if let Some(known) = names.get(i)
        && known.as_bytes() == name
    {
        return Ok(known.clone());
    }
    let name: Arc<str> = std::str::from_utf8(name)
        .map_err(|_| corrupt("a header name is not UTF-8"))?
        .into();
    if i < names.len() {
        names[i] = name.clone();
    } else if i == names.len() && i < 64 {
        names.push(name.clone());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))
    }

    fn record() -> impl Strategy<Value = Message> {
        let headers = proptest::collection::vec(("[a-zé]{0,6}", part()), 0..4);
        (any::<i64>(), part(), part(), headers).prop_map(|(timestamp, key, value, headers)| {
            Message {
                topic: "t".into(),
                partition: 3,
                offset: 0,
                timestamp,
                key: key.map(Bytes::from),
                value: value.map(Bytes::from),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| Header {
                        name: name.into(),
                        value: value.map(Bytes::from),
                    })
                    .collect(),
            }
        })
    }

    fn build(messages: &[Message]) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        for m in messages {
            let record = OutRecord {
                topic: &m.topic,
                partition: None,
                key: m.key.as_deref(),
                value: m.value.as_deref(),
                headers: &m.headers,
                timestamp: Some(m.timestamp),
            };
            let before = builder.len();
            builder.push(&record, m.timestamp);
            assert!(
                builder.len() - before <= record_size(&record),
                "record_size is an upper bound"
            );
        }
        builder
    }

    fn read(entry: Vec<u8>, base: i64) -> Vec<Message> {
        let mut reader = BatchReader::new(entry.into(), base).unwrap();
        std::iter::from_fn(|| reader.next(&"t".into(), 3).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mut messages in proptest::collection::vec(record(), 1..20), base in 0i64..1 << 40) {
            let entry = build(&messages).finish(7, false).to_vec();
            for (i, m) in messages.iter_mut().enumerate() {
                m.offset = base + i as i64;
            }
            prop_assert_eq!(Head::read(&entry).unwrap().max_timestamp, messages.iter().map(|m| m.timestamp).max().unwrap());
            prop_assert_eq!(read(entry, base), messages);
        }

        #[test]
        fn retained_records_keep_offsets_and_content(
            mut messages in proptest::collection::vec(record(), 1..20), keep in proptest::collection::vec(any::<bool>(), 20)
        ) {
            let entry = build(&messages).finish(7, false).to_vec();
            for (i, m) in messages.iter_mut().enumerate() {
                m.offset = i as i64;
            }
            let kept = retain(&entry, Some(5), |r| keep[r.delta as usize]).unwrap();
            let expected: Vec<_> = messages.iter().filter(|m| keep[m.offset as usize]).cloned().collect();
            let end = messages.len() as i64;
            if let Some(kept) = kept {
                prop_assert_eq!(BatchReader::new(kept.clone().into(), 0).unwrap().end(), end);
                prop_assert_eq!(Head::read(&kept).unwrap().delete_horizon, Some(5));
                prop_assert_eq!(read(kept, 0), expected);
            } else {
                prop_assert!(expected.is_empty());
            }
        }

        #[test]
        fn damaged_batches_are_errors_and_never_panics(messages in proptest::collection::vec(record(), 1..5), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bits in 1u8..) {
            let mut entry = build(&messages).finish(7, false).to_vec();
            let at = flip.index(entry.len());
            entry[at] ^= bits;
            entry.truncate(cut.index(entry.len()) + 1);
            if let Ok(mut reader) = BatchReader::new(entry.into(), 0) {
                while let Ok(Some(_)) = reader.next(&"t".into(), 3) {}
            }
        }
    }

    #[test]
    fn log_append_time_replaces_the_records_own() {
        let mut builder = BatchBuilder::new();
        builder.push(&OutRecord::new("t", None), 5);
        let entry = builder.finish(70, true).to_vec();
        assert_eq!(Head::read(&entry).unwrap().max_timestamp, 70);
        assert_eq!(read(entry, 0)[0].timestamp, 70);
    }
}
