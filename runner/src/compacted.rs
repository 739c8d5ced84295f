//! The worker's own compacted topics: how they are made, and how they are read to their end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use penstock_broker::{
    Broker, Error, ErrorKind, Message, OutRecord, Placed, Producer, ProducerSpec, ReaderSpec,
    Result, Retry, StartAt, TopicSpec,
};

/// Only closed segments are compacted: small ones keep a start from reading what is long outdated.
const SEGMENT_BYTES: &str = "16777216";

/// Longest wait for what was written to be durable.
const DURABLE: Duration = Duration::from_secs(30);

/// Name of these clients.
const CLIENT: &str = "penstock-state";

/// A wait that is longer stands in the log.
const TELL: Duration = Duration::from_secs(1);

/// Longer than a transaction that nobody ends can stay open at a broker's defaults.
const PATIENCE: Duration = Duration::from_secs(75);

/// Makes the topic if it is not there.
pub(crate) fn create(
    broker: &dyn Broker,
    name: &str,
    partitions: i32,
    replication: Option<i32>,
) -> Result<()> {
    let mut spec = TopicSpec::new(name, partitions)
        .config("cleanup.policy", "compact")
        .config("segment.bytes", SEGMENT_BYTES);
    spec.replication = replication;
    broker.create_topic(&spec).map(|_| ())
}

/// Writes records outside of any transaction; durable when this returns where they lie.
pub(crate) fn write(broker: &dyn Broker, records: &[OutRecord<'_>]) -> Result<Vec<Placed>> {
    Writer::default().write(broker, records)
}

/// Writes with a client that is kept: only the first write waits until it is connected.
#[derive(Default)]
pub(crate) struct Writer(Mutex<Option<Box<dyn Producer>>>);

impl Writer {
    /// As [`write`].
    pub(crate) fn write(
        &self,
        broker: &dyn Broker,
        records: &[OutRecord<'_>],
    ) -> Result<Vec<Placed>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut producer = match kept.take() {
            Some(producer) => producer,
            None => broker.producer(ProducerSpec {
                client_id: CLIENT.to_owned(),
                ..ProducerSpec::default()
            })?,
        };
        for record in records {
            producer.send(*record)?;
        }
        let written: Result<Vec<_>> = producer.flush(DURABLE)?.into_iter().collect();
        // Only a producer without loose ends is used again.
        if written.is_ok() {
            *kept = Some(producer);
        }
        written
    }
}

/// Hands out every committed record of these partitions, up to what was there when this began. A
/// transaction that is open then may commit yet, and hides what others wrote behind it: its end is
/// waited for.
pub(crate) fn read(
    broker: &dyn Broker,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
    mut each: impl FnMut(Message),
) -> Result<()> {
    let mut spec = ReaderSpec::new(CLIENT);
    spec.read_committed = false;
    let mut all = broker.reader(spec)?;
    let mut ends = BTreeMap::new();
    for partition in partitions {
        let (low, end) = all.watermarks(topic, partition)?;
        if end > low {
            ends.insert(partition, end);
        }
    }
    drop(all);
    if ends.is_empty() {
        return Ok(());
    }
    let mut reader = broker.reader(ReaderSpec::new(CLIENT))?;
    for partition in ends.keys() {
        reader.assign(topic, *partition, StartAt::Earliest)?;
    }
    let mut waiting_since = Instant::now();
    let mut told = false;
    while !ends.is_empty() {
        let messages = reader.poll(1000, Duration::from_millis(50))?;
        if !messages.is_empty() {
            waiting_since = Instant::now();
        }
        for message in messages {
            each(message);
        }
        let mut reached = Vec::new();
        for (partition, end) in &ends {
            if reader.position(topic, *partition)? >= *end {
                reached.push(*partition);
            }
        }
        for partition in reached {
            ends.remove(&partition);
            reader.unassign(topic, partition)?;
        }
        if waiting_since.elapsed() > TELL && !ends.is_empty() && !told {
            tracing::info!("{topic}: waiting for the end of a transaction that is open there");
            told = true;
        }
        if waiting_since.elapsed() > PATIENCE {
            return Err(Error::new(
                Retry::Backoff,
                ErrorKind::Unreachable,
                format!("{topic} cannot be read to its end: a transaction in it stays open"),
            ));
        }
    }
    Ok(())
}
