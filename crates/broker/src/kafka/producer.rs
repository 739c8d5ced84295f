//! Kafka's producer, plain and transactional.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer};

use super::closing::Idle;
use super::cluster::Cluster;
use super::consumer::offset_list;
use super::deliveries::Deliveries;
use super::error::{code_error, error};
use super::limits::{TopicLimits, Window, record_size};
use crate::api::Membership;
use crate::partition::{KeylessRun, murmur2_partition};
use crate::{
    Delivery, Error, ErrorKind, GroupMetadata, OutRecord, Producer, Result, Retry,
    TopicPartitionOffset,
};

/// What a producer's client holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// The send buffer: a larger record would never find room.
    pub(super) buffer_bytes: usize,
    /// A batch of several records, unless the topic takes less.
    pub(super) batch_bytes: usize,
}

pub(super) struct KafkaProducer {
    producer: Idle<ThreadedProducer<Deliveries>>,
    cluster: Arc<Cluster>,
    topics: HashMap<String, Topic>,
    transactional_id: Option<String>,
    in_transaction: bool,
    /// The open transaction has its offsets: a commit that is called again only goes on.
    has_offsets: bool,
    capacity: Capacity,
    timeout: Duration,
}

/// A topic that was written to.
struct Topic {
    limits: TopicLimits,
    keyless: KeylessRun,
    /// When the limits were asked for.
    asked: Instant,
    /// The broker has refused a record since.
    refused: bool,
    /// By partition; empty where the topic takes full batches.
    windows: Vec<Window>,
}

/// Where transactions stand; asked for as a topic that every cluster has or makes.
const TRANSACTIONS: &str = "__transaction_state";

/// A record that is too large by limits older than this may fit by now.
const STALE: Duration = Duration::from_secs(10);

impl Topic {
    /// `before` is what was known of the topic.
    fn new(limits: TopicLimits, batch_bytes: usize, before: Option<Self>) -> Self {
        let paced = limits.batch_bytes < batch_bytes;
        let partitions = usize::try_from(limits.partitions).unwrap_or(0);
        let (keyless, mut windows) = before
            .map(|before| (before.keyless, before.windows))
            .unwrap_or_default();
        windows.resize(if paced { partitions } else { 0 }, Window::default());
        Self {
            limits,
            keyless,
            asked: Instant::now(),
            refused: false,
            windows,
        }
    }

    /// Whether what is known may not hold for this record any more.
    fn is_outdated(&self, record: &OutRecord<'_>, size: usize) -> bool {
        self.refused
            || (size > self.limits.record_bytes && self.asked.elapsed() > STALE)
            || record
                .partition
                .is_some_and(|partition| partition >= self.limits.partitions)
    }
}

/// Where a record goes.
struct Place {
    /// `None`: librdkafka places it by its key.
    partition: Option<i32>,
    /// The topic takes less than a full batch.
    paced: bool,
    size: usize,
}

