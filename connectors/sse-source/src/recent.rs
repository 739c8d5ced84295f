//! The events of late, by identity: what a resumed server sends again is dropped.
//!
//! The last 10,000 identities are remembered. Beside the position lie those of them that a server
//! could send again when asked to resume there, which is what a restart needs: with ids that hold
//! timestamps ([`Cursor`]), the events from the first one on that has the timestamp of the position,
//! topic by topic; with other ids, those that share the last id. The last 256 are always among them.
//! So a position takes 3 KB instead of 107 KB in most streams, written with every batch.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// How many events are remembered.
pub(crate) const REMEMBERED: usize = 10_000;

/// How many of them lie beside every position.
const ALWAYS: usize = 256;

/// What an event is known by: 64 bits of a digest. Two of 10,000 events share one by chance once in
/// 10^11 windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(u64);

impl Identity {
    /// An event's own id (`meta.id`).
    pub(crate) fn of_id(id: &str) -> Self {
        Self::digest(&[b"id", id.as_bytes()])
    }

    /// An event without an id of its own: where it came in the stream, and what it is.
    pub(crate) fn of_data(position: &str, data: &[u8]) -> Self {
        let length = (position.len() as u64).to_be_bytes();
        Self::digest(&[b"data", &length, position.as_bytes(), data])
    }

    fn digest(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part);
        }
        let bytes: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        Self(u64::from_be_bytes(first))
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

struct Entry {
    identity: Identity,
    mark: Mark,
}

/// The events of late.
#[derive(Default)]
pub(crate) struct Recent {
    known: HashSet<Identity>,
    entries: VecDeque<Entry>,
    /// The id of the last event, and what it says.
    last: Option<(Arc<str>, Option<Cursor>)>,
}

impl Recent {
    /// Remembers what was stored beside a position.
    pub(crate) fn load(stored: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(stored).ok()?;
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut recent = Self::default();
        for chunk in chunks {
            recent.remember(Identity(u64::from_be_bytes(*chunk)), Mark::Unknown);
        }
        Some(recent)
    }

    /// Remembers an event that came under an SSE id, from the topic that it names, if it names one;
    /// whether it is new.
    pub(crate) fn insert(
        &mut self,
        identity: Identity,
        id: &Arc<str>,
        topic: Option<&str>,
    ) -> bool {
        let mark = self.mark(id, topic);
        self.remember(identity, mark)
    }

    fn remember(&mut self, identity: Identity, mark: Mark) -> bool {
        if !self.known.insert(identity) {
            return false;
        }
        self.entries.push_back(Entry { identity, mark });
        if self.entries.len() > REMEMBERED
            && let Some(oldest) = self.entries.pop_front()
        {
            self.known.remove(&oldest.identity);
        }
        true
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

    /// What lies beside the position `id`.
    pub(crate) fn store(&self, id: &str) -> String {
        let cursor = Cursor::parse(id, None);
        // Topics of which an event was met that has the position's timestamp: all later ones follow.
        let mut begun: HashMap<&str, bool> = HashMap::new();
        let always = self.entries.len().saturating_sub(ALWAYS);
        let mut bytes = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let again = match &entry.mark {
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
            };
            if again || index >= always {
                bytes.extend_from_slice(&entry.identity.0.to_be_bytes());
            }
        }
        BASE64_STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(text: &str) -> Arc<str> {
        text.into()
    }

    /// As EventStreams writes it.
    fn cursor(a: i64, b: i64) -> Arc<str> {
        format!(
            r#"[{{"topic":"eqiad.s","partition":0,"timestamp":{a}}},{{"topic":"codfw.s","partition":0,"timestamp":{b}}},{{"topic":"eqiad.t","partition":0,"offset":-1}}]"#
        )
        .into()
    }

    fn stored(recent: &Recent, id: &str) -> usize {
        BASE64_STANDARD.decode(recent.store(id)).unwrap().len() / 8
    }

    fn event(number: usize) -> Identity {
        Identity::of_id(&number.to_string())
    }

    #[test]
    fn an_event_is_new_once() {
        let mut recent = Recent::default();
        assert!(recent.insert(Identity::of_id("a"), &id("1"), None));
        assert!(!recent.insert(Identity::of_id("a"), &id("2"), None));
        assert!(recent.insert(Identity::of_data("1", b"a"), &id("1"), None));
        assert!(recent.insert(Identity::of_data("2", b"a"), &id("2"), None));
        assert!(recent.insert(Identity::of_data("", b"2a"), &id("2"), None));
    }

    #[test]
    fn the_oldest_of_ten_thousand_are_forgotten() {
        let mut recent = Recent::default();
        for number in 0..=REMEMBERED {
            assert!(recent.insert(event(number), &id("1"), None));
        }
        assert!(!recent.insert(event(1), &id("1"), None));
        assert!(recent.insert(event(0), &id("1"), None));
    }

    #[test]
    fn what_was_stored_is_known_after_a_restart() {
        let mut recent = Recent::default();
        for number in 0..1000 {
            recent.insert(event(number), &cursor(7, 3), None);
        }
        let mut loaded = Recent::load(&recent.store(&cursor(7, 3))).unwrap();
        for number in 0..1000 {
            assert!(
                !loaded.insert(event(number), &cursor(7, 3), None),
                "{number}"
            );
        }
        assert!(Recent::load("x").is_none());
        assert!(Recent::load("AAAA").is_none());
    }

    #[test]
    fn events_of_the_last_timestamp_are_stored_and_older_ones_are_not() {
        let mut recent = Recent::default();
        for number in 0..5000_usize {
            let id = cursor(i64::try_from(number / 1000).unwrap(), 0);
            recent.insert(event(number), &id, Some("eqiad.s"));
        }
        assert_eq!(stored(&recent, &cursor(4, 0)), 1000);
        assert_eq!(stored(&recent, &cursor(3, 0)), 2000);
        // The other topic is where it was. That one moved can be told without its name.
        recent.insert(event(5000), &cursor(4, 9), None);
        assert_eq!(stored(&recent, &cursor(4, 9)), 1001);
    }

    #[test]
    fn events_whose_topic_cannot_be_told_are_stored() {
        let mut recent = Recent::default();
        for number in 0..1000 {
            recent.insert(event(number), &cursor(1, 1), None);
        }
        assert_eq!(stored(&recent, &cursor(9, 9)), 1000);
    }

    #[test]
    fn events_after_one_of_the_last_timestamp_are_stored_whatever_theirs_is() {
        let mut recent = Recent::default();
        let single = |timestamp: i64| id(&format!(r#"[{{"topic":"t","timestamp":{timestamp}}}]"#));
        for number in 0..1000 {
            let late = if number == 300 { 50 } else { 10 };
            recent.insert(event(number), &single(late), None);
        }
        // A server that seeks 20 finds event 300 and sends all from there.
        assert_eq!(stored(&recent, &single(20)), 700);
    }

    #[test]
    fn of_other_ids_the_last_ones_are_stored_and_those_that_share_the_last() {
        let mut recent = Recent::default();
        for number in 0..5000_usize {
            recent.insert(event(number), &id(&number.to_string()), None);
        }
        assert_eq!(stored(&recent, "4999"), ALWAYS);
        for number in 5000..6000_usize {
            recent.insert(event(number), &id("same"), None);
        }
        assert_eq!(stored(&recent, "same"), 1000);
    }
}
