//! The events of late, by identity: what a resumed server sends again is dropped.
//!
//! An event with an id of its own (`meta.id`) is known by that, wherever it comes again. One without is
//! known by its SSE id and its data, which others may share: a server that seeks a timestamp sends all
//! events of it again, and more of the same may follow. So when a connection resumes, those events are
//! *awaited* that a server could send again from there, each as often as it came, and only what is
//! awaited is dropped. An event that came without an SSE id cannot be told from others like it, and is
//! never dropped.
//!
//! What a server could send again when it resumes at an id: with ids that hold timestamps ([`Cursor`]),
//! the events from the first one on that has the timestamp of the position, topic by topic; with other
//! ids, those that share the last id.
//!
//! The last 10,000 identities are remembered. Beside the position lie those of them that could come
//! again, which is what a restart needs, and the last 256 that have an id of their own, for servers
//! that go back a little. So a position takes 3 KB instead of 107 KB in most streams, written with
//! every batch.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::decoder::ServerEvent;

/// How many events are remembered.
pub(crate) const REMEMBERED: usize = 10_000;

/// How many of them lie beside every position.
const ALWAYS: usize = 256;

/// What an event is known by: 63 bits of a digest, and which kind it is of. Two of 10,000 events share
/// one by chance once in 10^11 windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(u64);

/// The bit of an identity that is set where others may have the same.
const SHARED: u64 = 1;

impl Identity {
    /// An event's own id (`meta.id`).
    pub(crate) fn of_id(id: &str) -> Self {
        Self(Self::digest(&[b"id", id.as_bytes()]) & !SHARED)
    }

    /// An event without an id of its own: where it came in the stream, and what it is. `None` where the
    /// server did not say where.
    pub(crate) fn of_data(event: &ServerEvent, data: &[u8]) -> Option<Self> {
        if !event.own_id || event.id.is_empty() {
            return None;
        }
        let length = (event.id.len() as u64).to_be_bytes();
        let parts = [b"data", &length[..], event.id.as_bytes(), data];
        Some(Self(Self::digest(&parts) | SHARED))
    }

    /// Whether other events may have the same.
    fn is_shared(self) -> bool {
        self.0 & SHARED != 0
    }

    fn digest(parts: &[&[u8]]) -> u64 {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part);
        }
        let bytes: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        u64::from_be_bytes(first)
    }
}

/// An SSE id as EventStreams makes it: where each topic of the stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor(Vec<(Arc<str>, i64)>);

#[derive(serde::Deserialize)]
struct CursorEntry<'a> {
    #[serde(borrow)]
    topic: std::borrow::Cow<'a, str>,
    timestamp: Option<i64>,
}

impl Cursor {
    /// `None` for an id of another making. Names of topics are shared with the id before.
    fn parse(id: &str, before: Option<&Self>) -> Option<Self> {
        let entries: Vec<CursorEntry<'_>> = serde_json::from_str(id).ok()?;
        let name = |topic: &str| {
            let known =
                before.and_then(|before| before.0.iter().find(|(name, _)| **name == *topic));
            known.map_or_else(|| topic.into(), |(name, _)| Arc::clone(name))
        };
        Some(Self(
            entries
                .iter()
                .filter_map(|entry| Some((name(&entry.topic), entry.timestamp?)))
                .collect(),
        ))
    }

    /// The topic that an event came from which moved the stream from `before` to here: the one that
    /// the event names, or the only one, or the only one that moved. `None` if that cannot be told.
    fn moved_from(&self, before: &Self, named: Option<&str>) -> Option<&(Arc<str>, i64)> {
        if let Some(entry) = self.0.iter().find(|(topic, _)| Some(&**topic) == named) {
            return Some(entry);
        }
        if let [only] = &self.0[..] {
            return Some(only);
        }
        let mut moved = self.0.iter().filter(|entry| !before.0.contains(entry));
        match (moved.next(), moved.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }
}

/// When a server could send an event again.
#[derive(Clone, Debug)]
enum Mark {
    /// When it resumes at this timestamp of this topic, or earlier.
    Timestamp(Arc<str>, i64),
    /// When it resumes at this id.
    Id(Arc<str>),
    /// Whenever it likes, as far as can be told.
    Unknown,
}

impl Mark {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

struct Entry {
    identity: Identity,
    mark: Mark,
}

/// The events of late.
#[derive(Default)]
pub(crate) struct Recent {
    /// Those with an id of their own.
    known: HashSet<Identity>,
    /// Of the others, how often each may come again over the connection at hand.
    awaited: HashMap<Identity, u32>,
    entries: VecDeque<Entry>,
    /// The id of the last event, and what it says.
    last: Option<(Arc<str>, Option<Cursor>)>,
}

impl Recent {
    /// Remembers what was stored beside the position `id`.
    pub(crate) fn load(stored: &str, id: &Arc<str>) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(stored).ok()?;
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut recent = Self::default();
        let has_cursor = Cursor::parse(id, None).is_some();
        for chunk in chunks {
            let identity = Identity(u64::from_be_bytes(*chunk));
            let mark = match identity.is_shared() && !has_cursor {
                true => Mark::Id(Arc::clone(id)),
                false => Mark::Unknown,
            };
            recent.remember(identity, mark);
        }
        Some(recent)
    }

