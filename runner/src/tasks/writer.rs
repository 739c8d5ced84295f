//! Writing records to topics: converters applied, partitions chosen. A batch is encoded as a whole
//! before any of it is sent, so that what no topic takes is known in time.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use penstock_broker::{ErrorKind, Header, OutRecord, Producer};
use penstock_connect::{Error, Placement, Record, RecordError, RecordErrorKind};

use super::registrar::Registrar;
use super::used::UsedTopics;
use super::{TaskEnv, task_error};
use crate::chain::Rejection;
use crate::config::ConnectorSpec;
use crate::converters::Converter;
use crate::services::Services;
use crate::topics;

/// Turns records into what a producer sends. Its buffers are reused from batch to batch.
pub(super) struct Writer {
    services: Arc<Services>,
    used: Arc<UsedTopics>,
    spec: Arc<ConnectorSpec>,
    key: Converter,
    value: Converter,
    registrar: Registrar,
    partitions: HashMap<Arc<str>, i32>,
    /// The topic of the record before, and its partitions: mostly the next one goes there, too.
    recent: Option<(Arc<str>, i32)>,
    bytes: Vec<u8>,
    encoded: Vec<Option<Encoded>>,
    headers: Vec<Header>,
    /// Records may hold personal data because of what is done with them, or where they come from.
    personal: bool,
    /// The topics of which all workers know that.
    noted: HashSet<Arc<str>>,
}

/// Where a record's key and value lie in the buffer.
struct Encoded {
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

impl Writer {
    pub(super) fn new(env: &TaskEnv, key: Converter, value: Converter) -> Self {
        Self {
            services: env.services.clone(),
            used: env.used.clone(),
            spec: env.spec.clone(),
            key,
            value,
            registrar: Registrar::new(
                env.services.registry.clone(),
                env.spec.key_naming,
                env.spec.value_naming,
            ),
            partitions: HashMap::new(),
            recent: None,
            bytes: Vec::new(),
            encoded: Vec::new(),
            headers: Vec::new(),
            personal: false,
            noted: HashSet::new(),
        }
    }

    /// Tells that the records may hold personal data: the topics that they go to are noted as such.
    pub(super) fn handles_personal_data(&mut self, personal: bool) {
        self.personal |= personal;
    }

    /// Notes where records go that may hold personal data, before the first one goes there. Contracts
    /// may come at any time, over REST.
    pub(super) fn note_personal(&mut self, records: &[Record]) -> Result<(), Error> {
        if !self.personal && !self.services.has_contracts() {
            return Ok(());
        }
        let mut last: Option<&Arc<str>> = None;
        for record in records {
            if last.is_some_and(|last| Arc::ptr_eq(last, &record.topic)) {
                continue;
            }
            last = Some(&record.topic);
            if !self.noted.contains(&record.topic) {
                self.services.note_personal(&record.topic)?;
                self.noted.insert(record.topic.clone());
            }
        }
        Ok(())
    }

    /// Encodes a batch; says which records the converters do not take. Schemas that have no id yet
    /// are registered first.
    pub(super) async fn encode(&mut self, records: &mut [Record]) -> Result<Vec<Rejection>, Error> {
        let mut rejected = self.registrar.register(records).await?;
        self.used.note(records.iter().map(|record| &record.topic));
        self.bytes.clear();
        self.encoded.clear();
        for record in records.iter() {
            let encoded = self.encode_one(record).map_err(|(stage, error)| {
                let origin = record.origin().index;
                rejected.push(Rejection {
                    origin,
                    error,
                    stage: stage.to_owned(),
                });
            });
            self.encoded.push(encoded.ok());
        }
        Ok(rejected)
    }

    fn encode_one(&mut self, record: &Record) -> Result<Encoded, (&'static str, RecordError)> {
        if self.services.worker.is_internal(&record.topic) {
            let message = format!(
                "topic {} belongs to the worker itself, and no record is written there",
                record.topic
            );
            return Err((
                "producer",
                RecordError::new(RecordErrorKind::Topic, message),
            ));
        }
        let mut encode = |converter: Converter, payload: &Option<penstock_formats::Payload>| {
            let Some(payload) = payload else {
                return Ok(None);
            };
            let start = self.bytes.len();
            converter.write(payload, &mut self.bytes)?;
            Ok(Some(start..self.bytes.len()))
        };
        let key = encode(self.key, &record.key).map_err(|error| ("key.converter", error))?;
        let value =
            encode(self.value, &record.value).map_err(|error| ("value.converter", error))?;
        Ok(Encoded { key, value })
    }

