//! Topic to topics, exactly once: one transaction spans outputs, dead letters and the group's
//! offsets. Consumer and transactional producer live on this one thread.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use penstock_broker::{
    Consumer, Message, Polled, Producer, ProducerSpec, TopicPartition, TopicPartitionOffset,
};
use penstock_connect::{Error, Record};

use super::lag::Looks;
use super::progress::runs;
use super::rejects::Rejects;
use super::writer::Writer;
use super::{POLL, POLL_RECORDS, TaskEnv, task_error};
use crate::chain::Chain;
use crate::converters::Converter;

/// Transactions are at least this far apart while little comes in, so that a trickle of records
/// shares them.
const LINGER: Duration = Duration::from_millis(10);

/// Records that go through the chain together. What there is of them on the way stays in the processor's
/// cache; of a whole batch it does not.
const STEP: usize = 500;

pub(super) fn run(env: &TaskEnv) -> Result<(), Error> {
    while !env.stopping() {
        let Some(topics) = env.wait_for_topics()? else {
            return Ok(());
        };
        let Some(mut pipeline) = Pipeline::open(env, topics)? else {
            return Ok(());
        };
        pipeline.run()?;
    }
    Ok(())
}

struct Pipeline<'a> {
    env: &'a TaskEnv,
    chain: Chain,
    rejects: Rejects<'a>,
    writer: Writer,
    consumer: Box<dyn Consumer>,
    producer: Box<dyn Producer>,
    topics: Vec<String>,
    /// Key and value converter for reading.
    read: (Converter, Converter),
    /// Records of the next step: all there are while something has to be fetched for them (keys of new
    /// values), so that they wait for it together.
    step: usize,
    /// When the open transaction began, and the offsets that it moves.
    open: Option<Instant>,
    offsets: BTreeMap<TopicPartition, i64>,
    /// How far each partition was read, for its lag.
    positions: BTreeMap<TopicPartition, i64>,
    records: usize,
    /// Bytes that the open transaction has sent.
    bytes: usize,
}

impl<'a> Pipeline<'a> {
    /// `None` when asked to stop meanwhile.
    fn open(env: &'a TaskEnv, topics: Vec<String>) -> Result<Option<Self>, Error> {
        let key = env.spec.key_converter.unwrap_or(Converter::Auto);
        let value = env.spec.value_converter.unwrap_or(Converter::Auto);
        // It joins its group while all else is made ready.
        let consumer = env
            .services
            .broker
            .consumer(env.consumer_spec(topics.clone()))
            .map_err(task_error)?;
        let spec = producer_spec(env);
        // Keys and transactions are found by different parts of the broker: neither waits for the other.
        let (chain, producer) = thread::scope(|scope| {
            let producer = scope.spawn(|| env.producer(spec));
            let chain = env.chain().and_then(|chain| {
                let personal = note_inputs(env, &chain, &topics)?;
                Ok((chain, personal))
            });
            (chain, producer.join())
        });
        let (chain, personal) = chain?;
        let Some(producer) = producer.unwrap_or_else(|panic| resume_unwind(panic))? else {
            return Ok(None);
        };
        let mut writer = Writer::new(env, key, value);
        writer.handles_personal_data(personal);
        Ok(Some(Self {
            env,
            rejects: Rejects::new(env, &chain)?,
            chain,
            writer,
            consumer,
            producer,
            topics,
            read: (key, value),
            step: STEP,
            open: None,
            offsets: BTreeMap::new(),
            positions: BTreeMap::new(),
            records: 0,
            bytes: 0,
        }))
    }

