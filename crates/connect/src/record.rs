//! A record on its way: wire bytes with their schema, headers, and where it came from.

use std::sync::Arc;

use bytes::Bytes;
use penstock_formats::Payload;

/// A topic and one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: i32,
}

/// One header of a record. A name may occur more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Header name.
    pub name: Arc<str>,
    /// Header value as it lies in the topic.
    pub value: Option<Bytes>,
}

/// Where a record came from. A record that a transform derives keeps the origin of the one it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Position of the origin within its batch; set by the runner.
    pub index: usize,
    /// Topic and partition it was read from; `None` for a source's records.
    pub partition: Option<TopicPartition>,
    /// Offset in that partition; -1 for a source's records.
    pub offset: i64,
}

/// How the partition of a record's destination topic is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// murmur2 of the key, as every Kafka client does; round robin without a key.
    #[default]
    Key,
    /// This partition (a router keeps its origin's).
    Partition(i32),
    /// This hash modulo the number of partitions (a gateway's HMAC of the key-field value).
    Hash(u64),
}

/// A record: key, value, headers, timestamp, and a destination that transforms may change.
#[derive(Clone, Debug)]
pub struct Record {
    /// The topic it is in or goes to.
    pub topic: Arc<str>,
    /// How the destination partition is chosen.
    pub placement: Placement,
    /// Key; `None` is Kafka's null key.
    pub key: Option<Payload>,
    /// Value; `None` is a tombstone.
    pub value: Option<Payload>,
    /// Headers in order.
    pub headers: Vec<Header>,
    /// Milliseconds since the epoch; `None` lets the broker stamp it.
    pub timestamp: Option<i64>,
    origin: Origin,
}

impl Record {
    /// A record that a source made, bound for `topic`.
    pub fn new(topic: Arc<str>, value: Option<Payload>) -> Self {
        Self {
            topic,
            placement: Placement::Key,
            key: None,
            value,
            headers: Vec::new(),
            timestamp: None,
            origin: Origin {
                index: 0,
                partition: None,
                offset: -1,
            },
        }
    }

    /// Where the record came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sets the origin: for the runner, when a record enters a batch. Transforms leave it alone
    /// (a clone of the record carries it along).
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// The last header with that name.
    pub fn header(&self, name: &str) -> Option<&Header> {
        self.headers
            .iter()
            .rev()
            .find(|header| &*header.name == name)
    }

    /// Approximate bytes held: key, value and headers.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Payload::len)
            + self.value.as_ref().map_or(0, Payload::len)
            + self
                .headers
                .iter()
                .map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len))
                .sum::<usize>()
    }
}
