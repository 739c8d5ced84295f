//! The log's group member.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Log;
use super::assignment::Slot;
use super::bell::Bell;
use super::cursor::{Cursor, Room};
use super::groups::Change;
use super::reader::read_in_turn;
use super::writer::{Command, GroupOffsets};
use crate::api::Membership;
use crate::{
    Consumer, ConsumerSpec, Error, ErrorKind, GroupMetadata, Polled, Result, Retry, Start,
    TopicPartition, TopicPartitionOffset,
};

/// Kafka's default of `max.poll.interval.ms`.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(300);

pub(super) struct EmbeddedConsumer {
    log: Arc<Log>,
    group: Arc<str>,
    topics: Vec<String>,
    start: Start,
    poll_bytes: usize,
    max_poll_interval: Duration,
    bell: Arc<Bell>,
    /// `None` before the first poll, and after the group went on without it.
    member: Option<u64>,
    cursors: Vec<Cursor>,
    turn: usize,
    revoked: Option<(Vec<Slot>, bool)>,
}

impl EmbeddedConsumer {
    pub(super) fn new(log: Arc<Log>, spec: ConsumerSpec) -> Result<Self> {
        if spec.group.is_empty() {
            return Err(Error::invalid(
                "a group member needs a group name (group.id)",
            ));
        }
        let max_poll_interval = match spec.overrides.get("max.poll.interval.ms") {
            Some(ms) => Duration::from_millis(ms.trim().parse().map_err(|_| {
                Error::invalid(format!(
                    "max.poll.interval.ms={ms} is not a number of milliseconds"
                ))
            })?),
            None => MAX_POLL_INTERVAL,
        };
        Ok(Self {
            log,
            group: spec.group.into(),
            topics: spec.topics,
            start: spec.start,
            poll_bytes: spec.poll_bytes,
            max_poll_interval,
            bell: Arc::default(),
            member: None,
            cursors: Vec::new(),
            turn: 0,
            revoked: None,
        })
    }

    /// Takes part in the group; `Some` if that is what the poll has to say.
    fn step(&mut self) -> Result<Option<Polled>> {
        let log = &self.log;
        let member = *self.member.get_or_insert_with(|| {
            log.groups.join(
                &self.group,
                &self.topics,
                self.max_poll_interval,
                &self.bell,
                &log.topics,
            )
        });
        let revoked = match self.log.groups.step(&self.group, member, &self.log.topics) {
            Change::None => return Ok(None),
            Change::Assigned(slots) => {
                self.begin(&slots)?;
                return Ok(Some(Polled::Assigned(
                    slots.iter().map(Slot::topic_partition).collect(),
                )));
            }
            Change::Revoked { slots, lost } => (slots, lost),
            Change::Evicted => {
                self.member = None;
                let slots = self.cursors.iter().map(|cursor| Slot {
                    topic: cursor.topic.name.clone(),
                    topic_id: cursor.topic.id,
                    partition: cursor.partition as u32,
                });
                (slots.collect(), true)
            }
        };
        if revoked.0.is_empty() {
            return Ok(None);
        }
        let (slots, lost) = self.revoked.insert(revoked);
        Ok(Some(revocation(slots, *lost)))
    }

    /// Opens cursors where the group left off.
    fn begin(&mut self, slots: &[Slot]) -> Result<()> {
        for slot in slots {
            let Some(topic) = self
                .log
                .topics
                .get(&slot.topic)
                .filter(|topic| topic.id == slot.topic_id)
            else {
                continue;
            };
            topic.listen(&self.bell);
            let extent = topic.partition(slot.partition as i32)?.extent();
            let position = match (self.log.committed(&self.group, slot)?, self.start) {
                (Some(committed), _) => committed,
                (None, Start::Earliest) => extent.low,
                (None, Start::Latest) => extent.next,
            };
            self.cursors.push(Cursor::new(
                topic,
                slot.partition as i32,
                position,
                self.start,
            ));
        }
        Ok(())
    }

