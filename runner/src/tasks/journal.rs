//! A sink's journal, as its task keeps it: entries, notices and the group's offsets move in one
//! transaction, which the group's generation guards, and so do dead letters and the note that they are
//! written.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use penstock_broker::{
    Consumer, Header, Message, OutRecord, Producer, ProducerSpec, Retry, TopicPartition,
    TopicPartitionOffset,
};
use penstock_connect::{Error, Journal, JournalEntry, Placement, Record};

use super::progress::{Partitions, broker_partition};
use super::rejects::Rejects;
use super::settled::Settled;
use super::{TaskEnv, task_error};
use crate::chain::Rejection;
use crate::{journal, topics};

/// A transaction of a journal is a few records: one that stays open longer belongs to nobody, and holds
/// up whoever has the partitions now.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// Bytes of rejected records that go into one transaction.
const DEAD_LETTERS: usize = 4 << 20;

/// What stays of a journal between the calls of its sink.
#[derive(Default)]
pub(super) struct Writer {
    /// Made at the first use.
    producer: Option<Box<dyn Producer>>,
    /// Topics that are known to be there.
    topics: HashSet<Arc<str>>,
    /// The sink keeps a journal.
    used: bool,
    settled: Settled,
}

impl Writer {
    /// The journal for one call of the sink.
    pub(super) fn journal<'t>(
        &'t mut self,
        env: &'t TaskEnv,
        consumer: &'t mut dyn Consumer,
        partitions: &'t mut Partitions,
    ) -> TopicJournal<'t> {
        TopicJournal {
            env,
            writer: self,
            consumer,
            partitions,
        }
    }

    /// Whether the sink keeps a journal.
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// Lets go of a partition.
    pub(super) fn forget(&mut self, partition: &penstock_connect::TopicPartition) {
        self.settled.forget(partition);
    }

    fn open(&mut self, env: &TaskEnv) -> Result<(&mut dyn Producer, &Settled), Error> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let services = &env.services;
                journal::create_topic(services.broker.as_ref(), services.replication())
                    .map_err(task_error)?;
                let mut overrides = env.spec.producer_overrides.clone();
                if !overrides.contains_key("delivery.timeout.ms") {
                    overrides
                        .entry("transaction.timeout.ms".to_owned())
                        .or_insert_with(|| TRANSACTION_TIMEOUT_MS.to_owned());
                }
                let context = &env.context;
                let spec = ProducerSpec {
                    client_id: format!("{}-{}-journal", context.connector, context.task),
                    transactional_id: Some(format!(
                        "{}-{}-{}-{}",
                        env.group(),
                        context.connector,
                        services.worker_id(),
                        context.task
                    )),
                    overrides,
                };
                services.broker.producer(spec).map_err(task_error)?
            }
        };
        Ok((self.producer.insert(producer).as_mut(), &self.settled))
    }
}

/// The journal as its sink sees it.
pub(super) struct TopicJournal<'t> {
    env: &'t TaskEnv,
    writer: &'t mut Writer,
    consumer: &'t mut dyn Consumer,
    partitions: &'t mut Partitions,
}

