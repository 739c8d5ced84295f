//! Kafka's group member. librdkafka's changes of the assignment wait for the task: a revocation is
//! handed out by `poll` and goes through with `release`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::context::{MemberContext, Rebalance, list, partitions};
use super::error::{code_error, error};
use super::message::Intake;
use crate::api::Membership;
use crate::{
    Consumer, Error, ErrorKind, GroupMetadata, Polled, Result, Retry, TopicPartition,
    TopicPartitionOffset,
};

pub(super) struct KafkaConsumer {
    consumer: BaseConsumer<MemberContext>,
    group: String,
    poll_bytes: usize,
    timeout: Duration,
    intake: Intake,
    assigned: HashSet<TopicPartition>,
    /// Handed out as assigned; fetching begins with the next poll, at these offsets.
    assigning: Option<HashMap<TopicPartition, Offset>>,
    revoked: Option<(Vec<TopicPartition>, bool)>,
}

impl KafkaConsumer {
    pub(super) fn new(
        consumer: BaseConsumer<MemberContext>,
        group: String,
        topics: &[String],
        poll_bytes: usize,
        timeout: Duration,
    ) -> Result<Self> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|e| {
            error(
                &format!("subscribing {} in group {group:?}", topics.join(", ")),
                e,
            )
        })?;
        Ok(Self {
            consumer,
            group,
            poll_bytes,
            timeout,
            intake: Intake::default(),
            assigned: HashSet::new(),
            assigning: None,
            revoked: None,
        })
    }

    fn is_cooperative(&self) -> bool {
        matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        )
    }

    /// Lets librdkafka fetch what was handed out as assigned.
    fn begin(&mut self) -> Result<()> {
        let Some(assigning) = self.assigning.take() else {
            return Ok(());
        };
        let mut begin = TopicPartitionList::new();
        for (partition, offset) in &assigning {
            begin
                .add_partition_offset(&partition.topic, partition.partition, *offset)
                .map_err(|e| error("assigning partitions", e))?;
        }
        let done = if self.is_cooperative() {
            self.consumer.incremental_assign(&begin)
        } else {
            self.consumer.assign(&begin)
        };
        done.map_err(|e| error(&format!("taking partitions of group {:?}", self.group), e))?;
        self.assigned.extend(assigning.into_keys());
        Ok(())
    }

    /// What the group wants next, if that is something for the task.
    fn step(&mut self) -> Result<Option<Polled>> {
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            match rebalance {
                Rebalance::Assign(partitions) => {
                    let offsets = partitions
                        .iter()
                        .map(|p| (p.clone(), Offset::Invalid))
                        .collect();
                    self.assigning = Some(offsets);
                    if partitions.is_empty() {
                        self.begin()?;
                    } else {
                        return Ok(Some(Polled::Assigned(partitions)));
                    }
                }
                Rebalance::Revoke { partitions, lost } => {
                    let nothing = partitions.is_empty();
                    self.revoked = Some((partitions.clone(), lost));
                    if nothing {
                        self.release()?;
                    } else {
                        return Ok(Some(Polled::Revoked { partitions, lost }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether a poll's error is for the task, or librdkafka's own to get over.
    fn poll_error(&self, e: KafkaError) -> Result<()> {
        use RDKafkaErrorCode as Code;
        let what = || format!("reading in group {:?}", self.group);
        match e {
            KafkaError::MessageConsumptionFatal(code) => Err(Error {
                retry: Retry::Reconnect,
                ..code_error(&what(), code)
            }),
            KafkaError::MessageConsumption(code) => match code {
                // A topic that is not there yet is waited for.
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                    Ok(())
                }
                code => {
                    let e = code_error(&what(), code);
                    if e.kind == ErrorKind::Denied {
                        return Err(e);
                    }
                    tracing::warn!(target: "librdkafka", "{e}");
                    Ok(())
                }
            },
            KafkaError::PartitionEOF(_) => Ok(()),
            e => Err(error(&what(), e)),
        }
    }

    fn check_assigned(&self, partitions: &[TopicPartition]) -> Result<()> {
        match partitions
            .iter()
            .find(|partition| !self.assigned.contains(*partition))
        {
            Some(other) => Err(Error::state(format!(
                "partition {} of topic {:?} is not assigned to this member",
                other.partition, other.topic
            ))),
            None => Ok(()),
        }
    }
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Polled> {
        if let Some((partitions, lost)) = &self.revoked {
            return Ok(Polled::Revoked {
                partitions: partitions.clone(),
                lost: *lost,
            });
        }
        self.begin()?;
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(change) = self.step()? {
                return Ok(change);
            }
            let mut messages = Vec::new();
            let mut bytes = 0;
            let mut wait = deadline.saturating_duration_since(Instant::now());
            while messages.len() < max && bytes < self.poll_bytes {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => {
                        let message = self.intake.take(&message);
                        bytes += message.size();
                        messages.push(message);
                        wait = Duration::ZERO;
                    }
                    Some(Err(e)) => {
                        self.poll_error(e)?;
                        wait = Duration::ZERO;
                    }
                    None => break,
                }
                if self.consumer.context().has_rebalance() {
                    break;
                }
            }
            if !messages.is_empty() {
                return Ok(Polled::Messages(messages));
            }
            if !self.consumer.context().has_rebalance() && Instant::now() >= deadline {
                return Ok(Polled::Idle);
            }
        }
    }

    fn release(&mut self) -> Result<()> {
        let Some((partitions, _)) = self.revoked.take() else {
            return Ok(());
        };
        for partition in &partitions {
            self.assigned.remove(partition);
        }
        let done = if self.is_cooperative() {
            self.consumer.incremental_unassign(&list(&partitions))
        } else {
            self.assigned.clear();
            self.consumer.unassign()
        };
        done.map_err(|e| {
            error(
                &format!("giving up partitions of group {:?}", self.group),
                e,
            )
        })
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.begin()?;
        self.check_assigned(partitions)?;
        self.consumer
            .pause(&list(partitions))
            .map_err(|e| error("pausing partitions", e))
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.begin()?;
        self.check_assigned(partitions)?;
        self.consumer
            .resume(&list(partitions))
            .map_err(|e| error("resuming partitions", e))
    }

    fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        if offset < 0 {
            return Err(Error::invalid(format!(
                "{offset} is not an offset: offsets begin with 0"
            )));
        }
        let wanted = TopicPartition::new(topic, partition);
        if let Some(begin) = self
            .assigning
            .as_mut()
            .and_then(|assigning| assigning.get_mut(&wanted))
        {
            *begin = Offset::Offset(offset);
            return Ok(());
        }
        self.check_assigned(std::slice::from_ref(&wanted))?;
        // A partition whose fetching is only just beginning refuses to be moved for a moment.
        let deadline = Instant::now() + self.timeout;
        loop {
            match self
                .consumer
                .seek(topic, partition, Offset::Offset(offset), self.timeout)
            {
                Ok(()) => return Ok(()),
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10))
                }
                Err(e) => return Err(error(&format!("moving {wanted} to offset {offset}"), e)),
            }
        }
    }

    fn commit(&mut self, offsets: &[TopicPartitionOffset]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let what = || format!("committing offsets of group {:?}", self.group);
        let offsets = offset_list(offsets)?;
        match self.consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(e) => return Err(error(&what(), e)),
        }
        match offsets
            .elements()
            .iter()
            .find_map(|element| element.error().err())
        {
            Some(e) => Err(error(&what(), e)),
            None => Ok(()),
        }
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<TopicPartitionOffset>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .consumer
            .committed_offsets(list(partitions), self.timeout)
            .map_err(|e| error(&format!("reading offsets of group {:?}", self.group), e))?;
        Ok(known_offsets(&found))
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<i64>> {
        let positions = self
            .consumer
            .position()
            .map_err(|e| error("reading positions", e))?;
        Ok(
            match positions
                .find_partition(topic, partition)
                .map(|element| element.offset())
            {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            },
        )
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        let coming = self.assigning.iter().flat_map(HashMap::keys);
        let mut assigned: Vec<_> = self.assigned.iter().chain(coming).cloned().collect();
        assigned.sort();
        assigned
    }

    fn group_metadata(&self) -> Result<GroupMetadata> {
        let metadata = self.consumer.group_metadata().ok_or_else(|| {
            Error::new(
                Retry::Fenced,
                ErrorKind::Fenced,
                format!(
                    "this member is not in group {:?}; poll to join it",
                    self.group
                ),
            )
        })?;
        Ok(GroupMetadata(Membership::Kafka(Arc::new(metadata))))
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // Leaving the group waits until every change is answered.
        self.consumer.context().close();
        if self.assigning.take().is_some() || self.revoked.take().is_some() {
            let left = if self.is_cooperative() {
                let all = self
                    .consumer
                    .assignment()
                    .map(|list| partitions(&list))
                    .unwrap_or_default();
                self.consumer.incremental_unassign(&list(&all))
            } else {
                self.consumer.unassign()
            };
            if let Err(e) = left {
                tracing::debug!("leaving group {}: {e}", self.group);
            }
        }
    }
}

/// librdkafka's list of offsets.
pub(super) fn offset_list(offsets: &[TopicPartitionOffset]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for offset in offsets {
        if offset.offset < 0 {
            return Err(Error::invalid(format!(
                "{} is not an offset: offsets begin with 0",
                offset.offset
            )));
        }
        list.add_partition_offset(
            &offset.topic,
            offset.partition,
            Offset::Offset(offset.offset),
        )
        .map_err(|e| error("listing offsets", e))?;
    }
    Ok(list)
}

/// The offsets of a list that are offsets.
pub(super) fn known_offsets(list: &TopicPartitionList) -> Vec<TopicPartitionOffset> {
    list.elements()
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(TopicPartitionOffset::new(
                element.topic(),
                element.partition(),
                offset,
            )),
            _ => None,
        })
        .collect()
}