    fn cursor(&mut self, topic: &str, partition: i32) -> Result<&mut Cursor> {
        self.cursors
            .iter_mut()
            .find(|c| *c.topic.name == *topic && c.partition == partition)
            .ok_or_else(|| {
                Error::state(format!(
                    "partition {partition} of topic {topic:?} is not assigned to this member"
                ))
            })
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<()> {
        for wanted in partitions {
            self.cursor(&wanted.topic, wanted.partition)?.paused = paused;
        }
        self.bell.ring();
        Ok(())
    }

    fn membership(&self) -> Result<(u64, u64)> {
        let current = self
            .member
            .and_then(|member| Some((member, self.log.groups.generation(&self.group, member)?)));
        current.ok_or_else(|| {
            Error::new(
                Retry::Fenced,
                ErrorKind::Fenced,
                format!(
                    "this member is not in group {:?}; poll to join it",
                    self.group
                ),
            )
        })
    }
}

impl Consumer for EmbeddedConsumer {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Polled> {
        let deadline = Instant::now() + timeout;
        // A member that waits for records still shows itself to its group.
        let sign_of_life = Duration::from_secs(1).min(self.max_poll_interval / 3);
        let mut messages = Vec::new();
        loop {
            if let Some((slots, lost)) = &self.revoked {
                return Ok(revocation(slots, *lost));
            }
            if let Some(change) = self.step()? {
                return Ok(change);
            }
            let mut room = Room {
                records: max,
                bytes: self.poll_bytes,
            };
            read_in_turn(
                &self.log,
                &mut self.cursors,
                &mut self.turn,
                &mut room,
                &mut messages,
            )?;
            if !messages.is_empty() {
                return Ok(Polled::Messages(messages));
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Polled::Idle);
            }
            self.bell.wait(deadline.min(now + sign_of_life));
        }
    }

    fn release(&mut self) -> Result<()> {
        if let Some((slots, _)) = self.revoked.take() {
            self.cursors.retain(|cursor| {
                !slots.iter().any(|slot| {
                    slot.topic_id == cursor.topic.id && slot.partition as i32 == cursor.partition
                })
            });
            if let Some(member) = self.member {
                self.log.groups.release(&self.group, member, &slots);
            }
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.set_paused(partitions, true)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.set_paused(partitions, false)
    }

    fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let offset = u64::try_from(offset).map_err(|_| {
            Error::invalid(format!("{offset} is not an offset: offsets begin with 0"))
        })?;
        self.cursor(topic, partition)?.seek(offset);
        Ok(())
    }

    fn commit(&mut self, offsets: &[TopicPartitionOffset]) -> Result<()> {
        let member = Some(self.membership()?);
        let offsets = self.log.stored_offsets(offsets)?;
        let offsets = GroupOffsets {
            group: self.group.clone(),
            member,
            offsets,
        };
        self.log
            .writer
            .ask(|reply| Command::Offsets { offsets, reply })
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<TopicPartitionOffset>> {
        let mut found = Vec::new();
        for wanted in partitions {
            let slot = self.log.slot(&wanted.topic, wanted.partition)?;
            let committed = self.log.committed(&self.group, &slot)?;
            found.extend(committed.map(|offset| wanted.at(offset as i64)));
        }
        Ok(found)
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<i64>> {
        Ok(self
            .cursor(topic, partition)
            .ok()
            .map(|cursor| cursor.position() as i64))
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        let mut assigned: Vec<_> = self
            .cursors
            .iter()
            .map(|cursor| TopicPartition::new(cursor.topic.name.clone(), cursor.partition))
            .collect();
        assigned.sort();
        assigned
    }

    fn group_metadata(&self) -> Result<GroupMetadata> {
        let (member, generation) = self.membership()?;
        Ok(GroupMetadata(Membership::Embedded {
            group: self.group.clone(),
            member,
            generation,
        }))
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        if let Some(member) = self.member {
            self.log.groups.leave(&self.group, member, &self.log.topics);
        }
    }
}

fn revocation(slots: &[Slot], lost: bool) -> Polled {
    Polled::Revoked {
        partitions: slots.iter().map(Slot::topic_partition).collect(),
        lost,
    }
}