    /// Runs until the task is to stop, or the set of topics has changed.
    fn run(&mut self) -> Result<(), Error> {
        let mut looks = Looks::new();
        loop {
            let polled = self
                .consumer
                .poll(POLL_RECORDS, self.poll_time())
                .map_err(task_error)?;
            match polled {
                Polled::Messages(messages) => self.take(&messages)?,
                Polled::Assigned(_) => {
                    looks.reassigned(self.env);
                    self.env
                        .metrics
                        .partitions(self.consumer.assignment().len());
                }
                Polled::Revoked { lost, partitions } => {
                    looks.reassigned(self.env);
                    if lost {
                        self.lose(&partitions)?
                    } else {
                        self.commit()?
                    }
                    self.positions
                        .retain(|partition, _| !partitions.contains(partition));
                    self.consumer.release().map_err(task_error)?;
                    self.env
                        .metrics
                        .partitions(self.consumer.assignment().len());
                }
                Polled::Idle => {}
            }
            if self.due() {
                self.commit()?;
            }
            if self.env.stopping() {
                return self.commit();
            }
            if looks.is_due() {
                let lag = looks.lag(self.env, self.consumer.as_mut(), &self.positions)?;
                self.env.metrics.lag(lag);
                let topics = self.env.topics()?;
                if topics.is_some_and(|topics| topics != self.topics) {
                    return self.commit();
                }
            }
        }
    }

    fn poll_time(&self) -> Duration {
        self.open
            .map_or(POLL, |since| LINGER.saturating_sub(since.elapsed()))
    }

    /// A transaction ends when nothing more came for a moment, after the configured time, or when its
    /// share of the memory is used up.
    fn due(&self) -> bool {
        let Some(since) = self.open else { return false };
        if self.bytes >= self.env.services.task_budget() {
            return true;
        }
        let interval = self.env.services.worker.transaction_interval.0;
        let little = self.records < POLL_RECORDS;
        since.elapsed()
            >= if little {
                LINGER.min(interval)
            } else {
                interval
            }
    }

    fn take(&mut self, messages: &[Message]) -> Result<(), Error> {
        if let Some((index, error)) = self.env.stop_point(messages) {
            self.take_up_to(&messages[..index])?;
            self.commit()?;
            return Err(error);
        }
        self.take_up_to(messages)
    }

    fn take_up_to(&mut self, messages: &[Message]) -> Result<(), Error> {
        let mut rest = messages;
        while !rest.is_empty() {
            let (step, after) = rest.split_at(rest.len().min(self.step));
            self.take_step(step)?;
            rest = after;
        }
        Ok(())
    }

    fn take_step(&mut self, messages: &[Message]) -> Result<(), Error> {
        let env = self.env;
        let count = messages.len();
        let began = Instant::now();
        let mut chained = env.chained(&mut self.chain, messages, self.read)?;
        self.step = if chained.waited { POLL_RECORDS } else { STEP };
        self.refuse_loops(&chained.passed)?;
        let unwritable = env
            .handle
            .block_on(self.writer.encode(&mut chained.passed))?;
        chained.rejected.extend(unwritable);
        self.writer.note_personal(&chained.passed)?;
        if self.open.is_none() {
            self.producer.begin().map_err(task_error)?;
            self.open = Some(Instant::now());
        }
        let stop = self
            .rejects
            .stop_at(&chained.rejected)
            .map(|rejection| rejection.origin);
        let ended = stop.unwrap_or(count);
        let mut written = 0;
        let mut too_large = Vec::new();
        for (index, record) in chained.passed.iter().enumerate() {
            if record.origin().index >= ended || !self.writer.is_encoded(index) {
                continue;
            }
            match self.writer.send(self.producer.as_mut(), index, record)? {
                None => written += 1,
                Some(rejection) => too_large.push(rejection),
            }
        }
        if let Some(rejection) = self.rejects.stop_at(&too_large) {
            // The transaction has records behind it already: begin anew, and stop before it then.
            self.abort()?;
            return Err(env.stop_before(&messages[rejection.origin], rejection));
        }
        chained.rejected.extend(too_large);
        for (origin, reason) in &chained.filtered {
            if *origin < ended {
                env.metrics.filtered(reason);
            }
        }
        env.metrics.wrote(written);
        for last in runs(&messages[..ended]).filter_map(<[Message]>::last) {
            let partition = TopicPartition::new(last.topic.clone(), last.partition);
            self.offsets.insert(partition, last.offset + 1);
        }
        self.records += ended;
        self.bytes += self.writer.size();
        env.metrics.handled(began.elapsed());
        match stop {
            Some(stop) => self.stop_at(&messages[stop], &chained.rejected, stop),
            None => self
                .rejects
                .settle(self.producer.as_mut(), messages, &chained.rejected),
        }
    }

