//! Topics to a sink: records are given to the sink in order, and the group's offsets move only to
//! what the sink says is durable, after the dead letters before it are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_broker::{
    Consumer, Message, Polled, Producer, ProducerSpec, TopicPartition, TopicPartitionOffset,
};
use penstock_connect::{Error, FlushReason, MemoryJournal, Position, Sink};

use super::rejects::Rejects;
use super::{POLL, POLL_RECORDS, TaskEnv, batch, task_error};
use crate::chain::{Chain, Rejection};
use crate::converters::Converter;

/// How often lag is measured and `topics.regex` looked at again.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Progress is made durable this soon once no more records come.
const IDLE_FLUSH: Duration = Duration::from_millis(100);

/// Longest wait for dead letters to become durable before the task starts again.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn run(env: &TaskEnv, mut sink: Box<dyn Sink>) -> Result<(), Error> {
    while !env.stopping() {
        let Some(topics) = env.wait_for_topics()? else {
            return Ok(());
        };
        SinkTask::open(env, topics, sink.as_mut())?.run()?;
    }
    Ok(())
}

struct SinkTask<'a> {
    env: &'a TaskEnv,
    sink: &'a mut dyn Sink,
    chain: Chain,
    rejects: Rejects<'a>,
    consumer: Box<dyn Consumer>,
    /// For dead letters; made when the first one comes.
    producer: Option<Box<dyn Producer>>,
    topics: Vec<String>,
    read: (Converter, Converter),
    progress: BTreeMap<TopicPartition, Progress>,
    last_flush: Instant,
    unflushed: bool,
}

/// How far a partition has come.
#[derive(Debug, Default)]
struct Progress {
    /// One past the last record that was read and has ended or was given to the sink.
    seen: i64,
    /// One past the last record that the sink was given and has not yet called durable.
    given: Option<i64>,
    committed: i64,
}

impl Progress {
    /// The offset that may be committed now.
    fn durable(&self, sink: Option<i64>) -> i64 {
        match (self.given, sink) {
            (Some(given), Some(durable)) if durable < given => durable,
            (Some(_), None) => self.committed,
            _ => self.seen,
        }
    }
}

impl<'a> SinkTask<'a> {
    fn open(env: &'a TaskEnv, topics: Vec<String>, sink: &'a mut dyn Sink) -> Result<Self, Error> {
        let chain = env.chain()?;
        let consumer = env
            .services
            .broker
            .consumer(env.consumer_spec(topics.clone()))
            .map_err(task_error)?;
        Ok(Self {
            rejects: Rejects::new(env, &chain)?,
            env,
            sink,
            chain,
            consumer,
            producer: None,
            topics,
            read: env.services.converters(&env.spec),
            progress: BTreeMap::new(),
            last_flush: Instant::now(),
            unflushed: false,
        })
    }