impl TopicJournal<'_> {
    /// The group's offsets that move with these entries. Beyond an entry's position the group may have
    /// moved already, over records that were not for the sink: there is no way back.
    fn offsets(&self, entries: &[JournalEntry]) -> Result<Vec<TopicPartitionOffset>, Error> {
        let ours: HashSet<TopicPartition> = self.consumer.assignment().into_iter().collect();
        if entries.is_empty() {
            // Notices alone: offsets that stay where they are prove that the task has its partitions.
            let stay = ours
                .iter()
                .map(|partition| partition.at(self.partitions.committed(partition)));
            return Ok(stay.filter(|offset| offset.offset > 0).collect());
        }
        let offset = |entry: &JournalEntry| {
            let partition = broker_partition(&entry.position.partition);
            if !ours.contains(&partition) {
                return Err(Error::reconnect(format!(
                    "the journal takes no entry of {partition}, which is not this task's any more"
                )));
            }
            let committed = self.partitions.committed(&partition);
            Ok(partition.at(entry.position.offset.max(committed)))
        };
        entries.iter().map(offset).collect()
    }

    /// Pages of rejections that the group's offsets leave behind.
    fn passed(
        &self,
        offsets: &[TopicPartitionOffset],
    ) -> Vec<(penstock_connect::TopicPartition, i64)> {
        let passed = offsets.iter().flat_map(|offset| {
            let partition = penstock_connect::TopicPartition {
                topic: offset.topic.clone(),
                partition: offset.partition,
            };
            let pages = self.writer.settled.passed(&partition, offset.offset);
            pages.into_iter().map(move |page| (partition.clone(), page))
        });
        passed.collect()
    }

    /// Writes the dead letters of rejected records, but for those that were written before a restart.
    pub(super) fn reject(
        &mut self,
        rejects: &Rejects<'_>,
        messages: &[Message],
        rejected: &[Rejection],
    ) -> Result<(), Error> {
        let mut fresh: Vec<&Rejection> = rejected
            .iter()
            .filter(|rejection| {
                messages.get(rejection.origin).is_some_and(|message| {
                    let partition = origin(message);
                    !self.writer.settled.contains(&partition, message.offset)
                })
            })
            .collect();
        fresh.sort_by_key(|rejection| rejection.origin);
        let mut rest = fresh.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|rejection| {
                let fits = bytes < DEAD_LETTERS;
                bytes += messages[rejection.origin].size();
                fits
            });
            let (now, later) = rest.split_at(fits.count());
            self.reject_some(rejects, messages, now)?;
            rest = later;
        }
        Ok(())
    }

    fn reject_some(
        &mut self,
        rejects: &Rejects<'_>,
        messages: &[Message],
        rejected: &[&Rejection],
    ) -> Result<(), Error> {
        let mut pages = BTreeSet::new();
        for rejection in rejected {
            let message = &messages[rejection.origin];
            let partition = origin(message);
            let page = self.writer.settled.insert(&partition, message.offset);
            pages.insert((partition, page));
        }
        let offsets = self.offsets(&[])?;
        self.transaction(&offsets, |env, settled, producer| {
            rejects.settle(producer, messages, rejected.iter().copied())?;
            for (partition, page) in &pages {
                let bits = settled.page(partition, *page);
                journal::write_page(producer, &env.context.connector, partition, *page, bits)
                    .map_err(task_error)?;
            }
            Ok(())
        })
    }

    fn make_topics(&mut self, notices: &[Record]) -> Result<(), Error> {
        for notice in notices {
            if !self.writer.topics.contains(&notice.topic) {
                topics::make_plain(&self.env.services, &notice.topic).map_err(task_error)?;
                self.writer.topics.insert(notice.topic.clone());
            }
        }
        Ok(())
    }

    /// One transaction of what `write` hands to the producer and the group's offsets.
    fn transaction(
        &mut self,
        offsets: &[TopicPartitionOffset],
        write: impl FnOnce(&TaskEnv, &Settled, &mut dyn Producer) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let done = self.try_transaction(offsets, write);
        if done.is_err() {
            // Without its producer the transaction is dropped, if it has not been decided.
            self.writer.producer = None;
        }
        done
    }

    fn try_transaction(
        &mut self,
        offsets: &[TopicPartitionOffset],
        write: impl FnOnce(&TaskEnv, &Settled, &mut dyn Producer) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (producer, settled) = self.writer.open(self.env)?;
        producer.begin().map_err(task_error)?;
        write(self.env, settled, producer)?;
        let group = self.consumer.group_metadata().map_err(|error| {
            self.env.metrics.commit_failed(&error);
            task_error(error)
        })?;
        let mut committed = producer.commit(Some((&group, offsets)));
        // A commit whose answer is late is asked for again: that is safe.
        for _ in 0..3 {
            match &committed {
                Err(error) if error.retry == Retry::Backoff => {
                    self.env.metrics.retried();
                    committed = producer.commit(Some((&group, offsets)));
                }
                _ => break,
            }
        }
        if let Err(error) = &committed {
            self.env.metrics.commit_failed(error);
        }
        match committed {
            Ok(_) => Ok(()),
            // Whether it went through is known once the next producer has brought it to an end: the
            // sink begins anew from what the journal has then.
            Err(error) if error.retry == Retry::Backoff => {
                Err(Error::reconnect(error.message.clone()).with_source(error))
            }
            Err(error) => Err(task_error(error)),
        }
    }
}

