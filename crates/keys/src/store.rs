//! The key store: keys by value and by link, export, erasure, and sealed messages.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use penstock_broker::Broker;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::appender::{Appender, Request, Target, Wanted};
use crate::caches::Caches;
use crate::config::KeyStoreConfig;
use crate::data_key::{DataKey, KeyLookup};
use crate::error::KeyError;
use crate::follower::Follower;
use crate::kek::KeyEncryptionKey;
use crate::link::KeyLink;
use crate::local_store::LocalStore;
use crate::mac::placement_of;
use crate::request::{ExportedKey, KeyRequest};
use crate::seal::Quarantine;
use crate::shared::Shared;
use crate::{export, topic};

/// Callers that may wait for the writing thread at once.
const WAITING: usize = 4096;

/// The keys of all streams of a broker.
///
/// Two threads stand behind it: one follows the keys topic, one writes to it. The async methods need a
/// Tokio runtime; they wait for the broker only where memory and the local copy do not know the answer.
/// Dropping the store ends its threads and makes the local copy durable; that takes a moment.
pub struct KeyStore {
    pub(crate) shared: Arc<Shared>,
    quarantine: Quarantine,
    requests: Option<SyncSender<Request>>,
    threads: Vec<JoinHandle<()>>,
}

/// The keys in memory at one moment: none while the keys topic cannot be followed. To be used at once,
/// and asked for anew with each batch.
#[derive(Clone, Copy)]
pub struct Cached<'a> {
    caches: Option<&'a Caches>,
    /// Milliseconds since the epoch by the broker's clock.
    now: i64,
}

impl Cached<'_> {
    /// As [`KeyStore::cached_current`].
    pub fn current(&self, request: &KeyRequest<'_>) -> Option<Arc<DataKey>> {
        let key = self.caches?.current(request.stream, &request.value)?;
        (self.now < key.expires()).then_some(key)
    }
}

