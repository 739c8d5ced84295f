//! Partitions that come to a sink and go: where each begins, and that nothing of one is lost.

use penstock_broker::TopicPartition;
use penstock_connect::{Error, FlushReason, Position};

use super::SinkTask;
use crate::tasks::progress::{Progress, broker_partition, sink_partition};
use crate::tasks::task_error;

impl SinkTask<'_> {
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let ours: Vec<_> = partitions.iter().map(sink_partition).collect();
        // The sink first: its journal ends what a killed task has left open, which would hold up the
        // group's offsets, too.
        let mut journal =
            self.journal
                .journal(self.env, self.consumer.as_mut(), &mut self.partitions);
        let held = self
            .env
            .handle
            .block_on(self.sink.open(&ours, &mut journal))?;
        let committed = self.consumer.committed(partitions).map_err(task_error)?;
        let mut new: Vec<&TopicPartition> = partitions.iter().collect();
        for position in committed {
            let partition = TopicPartition::new(position.topic, position.partition);
            new.retain(|new| **new != partition);
            self.partitions
                .insert(partition, Progress::at(position.offset));
        }
        for Position { partition, offset } in held {
            self.check_held(&partition, offset)?;
            let partition = broker_partition(&partition);
            new.retain(|new| **new != partition);
            let progress = self.partitions.get(&partition);
            // Behind the group's offset lie only records that were not for the sink. Before it, the
            // group has yet to learn what the sink holds: with the next flush.
            if offset > progress.committed {
                progress.seen = offset;
                self.unflushed = true;
                self.seek(&partition, offset)?;
            }
        }
        if self.from_latest {
            self.pin(&new)?;
        }
        if self.paused {
            self.consumer.pause(partitions).map_err(task_error)?;
        }
        self.count_partitions();
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), Error> {
        self.consumer
            .seek(&partition.topic, partition.partition, offset)
            .map_err(task_error)
    }

    /// Fixes where partitions begin that begin with the next record: a task that is killed before it
    /// has committed anything goes on from there.
    fn pin(&mut self, partitions: &[&TopicPartition]) -> Result<(), Error> {
        let mut pins = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let broker = &self.env.services.broker;
            let (_, high) = broker
                .watermarks(&partition.topic, partition.partition)
                .map_err(task_error)?;
            self.seek(partition, high)?;
            self.partitions
                .insert((*partition).clone(), Progress::at(high));
            pins.push(partition.at(high));
        }
        self.consumer.commit(&pins).map_err(task_error)
    }

    /// A sink that is ahead of its topic belongs to an earlier topic of that name.
    fn check_held(
        &self,
        partition: &penstock_connect::TopicPartition,
        offset: i64,
    ) -> Result<(), Error> {
        let (topic, number) = (&partition.topic, partition.partition);
        let (_, high) = self
            .env
            .services
            .broker
            .watermarks(topic, number)
            .map_err(task_error)?;
        if offset <= high {
            return Ok(());
        }
        Err(Error::never(format!(
            "the sink has {topic}-{number} up to offset {offset}, but the topic ends at {high}: it was deleted and made \
             anew, or belongs to another broker; move what the sink wrote out of the way to begin anew"
        )))
    }

    pub(super) fn revoked(
        &mut self,
        partitions: &[TopicPartition],
        lost: bool,
    ) -> Result<(), Error> {
        if !lost {
            self.flush(FlushReason::Close)?;
        }
        let gone: Vec<_> = partitions.iter().map(sink_partition).collect();
        self.env.handle.block_on(self.sink.close(&gone))?;
        for partition in partitions {
            self.partitions.remove(partition);
        }
        for partition in &gone {
            self.journal.forget(partition);
        }
        if let Some(until) = &mut self.until_end {
            until.forget(partitions);
        }
        self.waiting.retain(|message| {
            !partitions
                .iter()
                .any(|gone| gone.partition == message.partition && gone.topic == message.topic)
        });
        self.consumer.release().map_err(task_error)?;
        self.count_partitions();
        Ok(())
    }

    fn count_partitions(&self) {
        self.env
            .metrics
            .partitions(self.consumer.assignment().len());
    }
}
