//! Topics to a sink: records are given to the sink in order, and the group's offsets move only to
//! what the sink says is durable, after the dead letters before it are.

mod partitions;
mod records;

use std::time::{Duration, Instant};

use penstock_broker::{Consumer, ErrorKind, Message, Polled, Producer, Start};
use penstock_connect::{Error, FlushReason, Need, Retry, Sink, StartAt};

use super::journal;
use super::lag::Looks;
use super::progress::{Partitions, sink_partition};
use super::rejects::Rejects;
use super::until_end::UntilEnd;
use super::{Ended, POLL, POLL_RECORDS, TaskEnv, task_error};
use crate::chain::{Chain, Rejection};
use crate::converters::Converter;

/// Progress is made durable this soon once no more records come.
const IDLE_FLUSH: Duration = Duration::from_millis(100);

/// Flushes are this far apart while the sink asks for them.
const ASKED_FLUSH: Duration = Duration::from_millis(50);

/// Flushes are this far apart when nothing is left to be read: they take nothing from reading then.
const LAST_FLUSH: Duration = Duration::from_millis(10);

/// Flushes are this far apart while the sink has no room.
const ROOM_FLUSH: Duration = Duration::from_millis(10);

/// A sink without room is waited for so long before its partitions are paused, since a pause throws away
/// what was fetched ahead.
const ROOM_PATIENCE: Duration = Duration::from_millis(200);

/// Longest wait for dead letters to become durable before the task starts again.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn run(env: &TaskEnv, mut sink: Box<dyn Sink>) -> Result<Ended, Error> {
    if let Some(ends) = &env.ends {
        let topics = ends.topics();
        if topics.is_empty() {
            return Ok(Ended::Completed);
        }
        return SinkTask::open(env, topics, sink.as_mut())?.run();
    }
    while !env.stopping() {
        let Some(topics) = env.wait_for_topics()? else {
            return Ok(Ended::Stopped);
        };
        SinkTask::open(env, topics, sink.as_mut())?.run()?;
    }
    Ok(Ended::Stopped)
}

struct SinkTask<'a> {
    env: &'a TaskEnv,
    sink: &'a mut dyn Sink,
    chain: Chain,
    rejects: Rejects<'a>,
    consumer: Box<dyn Consumer>,
    /// For dead letters of a sink without a journal; made when the first one comes.
    producer: Option<Box<dyn Producer>>,
    journal: journal::Writer,
    topics: Vec<String>,
    read: (Converter, Converter),
    /// Partitions without any position begin with the next record that comes.
    from_latest: bool,
    partitions: Partitions,
    until_end: Option<UntilEnd>,
    last_flush: Instant,
    unflushed: bool,
    /// Since when the sink has no room.
    full_since: Option<Instant>,
    /// It has had none for a while: nothing is read.
    paused: bool,
    /// Records that came nevertheless, since they were on their way.
    waiting: Vec<Message>,
}

impl<'a> SinkTask<'a> {
    fn open(env: &'a TaskEnv, topics: Vec<String>, sink: &'a mut dyn Sink) -> Result<Self, Error> {
        let chain = env.chain()?;
        if chain.handles_personal_data() {
            for topic in &topics {
                env.services.note_personal(topic)?;
            }
        }
        let mut spec = env.consumer_spec(topics.clone());
        if !env
            .spec
            .consumer_overrides
            .contains_key("auto.offset.reset")
            && sink.start_at() == StartAt::Latest
        {
            spec.start = Start::Latest;
        }
        let from_latest = spec.start == Start::Latest;
        let consumer = env.services.broker.consumer(spec).map_err(task_error)?;
        Ok(Self {
            rejects: Rejects::new(env, &chain)?,
            env,
            sink,
            chain,
            consumer,
            producer: None,
            journal: journal::Writer::default(),
            topics,
            read: env.services.converters(&env.spec),
            from_latest,
            partitions: Partitions::default(),
            until_end: env.ends.clone().map(UntilEnd::new),
            last_flush: Instant::now(),
            unflushed: false,
            full_since: None,
            paused: false,
            waiting: Vec::new(),
        })
    }

