//! The election: a pure function from the records of a scope to its current key, and the rules for
//! removing keys.
//!
//! A *scope* is a value of a stream's key field (or one of the store's own keys). All its records lie in
//! one partition. A *candidate* offers a key; a *barrier* says that the election starts anew; a
//! tombstone removes the record with its link. The records that no tombstone has removed are *live*.
//!
//! [`standings`] goes through the live records by offset. A candidate wins if there is no current key, or
//! if the broker stamped it no earlier than the current key's stamp plus the current key's window. Else
//! it is void. A barrier leaves no current key. No clock of a worker plays a part.
//!
//! # Invariants
//!
//! 1. **Agreement.** A standing depends on the live records alone, not on the tombstones, nor on what
//!    they removed. Compaction only ever takes away records that are not live. So all readers that have
//!    come to the same end of the log agree, whether they read along or started after a compaction.
//! 2. **Finality.** Whatever is removed, all others keep the standing with which they landed (a current
//!    key may only become superseded). So a key that was ever current is never taken for void. This is
//!    owed to the order of removals, which [`Removal`] states and which whoever writes tombstones obeys:
//!    - a void candidate may go at any time, since it decides nothing;
//!    - a winner goes only after the void candidates that landed while it was current: without it, they
//!      might win;
//!    - the current key goes only behind a barrier, so that no candidate can turn void under it while
//!      it goes; without a barrier only when its window has long been over, so that every new
//!      candidate wins anyway;
//!    - a barrier goes only when no candidate before it is left, since it keeps these from deciding.
//! 3. **Exactness.** What a reader folds up to an offset is what the whole log says up to there, although
//!    compaction removes records while it reads: a record is removed only when its tombstone is older
//!    than `min.compaction.lag.ms`; a reader that asked for the end of the log and came there in less
//!    time than that has read the tombstone of every record that it missed. Whoever takes longer asks
//!    again.
//! 4. **Uniqueness.** A link names one record. Key records are never rewritten; if one is nevertheless,
//!    the later record counts, as it does after compaction.

use crate::link::KeyLink;

/// What a live record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Candidate,
    Barrier,
}

/// A live record of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) link: KeyLink,
    pub(crate) kind: EntryKind,
    pub(crate) offset: i64,
    /// The broker's stamp, milliseconds since the epoch.
    pub(crate) appended: i64,
    /// For how long it is current, milliseconds; never negative.
    pub(crate) window: i64,
}

impl Entry {
    /// End of its window by the broker's clock.
    pub(crate) fn expires(&self) -> i64 {
        self.appended.saturating_add(self.window)
    }
}

/// What the election makes of a live record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The scope's current key.
    Current,
    /// Was current once; still decrypts.
    Superseded,
    /// Never was current and never will be.
    Void,
    Barrier,
}

/// A record of a scope's partition that concerns the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put(Entry),
    Remove(KeyLink),
}

/// Applies the next record of the log to the live records, which are in the order of their offsets.
pub(crate) fn apply(live: &mut Vec<Entry>, change: Change) {
    match change {
        Change::Put(entry) => {
            live.retain(|other| other.link != entry.link); // Invariant 4
            live.push(entry);
        }
        Change::Remove(link) => live.retain(|other| other.link != link),
    }
}

fn wins(candidate: &Entry, current: Option<&Entry>) -> bool {
    current.is_none_or(|current| candidate.appended >= current.expires())
}

/// The index of the current key (Invariant 1: nothing but the live records goes in).
fn winner(live: &[Entry], mut landed: impl FnMut(usize, Standing)) -> Option<usize> {
    let mut current: Option<usize> = None;
    for (index, entry) in live.iter().enumerate() {
        match entry.kind {
            EntryKind::Barrier => {
                current = None;
                landed(index, Standing::Barrier);
            }
            EntryKind::Candidate if wins(entry, current.map(|index| &live[index])) => {
                current = Some(index);
                landed(index, Standing::Superseded);
            }
            EntryKind::Candidate => landed(index, Standing::Void),
        }
    }
    current
}

/// The current key of a scope.
pub(crate) fn current(live: &[Entry]) -> Option<&Entry> {
    winner(live, |_, _| {}).map(|index| &live[index])
}

/// The standing of each live record.
pub(crate) fn standings(live: &[Entry]) -> Vec<Standing> {
    let mut standings = Vec::with_capacity(live.len());
    if let Some(current) = winner(live, |_, standing| standings.push(standing)) {
        standings[current] = Standing::Current;
    }
    standings
}

/// Tombstones to be written, stage by stage: a stage is begun when the one before is durable
/// (Invariant 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) voids: Vec<KeyLink>,
    pub(crate) winners: Vec<KeyLink>,
    pub(crate) barriers: Vec<KeyLink>,
}

/// Whether removing these needs a barrier first (Invariant 2).
pub(crate) fn needs_barrier(live: &[Entry], wanted: impl Fn(&Entry) -> bool) -> bool {
    current(live).is_some_and(wanted)
}

/// How the wanted candidates go. Where [`needs_barrier`] says so, the barrier has been written and
/// applied before.
pub(crate) fn plan_removal(live: &[Entry], wanted: impl Fn(&Entry) -> bool) -> Removal {
    let mut plan = Removal::default();
    let mut winner_goes = false;
    let mut candidate_stays = false;
    for (entry, standing) in live.iter().zip(standings(live)) {
        let goes = match standing {
            Standing::Barrier if candidate_stays => false,
            Standing::Barrier => {
                plan.barriers.push(entry.link);
                true
            }
            Standing::Void if winner_goes || wanted(entry) => {
                plan.voids.push(entry.link);
                true
            }
            Standing::Void => false,
            Standing::Current | Standing::Superseded => {
                winner_goes = wanted(entry);
                if winner_goes {
                    plan.winners.push(entry.link);
                }
                winner_goes
            }
        };
        candidate_stays |= !goes;
    }
    plan
}

#[cfg(test)]
mod tests;
