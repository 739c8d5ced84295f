//! The traits that both brokers implement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    ConsumerSpec, Created, Delivery, Message, OutRecord, ProducerSpec, ReaderSpec, Result, StartAt,
    TopicInfo, TopicPartition, TopicPartitionOffset, TopicSpec,
};

/// Topics, and the clients that read and write them. Every call blocks; async callers go through
/// `spawn_blocking` or a thread of their own.
pub trait Broker: Send + Sync {
    /// `kafka` or `embedded`.
    fn kind(&self) -> &'static str;

    /// All topics, sorted by name, without the broker's own.
    fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// One topic, `None` if it does not exist.
    fn topic(&self, name: &str) -> Result<Option<TopicInfo>>;

    /// Creates a topic, and returns once it can be written. Safe to call at the same time from
    /// several places: one gets [`Created::New`], the others [`Created::Existed`].
    fn create_topic(&self, spec: &TopicSpec) -> Result<Created>;

    /// All settings of a topic, defaults included, by Kafka's names.
    fn topic_config(&self, name: &str) -> Result<BTreeMap<String, String>>;

    /// Deletes a topic with its records and the offsets that groups committed to it.
    fn delete_topic(&self, name: &str) -> Result<()>;

    /// Opens a producer. With a `transactional_id` this fences older ones of that id, and finishes
    /// or aborts what they left open.
    fn producer(&self, spec: ProducerSpec) -> Result<Box<dyn Producer>>;

    /// Opens a group member. It joins the group with its first `poll`.
    fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>>;

    /// Opens a reader: no group, partitions by explicit assignment, nothing committed.
    fn reader(&self, spec: ReaderSpec) -> Result<Box<dyn Reader>>;

    /// What a group has committed to these topics; partitions without a commit are left out.
    fn group_offsets(&self, group: &str, topics: &[&str]) -> Result<Vec<TopicPartitionOffset>>;

    /// Sets a group's offsets from outside. Refused while the group has members.
    fn set_group_offsets(&self, group: &str, offsets: &[TopicPartitionOffset]) -> Result<()>;

    /// Deletes a group and its offsets; fine if there is none. Refused while the group has members.
    fn delete_group(&self, group: &str) -> Result<()>;

    /// `(low, high)` of a partition: offset of the oldest record, and the last stable offset, up to
    /// which a reader of committed records can come. Lag is `high - committed`.
    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)>;

    /// Checks within `timeout` that the broker answers.
    fn reachable(&self, timeout: Duration) -> Result<()>;
}

/// Writes records: durable when their [`Delivery`] says so (acks=all), in order per partition, and
/// without duplicates from the client's own retries.
///
/// Deliveries are handed out in the order of the sends, each once: by [`poll`](Self::poll),
/// [`flush`](Self::flush), or, within a transaction, by [`commit`](Self::commit) alone, since offsets
/// of a transaction mean nothing before. They are kept until then: a caller that sends without end
/// polls now and then.
pub trait Producer: Send {
    /// Takes a record in. Blocks while the send buffer is full. An error here (unknown topic, record
    /// too large) concerns this record, which then has no delivery; others are not touched.
    fn send(&mut self, record: OutRecord<'_>) -> Result<()>;

    /// The deliveries that are known without gaps, waiting up to `timeout` for at least one. Empty
    /// within a transaction, when nothing is under way, or when time is up.
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Delivery>>;

    /// Waits until all that was sent is durable or has failed. Returns the deliveries not handed out
    /// yet (none within a transaction). When `timeout` is over: [`Backoff`](crate::Retry::Backoff),
    /// nothing is lost, call again.
    fn flush(&mut self, timeout: Duration) -> Result<Vec<Delivery>>;

    /// Begins a transaction. The producer must have a `transactional_id`, and no delivery open.
    fn begin(&mut self) -> Result<()>;

    /// Makes all sends since `begin` visible at once, and `offsets` (next offset to read) of the
    /// consumer's group durable with them. Returns the deliveries, all of them `Ok`.
    ///
    /// On error: [`Abort`](crate::Retry::Abort) the transaction; [`Fenced`](crate::Retry::Fenced): an
    /// old generation or producer, nothing was written; [`Backoff`](crate::Retry::Backoff): call
    /// `commit` again; [`Reconnect`](crate::Retry::Reconnect): the outcome is unknown until a new
    /// producer of that id is open and the group's offsets are read.
    fn commit(
        &mut self,
        offsets: Option<(&GroupMetadata, &[TopicPartitionOffset])>,
    ) -> Result<Vec<Delivery>>;

    /// Drops all sends since `begin`; nobody who reads committed records ever sees them.
    fn abort(&mut self) -> Result<()>;
}

/// What a poll of a group member brought.
#[derive(Debug)]
pub enum Polled {
    /// Records, in order per partition; never empty.
    Messages(Vec<Message>),
    /// These partitions came. No record of them is handed out before this. A [`Consumer::seek`]
    /// before the next poll sets where they start; otherwise the committed offset does.
    Assigned(Vec<TopicPartition>),
    /// These partitions are to go. They stay until [`Consumer::release`]; until then every poll says
    /// this again. `lost`: they are gone already, offsets can no longer be committed.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// The group went on without this member.
        lost: bool,
    },
    /// Nothing within the timeout.
    Idle,
}

