//! A push source (an intake) to topics: nobody can ask its senders again, so each record is made
//! durable at once and its outcome goes back to the sender. A bad record never stops an intake.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use penstock_broker::{Delivery, ErrorKind, Producer, ProducerSpec, Retry as BrokerRetry};
use penstock_connect::{
    Error, Origin, Outcome, Record, RecordError, RecordErrorKind, Reply, Retry, Source, SourceBatch,
};

use super::writer::Writer;
use super::{TaskEnv, task_error};
use crate::chain::Chain;
use crate::status::State;

/// Longest wait for a batch to become durable before its senders are told to come again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The log says once in this time why senders are told to come again.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What senders are told when something behind the intake is away; why is for log and status.
const COME_AGAIN: &str = "Something that this intake needs is not available. The event was not accepted. Send again later.";

/// What they are told when a write has failed.
const UNKNOWN: &str =
    "Whether the event was accepted is not known. Send again; it may then be there twice.";

pub(super) fn run(env: &TaskEnv, mut source: Box<dyn Source>) -> Result<(), Error> {
    let mut task = Push::open(env)?;
    env.handle.block_on(source.open(None))?;
    env.status.set(State::Running, None);
    // Also when a plugin panics: those whose events are under way are told to come again.
    let ended = catch_unwind(AssertUnwindSafe(|| task.run(source.as_mut())));
    env.handle.block_on(source.close());
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

struct Push<'a> {
    env: &'a TaskEnv,
    chain: Chain,
    writer: Writer,
    producer: Option<Box<dyn Producer>>,
    /// Why senders are told to come again, and when the log said so.
    told: Option<(String, Instant)>,
}

/// What is known of records so far, what became of those that were sent, and the producer.
type Written = (Vec<(usize, Outcome)>, Vec<Delivery>, Box<dyn Producer>);

/// A batch that was not written as a whole.
struct Unwritten {
    error: Error,
    /// The origins that the producer was given already: what became of them nobody knows.
    sent: Vec<usize>,
}

impl<'a> Push<'a> {
    fn open(env: &'a TaskEnv) -> Result<Self, Error> {
        let chain = env.chain()?;
        let (key, value) = env.services.converters(&env.spec);
        let mut push = Self {
            env,
            chain,
            writer: Writer::new(env, key, value),
            producer: None,
            told: None,
        };
        push.writer
            .handles_personal_data(push.chain.handles_personal_data());
        push.producer = Some(push.new_producer()?);
        Ok(push)
    }

    fn new_producer(&self) -> Result<Box<dyn Producer>, Error> {
        let spec = ProducerSpec {
            client_id: format!("{}-{}", self.env.context.connector, self.env.context.task),
            transactional_id: None,
            overrides: self.env.spec.producer_overrides.clone(),
        };
        self.env.services.broker.producer(spec).map_err(task_error)
    }

    /// Polls until the task is to stop; then the source is closed, which drains what it has taken in.
    fn run(&mut self, source: &mut dyn Source) -> Result<(), Error> {
        let env = self.env;
        loop {
            let polled = env.handle.block_on(async {
                tokio::select! {
                    biased;
                    () = env.stop.cancelled() => None,
                    batch = source.poll() => Some(batch),
                }
            });
            match polled {
                None => return Ok(()),
                Some(batch) => self.take(batch?)?,
            }
        }
    }

    fn take(&mut self, batch: SourceBatch) -> Result<(), Error> {
        let env = self.env;
        let count = batch.records.len();
        env.metrics.read(count);
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(count);
        let mut records = Vec::with_capacity(count);
        for (index, polled) in batch.records.into_iter().enumerate() {
            let mut record = polled.record;
            record.set_origin(Origin {
                index,
                partition: None,
                offset: -1,
            });
            match polled.fault {
                None => {
                    replies.push(polled.reply);
                    records.push(record);
                }
                Some(error) => {
                    env.metrics.rejected();
                    if let Some(reply) = polled.reply {
                        reply.send(Outcome::Rejected(error));
                    }
                    replies.push(None);
                }
            }
        }
        let began = Instant::now();
        let chained = match env.handle.block_on(self.chain.run(records)) {
            Ok(chained) => chained,
            Err(error) => {
                let anew = error.retry == Retry::Reconnect;
                self.unavailable(replies, error)?;
                if anew {
                    self.chain = env.chain()?;
                }
                return Ok(());
            }
        };
        let mut passed = chained.passed;
        let unwritable = match env.handle.block_on(self.writer.encode(&mut passed)) {
            Ok(unwritable) => unwritable,
            Err(error) => return self.unavailable(replies, error),
        };
        let mut answer = |origin: usize, outcome: Outcome| {
            if let Some(reply) = replies.get_mut(origin).and_then(Option::take) {
                reply.send(outcome);
            }
        };
        for (origin, reason) in chained.filtered {
            env.metrics.filtered(reason);
            answer(origin, Outcome::Filtered { reason });
        }
        for rejection in chained.rejected.into_iter().chain(unwritable) {
            env.metrics.rejected();
            answer(rejection.origin, Outcome::Rejected(rejection.error));
        }
        if passed.is_empty() {
            env.metrics.none_active();
            return Ok(());
        }
        match self.write(&passed) {
            Ok(outcomes) => {
                let delivered = outcomes
                    .iter()
                    .filter(|(_, outcome)| *outcome == Outcome::Delivered)
                    .count();
                env.metrics.wrote(delivered);
                // Of several outputs of one record the first that failed decides.
                let (delivered, failed): (Vec<_>, Vec<_>) = outcomes
                    .into_iter()
                    .partition(|(_, outcome)| *outcome == Outcome::Delivered);
                for (origin, outcome) in failed.into_iter().chain(delivered) {
                    answer(origin, outcome);
                }
                env.metrics.none_active();
                env.metrics.handled(began.elapsed());
                Ok(())
            }
            Err(Unwritten { error, sent }) => {
                self.producer = None;
                for origin in sent {
                    let message = UNKNOWN.to_owned();
                    answer(origin, Outcome::Unavailable { message });
                }
                self.unavailable(replies, error)
            }
        }
    }

