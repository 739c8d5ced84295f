//! The log's producer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::outbox::Outbox;
use super::staged::{Partitioner, Staged};
use super::topics::Topic;
use super::writer::{Command, GroupOffsets, ProducerEpoch};
use super::{Log, now_ms};
use crate::api::Membership;
use crate::{
    Delivery, Error, ErrorKind, GroupMetadata, OutRecord, Producer, Result, Retry,
    TopicPartitionOffset,
};

/// A transaction is held in memory until its commit, and may not grow past this.
const TRANSACTION_BYTES: usize = 256 << 20;

pub(super) struct EmbeddedProducer {
    log: Arc<Log>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    partitioner: Partitioner,
    outbox: Arc<Outbox>,
    /// `None` without a transactional id.
    epoch: Option<ProducerEpoch>,
    transaction: Transaction,
}

enum Transaction {
    None,
    Open(Staged),
    /// The commit failed: only `abort` goes on.
    Failed,
}

impl EmbeddedProducer {
    pub(super) fn new(log: Arc<Log>, epoch: Option<ProducerEpoch>) -> Self {
        Self {
            log,
            topics: HashMap::new(),
            partitioner: Partitioner::default(),
            outbox: Arc::default(),
            epoch,
            transaction: Transaction::None,
        }
    }

    fn topic(&mut self, name: &str) -> Result<Arc<Topic>> {
        match self.topics.get(name) {
            Some(topic) if !topic.is_deleted() => Ok(topic.clone()),
            _ => {
                self.topics.remove(name);
                let topic = self.log.topics.expect(name)?;
                self.topics.insert(topic.name.clone(), topic.clone());
                Ok(topic)
            }
        }
    }

    fn group_offsets(
        &self,
        metadata: &GroupMetadata,
        offsets: &[TopicPartitionOffset],
    ) -> Result<GroupOffsets> {
        let Membership::Embedded {
            group,
            member,
            generation,
        } = &metadata.0
        else {
            return Err(Error::state("group metadata of another broker"));
        };
        let offsets = self.log.stored_offsets(offsets)?;
        Ok(GroupOffsets {
            group: group.clone(),
            member: Some((*member, *generation)),
            offsets,
        })
    }
}

impl Producer for EmbeddedProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<()> {
        let topic = self.topic(record.topic)?;
        let partition = self.partitioner.place(&topic, &record)?;
        let timestamp = record.timestamp.unwrap_or_else(now_ms);
        match (&mut self.transaction, &self.epoch) {
            (Transaction::Open(staged), _) => {
                staged.push(&topic, partition, &record, timestamp);
                if staged.bytes() > TRANSACTION_BYTES {
                    self.transaction = Transaction::Failed;
                    return Err(Error::new(
                        Retry::Abort,
                        ErrorKind::TooLarge,
                        format!(
                            "a transaction of the embedded log may hold {} MiB",
                            TRANSACTION_BYTES >> 20
                        ),
                    ));
                }
            }
            (Transaction::Failed, _) => return Err(aborting()),
            (Transaction::None, Some(_)) => {
                return Err(Error::state(
                    "a transactional producer sends within a transaction: call begin",
                ));
            }
            (Transaction::None, None) => {
                if self.outbox.push(&topic, partition, &record, timestamp) {
                    self.log.writer.send(Command::Drain(self.outbox.clone()));
                }
            }
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<Vec<Delivery>> {
        Ok(self.outbox.poll(timeout))
    }

    fn flush(&mut self, timeout: Duration) -> Result<Vec<Delivery>> {
        self.outbox.flush(timeout)
    }

    fn begin(&mut self) -> Result<()> {
        let epoch = self.epoch.as_ref().ok_or_else(|| {
            Error::state("a transaction needs a producer that was opened with a transactional.id")
        })?;
        epoch.check()?;
        match self.transaction {
            Transaction::None if self.outbox.has_open_deliveries() => {
                Err(Error::state("begin with deliveries open: call flush first"))
            }
            Transaction::None => {
                self.transaction = Transaction::Open(Staged::default());
                Ok(())
            }
            Transaction::Open(_) => Err(Error::state("a transaction is open already")),
            Transaction::Failed => Err(aborting()),
        }
    }

    fn commit(
        &mut self,
        offsets: Option<(&GroupMetadata, &[TopicPartitionOffset])>,
    ) -> Result<Vec<Delivery>> {
        let Some(producer) = self.epoch.clone() else {
            return Err(Error::state("commit without begin"));
        };
        let staged = match std::mem::replace(&mut self.transaction, Transaction::Failed) {
            Transaction::Open(staged) => staged,
            Transaction::Failed => return Err(aborting()),
            Transaction::None => {
                self.transaction = Transaction::None;
                return Err(Error::state("commit without begin"));
            }
        };
        let offsets = match offsets {
            Some((metadata, offsets)) => {
                let checked = self.group_offsets(metadata, offsets);
                Some(checked.map_err(|e| Error {
                    retry: Retry::Abort,
                    ..e
                })?)
            }
            None => None,
        };
        let placed = self.log.writer.ask(|reply| Command::Transaction {
            staged,
            producer,
            offsets,
            reply,
        })?;
        self.transaction = Transaction::None;
        Ok(placed.into_iter().map(Ok).collect())
    }

    fn abort(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.transaction, Transaction::None) {
            Transaction::None => Err(Error::state("abort without begin")),
            Transaction::Open(_) | Transaction::Failed => {
                self.epoch.as_ref().map_or(Ok(()), ProducerEpoch::check)
            }
        }
    }
}

fn aborting() -> Error {
    Error::new(
        Retry::Abort,
        ErrorKind::State,
        "the transaction has failed: call abort",
    )
}
