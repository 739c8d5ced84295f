//! Upkeep of the keys topic: what writers left behind, keys whose retention is over, and the markers at
//! which segments roll.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::erase::Doomed;
use super::{Appender, Outgoing};
use crate::error::KeyError;
use crate::fold::{self, Entry, EntryKind, Removal, Standing};
use crate::record::{MARKER_KEY, Role, Value};
use crate::topic::SEGMENT;

/// Void candidates of others are left to their writers for this long.
const VOID_AGE_MS: i64 = 60_000;
const VOIDS_EVERY: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// After a start all is done early once: workers may restart more often than it is due.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
const FIRST_MARKERS: Duration = Duration::from_secs(5 * 60);
/// Removals of one go; the rest comes with the next.
const AT_ONCE: usize = 10_000;

/// When what is due.
pub(super) struct Upkeep {
    voids: Instant,
    sweep: Instant,
    markers: Instant,
}

impl Upkeep {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            voids: now + VOIDS_EVERY,
            sweep: now + FIRST_SWEEP,
            markers: now + FIRST_MARKERS,
        }
    }

    /// Does what is due. What fails is tried again when it is due again.
    pub(super) fn run(&mut self, appender: &mut Appender) {
        // Others may have written meanwhile what this worker does not know of.
        if !appender.shared.progress.is_fresh() {
            return;
        }
        let now = Instant::now();
        if now >= self.voids {
            report("removing void candidates", appender.remove_voids());
            self.voids = now + VOIDS_EVERY;
        }
        if now >= self.sweep {
            let swept = appender.sweep();
            // There may be more.
            let again_at_once = matches!(swept, Ok(scopes) if scopes >= AT_ONCE);
            report("removing keys whose retention is over", swept.map(|_| ()));
            if !again_at_once {
                self.sweep = now + SWEEP_EVERY;
            }
        }
        if now >= self.markers {
            report("writing markers", appender.mark());
            self.markers = now + SEGMENT;
        }
    }
}

fn report(doing: &str, done: Result<(), KeyError>) {
    if let Err(error) = done {
        tracing::warn!("{doing}: {error}");
    }
}

impl Appender {
    /// Removes the void candidates that their writers left.
    pub(super) fn remove_voids(&mut self) -> Result<(), KeyError> {
        let before = self.shared.clock.now().saturating_sub(VOID_AGE_MS);
        let links = self.shared.local.view()?.voids(before, AT_ONCE)?;
        if links.is_empty() {
            return Ok(());
        }
        self.shared.catch_up()?;
        let view = self.shared.local.view()?;
        let mut tombstones = Vec::new();
        for link in links {
            let Some(stored) = view.record(link)? else {
                continue;
            };
            let Some(scope) = Value::decode(&stored.value)
                .ok()
                .and_then(|value| value.scope())
            else {
                continue;
            };
            let live = view.live(&scope)?;
            let standing = live
                .iter()
                .zip(fold::standings(&live))
                .find(|(entry, _)| entry.link == link);
            if standing.is_some_and(|(_, standing)| standing == Standing::Void) {
                tombstones.push(Outgoing::tombstone(
                    &scope,
                    link,
                    self.shared.topic.partitions,
                ));
            }
        }
        drop(view);
        self.write(&tombstones).map(|_| ())
    }

    /// Removes keys whose retention is over, and barriers that their writers left. Returns how many
    /// scopes it went about.
    pub(super) fn sweep(&mut self) -> Result<usize, KeyError> {
        self.shared.catch_up()?;
        let now = self.shared.clock.now();
        let kept_ms = self
            .shared
            .config
            .retention
            .map(|kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let is_over = |entry: &Entry| {
            entry.kind == EntryKind::Candidate
                && kept_ms.is_some_and(|kept| entry.expires().saturating_add(kept) <= now)
        };
        let own = [Role::Hmac, Role::Quarantine, Role::Wrapping].map(Role::scope);
        let mut doomed: Doomed = HashMap::new();
        self.shared.local.view()?.each_scope(|scope, live| {
            if !own.contains(scope) && fold::plan_removal(live, is_over) != Removal::default() {
                let over = live
                    .iter()
                    .filter(|entry| is_over(entry))
                    .map(|entry| entry.link);
                doomed.insert(*scope, over.collect());
            }
            doomed.len() < AT_ONCE
        })?;
        self.remove(&doomed)?;
        Ok(doomed.len())
    }

    /// Writes a marker to every partition that has records: segments roll only when something is
    /// written, and only rolled ones are compacted.
    pub(super) fn mark(&mut self) -> Result<(), KeyError> {
        let markers: Vec<_> = self
            .shared
            .unmarked()
            .into_iter()
            .map(|partition| Outgoing {
                partition,
                key: MARKER_KEY.to_vec(),
                value: Some(Value::Marker.encode()),
            })
            .collect();
        self.write(&markers).map(|_| ())
    }
}