    /// Hands the record at `index` of the encoded batch to the producer. One that its topic does not
    /// take is a rejection; other errors are the task's.
    pub(super) fn send(
        &mut self,
        producer: &mut dyn Producer,
        index: usize,
        record: &Record,
    ) -> Result<Option<Rejection>, Error> {
        let placement = match (record.placement, &record.key, &record.origin().partition) {
            // Without a key nothing but the partition that it came from keeps its order.
            (Placement::Key, None, Some(origin)) => Placement::Partition(origin.partition),
            (placement, ..) => placement,
        };
        let partition = match placement {
            Placement::Key => None,
            Placement::Partition(partition) => {
                Some(partition % self.partition_count(&record.topic)?)
            }
            Placement::Hash(hash) => {
                let count = u64::try_from(self.partition_count(&record.topic)?).unwrap_or(1);
                // Smaller than the count, which is an i32.
                Some(i32::try_from(hash % count).unwrap_or(0))
            }
        };
        let Some(Some(encoded)) = self.encoded.get(index) else {
            return Ok(None);
        };
        self.headers.clear();
        self.headers
            .extend(record.headers.iter().map(|header| Header {
                name: header.name.clone(),
                value: header.value.clone(),
            }));
        let slice =
            |range: &Option<Range<usize>>| range.clone().and_then(|range| self.bytes.get(range));
        let out = OutRecord {
            topic: &record.topic,
            partition,
            key: slice(&encoded.key),
            value: slice(&encoded.value),
            headers: &self.headers,
            timestamp: record.timestamp,
        };
        let mut sent = producer.send(out);
        if let Err(error) = &sent
            && error.kind == ErrorKind::UnknownTopic
        {
            make_topic(&self.services, &self.spec, &record.topic)?;
            sent = producer.send(out);
        }
        let Err(error) = sent else { return Ok(None) };
        match fault(&error) {
            Some(kind) => Ok(Some(Rejection {
                origin: record.origin().index,
                error: RecordError::new(kind, error.message),
                stage: "producer".to_owned(),
            })),
            None => Err(task_error(error)),
        }
    }

    /// Bytes of keys and values of the encoded batch.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the record at `index` was encoded.
    pub(super) fn is_encoded(&self, index: usize) -> bool {
        matches!(self.encoded.get(index), Some(Some(_)))
    }

    fn partition_count(&mut self, topic: &Arc<str>) -> Result<i32, Error> {
        match &self.recent {
            Some((recent, count)) if Arc::ptr_eq(recent, topic) => return Ok(*count),
            _ => {}
        }
        let count = self.look_up_partitions(topic)?;
        self.recent = Some((topic.clone(), count));
        Ok(count)
    }

    fn look_up_partitions(&mut self, topic: &Arc<str>) -> Result<i32, Error> {
        if let Some(count) = self.partitions.get(topic) {
            return Ok(*count);
        }
        let broker = &self.services.broker;
        let mut info = broker.topic(topic).map_err(task_error)?;
        if info.is_none() {
            make_topic(&self.services, &self.spec, topic)?;
            info = broker.topic(topic).map_err(task_error)?;
        }
        let info =
            info.ok_or_else(|| Error::backoff(format!("topic {topic} does not exist (yet)")))?;
        let count = info.partitions.max(1);
        self.partitions.insert(topic.clone(), count);
        Ok(count)
    }
}

/// What is wrong with a record that a topic does not take; `None`: it is not the record's fault.
fn fault(error: &penstock_broker::Error) -> Option<RecordErrorKind> {
    match (error.kind, error.retry) {
        (ErrorKind::TooLarge, penstock_broker::Retry::Never) => Some(RecordErrorKind::TooLarge),
        (ErrorKind::NoKey, _) => Some(RecordErrorKind::Field),
        _ => None,
    }
}

/// Makes a topic that a transform chose and that is not there.
fn make_topic(services: &Services, spec: &ConnectorSpec, topic: &str) -> Result<(), Error> {
    topics::make_missing(services, spec, &[topic.to_owned()]).map_err(task_error)
}