impl fmt::Debug for Cached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Opens the key store: makes or checks the keys topic, reads it to its end, elects what the store
    /// itself needs. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`TopicSettings`](KeyError::TopicSettings) says what to change in the topic,
    /// [`WrongKeyEncryptionKey`](KeyError::WrongKeyEncryptionKey) which key is needed.
    pub fn open(
        broker: Arc<dyn Broker>,
        kek: Arc<dyn KeyEncryptionKey>,
        config: KeyStoreConfig,
    ) -> Result<Arc<Self>, KeyError> {
        config.check()?;
        let topic = topic::prepare(&*broker, &config)?;
        let local = LocalStore::open(
            config.directory.as_deref(),
            config.store_cache_bytes,
            &config.topic,
        )?;
        let shared = Arc::new(Shared::new(broker, kek, config, topic, local));
        // From here on an early return ends the thread, too.
        let mut opening = Opening {
            shared: shared.clone(),
            threads: vec![Follower::new(shared.clone())?.start()?],
        };
        shared.catch_up_from_start()?;
        let mut appender = Appender::new(shared.clone());
        let link = appender.prepare_roots()?;
        let quarantine = Quarantine::new(link, &shared)?;
        let (requests, receiver) = sync_channel(WAITING);
        opening.threads.push(appender.start(receiver)?);
        Ok(Arc::new(Self {
            shared,
            quarantine,
            requests: Some(requests),
            threads: std::mem::take(&mut opening.threads),
        }))
    }

    /// The current key of a value if it is in memory and its window is not over. Costs a lookup in a
    /// sharded cache; nothing is known while the keys topic cannot be followed.
    pub fn cached_current(&self, request: &KeyRequest<'_>) -> Option<Arc<DataKey>> {
        self.cached().current(request)
    }

    /// The keys in memory as of now, for the many events of a batch.
    pub fn cached(&self) -> Cached<'_> {
        Cached {
            caches: (self.shared.progress.is_fresh()).then_some(&self.shared.caches),
            now: self.shared.clock.now(),
        }
    }

    /// The current keys of these values, in order. Keys for all values that have none, or whose key's
    /// window is over, are made in one round trip to the broker.
    ///
    /// # Errors
    /// With [`Retry::Backoff`](crate::Retry::Backoff) while the broker is away; no event may pass then.
    pub async fn current(
        &self,
        requests: &[KeyRequest<'_>],
    ) -> Result<Vec<Arc<DataKey>>, KeyError> {
        let cached = self.cached();
        let mut keys: Vec<Option<Arc<DataKey>>> = requests
            .iter()
            .map(|request| cached.current(request))
            .collect();
        // One question for a value, however often it occurs.
        let mut asked: HashMap<(&str, &str), usize> = HashMap::new();
        let mut wanted = Vec::new();
        for (request, _) in requests.iter().zip(&keys).filter(|(_, key)| key.is_none()) {
            asked
                .entry((request.stream, &request.value))
                .or_insert_with(|| {
                    wanted.push(self.wanted(request));
                    wanted.len() - 1
                });
        }
        if !wanted.is_empty() {
            let ticket = self.shared.caches.ticket();
            let found = self.find_or_create(wanted).await?;
            for ((stream, value), index) in &asked {
                self.shared
                    .caches
                    .put_current(ticket, stream, value, &found[*index]);
            }
            for (request, key) in requests.iter().zip(&mut keys) {
                if key.is_none() {
                    *key = asked
                        .get(&(request.stream, &*request.value))
                        .map(|index| found[*index].clone());
                }
            }
        }
        let found = |key: Option<_>| key.unwrap_or_else(|| unreachable!("all were asked for"));
        Ok(keys.into_iter().map(found).collect())
    }

    fn wanted(&self, request: &KeyRequest<'_>) -> Wanted {
        let mac = self.shared.mac();
        Wanted {
            scope: mac.scope(request.stream, &request.value),
            stream: request.stream.to_owned(),
            subject: request.subject.as_ref().map(|subject| mac.subject(subject)),
        }
    }

    async fn find_or_create(&self, wanted: Vec<Wanted>) -> Result<Vec<Arc<DataKey>>, KeyError> {
        let shared = self.shared.clone();
        let (mut keys, missing, wanted) = blocking(move || {
            if !shared.progress.is_fresh() {
                shared.catch_up()?;
            }
            let view = shared.local.view()?;
            let mut keys = Vec::with_capacity(wanted.len());
            let mut missing = Vec::new();
            for (index, want) in wanted.iter().enumerate() {
                let found = match shared.current_entry(&view, &want.scope)? {
                    Some(entry) => shared.unwrap_link(&view, entry.link)?,
                    None => None,
                };
                if found.is_none() {
                    missing.push(index);
                }
                keys.push(found.map(|found| found.into_key()));
            }
            Ok((keys, missing, wanted))
        })
        .await?;
        if !missing.is_empty() {
            let wanted = missing.iter().map(|index| wanted[*index].clone()).collect();
            let made = self.ask(|reply| Request::Create { wanted, reply }).await?;
            for (index, key) in missing.into_iter().zip(made) {
                keys[index] = Some(key);
            }
        }
        let found = |key: Option<_>| key.unwrap_or_else(|| unreachable!("all were asked for"));
        Ok(keys.into_iter().map(found).collect())
    }

    /// What there is to a link, if that is in memory.
    pub fn cached_by_link(&self, link: &str) -> Option<KeyLookup> {
        if !self.shared.progress.is_fresh() {
            return None;
        }
        match link.parse::<KeyLink>() {
            Ok(link) => self.shared.caches.by_link(link),
            Err(()) => Some(KeyLookup::Unknown),
        }
    }

    /// What there is to these links, in order. That a key was erased is said only after the keys topic
    /// has been read to its end.
    pub async fn by_links(&self, links: &[&str]) -> Result<Vec<KeyLookup>, KeyError> {
        let links: Vec<Option<KeyLink>> = links.iter().map(|link| link.parse().ok()).collect();
        let shared = self.shared.clone();
        blocking(move || look_up(&shared, &links)).await
    }

    /// A keyed hash of a value that chooses the partition of its events. The same in all workers.
    pub fn placement_hash(&self, stream: &str, value: &str) -> u64 {
        placement_of(&self.shared.mac().scope(stream, value))
    }

    /// All keys of a stream in the clear, as of now, as they are unwrapped. Dropping the receiver ends it.
    pub async fn export(
        &self,
        stream: &str,
    ) -> Result<mpsc::Receiver<Result<ExportedKey, KeyError>>, KeyError> {
        let shared = self.shared.clone();
        blocking(move || shared.catch_up()).await?;
        let (sender, receiver) = mpsc::channel(256);
        let (shared, stream) = (self.shared.clone(), stream.to_owned());
        spawn_blocking(move || {
            let export = AssertUnwindSafe(|| export::stream(&shared, &stream, &sender));
            // A panic that ended the thread would look like the end of the keys.
            let ended = catch_unwind(export).unwrap_or(Err(KeyError::Panicked {
                doing: "exporting keys",
            }));
            if let Err(error) = ended {
                // Nobody to tell if the receiver is gone.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(receiver)
    }

    /// Erases the keys with these links, for good. Returns how many there were, once the tombstones are
    /// durable; other workers forget the keys within seconds.
    pub async fn erase_links(&self, links: &[&str]) -> Result<usize, KeyError> {
        let links = links.iter().filter_map(|link| link.parse().ok()).collect();
        self.erase_target(Target::Links(links)).await
    }

    /// Erases all keys of a value of a stream's key field; see [`erase_links`](Self::erase_links).
    pub async fn erase(&self, stream: &str, value: &str) -> Result<usize, KeyError> {
        self.erase_target(Target::Scope(self.shared.mac().scope(stream, value)))
            .await
    }

    /// Erases all keys that were made for a data subject, in all streams; see
    /// [`erase_links`](Self::erase_links).
    pub async fn erase_subject(&self, subject: &str) -> Result<usize, KeyError> {
        self.erase_target(Target::Subject(self.shared.mac().subject(subject)))
            .await
    }

    async fn erase_target(&self, target: Target) -> Result<usize, KeyError> {
        self.ask(|reply| Request::Erase { target, reply }).await
    }

    /// Seals a message, such as a dead letter, so that only who holds the key-encryption key can open it:
    /// see [`unseal`](Self::unseal).
    pub fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        self.quarantine.seal(plaintext)
    }

    /// Opens what [`seal`](Self::seal) of any worker with this keys topic returned.
    ///
    /// # Errors
    /// [`Corrupt`](KeyError::Corrupt) if it is no sealed message, was changed, or is of another store.
    pub fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.quarantine.unseal(sealed)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, KeyError>>) -> Request,
    ) -> Result<T, KeyError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(KeyError::Closed)?;
        // Never blocks the runtime; a caller that finds no place waits as for a broker that is away.
        requests
            .try_send(request(reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => KeyError::Unavailable {
                    topic: self.shared.config.topic.clone(),
                    reason: "too many wait for keys at once".to_owned(),
                },
                TrySendError::Disconnected(_) => KeyError::Closed,
            })?;
        answer.await.map_err(|_| KeyError::Closed)?
    }
}

