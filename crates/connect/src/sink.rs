//! Sinks: where records leave.

use async_trait::async_trait;

use crate::{Error, Journal, Record, RecordError, TopicPartition};

/// The next offset to be read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: TopicPartition,
    /// Offset of the next record: one past the last durable one.
    pub offset: i64,
}

/// Why a sink is asked to flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushReason {
    /// Time to make progress durable; a sink that collects large files may wait for its own rotation.
    Tick,
    /// Partitions are going away or the task stops. What is under way is brought to its end. Files
    /// that are still collecting stay: [`Sink::close`] says which partitions go, and their records
    /// come again.
    Close,
    /// The last record that was asked for has come: everything is to be made durable.
    End,
}

/// How a sink reads its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkMode {
    /// As a member of a consumer group, with committed offsets: every record once.
    Group,
    /// Every partition, from the latest record, no group, no commits (for people who look on).
    Broadcast,
}

/// Where a sink begins in a partition that neither its group nor the sink has a position in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record that is there.
    Earliest,
    /// With the next record that comes.
    Latest,
}

/// What a sink needs from the runner before more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: records are welcome.
    Nothing,
    /// A flush soon: something can be made durable. Records are still welcome.
    Flush,
    /// A flush, and no more records before it has room again. The runner pauses the partitions,
    /// keeps polling, and flushes until the sink needs it no longer.
    Room,
}

/// A place that records go to. One instance per task; records of one partition come in offset order.
#[async_trait]
pub trait Sink: Send {
    /// How it reads its topics.
    fn mode(&self) -> SinkMode {
        SinkMode::Group
    }

    /// Where it begins in a partition that is new to it.
    fn start_at(&self) -> StartAt {
        StartAt::Earliest
    }

    /// These partitions are ours now. Returns the positions that the sink itself holds durably (a
    /// file's sidecar, its journal): the runner goes on from there where they lie ahead of the group's
    /// offset, which moves over what is durable and what never reached the sink.
    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error>;

    /// Takes records; they need not be durable yet. Returns the ones it rejects, by index into
    /// `records`. On an error none of the batch counts as taken and the runner gives it again, from
    /// the last durable position.
    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error>;

    /// Asked after each write and each flush.
    fn need(&self) -> Need {
        Need::Nothing
    }

    /// Makes records durable and says up to where each partition is. Only then offsets move. Whatever
    /// was rejected before is durable when this is called, so only here may the journal be written.
    async fn flush(
        &mut self,
        reason: FlushReason,
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error>;

    /// These partitions are no longer ours; called after a flush with [`FlushReason::Close`], or
    /// without one when they were lost.
    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error>;
}
