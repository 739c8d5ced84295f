//! Records as they are read and written, and where they lie.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::Error;

/// A topic and one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }

    /// The same partition with an offset.
    pub fn at(&self, offset: i64) -> TopicPartitionOffset {
        TopicPartitionOffset {
            topic: self.topic.clone(),
            partition: self.partition,
            offset,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset of a partition. As a committed position it is the next offset to read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartitionOffset {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl TopicPartitionOffset {
    /// `offset` in `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            offset,
        }
    }
}

/// One header of a record. A name may occur more than once; order is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Header name.
    pub name: Arc<str>,
    /// Header value; `None` is Kafka's null.
    pub value: Option<Bytes>,
}

/// A record that was read.
///
/// Key, value and header values of one poll share their buffers: a part that is kept long (in a
/// cache, say) should be copied, or it keeps its neighbours in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic it was read from.
    pub topic: Arc<str>,
    /// Partition it was read from.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch: the producer's time, or the broker's where the topic has
    /// `message.timestamp.type=LogAppendTime`; -1 where a record has none.
    pub timestamp: i64,
    /// Key; `None` is Kafka's null key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl Message {
    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + self
                .headers
                .iter()
                .map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len))
                .sum::<usize>()
    }
}

/// A record to be written. Everything is borrowed: `send` copies it.
#[derive(Clone, Copy, Debug)]
pub struct OutRecord<'a> {
    /// Destination topic.
    pub topic: &'a str,
    /// Destination partition; `None`: murmur2 of the key as every Kafka client does it, and without
    /// a key one partition after the other, a batch at a time.
    pub partition: Option<i32>,
    /// Key; `None` is Kafka's null key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [Header],
    /// Milliseconds since the epoch; `None`: now.
    pub timestamp: Option<i64>,
}

impl<'a> OutRecord<'a> {
    /// A record for `topic` with neither key, headers nor timestamp.
    pub fn new(topic: &'a str, value: Option<&'a [u8]>) -> Self {
        Self {
            topic,
            partition: None,
            key: None,
            value,
            headers: &[],
            timestamp: None,
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// To this partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With these headers.
    #[must_use]
    pub fn headers(mut self, headers: &'a [Header]) -> Self {
        self.headers = headers;
        self
    }

    /// With this timestamp, milliseconds since the epoch.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// What became of one `send`: durable at this place, or why not.
pub type Delivery = Result<Placed, Error>;
