//! How far a sink has come in each of its partitions.

use std::collections::BTreeMap;

use penstock_broker::{Message, TopicPartition, TopicPartitionOffset};
use penstock_connect::Position;

/// How far a sink has come in one partition.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// One past the last record that was read and has ended or was given to the sink.
    pub(super) seen: i64,
    /// One past the last record that the sink was given and has not yet called durable.
    pub(super) given: Option<i64>,
    /// What the group has committed.
    pub(super) committed: i64,
}

impl Progress {
    /// Of a partition of which nothing was read yet.
    pub(super) fn at(offset: i64) -> Self {
        Self {
            seen: offset,
            given: None,
            committed: offset,
        }
    }

    /// The offset that may be committed now.
    fn durable(&self, sink: Option<i64>) -> i64 {
        match (self.given, sink) {
            (Some(given), Some(durable)) if durable < given => durable,
            (Some(_), None) => self.committed,
            _ => self.seen,
        }
    }
}

/// The partitions of a sink.
#[derive(Debug, Default)]
pub(super) struct Partitions(BTreeMap<TopicPartition, Progress>);

impl Partitions {
    pub(super) fn get(&mut self, partition: &TopicPartition) -> &mut Progress {
        self.0.entry(partition.clone()).or_default()
    }

    pub(super) fn insert(&mut self, partition: TopicPartition, progress: Progress) {
        self.0.insert(partition, progress);
    }

    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        self.0.remove(partition);
    }

    pub(super) fn committed(&self, partition: &TopicPartition) -> i64 {
        self.0
            .get(partition)
            .map_or(0, |progress| progress.committed)
    }

    /// The next offset to be read of each partition.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.0
            .iter()
            .map(|(partition, progress)| (partition, progress.seen))
    }

    /// Takes note of a batch: which of its messages the sink was given, by their places, and that those
    /// before `ended` are done with.
    pub(super) fn note(&mut self, messages: &[Message], given: &[usize], ended: usize) {
        let mut start = 0;
        for run in runs(messages) {
            let end = start + run.len();
            let partition = TopicPartition::new(run[0].topic.clone(), run[0].partition);
            let progress = self.get(&partition);
            let before_end = given.partition_point(|place| *place < end);
            let last_given = given[..before_end].last();
            if let Some(place) = last_given.filter(|place| **place >= start) {
                progress.given = Some(messages[*place].offset + 1);
            }
            if let Some(last) = messages[start..end.min(ended).max(start)].last() {
                progress.seen = last.offset + 1;
            }
            start = end;
        }
    }

    /// Takes note of what the sink calls durable; returns the offsets that may be committed now.
    pub(super) fn durable(&mut self, positions: &[Position]) -> Vec<TopicPartitionOffset> {
        let mut offsets = Vec::new();
        for (partition, progress) in &mut self.0 {
            let durable = positions
                .iter()
                .find(|position| {
                    position.partition.partition == partition.partition
                        && position.partition.topic == partition.topic
                })
                .map(|position| position.offset);
            let offset = progress.durable(durable);
            if durable >= progress.given {
                progress.given = None;
            }
            if offset > progress.committed {
                offsets.push(partition.at(offset));
            }
        }
        offsets
    }

    /// Takes note of a commit; returns how many offsets it moved over.
    pub(super) fn commit(&mut self, offsets: &[TopicPartitionOffset]) -> usize {
        let moves = offsets.iter().map(|offset| {
            let partition = TopicPartition::new(offset.topic.clone(), offset.partition);
            let committed = &mut self.0.entry(partition).or_default().committed;
            let moved = offset.offset - *committed;
            *committed = offset.offset;
            usize::try_from(moved).unwrap_or(0)
        });
        moves.sum()
    }
}

/// The messages of one partition come in runs.
pub(super) fn runs(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    messages.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic)
}

/// A partition as the broker's clients name it.
pub(super) fn broker_partition(partition: &penstock_connect::TopicPartition) -> TopicPartition {
    TopicPartition::new(partition.topic.clone(), partition.partition)
}

/// A partition as sinks name it.
pub(super) fn sink_partition(partition: &TopicPartition) -> penstock_connect::TopicPartition {
    penstock_connect::TopicPartition {
        topic: partition.topic.clone(),
        partition: partition.partition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_only_over_records_that_are_durable_or_were_not_for_the_sink() {
        let progress = |seen, given, committed| Progress {
            seen,
            given,
            committed,
        };
        for (case, state, durable, expected) in [
            (
                "nothing was given: filtered records count",
                progress(10, None, 3),
                None,
                10,
            ),
            (
                "all that was given is durable",
                progress(10, Some(8), 3),
                Some(8),
                10,
            ),
            ("the sink lags", progress(10, Some(8), 3), Some(5), 5),
            (
                "the sink says nothing of it",
                progress(10, Some(8), 3),
                None,
                3,
            ),
        ] {
            assert_eq!(state.durable(durable), expected, "{case}");
        }
    }

    #[test]
    fn what_a_journal_has_committed_is_not_committed_again() {
        let partition = TopicPartition::new("t", 0);
        let mut partitions = Partitions::default();
        partitions.insert(partition.clone(), Progress::at(3));
        let progress = partitions.get(&partition);
        (progress.seen, progress.given) = (10, Some(10));
        assert_eq!(partitions.commit(&[partition.at(7)]), 4);
        let positions = [7, 8].map(|offset| Position {
            partition: sink_partition(&partition),
            offset,
        });
        assert_eq!(partitions.durable(&positions[..1]), []);
        assert_eq!(partitions.durable(&positions[1..]), [partition.at(8)]);
    }

    #[test]
    fn a_batch_moves_each_partition_to_its_own_last_record() {
        let message = |partition, offset| Message {
            topic: "t".into(),
            partition,
            offset,
            timestamp: -1,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        // Partition 0 comes twice, with gaps between offsets as transactions leave them.
        let places = [(0, 4), (0, 6), (1, 20), (1, 21), (0, 9), (2, 1)];
        let messages = places.map(|(partition, offset)| message(partition, offset));
        for (case, given, ended, expected) in [
            (
                "all is given",
                &[0, 1, 2, 3, 4, 5][..],
                6,
                [(10, Some(10)), (22, Some(22)), (2, Some(2))],
            ),
            (
                "some is filtered",
                &[1, 2],
                6,
                [(10, Some(7)), (22, Some(21)), (2, None)],
            ),
            (
                "a record makes several",
                &[0, 0, 5],
                6,
                [(10, Some(5)), (22, None), (2, Some(2))],
            ),
            (
                "the task stops at the fourth",
                &[0, 2],
                3,
                [(7, Some(5)), (21, Some(21)), (0, None)],
            ),
            ("nothing is given", &[], 0, [(0, None); 3]),
        ] {
            let mut partitions = Partitions::default();
            partitions.note(&messages, given, ended);
            let reached = [0, 1, 2].map(|number| {
                let progress = partitions.get(&TopicPartition::new("t", number));
                (progress.seen, progress.given)
            });
            assert_eq!(reached, expected, "{case}");
        }
    }
}
