//! A sink with `read.until=end`: it stops at the ends that its topics had when it was created, and is
//! done when its whole group is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_broker::{Consumer, Message, TopicPartition};
use penstock_connect::Error;

use super::progress::{Partitions, runs};
use super::{TaskEnv, task_error};
use crate::ends::Ends;

/// How often a task that is done looks whether the others are.
const LOOK_AT_OTHERS: Duration = Duration::from_millis(200);

/// What a task knows of the end.
pub(super) struct UntilEnd {
    ends: Arc<Ends>,
    /// Partitions that were read to their end.
    reached: BTreeSet<TopicPartition>,
    last_look: Option<Instant>,
}

impl UntilEnd {
    pub(super) fn new(ends: Arc<Ends>) -> Self {
        Self {
            ends,
            reached: BTreeSet::new(),
            last_look: None,
        }
    }

    /// Takes away what lies behind the end. Says which partitions have come to it thereby.
    pub(super) fn cut(&self, messages: &mut Vec<Message>) -> BTreeSet<TopicPartition> {
        let mut ended = BTreeSet::new();
        for run in runs(messages) {
            let partition = TopicPartition::new(run[0].topic.clone(), run[0].partition);
            let last = run[run.len() - 1].offset;
            if last + 1 >= self.ends.of(&partition) {
                ended.insert(partition);
            }
        }
        if !ended.is_empty() {
            messages.retain(|message| {
                let partition = TopicPartition::new(message.topic.clone(), message.partition);
                message.offset < self.ends.of(&partition)
            });
        }
        ended
    }

    /// These partitions are read up: nothing more is fetched of them, and their position is their end,
    /// behind transaction markers and deleted records before it.
    pub(super) fn reach(
        &mut self,
        ended: impl IntoIterator<Item = TopicPartition>,
        consumer: &mut dyn Consumer,
        partitions: &mut Partitions,
    ) -> Result<(), Error> {
        for partition in ended {
            let progress = partitions.get(&partition);
            progress.seen = progress.seen.max(self.ends.of(&partition));
            consumer
                .pause(std::slice::from_ref(&partition))
                .map_err(task_error)?;
            self.reached.insert(partition);
        }
        Ok(())
    }

    /// Partitions of the task that have come to their end without a record that says so.
    pub(super) fn come_to_end(
        &self,
        consumer: &mut dyn Consumer,
        partitions: &mut Partitions,
    ) -> Result<Vec<TopicPartition>, Error> {
        let mut ended = Vec::new();
        for partition in self.open(consumer) {
            let read = consumer
                .position(&partition.topic, partition.partition)
                .map_err(task_error)?;
            let seen = partitions.get(&partition).seen;
            if read.unwrap_or(seen).max(seen) >= self.ends.of(&partition) {
                ended.push(partition);
            }
        }
        Ok(ended)
    }

    /// Partitions of the task that nothing is left of, since their records were deleted meanwhile. One
    /// that ends before its end is not the one that it was.
    pub(super) fn deleted(
        &self,
        env: &TaskEnv,
        consumer: &dyn Consumer,
    ) -> Result<Vec<TopicPartition>, Error> {
        let mut deleted = Vec::new();
        let open = self.open(consumer);
        let asked = open.clone();
        let answers = env.ask(move |services| {
            let ends = asked.iter().map(|partition| {
                let broker = &services.broker;
                broker.watermarks(&partition.topic, partition.partition)
            });
            ends.collect::<penstock_broker::Result<Vec<_>>>()
        })?;
        for (partition, (low, high)) in open.into_iter().zip(answers.unwrap_or_default()) {
            let end = self.ends.of(&partition);
            if high < end {
                return Err(Error::never(format!(
                    "{partition} was to be read up to offset {end}, but it ends at {high}: the topic was deleted and \
                     made anew"
                )));
            }
            if low >= end {
                deleted.push(partition);
            }
        }
        Ok(deleted)
    }

    /// Partitions of the task that are to be read on.
    pub(super) fn open(&self, consumer: &dyn Consumer) -> Vec<TopicPartition> {
        let mut ours = consumer.assignment();
        ours.retain(|partition| !self.reached.contains(partition));
        ours
    }

    pub(super) fn forget(&mut self, gone: &[TopicPartition]) {
        for partition in gone {
            self.reached.remove(partition);
        }
    }

    /// Whether everything that the task has read is committed up to the ends.
    pub(super) fn is_committed(&self, partitions: &Partitions) -> bool {
        let mut reached = self.reached.iter();
        reached.all(|partition| partitions.committed(partition) >= self.ends.of(partition))
    }

    /// Whether the group has committed every partition up to its end: only then nobody has to take over
    /// what another lets go.
    pub(super) fn is_complete(&mut self, consumer: &mut dyn Consumer) -> Result<bool, Error> {
        if self
            .last_look
            .is_some_and(|at| at.elapsed() < LOOK_AT_OTHERS)
        {
            return Ok(false);
        }
        self.last_look = Some(Instant::now());
        let all: Vec<TopicPartition> = self.ends.all().map(|(partition, _)| partition).collect();
        let committed = consumer.committed(&all).map_err(task_error)?;
        Ok(self.ends.all().all(|(partition, end)| {
            committed.iter().any(|offset| {
                offset.partition == partition.partition
                    && offset.topic == partition.topic
                    && offset.offset >= end
            })
        }))
    }

    /// The largest number of offsets that are left of a partition.
    pub(super) fn lag<'p>(&self, seen: impl Iterator<Item = (&'p TopicPartition, i64)>) -> i64 {
        let left = seen.map(|(partition, seen)| self.ends.of(partition) - seen);
        left.max().unwrap_or(0).max(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_behind_the_end_is_cut_off_and_partitions_that_come_to_it_are_told() {
        let ends = serde_json::from_str(r#"{"t":[10,20,0]}"#).unwrap();
        let until = UntilEnd::new(Arc::new(ends));
        let message = |(partition, offset)| Message {
            topic: "t".into(),
            partition,
            offset,
            timestamp: -1,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        for (came, kept, ended) in [
            (
                &[(0, 7), (0, 8), (1, 3)][..],
                &[(0, 7), (0, 8), (1, 3)][..],
                &[][..],
            ),
            (&[(0, 8), (0, 9), (1, 3)], &[(0, 8), (0, 9), (1, 3)], &[0]),
            (
                &[(1, 18), (0, 9), (0, 10), (1, 21)],
                &[(1, 18), (0, 9)],
                &[0, 1],
            ),
            // A partition that had no records then.
            (&[(2, 0), (0, 1)], &[(0, 1)], &[2]),
        ] {
            let mut messages: Vec<Message> = came.iter().copied().map(message).collect();
            let told = until.cut(&mut messages);
            let left: Vec<_> = messages.iter().map(|m| (m.partition, m.offset)).collect();
            assert_eq!(left, kept, "{came:?}");
            let told: Vec<i32> = told.iter().map(|partition| partition.partition).collect();
            assert_eq!(told, ended, "{came:?}");
        }
    }
}