    /// A connection is made that resumes at `id`: some events may come again.
    pub(crate) fn resume(&mut self, id: &str) {
        let mut awaited = HashMap::new();
        for (_, entry) in self.again(id) {
            if entry.identity.is_shared() {
                *awaited.entry(entry.identity).or_default() += 1;
            }
        }
        self.awaited = awaited;
    }

    /// Remembers an event that came under an SSE id, from the topic that it names, if it names one;
    /// whether it is new.
    pub(crate) fn insert(
        &mut self,
        identity: Option<Identity>,
        id: &Arc<str>,
        topic: Option<&str>,
    ) -> bool {
        let mark = self.mark(id, topic);
        match identity {
            None => true,
            Some(identity) if identity.is_shared() => self.insert_shared(identity, mark),
            Some(identity) => {
                let is_new = !self.known.contains(&identity);
                if is_new {
                    self.remember(identity, mark);
                }
                is_new
            }
        }
    }

    fn insert_shared(&mut self, identity: Identity, mark: Mark) -> bool {
        match self.awaited.get_mut(&identity) {
            Some(times @ 1..) => {
                *times -= 1;
                // One that was stored has its mark only now.
                let unmarked =
                    |entry: &&mut Entry| entry.identity == identity && entry.mark.is_unknown();
                if let Some(entry) = self.entries.iter_mut().find(unmarked) {
                    entry.mark = mark;
                }
                false
            }
            // When it could come again cannot be told, nor then whether it does.
            _ if mark.is_unknown() => true,
            _ => {
                self.remember(identity, mark);
                true
            }
        }
    }

    fn remember(&mut self, identity: Identity, mark: Mark) {
        if !identity.is_shared() {
            self.known.insert(identity);
        }
        self.entries.push_back(Entry { identity, mark });
        if self.entries.len() > REMEMBERED
            && let Some(oldest) = self.entries.pop_front()
        {
            self.known.remove(&oldest.identity);
        }
    }

    fn mark(&mut self, id: &Arc<str>, topic: Option<&str>) -> Mark {
        let before = self.last.take();
        let last = before.as_ref().and_then(|(_, cursor)| cursor.as_ref());
        let cursor = match &before {
            Some((same, cursor)) if same == id => cursor.clone(),
            _ => Cursor::parse(id, last),
        };
        let mark = match &cursor {
            None => Mark::Id(Arc::clone(id)),
            Some(cursor) => {
                let nowhere = Cursor::default();
                match cursor.moved_from(last.unwrap_or(&nowhere), topic) {
                    Some((topic, timestamp)) => Mark::Timestamp(Arc::clone(topic), *timestamp),
                    None => Mark::Unknown,
                }
            }
        };
        self.last = Some((Arc::clone(id), cursor));
        mark
    }

    /// The events that a server could send again when it resumes at `id`, with their places.
    fn again(&self, id: &str) -> impl Iterator<Item = (usize, &Entry)> {
        let cursor = Cursor::parse(id, None);
        // Topics of which an event was met that has the position's timestamp: all later ones follow.
        let mut begun: HashMap<&str, bool> = HashMap::new();
        self.entries
            .iter()
            .enumerate()
            .filter(move |(_, entry)| match &entry.mark {
                Mark::Unknown => true,
                // Without ids a server cannot resume.
                Mark::Id(own) => !own.is_empty() && **own == *id,
                Mark::Timestamp(topic, timestamp) => {
                    let begun = begun.entry(topic).or_default();
                    *begun |= match &cursor {
                        None => true,
                        Some(cursor) => cursor
                            .0
                            .iter()
                            .any(|(other, from)| other == topic && timestamp >= from),
                    };
                    *begun
                }
            })
    }

    /// What lies beside the position `id`.
    pub(crate) fn store(&self, id: &str) -> String {
        let always = self.entries.len().saturating_sub(ALWAYS);
        let mut again = self.again(id).map(|(index, _)| index).peekable();
        let mut bytes = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let comes_again = again.next_if_eq(&index).is_some();
            if comes_again || (index >= always && !entry.identity.is_shared()) {
                bytes.extend_from_slice(&entry.identity.0.to_be_bytes());
            }
        }
        BASE64_STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests;
