//! Which files are done: the latest names one by one, as digests, and all before them by one name.
//!
//! A folder may hold any number of files, and the position is stored with every batch, so what it says
//! of them is bounded. Files usually come in the order of their names; one that comes with an earlier
//! name is still seen, unless it lies before the latest [`KEPT`].

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

/// Names that are kept one by one.
const KEPT: usize = 5_000;

/// Bytes of a name's digest, and of its version's.
const NAME: usize = 8;
const VERSION: usize = 4;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was never read.
    New,
    /// It was read.
    Done,
    /// It was read, and is another one now.
    Changed,
}

/// The files that are done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// All names up to this one.
    through: Option<String>,
    /// Version by name, of those that were seen since the start.
    named: BTreeMap<String, u32>,
    /// Version by the digest of the name, of those that were not.
    stored: HashMap<u64, u32>,
    /// All files that are there were looked at since the start.
    listed: bool,
}

impl Done {
    /// From what was stored; `None` if that has another form.
    pub(crate) fn load(through: Option<String>, digests: &str) -> Option<Self> {
        let bytes = BASE64.decode(digests).ok()?;
        let (entries, rest) = bytes.as_chunks::<{ NAME + VERSION }>();
        if !rest.is_empty() {
            return None;
        }
        let stored = entries.iter().map(|entry| {
            let (name, version) = entry.split_at(NAME);
            (first_u64(name), first_u32(version))
        });
        Some(Self {
            through,
            named: BTreeMap::new(),
            stored: stored.collect(),
            listed: false,
        })
    }

    /// The last name of those that are known by it alone.
    pub(crate) fn through(&self) -> Option<&str> {
        self.through.as_deref()
    }

    /// The digests of all others, in base64.
    pub(crate) fn store(&self) -> String {
        let mut bytes = Vec::with_capacity((self.named.len() + self.stored.len()) * 12);
        let mut push = |name: u64, version: u32| {
            bytes.extend_from_slice(&name.to_be_bytes());
            bytes.extend_from_slice(&version.to_be_bytes());
        };
        for (name, version) in &self.named {
            push(digest(name), *version);
        }
        for (name, version) in &self.stored {
            push(*name, *version);
        }
        BASE64.encode(bytes)
    }

    /// What is known of a file that is there.
    pub(crate) fn look(&mut self, name: &str, version: u32) -> Known {
        if self
            .through
            .as_deref()
            .is_some_and(|through| name <= through)
        {
            return Known::Done;
        }
        if let Some(known) = self.stored.remove(&digest(name)) {
            self.named.insert(name.to_owned(), known);
        }
        match self.named.get(name) {
            None => Known::New,
            Some(known) if *known == version => Known::Done,
            Some(_) => Known::Changed,
        }
    }

    /// All files that are there were looked at.
    pub(crate) fn listed(&mut self) {
        self.listed = true;
    }

    /// A file that is done has another version now.
    pub(crate) fn note(&mut self, name: String, version: u32) {
        self.named.insert(name, version);
    }

    /// A file is done. `next`: the first name that is not, of those that are there.
    pub(crate) fn insert(&mut self, name: String, version: u32, next: Option<&str>) {
        self.named.insert(name, version);
        if self.named.len() + self.stored.len() <= KEPT || !self.listed {
            return;
        }
        // What was there before the start and is gone since: its names are not needed.
        self.stored.clear();
        while self.named.len() > KEPT / 2 {
            let Some(first) = self.named.first_entry() else {
                break;
            };
            if next.is_some_and(|next| first.key().as_str() > next) {
                break;
            }
            self.through = Some(first.remove_entry().0);
        }
    }
}

/// What tells one version of a file from another, in brief. Stores say the time of a change more
/// exactly in one answer than in another, so that only its seconds count.
pub(crate) fn version(meta: &ObjectMeta) -> u32 {
    let mut hash = Sha256::new();
    hash.update(meta.size.to_be_bytes());
    hash.update(meta.last_modified.timestamp().to_be_bytes());
    first_u32(&hash.finalize())
}

fn digest(name: &str) -> u64 {
    first_u64(&Sha256::digest(name))
}

fn first_u64(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn first_u32(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reload(done: &Done) -> Done {
        Done::load(done.through().map(str::to_owned), &done.store()).unwrap()
    }

    #[test]
    fn files_are_known_by_name_after_a_restart_and_changes_are_seen() {
        let mut done = Done::default();
        assert_eq!(done.look("b", 1), Known::New);
        done.insert("b".to_owned(), 1, None);
        let mut again = reload(&done);
        assert_eq!(again.look("b", 1), Known::Done);
        assert_eq!(again.look("b", 2), Known::Changed);
        assert_eq!(again.look("a", 1), Known::New, "earlier names come late");
        assert_eq!(again.look("c", 1), Known::New);
    }

    #[test]
    fn any_number_of_files_takes_bounded_room() {
        let mut done = Done::default();
        let name = |number: usize| format!("{number:06}");
        for number in 0..3 * KEPT {
            let next = name(number + 1);
            assert_eq!(done.look(&name(number), 7), Known::New);
            done.insert(name(number), 7, Some(&next));
            if number % 999 == 0 {
                done = reload(&done);
                // The file that was being read may come to its end before anything is listed.
                done.insert(name(number), 7, None);
                for number in 0..=number {
                    assert_eq!(done.look(&name(number), 7), Known::Done, "{number}");
                }
            }
            done.listed();
            assert!(done.named.len() + done.stored.len() <= KEPT + 1);
        }
        let mut done = reload(&done);
        for number in 0..3 * KEPT {
            assert_eq!(done.look(&name(number), 7), Known::Done, "{number}");
        }
        assert_eq!(done.look(&name(3 * KEPT), 7), Known::New);
    }

    #[test]
    fn no_file_that_is_still_to_be_read_counts_as_done() {
        let mut done = Done::default();
        done.listed();
        for number in 0..2 * KEPT {
            done.insert(format!("b{number:06}"), 7, Some("a"));
        }
        assert_eq!(done.look("a", 7), Known::New);
        assert_eq!(reload(&done).look("a", 7), Known::New);
    }

    #[test]
    fn what_is_no_list_of_digests_is_refused() {
        for digests in ["?", "AAAA"] {
            assert!(Done::load(None, digests).is_none());
        }
    }
}
