//! Takes messages over from librdkafka: one buffer for many messages, names shared.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

use crate::{Header, Message};

/// A buffer holds this much, or one larger message.
const BUFFER_BYTES: usize = 64 << 10;

/// Copies messages out of librdkafka.
#[derive(Debug, Default)]
pub(super) struct Intake {
    buffer: BytesMut,
    topics: Vec<Arc<str>>,
    /// Headers of a topic are mostly alike: names are shared with the message before.
    names: Vec<Arc<str>>,
}

impl Intake {
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> Message {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let mut taken = Vec::with_capacity(headers.count());
            for (i, header) in headers.iter().enumerate() {
                taken.push(Header {
                    name: shared(&mut self.names, i, header.key),
                    value: header.value.map(|value| self.copy(value)),
                });
            }
            taken
        });
        Message {
            topic: self.topic(message.topic()),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(|key| self.copy(key)),
            value: message.payload().map(|value| self.copy(value)),
            headers,
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.buffer.capacity() < bytes.len() {
            self.buffer = BytesMut::with_capacity(bytes.len().max(BUFFER_BYTES));
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.split().freeze()
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        if let Some(at) = self.topics.iter().position(|known| **known == *name) {
            return self.topics[at].clone();
        }
        let topic: Arc<str> = name.into();
        self.topics.push(topic.clone());
        topic
    }
}

fn shared(names: &mut Vec<Arc<str>>, i: usize, name: &str) -> Arc<str> {
    match names.get(i) {
        Some(known) if **known == *name => known.clone(),
        _ => {
            let name: Arc<str> = name.into();
            if i < names.len() {
                names[i] = name.clone();
            } else if i < 64 {
                names.push(name.clone());
            }
            name
        }
    }
}
