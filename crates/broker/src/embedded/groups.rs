//! The group coordinator: members, who has which partition, and generations that fence old commits.
//!
//! A partition moves in three steps, each on its owner's thread: the old owner's poll says so, it
//! releases the partition, the new owner's poll takes it. In between nobody reads it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::assignment::{Slot, assign};
use super::bell::Bell;
use super::topics::Topics;
use crate::{Error, ErrorKind, Result, Retry};

/// All groups that have members.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Arc<str>, Group>,
    next_member: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// Goes up whenever the target changes.
    generation: u64,
    members: BTreeMap<u64, Member>,
    /// Who has a partition now.
    owners: BTreeMap<Slot, u64>,
    /// Who is to have it.
    target: BTreeMap<Slot, u64>,
}

#[derive(Debug)]
struct Member {
    topics: Vec<String>,
    bell: Arc<Bell>,
    /// The generation up to which it has acted on changes.
    generation: u64,
    /// The generation at which it had what it is to have.
    settled: Option<u64>,
    last_poll: Instant,
    max_poll_interval: Duration,
    /// A commit of its offsets is being written.
    committing: bool,
}

/// What changes for a member at its poll.
#[derive(Debug)]
pub(super) enum Change {
    None,
    Assigned(Vec<Slot>),
    /// To be released; `lost` where the topic is gone.
    Revoked {
        slots: Vec<Slot>,
        lost: bool,
    },
    /// The group went on without it.
    Evicted,
}

impl Groups {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member and returns its id.
    pub(super) fn join(
        &self,
        group: &Arc<str>,
        member_topics: &[String],
        max_poll_interval: Duration,
        bell: &Arc<Bell>,
        topics: &Topics,
    ) -> u64 {
        let mut state = self.state();
        state.next_member += 1;
        let id = state.next_member;
        let group = state.groups.entry(group.clone()).or_default();
        let member = Member {
            topics: member_topics.to_vec(),
            bell: bell.clone(),
            generation: group.generation,
            settled: None,
            last_poll: Instant::now(),
            max_poll_interval,
            committing: false,
        };
        group.members.insert(id, member);
        group.rebalance(topics);
        id
    }

    /// Takes a member and what it has out of the group.
    pub(super) fn leave(&self, group: &Arc<str>, member: u64, topics: &Topics) {
        let mut state = self.state();
        if let Some(found) = state.groups.get_mut(group) {
            found.remove(member);
            found.rebalance(topics);
            if found.members.is_empty() {
                state.groups.remove(group);
            }
        }
    }

    /// What changes for `member` at its poll.
    pub(super) fn step(&self, group: &Arc<str>, member: u64, topics: &Topics) -> Change {
        let mut state = self.state();
        let Some(group) = state.groups.get_mut(group) else {
            return Change::Evicted;
        };
        let Some(me) = group.members.get_mut(&member) else {
            return Change::Evicted;
        };
        me.last_poll = Instant::now();
        group.evict_stalled(topics);
        let me = group.members.get(&member);
        if me.is_some_and(|me| me.settled == Some(group.generation)) {
            return Change::None;
        }

        let (gone, going): (Vec<_>, Vec<_>) = group.going(member).into_iter().partition(|slot| {
            topics
                .get(&slot.topic)
                .is_none_or(|topic| topic.id != slot.topic_id)
        });
        let lost = !gone.is_empty();
        let slots = if lost { gone } else { going };
        if !slots.is_empty() {
            return Change::Revoked { slots, lost };
        }

        let coming: Vec<Slot> = group
            .waiting_for(member)
            .into_iter()
            .filter(|slot| !group.owners.contains_key(slot))
            .collect();
        group
            .owners
            .extend(coming.iter().map(|slot| (slot.clone(), member)));
        let settled = group.waiting_for(member).is_empty() && group.going(member).is_empty();
        let generation = group.generation;
        if let Some(me) = group.members.get_mut(&member) {
            me.generation = generation;
            me.settled = settled.then_some(generation);
        }
        if coming.is_empty() {
            Change::None
        } else {
            Change::Assigned(coming)
        }
    }

    /// Gives up partitions after a [`Change::Revoked`].
    pub(super) fn release(&self, group: &Arc<str>, member: u64, slots: &[Slot]) {
        let mut state = self.state();
        let Some(group) = state.groups.get_mut(group) else {
            return;
        };
        for slot in slots {
            if group.owners.get(slot) == Some(&member) {
                group.owners.remove(slot);
            }
        }
        let generation = group.generation;
        if let Some(me) = group.members.get_mut(&member) {
            me.generation = generation;
        }
        group.ring();
    }