    /// Runs until the task is to stop, or the set of topics has changed.
    fn run(&mut self) -> Result<(), Error> {
        let mut last_look = Instant::now();
        loop {
            match self.consumer.poll(POLL_RECORDS, POLL).map_err(task_error)? {
                Polled::Messages(messages) => self.take(&messages)?,
                Polled::Assigned(partitions) => self.assigned(&partitions)?,
                Polled::Revoked { partitions, lost } => self.revoked(&partitions, lost)?,
                Polled::Idle => {
                    if self.unflushed && self.last_flush.elapsed() >= IDLE_FLUSH {
                        self.flush(FlushReason::Tick)?;
                    }
                }
            }
            if self.last_flush.elapsed() >= self.env.services.worker.offset_flush_interval.0 {
                self.flush(FlushReason::Tick)?;
            }
            if self.env.stopping() {
                return self.close();
            }
            if last_look.elapsed() > LOOK {
                last_look = Instant::now();
                let positions = self
                    .progress
                    .iter()
                    .map(|(partition, progress)| (partition, progress.seen));
                self.env.metrics.lag(lag(self.env, positions));
                if self
                    .env
                    .services
                    .topics_of(&self.env.spec)
                    .map_err(task_error)?
                    != self.topics
                {
                    return self.close();
                }
            }
        }
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let ours: Vec<_> = partitions.iter().map(sink_partition).collect();
        let held = self
            .env
            .handle
            .block_on(self.sink.open(&ours, &mut MemoryJournal::default()))?;
        let committed = self.consumer.committed(partitions).map_err(task_error)?;
        for position in committed {
            let partition = TopicPartition::new(position.topic, position.partition);
            let progress = Progress {
                seen: position.offset,
                given: None,
                committed: position.offset,
            };
            self.progress.insert(partition, progress);
        }
        for Position { partition, offset } in held {
            self.check_held(&partition, offset)?;
            let (topic, number) = (partition.topic, partition.partition);
            let progress = self
                .progress
                .entry(TopicPartition::new(topic.clone(), number))
                .or_default();
            // Behind the group's offset lie only records that were not for the sink. Before it, the
            // group has yet to learn what the sink holds: with the next flush.
            if offset > progress.committed {
                self.consumer
                    .seek(&topic, number, offset)
                    .map_err(task_error)?;
                progress.seen = offset;
                self.unflushed = true;
            }
        }
        self.count_partitions();
        Ok(())
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

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Result<(), Error> {
        if !lost {
            self.flush(FlushReason::Close)?;
        }
        let gone: Vec<_> = partitions.iter().map(sink_partition).collect();
        self.env.handle.block_on(self.sink.close(&gone))?;
        for partition in partitions {
            self.progress.remove(partition);
        }
        self.consumer.release().map_err(task_error)?;
        self.count_partitions();
        Ok(())
    }

    fn count_partitions(&self) {
        self.env
            .metrics
            .partitions(self.consumer.assignment().len());
    }

    fn take(&mut self, messages: &[Message]) -> Result<(), Error> {
        if let Some((index, error)) = self.env.stop_point(messages) {
            self.take_up_to(&messages[..index])?;
            self.close()?;
            return Err(error);
        }
        self.take_up_to(messages)
    }

    fn take_up_to(&mut self, messages: &[Message]) -> Result<(), Error> {
        let env = self.env;
        env.metrics.read(messages.len());
        let (key, value) = self.read;
        let began = Instant::now();
        let chain = &mut self.chain;
        let (mut chained, unread) = env.retrying(async || {
            let (records, rejected) =
                batch::read(messages, key, value, &env.services.registry).await?;
            Ok((chain.run(records).await?, rejected))
        })?;
        chained.rejected.extend(unread);
        let stop = self
            .rejects
            .stop_at(&chained.rejected)
            .map(|rejection| rejection.origin);
        chained
            .passed
            .retain(|record| stop.is_none_or(|stop| record.origin().index < stop));
        let mut origins: Vec<usize> = chained
            .passed
            .iter()
            .map(|record| record.origin().index)
            .collect();
        env.metrics.wrote(origins.len());
        if !chained.passed.is_empty() {
            let refused = env.handle.block_on(self.sink.write(chained.passed))?;
            let mut taken = vec![true; origins.len()];
            for (index, error) in refused {
                let Some(origin) = origins.get(index) else {
                    continue;
                };
                taken[index] = false;
                chained.rejected.push(Rejection {
                    origin: *origin,
                    error,
                    stage: "sink".to_owned(),
                });
            }
            // The sink's position does not tell of what it refused.
            let mut taken = taken.into_iter();
            origins.retain(|_| taken.next().unwrap_or(false));
            if let Some(rejection) = self.rejects.stop_at(&chained.rejected)
                && stop.is_none_or(|stop| rejection.origin < stop)
            {
                // The sink has taken records behind it already: begin anew from what is durable, and
                // stop before it then.
                return Err(env.stop_before(&messages[rejection.origin], rejection));
            }
        }
        let ended = stop.unwrap_or(messages.len());
        for (origin, reason) in &chained.filtered {
            if *origin < ended {
                env.metrics.filtered(reason);
            }
        }
        self.unflushed = true;
        env.metrics.handled(began.elapsed());
        let mut given = origins.iter().copied().peekable();
        for (index, message) in messages.iter().enumerate() {
            let partition = TopicPartition::new(message.topic.clone(), message.partition);
            let progress = self.progress.entry(partition).or_default();
            while given.next_if(|origin| *origin < index).is_some() {}
            if given.peek() == Some(&index) {
                progress.given = Some(message.offset + 1);
            }
            if index < ended {
                progress.seen = message.offset + 1;
            }
        }
        if let Some(stop) = stop {
            self.close()?;
            env.metrics.rejected();
            return Err(tolerance_error(
                &messages[stop],
                chained
                    .rejected
                    .iter()
                    .find(|rejection| rejection.origin == stop),
            ));
        }
        self.settle(messages, &chained.rejected)
    }

    fn settle(&mut self, messages: &[Message], rejected: &[Rejection]) -> Result<(), Error> {
        if rejected.is_empty() {
            return Ok(());
        }
        if self.producer.is_none() {
            let spec = ProducerSpec {
                client_id: format!(
                    "{}-{}-dlq",
                    self.env.context.connector, self.env.context.task
                ),
                transactional_id: None,
                overrides: self.env.spec.producer_overrides.clone(),
            };
            self.producer = Some(
                self.env
                    .services
                    .broker
                    .producer(spec)
                    .map_err(task_error)?,
            );
        }
        match &mut self.producer {
            Some(producer) => self.rejects.settle(producer.as_mut(), messages, rejected),
            None => Ok(()),
        }
    }

    fn flush(&mut self, reason: FlushReason) -> Result<(), Error> {
        self.last_flush = Instant::now();
        // Dead letters first: a sink that holds its own position would go on behind them after a kill.
        if let Some(producer) = &mut self.producer {
            for delivery in producer.flush(DEAD_LETTER_TIMEOUT).map_err(task_error)? {
                delivery
                    .inspect_err(|_| self.env.metrics.dead_letter_failed())
                    .map_err(task_error)?;
            }
        }
        let positions = self
            .env
            .handle
            .block_on(self.sink.flush(reason, &mut MemoryJournal::default()))?;
        let mut offsets = Vec::new();
        for (partition, progress) in &mut self.progress {
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
                offsets.push((partition.at(offset), offset - progress.committed));
            }
        }
        self.unflushed = false;
        if offsets.is_empty() {
            return Ok(());
        }
        let since = Instant::now();
        let positions: Vec<TopicPartitionOffset> = offsets
            .iter()
            .map(|(position, _)| position.clone())
            .collect();
        self.consumer.commit(&positions).map_err(task_error)?;
        let moved = offsets
            .iter()
            .map(|(_, moved)| usize::try_from(*moved).unwrap_or(0))
            .sum();
        self.env.metrics.committed(since.elapsed(), moved);
        self.env.metrics.ended(moved);
        for (position, _) in offsets {
            let partition = TopicPartition::new(position.topic, position.partition);
            if let Some(progress) = self.progress.get_mut(&partition) {
                progress.committed = position.offset;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.flush(FlushReason::Close)?;
        let ours: Vec<_> = self
            .consumer
            .assignment()
            .iter()
            .map(sink_partition)
            .collect();
        self.env.handle.block_on(self.sink.close(&ours))
    }
}

fn sink_partition(partition: &TopicPartition) -> penstock_connect::TopicPartition {
    penstock_connect::TopicPartition {
        topic: partition.topic.clone(),
        partition: partition.partition,
    }
}

/// The error of a task that stops at a record, as the operator wants.
pub(super) fn tolerance_error(message: &Message, rejection: Option<&Rejection>) -> Error {
    let (stage, cause) = rejection.map_or(("?", String::new()), |rejection| {
        (rejection.stage.as_str(), rejection.error.to_string())
    });
    Error::never(format!(
        "stopped at {}-{} offset {}: {stage}: {cause} (errors.tolerance=none; set it to all, with a dead letter \
         topic, to go on past such records)",
        message.topic, message.partition, message.offset
    ))
}

/// The largest lag over these positions (next offset to read), in records. A partition that cannot
/// be asked counts as read up.
pub(super) fn lag<'p>(
    env: &TaskEnv,
    positions: impl Iterator<Item = (&'p TopicPartition, i64)>,
) -> i64 {
    let broker = &env.services.broker;
    let lags = positions.filter_map(|(partition, position)| {
        let (_, high) = broker
            .watermarks(&partition.topic, partition.partition)
            .ok()?;
        Some(high - position)
    });
    lags.max().unwrap_or(0).max(0)
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
}
