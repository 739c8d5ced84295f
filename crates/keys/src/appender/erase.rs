//! Erasure: tombstones in the order that the fold's second invariant asks for.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::{Appender, Outgoing};
use crate::error::KeyError;
use crate::fold::{self, Entry, Removal};
use crate::link::KeyLink;
use crate::mac::{Digest, partition_of};
use crate::record::Value;

/// Which keys are to be erased.
#[derive(Debug)]
pub(crate) enum Target {
    /// The keys with these links.
    Links(Vec<KeyLink>),
    /// All keys of a value.
    Scope(Digest),
    /// All keys that were made for a data subject.
    Subject(Digest),
}

/// Scopes and the keys that go in each.
pub(super) type Doomed = HashMap<Digest, HashSet<KeyLink>>;

impl Appender {
    /// Erases the keys and returns how many there were, once this worker has forgotten them, too.
    pub(super) fn erase(&mut self, target: &Target) -> Result<usize, KeyError> {
        self.shared.catch_up()?;
        let mut doomed = self.doomed(target)?;
        self.raise_barriers(&doomed)?;
        // A candidate may have landed before the barrier, and was perhaps current for a moment.
        if let Target::Scope(_) = target {
            doomed = self.behind_barriers(&doomed)?;
        }
        self.remove(&doomed)
    }

    fn doomed(&self, target: &Target) -> Result<Doomed, KeyError> {
        let view = self.shared.local.view()?;
        let mut doomed = Doomed::new();
        match target {
            Target::Links(links) => {
                for link in links {
                    if let Some(stored) = view.record(*link)?
                        && let Ok(Value::Data(data)) = Value::decode(&stored.value)
                    {
                        doomed.entry(data.scope).or_default().insert(*link);
                    }
                }
            }
            Target::Scope(scope) => {
                let live = view.live(scope)?;
                if !live.is_empty() {
                    doomed.insert(*scope, live.iter().map(|entry| entry.link).collect());
                }
            }
            Target::Subject(subject) => view.each_record(|link, _, bytes| {
                if let Ok(Value::Data(data)) = Value::decode(bytes)
                    && data.subject == Some(*subject)
                {
                    doomed.entry(data.scope).or_default().insert(link);
                }
                true
            })?,
        }
        Ok(doomed)
    }

    /// Ends the term of every current key that goes.
    fn raise_barriers(&mut self, doomed: &Doomed) -> Result<(), KeyError> {
        let view = self.shared.local.view()?;
        let mut barriers = Vec::new();
        for (scope, links) in doomed {
            if fold::needs_barrier(&view.live(scope)?, |entry| links.contains(&entry.link)) {
                barriers.push(Outgoing {
                    partition: partition_of(scope, self.shared.topic.partitions),
                    key: KeyLink::random().to_string().into_bytes(),
                    value: Some(Value::Barrier { scope: *scope }.encode()),
                });
            }
        }
        drop(view);
        self.write_and_read(&barriers)
    }

    fn behind_barriers(&self, doomed: &Doomed) -> Result<Doomed, KeyError> {
        let view = self.shared.local.view()?;
        let mut all = Doomed::new();
        for (scope, links) in doomed {
            let live = view.live(scope)?;
            let barrier = live
                .iter()
                .rposition(|entry| entry.kind == fold::EntryKind::Barrier);
            let before = &live[..barrier.unwrap_or(0)];
            let links = links
                .iter()
                .copied()
                .chain(before.iter().map(|entry| entry.link));
            all.insert(*scope, links.collect());
        }
        Ok(all)
    }

    /// Removes the keys, none of which is current or else long over, in stages.
    pub(super) fn remove(&mut self, doomed: &Doomed) -> Result<usize, KeyError> {
        let view = self.shared.local.view()?;
        let mut plans = Vec::with_capacity(doomed.len());
        for (scope, links) in doomed {
            let wanted = |entry: &Entry| links.contains(&entry.link);
            plans.push((*scope, fold::plan_removal(&view.live(scope)?, wanted)));
        }
        drop(view);
        // Invariant 2 of the fold: each stage is durable before the next begins.
        self.remove_stage(&plans, |plan| &plan.voids)?;
        let erased = self.remove_stage(&plans, |plan| &plan.winners)?;
        self.remove_stage(&plans, |plan| &plan.barriers)?;
        Ok(erased)
    }

    fn remove_stage(
        &mut self,
        plans: &[(Digest, Removal)],
        stage: impl Fn(&Removal) -> &Vec<KeyLink>,
    ) -> Result<usize, KeyError> {
        let partitions = self.shared.topic.partitions;
        let tombstones: Vec<_> = plans
            .iter()
            .flat_map(|(scope, plan)| {
                stage(plan)
                    .iter()
                    .map(|link| Outgoing::tombstone(scope, *link, partitions))
            })
            .collect();
        self.write_and_read(&tombstones)?;
        Ok(tombstones.len())
    }

    fn write_and_read(&mut self, records: &[Outgoing]) -> Result<(), KeyError> {
        let began = Instant::now();
        let places = self.write(records)?;
        self.shared.wait_written(began, &places)
    }
}
