//! Which member of a group reads which partition: balanced, and moving as little as possible.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::TopicPartition;

/// A partition of a topic as it is now: a topic made anew under the same name is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: u32,
    pub(super) partition: u32,
}

impl Slot {
    pub(super) fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition as i32)
    }
}

/// Assigns every slot to a member that subscribes its topic, and leaves it with its member of
/// `before` where that is balanced. Slots that nobody wants are left out.
pub(super) fn assign(
    slots: &[Slot],
    members: &BTreeMap<u64, Vec<String>>,
    before: &BTreeMap<Slot, u64>,
) -> BTreeMap<Slot, u64> {
    let wants =
        |member: &u64, slot: &Slot| members[member].iter().any(|topic| **topic == *slot.topic);
    let mut load: BTreeMap<u64, usize> = members.keys().map(|member| (*member, 0)).collect();
    let mut target = BTreeMap::new();
    let mut free = Vec::new();
    for slot in slots {
        match before
            .get(slot)
            .filter(|member| members.contains_key(member) && wants(member, slot))
        {
            Some(member) => {
                target.insert(slot.clone(), *member);
                *load.entry(*member).or_default() += 1;
            }
            None => free.push(slot),
        }
    }
    let least_loaded = |load: &BTreeMap<u64, usize>, slot: &Slot| {
        load.iter()
            .filter(|(member, _)| wants(member, slot))
            .min_by_key(|(member, count)| (**count, **member))
            .map(|(member, count)| (*member, *count))
    };
    for slot in free {
        if let Some((member, _)) = least_loaded(&load, slot) {
            target.insert(slot.clone(), member);
            *load.entry(member).or_default() += 1;
        }
    }
    // Moving a slot to a member with at least two fewer lowers the sum of squares: this ends.
    loop {
        let unbalanced = target.iter().find_map(|(slot, member)| {
            let (other, count) = least_loaded(&load, slot)?;
            (load[member] > count + 1).then(|| (slot.clone(), *member, other))
        });
        let Some((slot, from, to)) = unbalanced else {
            return target;
        };
        target.insert(slot, to);
        *load.entry(from).or_default() -= 1;
        *load.entry(to).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots(topics: &[u32]) -> Vec<Slot> {
        let slot = |topic: usize, partition| Slot {
            topic: format!("t{topic}").into(),
            topic_id: topic as u32,
            partition,
        };
        topics
            .iter()
            .enumerate()
            .flat_map(|(t, n)| (0..*n).map(move |p| slot(t, p)))
            .collect()
    }

    fn members(subscriptions: &[Vec<usize>]) -> BTreeMap<u64, Vec<String>> {
        let named = |topics: &Vec<usize>| topics.iter().map(|t| format!("t{t}")).collect();
        subscriptions
            .iter()
            .enumerate()
            .map(|(m, topics)| (m as u64, named(topics)))
            .collect()
    }

    proptest! {
        #[test]
        fn every_wanted_slot_has_one_member_that_wants_it(
            topics in proptest::collection::vec(0u32..6, 1..4),
            subscriptions in proptest::collection::vec(proptest::collection::vec(0usize..4, 0..4), 0..5),
        ) {
            let (slots, members) = (slots(&topics), members(&subscriptions));
            let target = assign(&slots, &members, &BTreeMap::new());
            for slot in &slots {
                let wanted = members.values().any(|topics| topics.iter().any(|t| **t == *slot.topic));
                prop_assert_eq!(target.contains_key(slot), wanted);
                if let Some(member) = target.get(slot) {
                    prop_assert!(members[member].iter().any(|t| **t == *slot.topic));
                }
            }
        }

        #[test]
        fn equal_members_differ_by_one_at_most_and_only_needed_moves_are_made(
            partitions in 1u32..20, first in 1usize..6, then in 1usize..6,
        ) {
            let slots = slots(&[partitions]);
            let before = assign(&slots, &members(&vec![vec![0]; first]), &BTreeMap::new());
            let after = assign(&slots, &members(&vec![vec![0]; then]), &before);
            let mut load = vec![0usize; then];
            for member in after.values() {
                load[*member as usize] += 1;
            }
            prop_assert!(load.iter().max().unwrap_or(&0) - load.iter().min().unwrap_or(&0) <= 1);
            if first == then {
                prop_assert_eq!(&before, &after);
            } else if then > first {
                let moved = slots.iter().filter(|slot| before[*slot] != after[*slot]).count();
                let gained: usize = load[first..].iter().sum();
                prop_assert_eq!(moved, gained);
            }
        }
    }
}
