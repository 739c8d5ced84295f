//! The thread that follows the keys topic: reads it, folds it into the local copy, and makes the caches
//! forget what was erased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use penstock_broker::{ErrorKind, Message, Reader, ReaderSpec, StartAt};

use crate::clock::local_now;
use crate::error::KeyError;
use crate::fold;
use crate::record::Role;
use crate::shared::Shared;

const POLL: Duration = Duration::from_millis(200);
const POLL_RECORDS: usize = 10_000;
const POLL_BYTES: usize = 1 << 20;
/// How often the copy is made durable: what a killed worker reads again.
const DURABLE_EVERY: Duration = Duration::from_secs(5);
/// The same while nothing comes: then only the time of the last reading changes.
const IDLE_DURABLE_EVERY: Duration = Duration::from_secs(60);
/// How often it is made sure that nothing lies unread although polls bring nothing.
const LOOK_FOR_END_EVERY: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Reads the keys topic.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    reader: Option<Box<dyn Reader>>,
    /// Next offset to fold, by partition.
    positions: Vec<i64>,
    /// Not yet at the topic's end since the start, or since something failed.
    behind: bool,
    /// When all of the topic was read, or reading began from its start: milliseconds since the epoch by
    /// this machine's clock.
    complete_at: i64,
    looked_for_end: Instant,
    made_durable: Instant,
    dirty: bool,
}

