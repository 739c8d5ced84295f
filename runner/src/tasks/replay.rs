//! A replayable source to topics, exactly once: records, dead letters and the source's position in
//! one transaction. A second instance of the same task fences the first.

use std::sync::atomic::Ordering;
use std::time::Instant;

use penstock_broker::{Message, Producer, ProducerSpec};
use penstock_connect::{Error, Origin, Record, Source, SourceBatch};
use penstock_formats::Payload;

use super::rejects::Rejects;
use super::writer::Writer;
use super::{Ended, TaskEnv, task_error};
use crate::chain::{Chain, Rejection};
use crate::converters::Converter;
use crate::offsets;
use crate::status::State;

pub(super) fn run(env: &TaskEnv, mut source: Box<dyn Source>) -> Result<Ended, Error> {
    let Some(mut task) = Replay::open(env)? else {
        return Ok(Ended::Stopped);
    };
    let (connector, number) = (env.context.connector.clone(), env.context.task);
    let position =
        env.ask(move |services| offsets::load(services.broker.as_ref(), &connector, number))?;
    let Some(position) = position else {
        return Ok(Ended::Stopped);
    };
    env.handle.block_on(source.open(position))?;
    env.status.set(State::Running, None);
    let ended = task.run(source.as_mut());
    env.handle.block_on(source.close());
    ended
}

struct Replay<'a> {
    env: &'a TaskEnv,
    chain: Chain,
    rejects: Rejects<'a>,
    writer: Writer,
    /// Key and value converter.
    converters: (Converter, Converter),
    producer: Box<dyn Producer>,
}

impl<'a> Replay<'a> {
    /// `None` when asked to stop meanwhile.
    fn open(env: &'a TaskEnv) -> Result<Option<Self>, Error> {
        let chain = env.chain()?;
        let (key, value) = env.services.converters(&env.spec);
        let context = &env.context;
        let producer = env.producer(ProducerSpec {
            client_id: format!("{}-{}", context.connector, context.task),
            transactional_id: Some(format!(
                "{}-{}-{}",
                env.services.worker.group_id, context.connector, context.task
            )),
            overrides: env.spec.producer_overrides.clone(),
        })?;
        let Some(producer) = producer else {
            return Ok(None);
        };
        let mut writer = Writer::new(env, key, value);
        writer.handles_personal_data(chain.handles_personal_data());
        Ok(Some(Self {
            env,
            rejects: Rejects::new(env, &chain)?,
            chain,
            writer,
            converters: (key, value),
            producer,
        }))
    }

    fn run(&mut self, source: &mut dyn Source) -> Result<Ended, Error> {
        let env = self.env;
        loop {
            let one_by_one = env.one_by_one.load(Ordering::Relaxed) > 0;
            source.limit(one_by_one.then_some(1));
            let polled = env.handle.block_on(async {
                tokio::select! {
                    biased;
                    () = env.stop.cancelled() => None,
                    batch = source.poll() => Some(batch),
                }
            });
            match polled {
                None => return Ok(Ended::Stopped),
                Some(batch) => self.take(batch?, &*source)?,
            }
            if source.is_finished() {
                return Ok(Ended::Completed);
            }
        }
    }

    /// The position moves batch by batch. To stop at a record behind others of its batch, the task
    /// begins anew and takes the records up to it one by one.
    fn stop_at(&self, rejection: &Rejection, count: usize) -> Error {
        let error = stop_error(rejection);
        let left = &self.env.one_by_one;
        if rejection.origin == 0 || left.load(Ordering::Relaxed) > 0 {
            self.env.metrics.rejected();
            return error;
        }
        left.store(count, Ordering::Relaxed);
        Error::reconnect(format!(
            "{} The records before it come first.",
            error.message
        ))
    }

    fn take(&mut self, batch: SourceBatch, source: &dyn Source) -> Result<(), Error> {
        let env = self.env;
        let SourceBatch { records, position } = batch;
        if records.is_empty() && position.is_none() {
            return Ok(());
        }
        let count = records.len();
        env.metrics.read(count);
        let mut originals = Vec::with_capacity(count);
        let mut good = Vec::with_capacity(count);
        let mut faults = Vec::new();
        for (index, polled) in records.into_iter().enumerate() {
            let mut record = polled.record;
            record.set_origin(Origin {
                index,
                partition: None,
                offset: -1,
            });
            originals.push(record);
            match polled.fault {
                None => good.push(index),
                Some(error) => faults.push(Rejection {
                    origin: index,
                    error,
                    stage: "source".to_owned(),
                }),
            }
        }
        let began = Instant::now();
        let chain = &mut self.chain;
        let mut chained = env.retrying(async || {
            let records = good.iter().map(|index| originals[*index].clone());
            chain.run(records.collect()).await
        })?;
        let unwritable = env
            .handle
            .block_on(self.writer.encode(&mut chained.passed))?;
        chained.rejected.extend(unwritable);
        chained
            .rejected
            .iter_mut()
            .for_each(|rejection| name_place(rejection, source));
        // What the source itself says of a record has its place in it.
        chained.rejected.extend(faults);
        if let Some(rejection) = self.rejects.stop_at(&chained.rejected) {
            return Err(self.stop_at(rejection, count));
        }
        let since = Instant::now();
        self.writer.note_personal(&chained.passed)?;
        self.producer.begin().map_err(task_error)?;
        let written = self.write(&originals, chained.passed, chained.rejected, source);
        let (written, position) = match (written, position) {
            (Ok(written), position) => (written, position),
            (Err(error), _) => {
                self.producer.abort().map_err(task_error)?;
                return Err(error);
            }
        };
        if let Some(position) = position {
            offsets::store(
                self.producer.as_mut(),
                &env.context.connector,
                env.context.task,
                &position,
            )
            .map_err(task_error)?;
        }
        self.commit()?;
        // Only this thread counts it down.
        let left = env.one_by_one.load(Ordering::Relaxed);
        env.one_by_one
            .store(left.saturating_sub(count), Ordering::Relaxed);
        for (_, reason) in &chained.filtered {
            env.metrics.filtered(reason);
        }
        env.metrics.wrote(written);
        env.metrics.committed(since.elapsed(), count);
        env.metrics.none_active();
        env.metrics.handled(began.elapsed());
        Ok(())
    }