impl Journal for TopicJournal<'_> {
    fn load(
        &mut self,
        partitions: &[penstock_connect::TopicPartition],
    ) -> Result<Vec<(penstock_connect::TopicPartition, Bytes)>, Error> {
        // First the producer: it ends what a killed task of this id has left open, which would be
        // waited for.
        self.writer.open(self.env)?;
        let broker = self.env.services.broker.as_ref();
        let connector = &self.env.context.connector;
        let mut loaded = journal::load(broker, connector, partitions).map_err(task_error)?;
        self.writer.used = true;
        for partition in partitions {
            let pages = loaded.pages.remove(partition).unwrap_or_default();
            self.writer.settled.load(partition.clone(), pages);
        }
        Ok(loaded.entries.into_iter().collect())
    }

    fn store(&mut self, entries: Vec<JournalEntry>, notices: Vec<Record>) -> Result<(), Error> {
        if entries.is_empty() && notices.is_empty() {
            return Ok(());
        }
        let since = Instant::now();
        self.make_topics(&notices)?;
        let offsets = self.offsets(&entries)?;
        let passed = self.passed(&offsets);
        self.transaction(&offsets, |env, _, producer| {
            let connector = &env.context.connector;
            for entry in &entries {
                let partition = &entry.position.partition;
                journal::write(producer, connector, partition, &entry.note).map_err(task_error)?;
            }
            for (partition, page) in &passed {
                journal::write_page(producer, connector, partition, *page, None)
                    .map_err(task_error)?;
            }
            for notice in &notices {
                send(producer, notice).map_err(task_error)?;
            }
            Ok(())
        })?;
        for (partition, page) in &passed {
            self.writer.settled.remove(partition, *page);
        }
        let moved = self.partitions.commit(&offsets);
        self.env.metrics.committed(since.elapsed(), moved);
        self.env.metrics.ended(moved);
        Ok(())
    }
}

/// The partition that a record was read from, as sinks name it.
fn origin(message: &Message) -> penstock_connect::TopicPartition {
    penstock_connect::TopicPartition {
        topic: message.topic.clone(),
        partition: message.partition,
    }
}

fn send(producer: &mut dyn Producer, notice: &Record) -> penstock_broker::Result<()> {
    let headers: Vec<Header> = notice
        .headers
        .iter()
        .map(|header| Header {
            name: header.name.clone(),
            value: header.value.clone(),
        })
        .collect();
    producer.send(OutRecord {
        topic: &notice.topic,
        partition: match notice.placement {
            Placement::Partition(partition) => Some(partition),
            Placement::Key | Placement::Hash(_) => None,
        },
        key: notice.key.as_ref().map(|key| key.bytes().as_ref()),
        value: notice.value.as_ref().map(|value| value.bytes().as_ref()),
        headers: &headers,
        timestamp: notice.timestamp,
    })
}

/// The journal of a sink that broadcasts: nobody has its partitions, so nobody could find an entry.
pub(super) struct NoJournal;

impl NoJournal {
    fn error<T>() -> Result<T, Error> {
        Err(Error::never(
            "a sink that broadcasts has no journal: it reads without a group",
        ))
    }
}

impl Journal for NoJournal {
    fn load(
        &mut self,
        _partitions: &[penstock_connect::TopicPartition],
    ) -> Result<Vec<(penstock_connect::TopicPartition, Bytes)>, Error> {
        Self::error()
    }

    fn store(&mut self, _entries: Vec<JournalEntry>, _notices: Vec<Record>) -> Result<(), Error> {
        Self::error()
    }
}
