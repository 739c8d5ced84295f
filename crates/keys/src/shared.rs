//! What the key store's threads and callers share, and how records become keys.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use penstock_broker::Broker;
use zeroize::Zeroizing;

use crate::caches::Caches;
use crate::cipher::SealingKey;
use crate::clock::BrokerClock;
use crate::config::KeyStoreConfig;
use crate::data_key::DataKey;
use crate::error::{KeyError, Retry};
use crate::fold::{self, Entry};
use crate::kek::KeyEncryptionKey;
use crate::keyset::Keyset;
use crate::link::KeyLink;
use crate::local_store::{Folded, LocalStore, View};
use crate::mac::{Digest, StoreMac};
use crate::progress::Progress;
use crate::record::{DataRecord, Role, RootRecord, Value};
use crate::topic::{COMPACTION_LAG, KeysTopic};

/// Between two questions to a broker that cannot answer yet.
const PAUSE: Duration = Duration::from_millis(100);

/// The state of an open key store.
pub(crate) struct Shared {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) kek: Arc<dyn KeyEncryptionKey>,
    pub(crate) config: KeyStoreConfig,
    pub(crate) topic: KeysTopic,
    pub(crate) local: LocalStore,
    pub(crate) progress: Progress,
    pub(crate) clock: BrokerClock,
    pub(crate) caches: Caches,
    /// Unwrapped wrapping and quarantine keys.
    sealing: Mutex<HashMap<KeyLink, Arc<SealingKey>>>,
    mac: OnceLock<StoreMac>,
    /// Partitions that got records since their last marker.
    unmarked: Mutex<BTreeSet<i32>>,
}

/// A data key's unwrapped material and what is said of it in the clear.
pub(crate) struct Unwrapped {
    pub(crate) link: KeyLink,
    pub(crate) scope: Digest,
    pub(crate) stream: String,
    pub(crate) created: i64,
    pub(crate) window: i64,
    pub(crate) keyset: Keyset,
}