impl Follower {
    /// Goes on where the local copy is, or from the start if the copy cannot be trusted.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self, KeyError> {
        let mut follower = Self {
            shared,
            reader: None,
            positions: Vec::new(),
            behind: true,
            complete_at: local_now(),
            looked_for_end: Instant::now(),
            made_durable: Instant::now(),
            dirty: false,
        };
        follower.load()?;
        Ok(follower)
    }

    fn load(&mut self) -> Result<(), KeyError> {
        let (positions, complete_at) =
            self.shared.local.checkpoint(self.shared.topic.partitions)?;
        self.positions = positions;
        self.reader = None;
        self.behind = true;
        self.dirty = false;
        self.shared.progress.set_back(&self.positions);
        let now = local_now();
        if self.positions.iter().all(|position| *position == 0) {
            self.complete_at = now;
            return Ok(());
        }
        self.complete_at = complete_at.unwrap_or(0);
        let reason = match complete_at {
            None => Some("it does not say when it was made"),
            Some(_) if self.was_away_too_long(now) => {
                Some("it is too old: deletions may have left the topic since")
            }
            Some(_) if !self.topic_is_the_same()? => {
                Some("the topic is not the one that it was copied from")
            }
            Some(_) => None,
        };
        match reason {
            Some(reason) => self.rebuild(reason),
            None => Ok(()),
        }
    }

    /// Tombstones leave the topic `delete.retention.ms` after what they delete: who reads on after a
    /// longer time would keep keys that were erased.
    fn was_away_too_long(&self, now: i64) -> bool {
        let away = Duration::from_millis(now.saturating_sub(self.complete_at).unsigned_abs());
        away > self.shared.topic.delete_retention / 2
    }

    /// Whether the HMAC key's record is still where it was read: it is never removed.
    fn topic_is_the_same(&mut self) -> Result<bool, KeyError> {
        let topic = self.shared.config.topic.clone();
        for (partition, position) in (0i32..).zip(&self.positions) {
            let (_, high) = self
                .shared
                .broker
                .watermarks(&topic, partition)
                .map_err(|e| {
                    KeyError::broker(format!("asking for the end of {topic}-{partition}"), e)
                })?;
            if *position > high {
                return Ok(false);
            }
        }
        let live = self.shared.local.view()?.live(&Role::Hmac.scope())?;
        let Some(entry) = fold::current(&live) else {
            return Ok(false);
        };
        let failed = |e| KeyError::broker(format!("reading {topic}-0"), e);
        let mut reader = self
            .shared
            .broker
            .reader(self.reader_spec())
            .map_err(failed)?;
        reader
            .assign(&topic, 0, StartAt::Offset(entry.offset))
            .map_err(failed)?;
        let deadline = self.shared.deadline();
        while Instant::now() < deadline {
            let messages = reader.poll(1, POLL).map_err(failed)?;
            if let Some(first) = messages.first() {
                let same_key = first.key.as_deref() == Some(entry.link.to_string().as_bytes());
                return Ok(first.offset == entry.offset && same_key);
            }
            if reader.position(&topic, 0).map_err(failed)? > entry.offset {
                return Ok(false);
            }
        }
        Err(KeyError::Unavailable {
            topic,
            reason: "waited in vain for a record".to_owned(),
        })
    }

    fn rebuild(&mut self, reason: &str) -> Result<(), KeyError> {
        tracing::info!(
            topic = self.shared.config.topic,
            "reading all keys anew; the local copy is dropped: {reason}"
        );
        self.shared.local.clear()?;
        self.shared.caches.clear();
        self.positions.fill(0);
        self.complete_at = local_now();
        self.reader = None;
        self.behind = true;
        self.shared.progress.set_back(&self.positions);
        Ok(())
    }

    /// Runs until the key store is closed.
    pub(crate) fn start(self) -> Result<JoinHandle<()>, KeyError> {
        let topic = self.shared.config.topic.clone();
        std::thread::Builder::new()
            .name("penstock-keys-r".to_owned())
            .spawn(move || self.run())
            .map_err(|e| KeyError::Unavailable {
                topic,
                reason: format!("no thread can be started to read it: {e}"),
            })
    }

    fn run(mut self) {
        let mut pause = Duration::from_millis(50);
        while !self.shared.progress.is_closed() {
            let Err(error) = self.step() else {
                pause = Duration::from_millis(50);
                continue;
            };
            if matches!(error, KeyError::Corrupt { .. }) {
                tracing::error!("the key store stops: {error}");
                self.shared.progress.fail(error);
                self.shared.caches.clear();
                return;
            }
            tracing::warn!("following the keys topic: {error}");
            self.shared.progress.trouble(&error);
            self.behind = true;
            if matches!(error, KeyError::LocalStore { .. })
                && let Err(error) = self.shared.local.reopen().and_then(|()| self.load())
            {
                tracing::warn!("opening the local copy again: {error}");
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if let Err(error) = self.fold(&[], self.positions.clone(), true) {
            tracing::warn!(
                "the local copy could not be made durable; it is read anew from an older state: {error}"
            );
        }
    }

    /// Reads and folds once.
    fn step(&mut self) -> Result<(), KeyError> {
        let now = local_now();
        if self.was_away_too_long(now) {
            self.rebuild("this machine stood still, and deletions may have left the topic since")?;
        }
        let look_for_end = self.behind || self.looked_for_end.elapsed() > LOOK_FOR_END_EVERY;
        let ends = if look_for_end {
            Some(self.ends()?)
        } else {
            None
        };
        let messages = self.with_reader(|reader, _| reader.poll(POLL_RECORDS, POLL))?;
        let positions = self.with_reader(|reader, shared| {
            (0..shared.topic.partitions)
                .map(|p| reader.position(&shared.config.topic, p))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let at_end =
            ends.is_some_and(|ends| ends.iter().zip(&positions).all(|(end, at)| at >= end));
        let since = self.made_durable.elapsed();
        let durable = since > IDLE_DURABLE_EVERY || (since > DURABLE_EVERY && self.dirty);
        if !messages.is_empty() || positions != self.positions || durable {
            self.fold(&messages, positions, durable)?;
        }
        if at_end {
            self.behind = false;
            self.complete_at = now;
            self.looked_for_end = Instant::now();
        }
        self.shared.progress.folded(&self.positions, at_end);
        Ok(())
    }

    fn fold(
        &mut self,
        messages: &[Message],
        positions: Vec<i64>,
        durable: bool,
    ) -> Result<(), KeyError> {
        let folded = self
            .shared
            .local
            .fold(messages, &positions, self.complete_at, durable)?;
        self.shared.folded(&folded);
        self.positions = positions;
        self.dirty = !durable;
        if durable {
            self.made_durable = Instant::now();
        }
        Ok(())
    }

    fn ends(&mut self) -> Result<Vec<i64>, KeyError> {
        self.with_reader(|reader, shared| {
            let topic = &shared.config.topic;
            (0..shared.topic.partitions)
                .map(|p| Ok(reader.watermarks(topic, p)?.1))
                .collect()
        })
    }

    fn reader_spec(&self) -> ReaderSpec {
        // A partition that is added, or has a new leader, waits for the end of the fetch under way.
        let overrides = BTreeMap::from([("fetch.max.wait.ms".to_owned(), "50".to_owned())]);
        ReaderSpec {
            poll_bytes: POLL_BYTES,
            prefetch_bytes: POLL_BYTES,
            overrides,
            ..ReaderSpec::new(self.shared.config.client_id.clone())
        }
    }

    fn with_reader<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Reader, &Shared) -> penstock_broker::Result<T>,
    ) -> Result<T, KeyError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.open_reader()?,
        };
        match work(&mut *reader, &self.shared) {
            Ok(done) => {
                self.reader = Some(reader);
                Ok(done)
            }
            Err(e) if e.kind == ErrorKind::OffsetOutOfRange => Err(KeyError::corrupt(
                format!("topic {:?}", self.shared.config.topic),
                "records are gone that were there before: it lost data, or was made anew; restart this worker",
            )),
            // A new reader goes on where the fold is: this one may have moved past records that were not
            // folded.
            Err(e) => Err(KeyError::broker(
                format!("reading topic {:?}", self.shared.config.topic),
                e,
            )),
        }
    }

    fn open_reader(&self) -> Result<Box<dyn Reader>, KeyError> {
        let topic = &self.shared.config.topic;
        let failed = |e| KeyError::broker(format!("reading topic {topic:?}"), e);
        let mut reader = self
            .shared
            .broker
            .reader(self.reader_spec())
            .map_err(failed)?;
        for (partition, position) in (0i32..).zip(&self.positions) {
            reader
                .assign(topic, partition, StartAt::Offset(*position))
                .map_err(failed)?;
        }
        Ok(reader)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use penstock_broker::Broker;
    use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};

    use super::*;
    use crate::link::KeyLink;
    use crate::local_store::LocalStore;
    use crate::record::Value;
    use crate::{KeyStore, KeyStoreConfig, LocalKek};

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn open(broker: &Arc<dyn Broker>, copy: &Path) -> Arc<KeyStore> {
        let config = KeyStoreConfig {
            partitions: 1,
            directory: Some(copy.to_owned()),
            ..KeyStoreConfig::default()
        };
        let kek = Arc::new(LocalKek::from_bytes(&[1; 32]));
        KeyStore::open(broker.clone(), kek, config).unwrap()
    }

    #[test]
    fn a_copy_that_was_away_for_more_than_half_the_delete_retention_is_made_anew() {
        let (data, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let broker: Arc<dyn Broker> =
            Arc::new(EmbeddedBroker::open(&EmbeddedSettings::new(data.path())).unwrap());
        drop(open(&broker, copy.path()));
        for (days_away, remembers) in [(0, true), (3, true), (4, false)] {
            // A record whose tombstone has come and gone while the worker was away.
            let local = LocalStore::open(Some(copy.path()), 1 << 20, "_penstock.keys").unwrap();
            let (positions, _) = local.checkpoint(1).unwrap();
            let (link, scope) = (KeyLink::random(), [9; 16]);
            let message = Message {
                topic: "_penstock.keys".into(),
                partition: 0,
                offset: 0,
                timestamp: 0,
                key: Some(link.to_string().into()),
                value: Some(Value::Barrier { scope }.encode().into()),
                headers: Vec::new(),
            };
            let complete_at = local_now() - days_away * DAY_MS;
            local
                .fold(&[message], &positions, complete_at, true)
                .unwrap();
            drop(local);
            let store = open(&broker, copy.path());
            let found = store.shared.local.view().unwrap().record(link).unwrap();
            assert_eq!(found.is_some(), remembers, "{days_away} days away");
        }
    }
}
