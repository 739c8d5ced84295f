//! Keys for values that have none, or whose key's window is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Appender, Outgoing};
use crate::cipher::SealingKey;
use crate::clock::local_now;
use crate::data_key::DataKey;
use crate::error::KeyError;
use crate::fold;
use crate::keyset::Keyset;
use crate::link::KeyLink;
use crate::mac::{Digest, partition_of};
use crate::record::{DataRecord, Value};
use crate::shared::{Unwrapped, data_context};

/// A value that needs a current key.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) scope: Digest,
    pub(crate) stream: String,
    pub(crate) subject: Option<Digest>,
}

/// Erasures that come between candidate and lookup; more than a few are no coincidence.
const ROUNDS: usize = 4;

pub(super) struct Candidate {
    pub(super) link: KeyLink,
    keyset: Keyset,
}

impl Appender {
    /// The current key of each, in order. Candidates for all that lack one cost one round trip.
    pub(super) fn create(&mut self, wanted: &[Wanted]) -> Result<Vec<Arc<DataKey>>, KeyError> {
        let mut keys: HashMap<Digest, Arc<DataKey>> = HashMap::new();
        for _ in 0..ROUNDS {
            let mut missing: HashMap<Digest, &Wanted> = HashMap::new();
            let view = self.shared.local.view()?;
            for want in wanted {
                if keys.contains_key(&want.scope) || missing.contains_key(&want.scope) {
                    continue;
                }
                let known = match self.shared.current_entry(&view, &want.scope)? {
                    Some(entry) => self.shared.unwrap_link(&view, entry.link)?,
                    None => None,
                };
                match known {
                    Some(known) => drop(keys.insert(want.scope, known.into_key())),
                    None => drop(missing.insert(want.scope, want)),
                }
            }
            drop(view);
            if missing.is_empty() {
                return Ok(wanted
                    .iter()
                    .map(|want| keys[&want.scope].clone())
                    .collect());
            }
            keys.extend(self.elect(&missing)?);
        }
        Err(KeyError::Unavailable {
            topic: self.shared.config.topic.clone(),
            reason: "the key of a value was erased again and again while it was made".to_owned(),
        })
    }

    /// Appends a candidate for each scope, reads to them, and returns whatever is current then. A scope
    /// whose key was erased meanwhile is left out.
    fn elect(
        &mut self,
        missing: &HashMap<Digest, &Wanted>,
    ) -> Result<HashMap<Digest, Arc<DataKey>>, KeyError> {
        let (wrapping_link, wrapping) = self.wrapping_key()?;
        let partitions = self.shared.topic.partitions;
        let mut candidates = HashMap::with_capacity(missing.len());
        let mut records = Vec::with_capacity(missing.len());
        for (scope, want) in missing {
            let (candidate, record) = self.candidate(want, wrapping_link, &wrapping, partitions);
            records.push(record);
            candidates.insert(*scope, candidate);
        }
        let (began, sent) = (Instant::now(), local_now());
        let places = self.write(&records)?;
        let acknowledged = local_now();
        self.shared.wait_written(began, &places)?;

        let view = self.shared.local.view()?;
        let mut keys = HashMap::with_capacity(candidates.len());
        for (scope, candidate) in candidates {
            let live = view.live(&scope)?;
            if let Some(own) = live.iter().find(|entry| entry.link == candidate.link) {
                self.shared.clock.observe(sent, acknowledged, own.appended);
            }
            let Some(current) = fold::current(&live) else {
                continue;
            };
            let found = if current.link == candidate.link {
                let Some(want) = missing.get(&scope) else {
                    continue;
                };
                Some(Unwrapped {
                    link: candidate.link,
                    scope,
                    stream: want.stream.clone(),
                    created: current.appended,
                    window: current.window,
                    keyset: candidate.keyset,
                })
            } else {
                self.litter
                    .push(Outgoing::tombstone(&scope, candidate.link, partitions));
                self.shared.unwrap_link(&view, current.link)?
            };
            if let Some(found) = found {
                keys.insert(scope, found.into_key());
            }
        }
        Ok(keys)
    }

    pub(super) fn candidate(
        &self,
        want: &Wanted,
        wrapping_link: KeyLink,
        wrapping: &SealingKey,
        partitions: i32,
    ) -> (Candidate, Outgoing) {
        let keyset = Keyset::generate(self.shared.config.cipher);
        let link = KeyLink::checked(|random| self.shared.mac().link_check(random));
        let mut data = DataRecord {
            scope: want.scope,
            window: self.shared.config.window_ms(),
            subject: want.subject,
            wrapping: wrapping_link,
            stream: &want.stream,
            wrapped: &[],
        };
        let mut wrapped = Vec::with_capacity(100);
        wrapping.seal(&keyset.to_bytes(), &data_context(link, &data), &mut wrapped);
        data.wrapped = &wrapped;
        let record = Outgoing {
            partition: partition_of(&want.scope, partitions),
            key: link.to_string().into_bytes(),
            value: Some(Value::Data(data).encode()),
        };
        (Candidate { link, keyset }, record)
    }
}
