//! Kafka's reader: explicit assignment, positions that move past transaction markers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::closing::Idle;
use super::cluster::Cluster;
use super::context::{PlainContext, list};
use super::error::{code_error, ends_error, error};
use super::message::Intake;
use crate::{
    Error, ErrorKind, Message, Reader, Result, Retry, StartAt, TopicPartition, TopicPartitionOffset,
};

pub(super) struct KafkaReader {
    consumer: Idle<BaseConsumer<PlainContext>>,
    /// Asked for the ends of partitions where it sees the same ones: on the reader's own connection the
    /// question waits for the end of the fetch that is under way.
    ends: Option<Arc<Cluster>>,
    poll_bytes: usize,
    timeout: Duration,
    intake: Intake,
    assigned: HashMap<TopicPartition, Place>,
    /// Topics of which the client knows where their partitions are.
    found: HashSet<String>,
}

/// How far an assigned partition was read.
struct Place {
    position: i64,
    /// The last `high` that was asked for: until it is reached, a poll looks at the position often.
    high: i64,
}

impl KafkaReader {
    pub(super) fn new(
        consumer: Idle<BaseConsumer<PlainContext>>,
        ends: Option<Arc<Cluster>>,
        poll_bytes: usize,
        timeout: Duration,
    ) -> Self {
        Self {
            consumer,
            ends,
            poll_bytes,
            timeout,
            intake: Intake::default(),
            assigned: HashMap::new(),
            found: HashSet::new(),
        }
    }

    /// Lets the client learn where a topic's partitions are. What else librdkafka is asked while the
    /// client has no connection yet, it puts off for up to a second.
    fn find(&mut self, topic: &str) -> Result<()> {
        if !self.found.contains(topic) {
            self.consumer
                .fetch_metadata(Some(topic), self.timeout)
                .map_err(|e| error(&format!("looking for topic {topic:?}"), e))?;
            self.found.insert(topic.to_owned());
        }
        Ok(())
    }

    /// Takes over positions from librdkafka; they pass transaction markers that are no messages.
    fn refresh_positions(&mut self) -> Result<bool> {
        let positions = self
            .consumer
            .position()
            .map_err(|e| error("reading positions", e))?;
        let mut moved = false;
        for (partition, place) in &mut self.assigned {
            let found = positions.find_partition(&partition.topic, partition.partition);
            if let Some(Offset::Offset(offset)) = found.map(|element| element.offset())
                && offset > place.position
            {
                place.position = offset;
                moved = true;
            }
        }
        Ok(moved)
    }

    fn is_behind(&self) -> bool {
        self.assigned
            .values()
            .any(|place| place.position < place.high)
    }

    fn poll_error(e: KafkaError) -> Result<()> {
        use RDKafkaErrorCode as Code;
        match e {
            KafkaError::PartitionEOF(_) => Ok(()),
            // A reader has no group: what its name may not do there does not matter.
            KafkaError::MessageConsumption(Code::GroupAuthorizationFailed) => Ok(()),
            KafkaError::MessageConsumption(code) => {
                let e = code_error("reading", code);
                match e.kind {
                    ErrorKind::Denied | ErrorKind::UnknownTopic => Err(e),
                    _ => {
                        tracing::warn!(target: "librdkafka", "{e}");
                        Ok(())
                    }
                }
            }
            KafkaError::MessageConsumptionFatal(code) => Err(Error {
                retry: Retry::Reconnect,
                ..code_error("reading", code)
            }),
            e => Err(error("reading", e)),
        }
    }
}

impl Reader for KafkaReader {
    fn assign(&mut self, topic: &str, partition: i32, start: StartAt) -> Result<()> {
        let (low, high) = self.watermarks(topic, partition)?;
        let position = match start {
            StartAt::Earliest => low,
            StartAt::Latest => high,
            StartAt::Offset(offset) if offset < 0 => {
                return Err(Error::invalid(format!(
                    "{offset} is not an offset: offsets begin with 0"
                )));
            }
            StartAt::Offset(offset) => offset,
        };
        self.unassign(topic, partition)?;
        self.find(topic)?;
        let wanted = TopicPartition::new(topic, partition);
        let mut begin = TopicPartitionList::new();
        begin
            .add_partition_offset(topic, partition, Offset::Offset(position))
            .and_then(|()| self.consumer.incremental_assign(&begin))
            .map_err(|e| error(&format!("reading {wanted}"), e))?;
        self.assigned.insert(wanted, Place { position, high });
        Ok(())
    }

    fn unassign(&mut self, topic: &str, partition: i32) -> Result<()> {
        let gone = TopicPartition::new(topic, partition);
        if self.assigned.remove(&gone).is_some() {
            self.consumer
                .incremental_unassign(&list([&gone]))
                .map_err(|e| error(&format!("leaving {gone}"), e))?;
        }
        Ok(())
    }

    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Message>> {
        const LOOK_AT_POSITIONS: Duration = Duration::from_millis(5);
        let deadline = Instant::now() + timeout;
        let mut messages = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut wait = if self.is_behind() {
                left.min(LOOK_AT_POSITIONS)
            } else {
                left
            };
            let mut bytes = 0;
            while messages.len() < max && bytes < self.poll_bytes {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => {
                        let message = self.intake.take(&message);
                        bytes += message.size();
                        messages.push(message);
                    }
                    Some(Err(e)) => Self::poll_error(e)?,
                    None => break,
                }
                wait = Duration::ZERO;
            }
            let moved = self.refresh_positions()?;
            if moved || !messages.is_empty() || Instant::now() >= deadline {
                return Ok(messages);
            }
        }
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<i64> {
        let wanted = TopicPartition::new(topic, partition);
        self.assigned
            .get(&wanted)
            .map(|place| place.position)
            .ok_or_else(|| {
                Error::state(format!(
                    "partition {partition} of topic {topic:?} is not assigned to this reader"
                ))
            })
    }

    fn watermarks(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let found = match self.ends.clone() {
            Some(cluster) => cluster.watermarks(topic, partition)?,
            None => {
                self.find(topic)?;
                self.consumer
                    .fetch_watermarks(topic, partition, self.timeout)
                    .map_err(|e| ends_error(topic, partition, e))?
            }
        };
        if let Some(place) = self
            .assigned
            .get_mut(&TopicPartition::new(topic, partition))
        {
            place.high = found.1;
        }
        Ok(found)
    }

    fn offsets_for_times(
        &mut self,
        partitions: &[TopicPartition],
        timestamp: i64,
    ) -> Result<Vec<TopicPartitionOffset>> {
        let what = "looking for offsets by time";
        for partition in partitions {
            self.find(&partition.topic)?;
        }
        let mut times = list(partitions);
        times
            .set_all_offsets(Offset::Offset(timestamp))
            .map_err(|e| error(what, e))?;
        let found = self
            .consumer
            .offsets_for_times(times, self.timeout)
            .map_err(|e| error(what, e))?;
        partitions
            .iter()
            .map(|partition| {
                let at = found.find_partition(&partition.topic, partition.partition);
                match at.map(|element| (element.error(), element.offset())) {
                    Some((Ok(()), Offset::Offset(offset))) => Ok(partition.at(offset)),
                    Some((Ok(()), _)) => {
                        Ok(partition.at(self.watermarks(&partition.topic, partition.partition)?.1))
                    }
                    Some((Err(e), _)) => Err(error(what, e)),
                    None => Err(Error::unknown_topic(&partition.topic)),
                }
            })
            .collect()
    }
}