    /// Writes records and waits until each is durable or has failed.
    fn write(&mut self, passed: &[Record]) -> Result<Vec<(usize, Outcome)>, Unwritten> {
        let since = Instant::now();
        let mut sent = Vec::with_capacity(passed.len());
        let (mut outcomes, deliveries, producer) = match self.try_write(passed, &mut sent) {
            Ok(written) => written,
            Err(error) => return Err(Unwritten { error, sent }),
        };
        let mut failure = None;
        for (origin, delivery) in sent.into_iter().zip(deliveries) {
            outcomes.push((
                origin,
                match delivery {
                    Ok(_) => Outcome::Delivered,
                    Err(error)
                        if error.kind == ErrorKind::TooLarge
                            && error.retry == BrokerRetry::Never =>
                    {
                        Outcome::Rejected(RecordError::new(
                            RecordErrorKind::TooLarge,
                            error.message,
                        ))
                    }
                    Err(error) => {
                        failure = Some(error);
                        Outcome::Unavailable {
                            message: UNKNOWN.to_owned(),
                        }
                    }
                },
            ));
        }
        match failure {
            None => {
                self.producer = Some(producer);
                self.recovered();
            }
            Some(error) => {
                if matches!(error.retry, BrokerRetry::Never | BrokerRetry::Backoff) {
                    self.producer = Some(producer);
                }
                self.tell(&task_error(error));
            }
        }
        self.env.metrics.committed(since.elapsed(), outcomes.len());
        Ok(outcomes)
    }

    /// Hands the records to the producer, and waits until it knows what became of all of them: those that
    /// their topics do not take, and what it says of the ones that it was given (`sent`).
    fn try_write(&mut self, passed: &[Record], sent: &mut Vec<usize>) -> Result<Written, Error> {
        self.writer.note_personal(passed)?;
        let mut producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.new_producer()?,
        };
        let mut outcomes = Vec::with_capacity(passed.len());
        for (index, record) in passed.iter().enumerate() {
            if !self.writer.is_encoded(index) {
                continue;
            }
            match self.writer.send(producer.as_mut(), index, record)? {
                None => sent.push(record.origin().index),
                Some(rejection) => {
                    outcomes.push((rejection.origin, Outcome::Rejected(rejection.error)))
                }
            }
        }
        let deliveries = producer.flush(DELIVERY_TIMEOUT).map_err(task_error)?;
        Ok((outcomes, deliveries, producer))
    }

    /// Tells all who wait to come again; only an error that cannot pass ends the task.
    fn unavailable(&mut self, replies: Vec<Option<Reply>>, error: Error) -> Result<(), Error> {
        self.env.metrics.failed();
        self.env.metrics.none_active();
        for reply in replies.into_iter().flatten() {
            reply.send(Outcome::Unavailable {
                message: COME_AGAIN.to_owned(),
            });
        }
        if error.retry == Retry::Never {
            return Err(error);
        }
        self.tell(&error);
        Ok(())
    }

    /// Says in log and status why senders are told to come again. The log hears of it again only after a
    /// while, however many senders come.
    fn tell(&mut self, error: &Error) {
        let trace = error.trace();
        self.env.status.set(State::Running, Some(trace.clone()));
        let told = self.told.as_ref();
        if told.is_some_and(|(told, at)| *told == trace && at.elapsed() < TELL_AGAIN) {
            return;
        }
        tracing::warn!(
            connector = &*self.env.context.connector,
            "senders are told to come again: {trace}"
        );
        self.told = Some((trace, Instant::now()));
    }

    fn recovered(&mut self) {
        if self.told.take().is_some() {
            self.env.status.set(State::Running, None);
        }
    }
}