impl Shared {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        kek: Arc<dyn KeyEncryptionKey>,
        config: KeyStoreConfig,
        topic: KeysTopic,
        local: LocalStore,
    ) -> Self {
        Self {
            progress: Progress::new(&config.topic),
            caches: Caches::new(config.cache_entries),
            clock: BrokerClock::default(),
            sealing: Mutex::default(),
            mac: OnceLock::new(),
            // Nobody knows what came before this worker.
            unmarked: Mutex::new((0..topic.partitions).collect()),
            broker,
            kek,
            config,
            topic,
            local,
        }
    }

    /// The HMAC of this store; elected before the store is handed out.
    #[allow(clippy::expect_used, reason = "opening sets it before anyone can ask")]
    pub(crate) fn mac(&self) -> &StoreMac {
        self.mac
            .get()
            .expect("the HMAC key is elected when the store is opened")
    }

    pub(crate) fn set_mac(&self, mac: StoreMac) {
        // A second one would be the same: the HMAC key is elected once and for all.
        let _ = self.mac.set(mac);
    }

    /// Takes note of what a fold did: caches forget, partitions may want a marker.
    pub(crate) fn folded(&self, folded: &Folded) {
        self.caches.forget(folded);
        let mut unmarked = self.unmarked.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, is_unmarked) in &folded.unmarked {
            if *is_unmarked {
                unmarked.insert(*partition);
            } else {
                unmarked.remove(partition);
            }
        }
    }

    /// The partitions that got records since their last marker.
    pub(crate) fn unmarked(&self) -> Vec<i32> {
        self.unmarked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.config.timeout
    }

    /// Waits until own records are folded that were written after `began` (Invariant 3 of
    /// [`crate::fold`]).
    pub(crate) fn wait_written(
        &self,
        began: Instant,
        written: &[(i32, i64)],
    ) -> Result<(), KeyError> {
        let targets: Vec<_> = written
            .iter()
            .map(|(partition, offset)| (*partition, offset + 1))
            .collect();
        self.progress.wait(&targets, self.deadline())?;
        if began.elapsed() < COMPACTION_LAG / 2 {
            Ok(())
        } else {
            self.catch_up()
        }
    }

    /// Waits until all is folded that the topic holds now.
    pub(crate) fn catch_up(&self) -> Result<(), KeyError> {
        let deadline = self.deadline();
        loop {
            let began = Instant::now();
            match self.ends() {
                Ok(ends) => self.progress.wait(&ends, deadline)?,
                // A new topic, or one that is moving: its leaders are known in a moment.
                Err(error) if error.retry() == Retry::Backoff && began < deadline => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(error),
            }
            // Invariant 3 of the fold.
            if began.elapsed() < COMPACTION_LAG / 2 {
                return Ok(());
            }
        }
    }

    /// The same when the whole topic may be to read, for as long as that goes on.
    pub(crate) fn catch_up_from_start(&self) -> Result<(), KeyError> {
        let mut before = self.progress.distance();
        loop {
            let caught_up = self.catch_up();
            let distance = self.progress.distance();
            if !matches!(caught_up, Err(KeyError::Unavailable { .. })) || distance == before {
                return caught_up;
            }
            before = distance;
        }
    }

    fn ends(&self) -> Result<Vec<(i32, i64)>, KeyError> {
        let topic = &self.config.topic;
        let end = |partition| match self.broker.watermarks(topic, partition) {
            Ok((_, high)) => Ok((partition, high)),
            Err(e) => Err(KeyError::broker(
                format!("asking for the end of {topic}-{partition}"),
                e,
            )),
        };
        (0..self.topic.partitions).map(end).collect()
    }

    /// The current key of a scope if its window is not over by the broker's estimated clock.
    pub(crate) fn current_entry(
        &self,
        view: &View<'_>,
        scope: &Digest,
    ) -> Result<Option<Entry>, KeyError> {
        let live = view.live(scope)?;
        let current = fold::current(&live).copied();
        Ok(current.filter(|entry| self.clock.now() < entry.expires()))
    }

    /// Unwraps the data key with this link; `None` if there is none, or the link is of another record.
    pub(crate) fn unwrap_link(
        &self,
        view: &View<'_>,
        link: KeyLink,
    ) -> Result<Option<Unwrapped>, KeyError> {
        let Some(stored) = view.record(link)? else {
            return Ok(None);
        };
        match Value::decode(&stored.value) {
            Ok(Value::Data(data)) => self.unwrap(view, link, stored.appended, &data).map(Some),
            Ok(_) => Ok(None),
            Err(error) => Err(KeyError::corrupt(format!("key {link}"), error.to_string())),
        }
    }

    /// Unwraps a data key.
    pub(crate) fn unwrap(
        &self,
        view: &View<'_>,
        link: KeyLink,
        created: i64,
        data: &DataRecord<'_>,
    ) -> Result<Unwrapped, KeyError> {
        let damaged = || {
            KeyError::corrupt(
                format!("key {link}"),
                "it cannot be unwrapped: it was changed in the topic",
            )
        };
        let wrapping = self.sealing_key(view, data.wrapping)?.ok_or_else(|| {
            KeyError::corrupt(
                format!("key {link}"),
                format!("its wrapping key {} is not there", data.wrapping),
            )
        })?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(data.wrapped.len()));
        wrapping
            .open(data.wrapped, &data_context(link, data), &mut bytes)
            .map_err(|_| damaged())?;
        Ok(Unwrapped {
            link,
            scope: data.scope,
            stream: data.stream.to_owned(),
            created,
            window: data.window,
            keyset: Keyset::from_bytes(&bytes).ok_or_else(damaged)?,
        })
    }

    /// A wrapping or quarantine key; unwrapped once, then kept.
    pub(crate) fn sealing_key(
        &self,
        view: &View<'_>,
        link: KeyLink,
    ) -> Result<Option<Arc<SealingKey>>, KeyError> {
        if let Some(known) = self.sealing_keys().get(&link) {
            return Ok(Some(known.clone()));
        }
        let Some(stored) = view.record(link)? else {
            return Ok(None);
        };
        let Ok(Value::Root(root)) = Value::decode(&stored.value) else {
            return Ok(None);
        };
        if root.role == Role::Hmac {
            return Ok(None);
        }
        let key = Arc::new(SealingKey::new(&*self.unwrap_root(link, &root)?));
        Ok(Some(self.sealing_keys().entry(link).or_insert(key).clone()))
    }

    fn sealing_keys(&self) -> std::sync::MutexGuard<'_, HashMap<KeyLink, Arc<SealingKey>>> {
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unwraps one of the store's own keys with the key-encryption key.
    pub(crate) fn unwrap_root(
        &self,
        link: KeyLink,
        root: &RootRecord<'_>,
    ) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        if root.kek != self.kek.id() {
            return Err(KeyError::WrongKeyEncryptionKey {
                topic: self.config.topic.clone(),
                expected: root.kek.to_owned(),
                found: self.kek.id().to_owned(),
            });
        }
        let bytes = self.kek.unwrap(root.wrapped, &root_context(link, root))?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(KeyError::corrupt(
                format!("key {link}"),
                "it has the wrong length",
            ));
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }
}

impl Unwrapped {
    pub(crate) fn into_key(self) -> Arc<DataKey> {
        let (cipher, placement) = (self.keyset.cipher(), crate::mac::placement_of(&self.scope));
        Arc::new(DataKey::new(
            self.link,
            self.stream.into(),
            self.created,
            self.window,
            placement,
            cipher,
        ))
    }
}

/// What a wrapped keyset is bound to: all that its record says in the clear.
pub(crate) fn data_context(link: KeyLink, data: &DataRecord<'_>) -> Vec<u8> {
    let mut context = Vec::with_capacity(80 + data.stream.len());
    context.extend_from_slice(b"data");
    context.extend_from_slice(&link.0);
    context.extend_from_slice(&data.scope);
    context.extend_from_slice(&data.window.to_be_bytes());
    context.push(u8::from(data.subject.is_some()));
    context.extend_from_slice(data.subject.as_ref().map_or(&[], |subject| &subject[..]));
    context.extend_from_slice(data.stream.as_bytes());
    context
}

/// What one of the store's own keys is bound to.
pub(crate) fn root_context(link: KeyLink, root: &RootRecord<'_>) -> Vec<u8> {
    let mut context = Vec::with_capacity(40);
    context.extend_from_slice(b"root");
    context.push(root.role as u8);
    context.extend_from_slice(&link.0);
    context.extend_from_slice(&root.window.to_be_bytes());
    context.extend_from_slice(&root.partitions.to_be_bytes());
    context
}
