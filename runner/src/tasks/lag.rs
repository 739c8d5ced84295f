//! How many records lie ahead of a task. Looked at now and then, and never before the first record:
//! the answers are a broker's, and take their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_broker::{Consumer, TopicPartition, TopicPartitionOffset};

use super::TaskEnv;

/// How often lag is measured and `topics.regex` looked at again.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The first look after partitions have come or gone: nobody knows their lag before.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// When it is time for a look.
pub(super) struct Looks {
    next: Instant,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now() + LOOK,
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
    }
}

/// The largest lag over the assigned partitions, in records. `positions` are those of the next record to
/// be read, as far as they are known; the others are where the group left off. A partition that cannot
/// be asked counts as read up.
pub(super) fn lag(
    env: &TaskEnv,
    consumer: &mut dyn Consumer,
    positions: BTreeMap<&TopicPartition, i64>,
) -> i64 {
    let broker = &env.services.broker;
    let mut unread = consumer.assignment();
    unread.retain(|partition| !positions.contains_key(partition));
    let committed = consumer.committed(&unread).unwrap_or_default();
    let begun = unread
        .iter()
        .map(|partition| (partition, begins(partition, &committed)));
    let positions = positions
        .into_iter()
        .map(|(partition, offset)| (partition, Some(offset)));
    let lags = positions.chain(begun).filter_map(|(partition, begin)| {
        let ends = broker.watermarks(&partition.topic, partition.partition);
        let (low, high) = ends.ok()?;
        Some(high - begin.unwrap_or(low).max(low))
    });
    lags.max().unwrap_or(0).max(0)
}

/// Where the group has left off, if it has begun.
fn begins(partition: &TopicPartition, committed: &[TopicPartitionOffset]) -> Option<i64> {
    let is_this = |offset: &&TopicPartitionOffset| {
        offset.partition == partition.partition && offset.topic == partition.topic
    };
    committed
        .iter()
        .find(is_this)
        .map(|committed| committed.offset)
}
