//! Kafka's producer, plain and transactional.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use super::cluster::{Cluster, TopicLimits};
use super::consumer::offset_list;
use super::deliveries::Deliveries;
use super::error::{code_error, error};
use crate::api::Membership;
use crate::partition::KeylessRun;
use crate::{
    Delivery, Error, ErrorKind, GroupMetadata, OutRecord, Producer, Result, Retry,
    TopicPartitionOffset,
};

/// What Kafka's record format adds to key, value and headers at most.
const RECORD_OVERHEAD: usize = 96;

pub(super) struct KafkaProducer {
    producer: ThreadedProducer<Deliveries>,
    cluster: Arc<Cluster>,
    topics: HashMap<String, (TopicLimits, KeylessRun)>,
    transactional_id: Option<String>,
    in_transaction: bool,
    /// What the send buffer holds: a larger record would never find room.
    buffer_bytes: usize,
    timeout: Duration,
}

impl KafkaProducer {
    /// With a transactional id this waits until older producers of that id are fenced.
    pub(super) fn new(
        producer: ThreadedProducer<Deliveries>,
        cluster: Arc<Cluster>,
        transactional_id: Option<String>,
        buffer_bytes: usize,
        timeout: Duration,
    ) -> Result<Self> {
        if let Some(id) = &transactional_id {
            producer.init_transactions(timeout).map_err(|e| {
                error(
                    &format!("opening a producer with transactional.id {id:?}"),
                    e,
                )
            })?;
        }
        let topics = HashMap::new();
        Ok(Self {
            producer,
            cluster,
            topics,
            transactional_id,
            in_transaction: false,
            buffer_bytes,
            timeout,
        })
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }

    /// Checks a record against its topic. Returns its partition unless librdkafka places it by key.
    fn place(&mut self, record: &OutRecord<'_>) -> Result<Option<i32>> {
        let headers = record
            .headers
            .iter()
            .map(|h| h.name.len() + h.value.as_ref().map_or(0, |v| v.len()) + 10);
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + headers.sum::<usize>()
            + RECORD_OVERHEAD;
        let known = self.topics.get_mut(record.topic);
        let known =
            known.filter(|(limits, _)| record.partition.is_none_or(|p| p < limits.partitions));
        // Not known, or it may have got more partitions since.
        let (limits, keyless) = match known {
            Some((limits, keyless)) => (*limits, keyless),
            None => {
                let limits = self.cluster.topic_limits(record.topic)?;
                let entry = self
                    .topics
                    .entry(record.topic.to_owned())
                    .insert_entry((limits, KeylessRun::default()));
                (limits, &mut entry.into_mut().1)
            }
        };
        if let Some(partition) = record
            .partition
            .filter(|p| !(0..limits.partitions).contains(p))
        {
            let mut e = Error::unknown_topic(record.topic);
            e.message = format!(
                "topic {:?} has no partition {partition}, its partitions are 0 to {}",
                record.topic,
                limits.partitions - 1
            );
            return Err(e);
        }
        if size > limits.max_message_bytes {
            return Err(Error::new(
                Retry::Never,
                ErrorKind::TooLarge,
                format!(
                    "a record of {size} bytes is larger than topic {:?} takes (max.message.bytes={})",
                    record.topic, limits.max_message_bytes
                ),
            ));
        }
        if size > self.buffer_bytes {
            return Err(Error::new(
                Retry::Never,
                ErrorKind::TooLarge,
                format!(
                    "a record of {size} bytes for topic {:?} is larger than the send buffer (buffer.memory={})",
                    record.topic, self.buffer_bytes
                ),
            ));
        }
        if limits.compact && record.key.is_none() {
            return Err(Error::invalid(format!(
                "topic {:?} is compacted: records need a key",
                record.topic
            )));
        }
        Ok(match (record.partition, record.key) {
            (None, None) => Some(keyless.place(size, limits.partitions)),
            (partition, _) => partition,
        })
    }

    /// librdkafka's answer to a send, with the reason behind a producer that no longer works.
    fn send_error(&self, topic: &str, e: KafkaError) -> Error {
        let what = format!("writing to topic {topic:?}");
        match (e.rdkafka_error_code(), self.fatal_error(&what)) {
            (Some(RDKafkaErrorCode::State | RDKafkaErrorCode::Fatal), Some(fatal)) => fatal,
            (Some(RDKafkaErrorCode::State), None) if self.in_transaction => Error {
                retry: Retry::Abort,
                ..error(&what, e)
            },
            _ => error(&what, e),
        }
    }

    /// The reason behind a producer that no longer works, if it is one.
    fn fatal_error(&self, what: &str) -> Option<Error> {
        let (code, _) = self.producer.client().fatal_error()?;
        let e = code_error(what, code);
        let retry = if e.retry == Retry::Fenced {
            Retry::Fenced
        } else {
            Retry::Reconnect
        };
        Some(Error { retry, ..e })
    }

    /// Lets batches go out that still linger.
    fn hurry(&self) {
        let _ = self.producer.flush(Duration::ZERO);
    }

    fn wait_for_all(&self, timeout: Duration) -> Result<()> {
        self.hurry();
        if self.deliveries().wait_for_all(Instant::now() + timeout) {
            return Ok(());
        }
        Err(Error::new(
            Retry::Backoff,
            ErrorKind::Unreachable,
            format!(
                "{} records were not acknowledged within {timeout:?}",
                self.deliveries().count_open()
            ),
        ))
    }

