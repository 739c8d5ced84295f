//! How many records lie ahead of a task. Looked at now and then, and never before the first record:
//! the answers are a broker's, and take their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_broker::{Broker, Consumer, ErrorKind, Result, TopicPartition};
use penstock_connect::Error;

use super::TaskEnv;

/// How often lag is measured and `topics.regex` looked at again.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The first look after partitions have come or gone: nobody knows their lag before.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// When it is time for a look.
pub(super) struct Looks {
    next: Instant,
    /// Where the group has left off in partitions that nothing was read of yet, if it has begun. Nobody
    /// else moves that while the partitions are the task's.
    begun: BTreeMap<TopicPartition, Option<i64>>,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now() + LOOK,
            begun: BTreeMap::new(),
        }
    }

    /// Says once whether it is time.
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + LOOK;
        }
        due
    }

    /// Partitions have come or gone: the lag that was known is no longer the task's.
    pub(super) fn reassigned(&mut self, env: &TaskEnv) {
        env.metrics.lag(None);
        self.next = Instant::now() + FIRST_LOOK;
        self.begun.clear();
    }

    /// The largest lag over the assigned partitions, in records; `None` when asked to stop meanwhile.
    /// `positions` are those of the next record to be read, as far as they are known; the others are
    /// where the group left off. A partition that cannot be asked counts as read up.
    pub(super) fn lag(
        &mut self,
        env: &TaskEnv,
        consumer: &mut dyn Consumer,
        positions: &BTreeMap<TopicPartition, i64>,
    ) -> std::result::Result<Option<i64>, Error> {
        let mut asked = consumer.assignment();
        asked.retain(|partition| !positions.contains_key(partition));
        asked.extend(positions.keys().cloned());
        let Some(ends) = env.ask(move |services| ends(services.broker.as_ref(), asked))? else {
            return Ok(None);
        };
        self.learn(
            consumer,
            ends.keys().filter(|it| !positions.contains_key(it)),
        );
        let position = |partition: &TopicPartition| {
            let begun = || self.begun.get(partition).copied().flatten();
            positions.get(partition).copied().or_else(begun)
        };
        Ok(Some(largest(&ends, position)))
    }

    /// Asks where the group has left off, where that is not known yet. These partitions have just been
    /// asked for their ends: the broker is there.
    fn learn<'p>(
        &mut self,
        consumer: &mut dyn Consumer,
        unread: impl Iterator<Item = &'p TopicPartition>,
    ) {
        let unknown: Vec<TopicPartition> = unread
            .filter(|partition| !self.begun.contains_key(*partition))
            .cloned()
            .collect();
        let Ok(committed) = consumer.committed(&unknown) else {
            return;
        };
        self.begun
            .extend(unknown.into_iter().map(|partition| (partition, None)));
        for committed in committed {
            let partition = TopicPartition::new(committed.topic, committed.partition);
            self.begun.insert(partition, Some(committed.offset));
        }
    }
}

/// The largest number of records from where a partition is read to its end; from its beginning where that
/// is not known, or lies before it.
fn largest(
    ends: &BTreeMap<TopicPartition, (i64, i64)>,
    position: impl Fn(&TopicPartition) -> Option<i64>,
) -> i64 {
    let lags = ends.iter().map(|(partition, (low, high))| {
        let position = position(partition).unwrap_or(*low);
        high - position.max(*low)
    });
    lags.max().unwrap_or(0).max(0)
}

/// The ends of partitions, as far as they are told. Where one gets no answer the others are not asked:
/// each would be waited for as long.
fn ends(
    broker: &dyn Broker,
    partitions: Vec<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, (i64, i64)>> {
    let mut ends = BTreeMap::new();
    for partition in partitions {
        match broker.watermarks(&partition.topic, partition.partition) {
            Ok(found) => {
                ends.insert(partition, found);
            }
            Err(error) if error.kind == ErrorKind::Unreachable => break,
            Err(_) => {}
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_that_is_furthest_behind_counts() {
        for (partitions, expected) in [
            (vec![], 0),
            // Each with its position, if it is known, and its ends.
            (vec![(Some(7), (0, 10))], 3),
            (vec![(Some(10), (0, 10))], 0),
            (vec![(Some(7), (0, 10)), (Some(1), (0, 6))], 5),
            // Nobody has begun with it.
            (vec![(None, (4, 10))], 6),
            // Retention took what was to be read next.
            (vec![(Some(1), (4, 10))], 6),
            // Somebody else has made it anew.
            (vec![(Some(10), (0, 2))], 0),
        ] {
            let numbered = || (0..).zip(&partitions);
            let partition = |number| TopicPartition::new("in", number);
            let ends = numbered()
                .map(|(number, (_, ends))| (partition(number), *ends))
                .collect();
            let positions: BTreeMap<TopicPartition, i64> = numbered()
                .filter_map(|(number, (position, _))| Some((partition(number), (*position)?)))
                .collect();
            let lag = largest(&ends, |partition| positions.get(partition).copied());
            assert_eq!(lag, expected, "{partitions:?}");
        }
    }
}