    /// Hands records and dead letters to the producer; how many records went out.
    fn write(
        &mut self,
        originals: &[Record],
        passed: Vec<Record>,
        mut rejected: Vec<Rejection>,
        source: &dyn Source,
    ) -> Result<usize, Error> {
        let mut written = 0;
        for (index, record) in passed.iter().enumerate() {
            if !self.writer.is_encoded(index) {
                continue;
            }
            match self.writer.send(self.producer.as_mut(), index, record)? {
                None => written += 1,
                Some(mut rejection) => {
                    name_place(&mut rejection, source);
                    rejected.push(rejection);
                }
            }
        }
        if let Some(rejection) = self.rejects.stop_at(&rejected) {
            return Err(self.stop_at(rejection, originals.len()));
        }
        if !rejected.is_empty() {
            let (key, value) = self.converters;
            let originals: Vec<Message> = originals
                .iter()
                .map(|record| original(record, key, value))
                .collect();
            self.rejects
                .settle(self.producer.as_mut(), &originals, &rejected)?;
        }
        Ok(written)
    }

    fn commit(&mut self) -> Result<(), Error> {
        let mut committed = self.producer.commit(None);
        for _ in 0..3 {
            match &committed {
                Err(error) if error.retry == penstock_broker::Retry::Backoff => {
                    self.env.metrics.retried();
                    committed = self.producer.commit(None);
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
        Ok(())
    }
}

/// Says where the record came from, if the source knows.
fn name_place(rejection: &mut Rejection, source: &dyn Source) {
    if let Some(place) = source.place(rejection.origin) {
        let message = &mut rejection.error.message;
        *message = format!("{place}: {message}");
    }
}

/// A source's record as a dead letter keeps it: in the form that it would have in its topic, so that
/// the same converters read it. What has no schema stays as it came.
fn original(record: &Record, key: Converter, value: Converter) -> Message {
    let bytes = |converter: Converter, payload: &Option<Payload>| {
        let payload = payload.as_ref()?;
        let mut out = Vec::new();
        match payload.schema().map(|_| converter.write(payload, &mut out)) {
            Some(Ok(())) => Some(out.into()),
            _ => Some(payload.bytes().clone()),
        }
    };
    Message {
        topic: record.topic.clone(),
        partition: -1,
        offset: -1,
        timestamp: record.timestamp.unwrap_or(-1),
        key: bytes(key, &record.key),
        value: bytes(value, &record.value),
        headers: record
            .headers
            .iter()
            .map(|header| penstock_broker::Header {
                name: header.name.clone(),
                value: header.value.clone(),
            })
            .collect(),
    }
}

fn stop_error(rejection: &Rejection) -> Error {
    Error::never(format!(
        "stopped at a record of the source: {}: {} (errors.tolerance=none; set it to all, with a dead letter topic or \
         error stream, to go on past such records)",
        rejection.stage, rejection.error
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use penstock_formats::{Encoding, Schema, SchemaKind};

    use super::*;

    #[test]
    fn a_dead_letter_is_read_by_the_converters_of_its_topic() {
        let schema = Schema::avro("\"string\"", &[]).unwrap().with_id(7, None);
        let encoding = Encoding::Registered(Arc::new(schema));
        let good = Payload::new(&b"\x02v"[..], encoding);
        let raw = Payload::new(&b"no event"[..], Encoding::Bytes);
        let avro = Converter::Registry(SchemaKind::Avro);
        let json = Converter::Json { schemas: false };
        for (converter, payload, expected) in [
            (avro, &good, &b"\0\0\0\0\x07\x02v"[..]),
            (json, &good, b"\"v\""),
            (Converter::Auto, &good, b"\0\0\0\0\x07\x02v"),
            // What the source could not read stays as it came.
            (avro, &raw, b"no event"),
            (json, &raw, b"no event"),
        ] {
            let record = Record::new("out".into(), Some(payload.clone()));
            let letter = original(&record, Converter::Auto, converter);
            assert_eq!(letter.value.as_deref(), Some(expected), "{converter:?}");
        }
    }
}