    /// Runs until the task is to stop, the set of topics has changed, or the end has come.
    fn run(&mut self) -> Result<Ended, Error> {
        let mut looks = Looks::new();
        loop {
            self.pause_or_resume()?;
            let polled = self.poll()?;
            match polled {
                Polled::Messages(messages) if self.paused => self.waiting.extend(messages),
                Polled::Messages(messages) => self.take(messages)?,
                Polled::Assigned(partitions) => {
                    looks.reassigned(self.env);
                    self.assigned(&partitions)?;
                }
                Polled::Revoked { partitions, lost } => {
                    looks.reassigned(self.env);
                    self.revoked(&partitions, lost)?;
                }
                Polled::Idle => {
                    if self.unflushed && self.last_flush.elapsed() >= IDLE_FLUSH {
                        self.flush(FlushReason::Tick)?;
                    }
                    self.come_to_end()?;
                }
            }
            let interval = self.env.services.worker.offset_flush_interval.0;
            let pause = self.next_flush().unwrap_or(interval).min(interval);
            if self.last_flush.elapsed() >= pause {
                self.flush(FlushReason::Tick)?;
            }
            if self.is_complete()? {
                self.close()?;
                return Ok(Ended::Completed);
            }
            if self.env.stopping() {
                self.close()?;
                return Ok(Ended::Stopped);
            }
            if looks.is_due() && self.look(&mut looks)? {
                self.close()?;
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Looks at what changes slowly. Says whether there are other topics to be read now.
    fn look(&mut self, looks: &mut Looks) -> Result<bool, Error> {
        let env = self.env;
        if let Some(until) = &mut self.until_end {
            env.metrics.lag(Some(until.lag(self.partitions.seen())));
            let deleted = until.deleted(env, self.consumer.as_ref())?;
            until.reach(deleted, self.consumer.as_mut(), &mut self.partitions)?;
            return Ok(false);
        }
        let seen = self.partitions.seen();
        let positions = seen.map(|(partition, seen)| (partition.clone(), seen));
        let lag = looks.lag(env, self.consumer.as_mut(), &positions.collect())?;
        env.metrics.lag(lag);
        let topics = env.topics()?;
        Ok(topics.is_some_and(|topics| topics != self.topics))
    }

    /// How soon after the last one the sink asks for a flush, if it does.
    fn next_flush(&self) -> Option<Duration> {
        match self.sink.need() {
            Need::Nothing => None,
            Need::Flush => Some(ASKED_FLUSH),
            Need::Room => Some(ROOM_FLUSH),
        }
    }

    /// Whether nothing is left to be read.
    fn has_read_all(&self) -> bool {
        let until = self.until_end.as_ref();
        until.is_some_and(|until| until.open(self.consumer.as_ref()).is_empty())
    }

    /// Stops reading while the sink has no room.
    fn pause_or_resume(&mut self) -> Result<(), Error> {
        self.full_since = match self.sink.need() {
            Need::Room => self.full_since.or_else(|| Some(Instant::now())),
            Need::Nothing | Need::Flush => None,
        };
        let pause = self
            .full_since
            .is_some_and(|since| since.elapsed() >= ROOM_PATIENCE);
        if pause == self.paused {
            return Ok(());
        }
        let ours = match &self.until_end {
            Some(until) => until.open(self.consumer.as_ref()),
            None => self.consumer.assignment(),
        };
        let changed = if pause {
            self.consumer.pause(&ours)
        } else {
            self.consumer.resume(&ours)
        };
        changed.map_err(task_error)?;
        self.paused = pause;
        Ok(())
    }

    fn poll(&mut self) -> Result<Polled, Error> {
        if self.full_since.is_some() && !self.paused {
            self.env.pause(ROOM_FLUSH);
            return Ok(Polled::Idle);
        }
        if !self.paused && !self.waiting.is_empty() {
            return Ok(Polled::Messages(std::mem::take(&mut self.waiting)));
        }
        let pause = match self.next_flush() {
            _ if self.has_read_all() => LAST_FLUSH,
            Some(pause) => pause.saturating_sub(self.last_flush.elapsed()).min(POLL),
            None => POLL,
        };
        self.consumer.poll(POLL_RECORDS, pause).map_err(task_error)
    }

    /// Takes note of partitions that have come to their end without a record that says so.
    fn come_to_end(&mut self) -> Result<(), Error> {
        let Some(until) = &mut self.until_end else {
            return Ok(());
        };
        let consumer = self.consumer.as_mut();
        let ended = until.come_to_end(consumer, &mut self.partitions)?;
        until.reach(ended, consumer, &mut self.partitions)
    }

    /// Whether there is nothing left to be read, and all of it is durable and committed. What the sink
    /// still holds when the task has come to its ends is flushed.
    fn is_complete(&mut self) -> Result<bool, Error> {
        if !self.has_read_all() {
            return Ok(false);
        }
        let Some(until) = &mut self.until_end else {
            return Ok(false);
        };
        let consumer = self.consumer.as_mut();
        if until.is_committed(&self.partitions) {
            return until.is_complete(consumer);
        }
        if self.unflushed || self.last_flush.elapsed() >= LAST_FLUSH {
            self.flush(FlushReason::End)?;
        }
        Ok(false)
    }

    fn flush(&mut self, reason: FlushReason) -> Result<(), Error> {
        self.last_flush = Instant::now();
        // Dead letters first: a sink that holds its own position would go on behind them after a kill.
        if let Some(producer) = &mut self.producer {
            for delivery in producer.flush(DEAD_LETTER_TIMEOUT).map_err(task_error)? {
                delivery
                    .inspect_err(|_| self.env.metrics.dead_letter_failed())
                    .map_err(dead_letter_error)?;
            }
        }
        let mut journal =
            self.journal
                .journal(self.env, self.consumer.as_mut(), &mut self.partitions);
        let positions = self
            .env
            .handle
            .block_on(self.sink.flush(reason, &mut journal))?;
        self.unflushed = false;
        let offsets = self.partitions.durable(&positions);
        if offsets.is_empty() {
            return Ok(());
        }
        let since = Instant::now();
        self.consumer.commit(&offsets).map_err(|error| {
            self.env.metrics.commit_failed(&error);
            task_error(error)
        })?;
        let moved = self.partitions.commit(&offsets);
        self.env.metrics.committed(since.elapsed(), moved);
        self.env.metrics.ended(moved);
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

/// A dead letter that its topic did not take is made smaller when the task comes to it again.
fn dead_letter_error(error: penstock_broker::Error) -> Error {
    let too_large = error.kind == ErrorKind::TooLarge;
    let mut error = task_error(error);
    if too_large {
        error.retry = Retry::Reconnect;
    }
    error
}