fn look_up(shared: &Shared, links: &[Option<KeyLink>]) -> Result<Vec<KeyLookup>, KeyError> {
    let mut caught_up = false;
    if !shared.progress.is_fresh() {
        shared.catch_up()?;
        caught_up = true;
    }
    loop {
        let ticket = shared.caches.ticket();
        let view = shared.local.view()?;
        let mut found = Vec::with_capacity(links.len());
        let mut open = false;
        for link in links {
            let Some(link) = *link else {
                found.push(KeyLookup::Unknown);
                continue;
            };
            if let Some(known) = shared.caches.by_link(link) {
                found.push(known);
                continue;
            }
            let lookup = match shared.unwrap_link(&view, link)? {
                Some(key) => KeyLookup::Usable(key.into_key()),
                None if !link.passes(|random| shared.mac().link_check(random)) => {
                    found.push(KeyLookup::Unknown);
                    continue;
                }
                None => KeyLookup::Erased,
            };
            // A key may have been made after the last record that was read.
            if caught_up || matches!(lookup, KeyLookup::Usable(_)) {
                shared.caches.put_link(ticket, link, lookup.clone());
            } else {
                open = true;
            }
            found.push(lookup);
        }
        if !open {
            return Ok(found);
        }
        drop(view);
        shared.catch_up()?;
        caught_up = true;
    }
}

/// Runs blocking work beside the async runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(KeyError::Closed),
    }
}

/// Ends the threads of a store that is not open yet.
struct Opening {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.shared.progress.close();
        }
        end(&mut self.threads);
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        self.requests = None;
        self.shared.progress.close();
        end(&mut self.threads);
    }
}

fn end(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        // A panic was reported when it happened.
        let _ = thread.join();
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("topic", &self.shared.config.topic)
            .finish_non_exhaustive()
    }
}
