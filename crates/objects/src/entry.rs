//! What the journal holds of a partition: everything that whoever has the partition next must know so
//! that each record lies in the bucket once. As JSON, with a version.

use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::{Error, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::event_clock::EventClock;

const VERSION: u32 = 1;

/// The largest entry. It is one record, and by default topics take a megabyte and clients send one.
pub(crate) const LARGEST: usize = 900 << 10;

/// Bytes of an entry, uploads left out, in which there is room for files that can wait. Beyond it only
/// the file that holds the position back is announced: it makes room.
pub(crate) const ROOMY: usize = 400 << 10;

/// Bytes of an entry without anything of variable length, and then some.
const FRAME: usize = 1 << 10;

/// The most bytes that a text takes as JSON.
fn length(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    escaped.sum::<usize>() + 2
}

/// The most bytes that a key's cursor takes.
pub(crate) fn cursor_length(key: &str) -> usize {
    length(key) + 24
}

/// The bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    /// CRC-32 (IEEE) of all of them.
    pub(crate) checksum: u32,
}

/// A file that is complete and on its way to its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    /// Name of the object.
    pub(crate) name: Arc<str>,
    /// Path and writer schema: what its records have in common.
    pub(crate) key: Arc<str>,
    /// What the clock said when it was opened.
    pub(crate) stamp: Arc<str>,
    /// Offset of the record that it is named by.
    pub(crate) first: i64,
    /// Offset of its last record.
    pub(crate) last: i64,
    pub(crate) rows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema_id: Option<u32>,
    /// The least and the greatest timestamp of its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timestamps: Option<(i64, i64)>,
    /// The object has one of these contents, the latest last: rows that are written a second time can
    /// give other bytes where memory was short the first time.
    pub(crate) contents: Vec<Content>,
}

/// An upload in parts that may be under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingUpload {
    pub(crate) name: Arc<str>,
    pub(crate) id: Arc<str>,
}

impl Announced {
    /// The most bytes that it takes in an entry.
    pub(crate) fn length(&self) -> usize {
        let texts = [&self.name, &self.key, &self.stamp];
        texts.map(|text| length(text)).iter().sum::<usize>() + 240 + 64 * self.contents.len()
    }
}

/// What the clock said of records that are in no file that the journal names: whoever reads them again,
/// at another time, puts them under the same names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamped {
    /// Records before this offset.
    pub(crate) before: i64,
    pub(crate) stamp: Arc<str>,
}

/// One partition's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    version: u32,
    /// All records before this offset are durable or were never to be.
    pub(crate) resume: i64,
    /// The records' own time before `resume`.
    #[serde(flatten)]
    pub(crate) clock: EventClock,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stamped: Option<Stamped>,
    /// For each key the last offset that is durable, where it is `resume` or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cursors: Vec<(Arc<str>, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) announced: Vec<Announced>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uploads: Vec<PendingUpload>,
}

impl Content {
    /// No bytes at all.
    pub(crate) const EMPTY: Self = Self {
        bytes: 0,
        checksum: 0,
    };
}

impl Entry {
    pub(crate) fn new(resume: i64, clock: EventClock) -> Self {
        Self {
            version: VERSION,
            resume,
            clock,
            stamped: None,
            cursors: Vec::new(),
            announced: Vec::new(),
            uploads: Vec::new(),
        }
    }

    /// The most bytes that it takes, uploads left out: there are so many of them at most.
    pub(crate) fn length(&self) -> usize {
        let cursors = self.cursors.iter().map(|(key, _)| cursor_length(key));
        let announced = self.announced.iter().map(Announced::length);
        let stamp = self.stamped.as_ref();
        let stamp = stamp.map_or(0, |stamped| length(&stamped.stamp));
        FRAME + stamp + cursors.chain(announced).sum::<usize>()
    }

    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        let text = serde_json::to_vec(self).map_err(|error| {
            Error::never("a journal entry cannot be encoded").with_source(error)
        })?;
        Ok(text.into())
    }

    pub(crate) fn decode(partition: &TopicPartition, note: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let (topic, number) = (&partition.topic, partition.partition);
        let unreadable = |error: serde_json::Error| {
            Error::never(format!(
                "the journal's entry of {topic}-{number} cannot be read; it tells which records are in the bucket: \
                 restore the journal's topic, or take the entry away to export the partition anew"
            ))
            .with_source(error)
        };
        let Versioned { version } = serde_json::from_slice(note).map_err(unreadable)?;
        if version != VERSION {
            return Err(Error::never(format!(
                "the journal's entry of {topic}-{number} has version {version}, and this program knows version {VERSION}: \
                 it was written by a later one, use that"
            )));
        }
        serde_json::from_slice(note).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition {
            topic: "demo".into(),
            partition: 3,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut clock = EventClock::default();
        clock.see(1_700_000_000_000, 1);
        let mut entry = Entry::new(17, clock);
        assert_eq!(
            std::str::from_utf8(&entry.encode().unwrap()).unwrap(),
            r#"{"version":1,"resume":17,"stream_time":1700000000000}"#
        );
        entry.stamped = Some(Stamped {
            before: 44,
            stamp: "2026-01-31T10".into(),
        });
        entry.cursors = vec![("a/b\0s7".into(), 40)];
        entry.announced = vec![Announced {
            name: "topics/demo/a/demo+3+0000000020.jsonl".into(),
            key: "a\0s7".into(),
            stamp: "".into(),
            first: 20,
            last: 29,
            rows: 10,
            schema_id: Some(7),
            timestamps: Some((5, 9)),
            contents: vec![Content {
                bytes: 1000,
                checksum: 0xffff_ffff,
            }],
        }];
        entry.uploads = vec![PendingUpload {
            name: "x".into(),
            id: "2~y".into(),
        }];
        let read = Entry::decode(&partition(), &entry.encode().unwrap()).unwrap();
        assert_eq!(read, entry);
    }

    #[test]
    fn lengths_are_never_less_than_what_is_written() {
        let odd: Arc<str> = "a\"b\\c\0d\n\u{7f}é".repeat(9).into();
        let mut entry = Entry::new(i64::MIN, EventClock::default());
        let content = Content {
            bytes: u64::MAX,
            checksum: u32::MAX,
        };
        let file = Announced {
            name: odd.clone(),
            key: odd.clone(),
            stamp: odd.clone(),
            first: i64::MIN,
            last: i64::MIN,
            rows: u64::MAX,
            schema_id: Some(u32::MAX),
            timestamps: Some((i64::MIN, i64::MIN)),
            contents: vec![content; 3],
        };
        for _ in 0..100 {
            entry.cursors.push((odd.clone(), i64::MIN));
            entry.announced.push(file.clone());
        }
        let (written, length) = (entry.encode().unwrap().len(), entry.length());
        assert!(written <= length, "{written} of {length}");
        assert!(written * 10 > length * 8, "{written} of {length}");
    }

    #[test]
    fn an_entry_of_a_later_version_or_of_nothing_stops_the_task() {
        for (note, expected) in [
            (
                &br#"{"version":2,"positions":[]}"#[..],
                "the journal's entry of demo-3 has version 2, and this program knows version 1: it was written by a \
                 later one, use that",
            ),
            (
                b"\0",
                "the journal's entry of demo-3 cannot be read; it tells which records are in the bucket: restore the \
                 journal's topic, or take the entry away to export the partition anew",
            ),
        ] {
            let error = Entry::decode(&partition(), note).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.retry, penstock_connect::Retry::Never);
        }
    }
}