impl KafkaProducer {
    /// With a transactional id this waits until older producers of that id are fenced.
    pub(super) fn new(
        producer: Idle<ThreadedProducer<Deliveries>>,
        cluster: Arc<Cluster>,
        transactional_id: Option<String>,
        capacity: Capacity,
        timeout: Duration,
    ) -> Result<Self> {
        if let Some(id) = &transactional_id {
            find(&producer, TRANSACTIONS, timeout)?;
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
            has_offsets: false,
            capacity,
            timeout,
        })
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }

    /// Checks a record against its topic, and waits until the topic's limit has room for it.
    fn place(&mut self, record: &OutRecord<'_>) -> Result<Place> {
        let size = record_size(record);
        let known = self.topics.get_mut(record.topic);
        let topic = match known.filter(|topic| !topic.is_outdated(record, size)) {
            Some(topic) => topic,
            None => {
                let limits = self.cluster.topic_limits(record.topic)?;
                find(&self.producer, record.topic, self.timeout)?;
                let before = self.topics.remove(record.topic);
                let topic = Topic::new(limits, self.capacity.batch_bytes, before);
                let entry = self.topics.entry(record.topic.to_owned());
                entry.insert_entry(topic).into_mut()
            }
        };
        let count = topic.limits.partitions;
        if let Some(partition) = record.partition.filter(|p| !(0..count).contains(p)) {
            let mut e = Error::unknown_topic(record.topic);
            e.message = format!(
                "topic {:?} has no partition {partition}, its partitions are 0 to {}",
                record.topic,
                count - 1
            );
            return Err(e);
        }
        topic.limits.check(record, size)?;
        let buffer_bytes = self.capacity.buffer_bytes;
        if size > buffer_bytes {
            return Err(Error::new(
                Retry::Never,
                ErrorKind::TooLarge,
                format!(
                    "a record of {size} bytes for topic {:?} is larger than the send buffer (buffer.memory={buffer_bytes})",
                    record.topic
                ),
            ));
        }
        let partition = match (record.partition, record.key) {
            (None, None) => Some(topic.keyless.place(size, count)),
            (None, Some(key)) if !topic.windows.is_empty() => Some(murmur2_partition(key, count)),
            (partition, _) => partition,
        };
        let paced = !topic.windows.is_empty();
        let mut full = None;
        let window = partition
            .and_then(|partition| usize::try_from(partition).ok())
            .and_then(|partition| topic.windows.get_mut(partition));
        if let Some(window) = window
            && window.bytes > 0
            && window.bytes + size > topic.limits.batch_bytes
        {
            full = Some(std::mem::take(window).last);
        }
        if let Some(last) = full {
            self.wait_for(last)?;
        }
        Ok(Place {
            partition,
            paced,
            size,
        })
    }

    /// Takes note of a record that goes to a topic with a small limit.
    fn count(&mut self, topic: &str, place: &Place, number: usize) {
        let window = place
            .partition
            .and_then(|partition| usize::try_from(partition).ok())
            .and_then(|partition| self.topics.get_mut(topic)?.windows.get_mut(partition));
        if let Some(window) = window {
            window.bytes += place.size;
            window.last = number;
        }
    }

    /// Learns from what the broker has refused since the last time. What is known of the topic is asked
    /// for anew.
    fn learn(&mut self) {
        let Some(refused) = self.deliveries().take_refused() else {
            return;
        };
        if let Some(topic) = self.topics.get_mut(&refused.topic) {
            topic.refused = true;
            self.cluster
                .learn(&refused, topic.limits, self.capacity.batch_bytes);
        }
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
        Err(self.unacknowledged(timeout))
    }

    /// Waits until a send, and those before it in its partition, are durable or have failed.
    fn wait_for(&self, number: usize) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        if self.deliveries().wait_for(number, Instant::now()) {
            return Ok(());
        }
        self.hurry();
        if self.deliveries().wait_for(number, deadline) {
            return Ok(());
        }
        Err(self.unacknowledged(self.timeout))
    }

    fn unacknowledged(&self, timeout: Duration) -> Error {
        Error::new(
            Retry::Backoff,
            ErrorKind::Unreachable,
            format!(
                "{} records were not acknowledged within {timeout:?}",
                self.deliveries().count_open()
            ),
        )
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

/// Lets the client learn where a topic is before anything else is asked. librdkafka gives its first
/// connection up once it knows the brokers; a question for a producer id that went over it is lost, and
/// comes again only after 500 ms.
fn find(producer: &ThreadedProducer<Deliveries>, topic: &str, timeout: Duration) -> Result<()> {
    producer
        .client()
        .fetch_metadata(Some(topic), timeout)
        .map(drop)
        .map_err(|e| error(&format!("looking for topic {topic:?}"), e))
}

impl Producer for KafkaProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<()> {
        if self.transactional_id.is_some() && !self.in_transaction {
            return Err(Error::state(
                "a transactional producer sends within a transaction: call begin",
            ));
        }
        let place = self.place(&record)?;
        let number = self.deliveries().open();
        let mut out = BaseRecord::with_opaque_to(record.topic, number);
        out.partition = place.partition;
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
                Ok(()) => {
                    if place.paced {
                        self.count(record.topic, &place, number);
                    }
                    return Ok(());
                }
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
        let known = self.deliveries().wait_for_some(timeout);
        self.learn();
        Ok(known)
    }

    fn flush(&mut self, timeout: Duration) -> Result<Vec<Delivery>> {
        self.wait_for_all(timeout)?;
        if self.in_transaction {
            return Ok(Vec::new());
        }
        self.learn();
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
        self.has_offsets = false;
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
            self.learn();
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
        // A commit whose answer is late goes on in the background: librdkafka takes nothing but another
        // call of the same kind then.
        if let Some((metadata, offsets)) = offsets.filter(|_| !self.has_offsets) {
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
            self.has_offsets = true;
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
        // What still waits must not be sent while the client closes.
        if self.deliveries().count_open() > 0 {
            self.producer
                .purge(PurgeConfig::default().queue().inflight());
        }
    }
}

#[cfg(test)]
mod tests;