    fn transaction(&self, what: &str) -> String {
        format!(
            "{what} the transaction of {:?}",
            self.transactional_id.as_deref().unwrap_or_default()
        )
    }

    /// Gives the transaction up, after an error that says what to do.
    fn give_up(&mut self, e: Error) -> Error {
        if e.retry == Retry::Fenced
            && self.producer.client().fatal_error().is_none()
            && let Err(aborting) = self.abort()
        {
            // Fenced by the group: the transaction is aborted here, or by the next producer of this id.
            tracing::warn!("{aborting}");
        }
        if matches!(e.retry, Retry::Fenced | Retry::Reconnect) {
            self.in_transaction = false;
            self.deliveries().clear();
        }
        e
    }
}

impl Producer for KafkaProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<()> {
        if self.transactional_id.is_some() && !self.in_transaction {
            return Err(Error::state(
                "a transactional producer sends within a transaction: call begin",
            ));
        }
        let partition = self.place(&record)?;
        let number = self.deliveries().open();
        let mut out = BaseRecord::with_opaque_to(record.topic, number);
        out.partition = partition;
        out.payload = record.value;
        out.key = record.key;
        out.timestamp = record.timestamp;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            out.headers = Some(record.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader {
                    key: &header.name,
                    value: header.value.as_deref(),
                })
            }));
        }
        // The clock is looked at only when the queue is full.
        let mut deadline = None;
        loop {
            match self.producer.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now()
                        < *deadline.get_or_insert_with(|| Instant::now() + self.timeout) =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                    out = back;
                }
                Err((e, _)) => {
                    self.deliveries().cancel();
                    return Err(self.send_error(record.topic, e));
                }
            }
        }
    }

    fn poll(&mut self, timeout: Duration) -> Result<Vec<Delivery>> {
        if self.in_transaction {
            return Ok(Vec::new());
        }
        Ok(self.deliveries().wait_for_some(timeout))
    }

    fn flush(&mut self, timeout: Duration) -> Result<Vec<Delivery>> {
        self.wait_for_all(timeout)?;
        if self.in_transaction {
            return Ok(Vec::new());
        }
        Ok(self.deliveries().take())
    }

    fn begin(&mut self) -> Result<()> {
        if self.transactional_id.is_none() {
            return Err(Error::state(
                "a transaction needs a producer that was opened with a transactional.id",
            ));
        }
        if self.in_transaction {
            return Err(Error::state("a transaction is open already"));
        }
        if !self.deliveries().is_empty() {
            return Err(Error::state("begin with deliveries open: call flush first"));
        }
        self.producer.begin_transaction().map_err(|e| {
            let what = self.transaction("beginning");
            self.fatal_error(&what).unwrap_or_else(|| error(&what, e))
        })?;
        self.in_transaction = true;
        Ok(())
    }

    fn commit(
        &mut self,
        offsets: Option<(&GroupMetadata, &[TopicPartitionOffset])>,
    ) -> Result<Vec<Delivery>> {
        if !self.in_transaction {
            return Err(Error::state("commit without begin"));
        }
        // Records before offsets: while Kafka still ends the transaction before, it puts off either, but
        // librdkafka comes back to it after 20 ms for records and after retry.backoff.ms for offsets.
        self.wait_for_all(self.timeout)?;
        if let Some(code) = self.deliveries().failure() {
            let what = self.transaction("writing in");
            let e = code_error(&what, code);
            // Of what waited to be sent, a fenced producer only says that it was dropped.
            let e = match self.fatal_error(&what) {
                Some(fatal) => fatal,
                None if e.retry == Retry::Fenced => e,
                None => Error {
                    retry: Retry::Abort,
                    ..e
                },
            };
            return Err(self.give_up(e));
        }
        if let Some((metadata, offsets)) = offsets {
            let Membership::Kafka(metadata) = &metadata.0 else {
                return Err(Error::state("group metadata of another broker"));
            };
            let offsets = offset_list(offsets)?;
            let sent = self
                .producer
                .send_offsets_to_transaction(&offsets, metadata, self.timeout);
            if let Err(e) = sent {
                let e = error(&self.transaction("adding offsets to"), e);
                return Err(self.give_up(e));
            }
        }
        // Otherwise the wrapper's own flush sleeps while the last report is being put away.
        let patience = Instant::now() + Duration::from_millis(100);
        while self.producer.in_flight_count() > 0 && Instant::now() < patience {
            std::thread::sleep(Duration::from_micros(20));
        }
        if let Err(e) = self.producer.commit_transaction(self.timeout) {
            let e = error(&self.transaction("committing"), e);
            return Err(self.give_up(e));
        }
        self.in_transaction = false;
        Ok(self.deliveries().take())
    }

    fn abort(&mut self) -> Result<()> {
        if !self.in_transaction {
            return Err(Error::state("abort without begin"));
        }
        self.producer
            .abort_transaction(self.timeout)
            .map_err(|e| error(&self.transaction("aborting"), e))?;
        self.in_transaction = false;
        self.deliveries().clear();
        Ok(())
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        // An open transaction would hold readers of committed records back until it times out.
        if self.in_transaction && self.producer.client().fatal_error().is_none() {
            let _ = self.producer.abort_transaction(Duration::from_secs(2));
        }
    }
}