/// A group member. Dropping it leaves the group; commit before.
pub trait Consumer: Send {
    /// Waits up to `timeout` for records or a change of the assignment, and returns at most `max`
    /// records. Must be called at least every `max.poll.interval.ms` (5 min), also while everything
    /// is paused, or the group goes on without this member.
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Polled>;

    /// Answers a [`Polled::Revoked`], once the work on those partitions is committed or aborted.
    /// Without one open it does nothing.
    fn release(&mut self) -> Result<()>;

    /// Hands out no records of these partitions until [`resume`](Self::resume). A partition that is
    /// revoked and comes back is no longer paused.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Undoes [`pause`](Self::pause).
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Goes on with this offset, or the next one that is there.
    fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> Result<()>;

    /// Makes these positions (next offset to read) durable.
    /// [`Fenced`](crate::Retry::Fenced) if the group went on without this member.
    fn commit(&mut self, offsets: &[TopicPartitionOffset]) -> Result<()>;

    /// The committed positions of these partitions; those without one are left out.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<TopicPartitionOffset>>;

    /// The next offset that a poll would hand out; `None` if the partition is not assigned or has
    /// not begun.
    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<i64>>;

    /// The partitions that this member has.
    fn assignment(&self) -> Vec<TopicPartition>;

    /// Proof of membership for [`Producer::commit`]; fresh for every commit.
    fn group_metadata(&self) -> Result<GroupMetadata>;
}

/// Reads partitions by explicit assignment, without a group.
pub trait Reader: Send {
    /// Adds a partition, or moves it if it is assigned. The topic must exist.
    fn assign(&mut self, topic: &str, partition: i32, start: StartAt) -> Result<()>;

    /// Takes a partition away.
    fn unassign(&mut self, topic: &str, partition: i32) -> Result<()>;

    /// Waits up to `timeout` for records; at most `max`, in order per partition. Empty when time is
    /// up, or earlier when a position moved past records that are not for this reader.
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Message>>;

    /// All that this reader may see below this offset of an assigned partition was handed out. It
    /// reaches `high` of [`watermarks`](Self::watermarks) even where the last offsets hold aborted
    /// records or transaction markers: a fold has caught up when it is at a `high` taken before.
    fn position(&mut self, topic: &str, partition: i32) -> Result<i64>;

    /// `(low, high)`; `high` is the last stable offset if only committed records are read, else the
    /// end of the log.
    fn watermarks(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)>;

    /// For each partition the first offset whose timestamp is at least `timestamp` (milliseconds
    /// since the epoch), or the end of the log if there is none.
    fn offsets_for_times(
        &mut self,
        partitions: &[TopicPartition],
        timestamp: i64,
    ) -> Result<Vec<TopicPartitionOffset>>;
}

/// Proof of a group membership at a generation; a commit with an old one is refused as fenced.
#[derive(Clone)]
pub struct GroupMetadata(pub(crate) Membership);

#[derive(Clone)]
pub(crate) enum Membership {
    Kafka(Arc<rdkafka::consumer::ConsumerGroupMetadata>),
    Embedded {
        group: Arc<str>,
        member: u64,
        generation: u64,
    },
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Membership::Kafka(_) => f.write_str("GroupMetadata(kafka)"),
            Membership::Embedded {
                group,
                member,
                generation,
            } => {
                write!(
                    f,
                    "GroupMetadata({group}, member {member}, generation {generation})"
                )
            }
        }
    }
}
