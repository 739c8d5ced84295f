//! What is to be done with each event of a batch: the streams it passes to, and the key they need.

use std::collections::HashMap;
use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError, RecordErrorKind};
use penstock_contracts::EventBatch;
use penstock_formats::Payload;
use penstock_keys::{DataKey, KeyError, KeyLookup, KeyStore, Retry};

use crate::event::PlannedEvent;
use crate::stream::DerivedStream;

/// The key of one event.
pub(crate) enum EventKey {
    /// No stream decrypts anything of it.
    NotNeeded,
    /// The key is there.
    Usable(Arc<DataKey>),
    /// The key was erased: the fields stay encrypted.
    Erased,
    /// The event is rejected.
    Rejected(RecordError),
}

/// The plan for a batch.
pub(crate) struct BatchPlan {
    store: Arc<KeyStore>,
    streams: usize,
    /// By event and stream: whether it passes.
    passes: Vec<bool>,
    keys: Vec<EventKey>,
    /// Consent levels of the event at hand.
    consent: Vec<i64>,
}

impl BatchPlan {
    pub(crate) fn new(store: Arc<KeyStore>, streams: usize) -> Self {
        Self {
            store,
            streams,
            passes: Vec::new(),
            keys: Vec::new(),
            consent: Vec::new(),
        }
    }

    /// For each stream, whether the event passes to it.
    pub(crate) fn passes(&self, index: usize) -> &[bool] {
        &self.passes[index * self.streams..(index + 1) * self.streams]
    }

    pub(crate) fn key(&self, index: usize) -> &EventKey {
        &self.keys[index]
    }

    /// Makes the plan. Keys that are not in memory are asked for all at once.
    pub(crate) async fn make(
        &mut self,
        events: &EventBatch,
        records: &[Record],
        streams: &[DerivedStream],
    ) -> Result<(), Error> {
        self.passes.clear();
        self.keys.clear();
        let mut wanted: Vec<(usize, String)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let kept = record.value.as_ref().and_then(Payload::found);
            let key = match (events.get(index, kept), &record.value) {
                (Ok((program, found)), Some(value)) => {
                    let event = PlannedEvent {
                        program,
                        found,
                        bytes: value.bytes(),
                        record,
                    };
                    self.plan(&event, streams, |link| wanted.push((index, link)))
                }
                // Rejected or filtered as a whole: no question of streams arises.
                _ => {
                    self.passes.resize(self.passes.len() + self.streams, false);
                    EventKey::NotNeeded
                }
            };
            self.keys.push(key);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.look_up(wanted).await
    }

    fn plan(
        &mut self,
        event: &PlannedEvent<'_>,
        streams: &[DerivedStream],
        want: impl FnOnce(String),
    ) -> EventKey {
        let start = self.passes.len();
        let consent = &mut self.consent;
        if let Err(error) = event.program.consent(event.bytes, event.found, consent) {
            self.passes.resize(start + self.streams, false);
            return EventKey::Rejected(error);
        }
        self.passes
            .extend(streams.iter().map(|stream| stream.passes(&self.consent)));
        let passing = || {
            let passes = streams.iter().zip(&self.passes[start..]);
            passes.filter_map(|(stream, passes)| passes.then_some(stream))
        };
        let mut personal = event
            .found
            .slots()
            .iter()
            .filter(|slot| !slot.is_null() && !slot.is_absent())
            .filter_map(|slot| event.program.level(slot))
            .peekable();
        if passing().next().is_none() || personal.peek().is_none() {
            return EventKey::NotNeeded;
        }
        // Whatever becomes of its fields, an event that names no key was not encrypted.
        let link = match event.key_link() {
            Ok(link) => link,
            Err(error) => return EventKey::Rejected(error),
        };
        if !personal.any(|level| passing().any(|stream| stream.treatment(level).needs_key())) {
            return EventKey::NotNeeded;
        }
        match self.store.cached_by_link(&link) {
            Some(found) => key_of(found),
            None => {
                want(link.into_owned());
                EventKey::NotNeeded
            }
        }
    }

    async fn look_up(&mut self, wanted: Vec<(usize, String)>) -> Result<(), Error> {
        let mut links: Vec<&str> = wanted.iter().map(|(_, link)| link.as_str()).collect();
        links.sort_unstable();
        links.dedup();
        let found = self.store.by_links(&links).await.map_err(unavailable)?;
        let by_link: HashMap<&str, KeyLookup> = links.into_iter().zip(found).collect();
        for (index, link) in &wanted {
            if let Some(found) = by_link.get(link.as_str()) {
                self.keys[*index] = key_of(found.clone());
            }
        }
        Ok(())
    }
}

/// What should be decrypted waits for its key.
fn unavailable(error: KeyError) -> Error {
    let message = format!("cannot get the keys to decrypt with: {error}");
    match error.retry() {
        Retry::Backoff => Error::backoff(message),
        Retry::Never => Error::never(message),
    }
    .with_source(error)
}

fn key_of(found: KeyLookup) -> EventKey {
    match found {
        KeyLookup::Usable(key) => EventKey::Usable(key),
        KeyLookup::Erased => EventKey::Erased,
        KeyLookup::Unknown => EventKey::Rejected(RecordError::new(
            RecordErrorKind::Key,
            "the event names a key that the key store does not know",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_service_that_is_away_is_waited_for_and_a_broken_one_is_not() {
        let away = KeyError::Unavailable {
            topic: "_penstock.keys".into(),
            reason: "no answer".into(),
        };
        let broken = KeyError::Invalid("no partitions".into());
        for (error, retry) in [
            (away, penstock_connect::Retry::Backoff),
            (broken, penstock_connect::Retry::Never),
        ] {
            assert_eq!(unavailable(error).retry, retry);
        }
    }
}