    /// A record that goes back to a topic that is read here would come round again for ever.
    fn refuse_loops(&self, passed: &[Record]) -> Result<(), Error> {
        let mut checked: Option<&Arc<str>> = None;
        for record in passed {
            if checked.is_some_and(|checked| Arc::ptr_eq(checked, &record.topic)) {
                continue;
            }
            if self.topics.iter().any(|topic| **topic == *record.topic) {
                return Err(Error::never(format!(
                    "the pipeline would write to topic {}, which it reads: send its records elsewhere with a transform \
                     such as RegexRouter or ConsentRouter",
                    record.topic
                )));
            }
            checked = Some(&record.topic);
        }
        Ok(())
    }

    /// Commits what came before the record, then fails the task at it.
    fn stop_at(
        &mut self,
        message: &Message,
        rejected: &[crate::chain::Rejection],
        origin: usize,
    ) -> Result<(), Error> {
        self.commit()?;
        self.env.metrics.rejected();
        Err(super::sink::tolerance_error(
            message,
            rejected.iter().find(|rejection| rejection.origin == origin),
        ))
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.open.take().is_none() {
            return Ok(());
        }
        let since = Instant::now();
        self.positions.extend(
            self.offsets
                .iter()
                .map(|(partition, offset)| (partition.clone(), *offset)),
        );
        let offsets: Vec<TopicPartitionOffset> = std::mem::take(&mut self.offsets)
            .into_iter()
            .map(|(partition, offset)| partition.at(offset))
            .collect();
        let group = self.consumer.group_metadata().map_err(task_error)?;
        let mut committed = self.producer.commit(Some((&group, &offsets)));
        // A commit whose answer is late is asked for again: that is safe, and the only way to know.
        for _ in 0..3 {
            match &committed {
                Err(error) if error.retry == penstock_broker::Retry::Backoff => {
                    self.env.metrics.retried();
                    committed = self.producer.commit(Some((&group, &offsets)));
                }
                _ => break,
            }
        }
        if let Err(error) = committed {
            self.env.metrics.commit_failed(&error);
            if error.retry == penstock_broker::Retry::Abort {
                self.producer.abort().map_err(task_error)?;
            }
            return Err(task_error(error));
        }
        self.env.metrics.committed(since.elapsed(), self.records);
        self.env.metrics.ended(self.records);
        self.records = 0;
        self.bytes = 0;
        Ok(())
    }

    /// Drops the open transaction, since some of its partitions are somebody else's now. Records of
    /// partitions that stay would not come again by themselves: then the task begins anew.
    fn lose(&mut self, lost: &[TopicPartition]) -> Result<(), Error> {
        let kept = self
            .offsets
            .keys()
            .any(|partition| !lost.contains(partition));
        self.abort()?;
        if kept {
            return Err(Error::reconnect(
                "partitions were lost in the middle of a transaction: going on from the committed offsets",
            ));
        }
        Ok(())
    }

    /// Drops the open transaction. The records in it come again, to whoever gets the partitions.
    fn abort(&mut self) -> Result<(), Error> {
        self.offsets.clear();
        self.records = 0;
        self.bytes = 0;
        self.env.metrics.none_active();
        if self.open.take().is_some() {
            self.producer.abort().map_err(task_error)?;
        }
        Ok(())
    }
}

fn producer_spec(env: &TaskEnv) -> ProducerSpec {
    let context = &env.context;
    ProducerSpec {
        client_id: format!("{}-{}", context.connector, context.task),
        transactional_id: Some(format!(
            "{}-{}-{}-{}",
            env.group(),
            context.connector,
            env.services.worker_id(),
            context.task
        )),
        overrides: env.spec.producer_overrides.clone(),
    }
}

/// Notes what is read by transforms that handle personal data. Whether what is written from these topics
/// may hold any.
fn note_inputs(env: &TaskEnv, chain: &Chain, topics: &[String]) -> Result<bool, Error> {
    if !chain.handles_personal_data() {
        return reads_personal(env, topics);
    }
    for topic in topics {
        env.services.note_personal(topic)?;
    }
    Ok(true)
}

/// Whether one of these topics may hold personal data: then so may what is made of it.
fn reads_personal(env: &TaskEnv, topics: &[String]) -> Result<bool, Error> {
    for topic in topics {
        if env.services.is_personal(topic)? {
            return Ok(true);
        }
    }
    Ok(false)
}
