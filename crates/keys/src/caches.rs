//! Unwrapped keys in memory, by value and by link; bounded, and quick to forget.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use smallvec::SmallVec;

use crate::data_key::{DataKey, KeyLookup};
use crate::link::KeyLink;
use crate::local_store::Folded;

#[derive(PartialEq, Eq, Hash)]
struct Owner {
    stream: Arc<str>,
    /// Most values lie in the entry itself, which saves a way to memory.
    value: SmallVec<[u8; 40]>,
}

#[derive(Hash)]
struct OwnerRef<'a> {
    stream: &'a str,
    value: &'a [u8],
}

impl<'a> OwnerRef<'a> {
    fn new(stream: &'a str, value: &'a str) -> Self {
        let value = value.as_bytes();
        Self { stream, value }
    }
}

impl Equivalent<Owner> for OwnerRef<'_> {
    fn equivalent(&self, owner: &Owner) -> bool {
        *self.value == *owner.value && *self.stream == *owner.stream
    }
}

/// Both caches. They are sharded; a hit takes one shard's read lock.
pub(crate) struct Caches {
    currents: Cache<Owner, Arc<DataKey>>,
    links: Cache<KeyLink, KeyLookup>,
    /// The names of streams, which are few: all values of a stream share its name, so that a lookup
    /// finds it in the processor's cache.
    streams: Mutex<HashSet<Arc<str>>>,
    /// Goes up before keys are forgotten.
    forgettings: AtomicU64,
}

/// Taken before a key is looked up that is then put into the caches: tells whether keys were forgotten
/// meanwhile, perhaps that very one.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Caches {
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            currents: Cache::new(entries),
            links: Cache::new(entries),
            streams: Mutex::default(),
            forgettings: AtomicU64::new(0),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.forgettings.load(Ordering::SeqCst))
    }

    pub(crate) fn current(&self, stream: &str, value: &str) -> Option<Arc<DataKey>> {
        self.currents.get(&OwnerRef::new(stream, value))
    }

    pub(crate) fn by_link(&self, link: KeyLink) -> Option<KeyLookup> {
        self.links.get(&link)
    }

    pub(crate) fn put_current(
        &self,
        ticket: Ticket,
        stream: &str,
        value: &str,
        key: &Arc<DataKey>,
    ) {
        let owner = Owner {
            stream: self.stream(stream),
            value: SmallVec::from_slice(value.as_bytes()),
        };
        self.currents.insert(owner, key.clone());
        if self.ticket().0 != ticket.0 {
            self.currents.remove(&OwnerRef::new(stream, value));
        }
        self.put_link(ticket, key.link, KeyLookup::Usable(key.clone()));
    }

    fn stream(&self, name: &str) -> Arc<str> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        match streams.get(name) {
            Some(known) => known.clone(),
            None => {
                let stream: Arc<str> = name.into();
                streams.insert(stream.clone());
                stream
            }
        }
    }

    pub(crate) fn put_link(&self, ticket: Ticket, link: KeyLink, found: KeyLookup) {
        self.links.insert(link, found);
        if self.ticket().0 != ticket.0 {
            self.links.remove(&link);
        }
    }

    /// Forgets what a fold removed. The fold is already visible to whoever looks up.
    pub(crate) fn forget(&self, folded: &Folded) {
        if folded.removed.is_empty() && folded.retired.is_empty() {
            return;
        }
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        for link in &folded.removed {
            self.links.remove(link);
        }
        if !folded.retired.is_empty() {
            let retired: HashSet<_> = folded.retired.iter().copied().collect();
            self.currents.retain(|_, key| !retired.contains(&key.link));
        }
    }

    pub(crate) fn clear(&self) {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        self.currents.clear();
        self.links.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cipher::CipherKind;
    use crate::keyset::Keyset;

    fn key() -> Arc<DataKey> {
        let cipher = Keyset::generate(CipherKind::Aes256Siv).cipher();
        Arc::new(DataKey::new(KeyLink::random(), "s".into(), 0, 1, 0, cipher))
    }

    fn gone(key: &DataKey) -> Folded {
        Folded {
            removed: vec![key.link],
            retired: vec![key.link],
            ..Folded::default()
        }
    }

    #[test]
    fn keys_are_found_by_value_of_their_stream_and_by_link() {
        let (caches, key) = (Caches::new(10), key());
        caches.put_current(caches.ticket(), "s", "v", &key);
        assert!(caches.current("s", "v").is_some() && caches.by_link(key.link).is_some());
        assert!(caches.current("sv", "").is_none() && caches.current("t", "v").is_none());
        caches.forget(&gone(&key));
        assert!(caches.current("s", "v").is_none() && caches.by_link(key.link).is_none());
    }

    #[test]
    fn a_key_that_is_erased_while_it_is_looked_up_does_not_stay() {
        let (caches, key) = (Caches::new(10), key());
        let ticket = caches.ticket();
        caches.forget(&gone(&key));
        caches.put_current(ticket, "s", "v", &key);
        assert!(caches.current("s", "v").is_none() && caches.by_link(key.link).is_none());
    }
}