    /// The generation for the member's next commit; `None` if the group went on without it.
    pub(super) fn generation(&self, group: &Arc<str>, member: u64) -> Option<u64> {
        self.state()
            .groups
            .get(group)?
            .members
            .get(&member)
            .map(|member| member.generation)
    }

    /// Checks that a commit comes from the owner of these partitions at its current generation, and
    /// keeps it from being evicted until [`end_commit`](Self::end_commit).
    pub(super) fn begin_commit(
        &self,
        group: &Arc<str>,
        member: u64,
        generation: u64,
        partitions: impl Iterator<Item = Slot>,
    ) -> Result<()> {
        let mut state = self.state();
        let found = state.groups.get_mut(group);
        let current = found.and_then(|group| {
            let me = group.members.get_mut(&member)?;
            let owners = &group.owners;
            let mut partitions = partitions;
            let owned = partitions.all(|slot| owners.get(&slot) == Some(&member));
            (me.generation == generation && owned).then_some(me)
        });
        match current {
            Some(me) => {
                me.committing = true;
                Ok(())
            }
            None => Err(Error::new(
                Retry::Fenced,
                ErrorKind::Fenced,
                format!(
                    "group {group:?} went on without this member: its offsets are not committed; join anew"
                ),
            )),
        }
    }

    pub(super) fn end_commit(&self, group: &Arc<str>, member: u64) {
        if let Some(member) = self
            .state()
            .groups
            .get_mut(group)
            .and_then(|g| g.members.get_mut(&member))
        {
            member.committing = false;
        }
    }

    pub(super) fn has_members(&self, group: &str) -> bool {
        self.state().groups.contains_key(group)
    }

    /// Spreads partitions anew after a topic came or went.
    pub(super) fn topics_changed(&self, topics: &Topics) {
        for group in self.state().groups.values_mut() {
            group.rebalance(topics);
        }
    }
}

impl Group {
    fn rebalance(&mut self, topics: &Topics) {
        let subscriptions: BTreeMap<u64, Vec<String>> = self
            .members
            .iter()
            .map(|(id, member)| (*id, member.topics.clone()))
            .collect();
        let mut names: Vec<&String> = subscriptions.values().flatten().collect();
        names.sort();
        names.dedup();
        let slots: Vec<Slot> = names
            .iter()
            .filter_map(|name| topics.get(name))
            .flat_map(|topic| {
                let (name, id) = (topic.name.clone(), topic.id);
                (0..topic.partitions.len() as u32).map(move |partition| Slot {
                    topic: name.clone(),
                    topic_id: id,
                    partition,
                })
            })
            .collect();
        let target = assign(&slots, &subscriptions, &self.target);
        if target != self.target {
            self.target = target;
            self.generation += 1;
        }
        self.ring();
    }

    fn ring(&self) {
        for member in self.members.values() {
            member.bell.ring();
        }
    }

    fn remove(&mut self, member: u64) {
        self.members.remove(&member);
        self.owners.retain(|_, owner| *owner != member);
    }

    /// What `member` has and is to give up.
    fn going(&self, member: u64) -> Vec<Slot> {
        let had = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == member)
            .map(|(slot, _)| slot);
        had.filter(|slot| self.target.get(slot) != Some(&member))
            .cloned()
            .collect()
    }

    /// What `member` is to have and has not.
    fn waiting_for(&self, member: u64) -> Vec<Slot> {
        let due = self
            .target
            .iter()
            .filter(|(_, owner)| **owner == member)
            .map(|(slot, _)| slot);
        due.filter(|slot| self.owners.get(slot) != Some(&member))
            .cloned()
            .collect()
    }

    /// Puts out members that have not polled for too long.
    fn evict_stalled(&mut self, topics: &Topics) {
        let is_stalled = |member: &Member| {
            !member.committing && member.last_poll.elapsed() > member.max_poll_interval
        };
        let stalled: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, member)| is_stalled(member))
            .map(|(id, _)| *id)
            .collect();
        if stalled.is_empty() {
            return;
        }
        for id in stalled {
            tracing::warn!(
                member = id,
                "a group member has not polled for max.poll.interval.ms and is put out"
            );
            self.remove(id);
        }
        self.rebalance(topics);
    }
}
