//! What a topic takes: as its settings say, or as the broker's refusals have taught.
//!
//! librdkafka fills batches up to `batch.size`, whatever the topic takes, and a broker refuses a batch
//! that is too large as a whole; librdkafka does not split it. So what waits to be sent to a partition
//! of a topic that takes less is kept within the topic's limit: then no batch can be larger.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::cluster::Cluster;
use crate::{Error, ErrorKind, OutRecord, Result, Retry};

/// What Kafka's record format adds to key, value and headers at most, a batch's own header included.
const RECORD_OVERHEAD: usize = 96;

/// How much smaller batches become after one of unknown limits was refused.
const SHRINK: usize = 8;

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicLimits {
    pub(super) partitions: i32,
    /// Bytes of one record.
    pub(super) record_bytes: usize,
    /// Bytes of one batch of several records.
    pub(super) batch_bytes: usize,
    pub(super) compact: bool,
}

impl TopicLimits {
    /// Why the topic does not take a record of this size.
    pub(super) fn check(&self, record: &OutRecord<'_>, size: usize) -> Result<()> {
        if size > self.record_bytes {
            return Err(Error::new(
                Retry::Never,
                ErrorKind::TooLarge,
                format!(
                    "a record of {size} bytes is larger than topic {:?} takes (max.message.bytes={})",
                    record.topic, self.record_bytes
                ),
            ));
        }
        if self.compact && record.key.is_none() {
            return Err(Error::no_key(record.topic));
        }
        Ok(())
    }
}

/// The size of a record as a topic's limit counts it, or a little more.
pub(super) fn record_size(record: &OutRecord<'_>) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|h| h.name.len() + h.value.as_ref().map_or(0, |v| v.len()) + 10);
    record.key.map_or(0, <[u8]>::len)
        + record.value.map_or(0, <[u8]>::len)
        + headers.sum::<usize>()
        + RECORD_OVERHEAD
}

/// What waits to be sent to one partition of a topic that takes less than a full batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) bytes: usize,
    /// Number of the latest delivery.
    pub(super) last: usize,
}

/// A record that the broker has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) topic: String,
    /// Bytes of key and value.
    pub(super) bytes: usize,
    pub(super) keyless: bool,
    pub(super) code: Code,
}

impl Refused {
    /// Whether a refusal with this code tells something about the topic, so that the same records can
    /// be sent in another way, or be refused before they are sent.
    pub(super) fn teaches(code: Code, keyless: bool) -> bool {
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => true,
            Code::InvalidRecord => keyless,
            _ => false,
        }
    }
}

/// What refusals have taught about topics whose settings may not be read, or do not tell.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<HashMap<String, Lesson>>);

#[derive(Clone, Copy, Debug)]
struct Lesson {
    record_bytes: usize,
    batch_bytes: usize,
    compact: bool,
}

impl Default for Lesson {
    fn default() -> Self {
        Self {
            record_bytes: usize::MAX,
            batch_bytes: usize::MAX,
            compact: false,
        }
    }
}

impl Learned {
    fn about(&self, topic: &str) -> Lesson {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        learned.get(topic).copied().unwrap_or_default()
    }

    /// Notes a refusal under these limits, when batches hold up to `batch_bytes`.
    fn note(&self, refused: &Refused, batch_bytes: usize) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lesson = learned.entry(refused.topic.clone()).or_default();
        if refused.code == Code::InvalidRecord {
            lesson.compact = true;
        } else if refused.bytes + RECORD_OVERHEAD >= batch_bytes {
            // It was alone in its batch.
            lesson.record_bytes = refused.bytes + RECORD_OVERHEAD - 1;
        } else {
            lesson.batch_bytes = (batch_bytes / SHRINK).max(refused.bytes + RECORD_OVERHEAD);
        }
        tracing::warn!(
            "topic {:?} takes less than its settings say, or this user may not read them (DESCRIBE_CONFIGS): the \
             broker refused a record of {} bytes with {}",
            refused.topic,
            refused.bytes,
            refused.code
        );
    }
}

impl Cluster {
    /// What a producer has to know of a topic before it writes there.
    pub(super) fn topic_limits(&self, name: &str) -> Result<TopicLimits> {
        let topic = self
            .topic(name)?
            .ok_or_else(|| Error::unknown_topic(name))?;
        let config = match self.topic_config(name) {
            Ok(config) => config,
            // Without the right to read settings, the broker alone checks.
            Err(e) if e.kind == ErrorKind::Denied => Default::default(),
            Err(e) => return Err(e),
        };
        let max_message_bytes = config
            .get("max.message.bytes")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(usize::MAX);
        let learned = self.learned.about(name);
        Ok(TopicLimits {
            partitions: topic.partitions,
            record_bytes: learned.record_bytes.min(max_message_bytes),
            batch_bytes: learned.batch_bytes.min(max_message_bytes),
            compact: learned.compact
                || config
                    .get("cleanup.policy")
                    .is_some_and(|policy| policy.contains("compact")),
        })
    }

    /// Takes note of a refusal under the limits that a producer knew: unless the topic's settings have
    /// changed since, they do not tell what it takes.
    pub(super) fn learn(&self, refused: &Refused, known: TopicLimits, batch_size: usize) {
        if self
            .topic_limits(&refused.topic)
            .is_ok_and(|now| now == known)
        {
            self.learned
                .note(refused, known.batch_bytes.min(batch_size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: usize) -> Refused {
        Refused {
            topic: "t".to_owned(),
            bytes,
            keyless: true,
            code: Code::MessageSizeTooLarge,
        }
    }

    #[test]
    fn batches_shrink_until_the_record_itself_is_known_to_be_too_large() {
        let learned = Learned::default();
        let mut steps = 0;
        while learned.about("t").record_bytes == usize::MAX {
            learned.note(
                &refused(5_000),
                learned.about("t").batch_bytes.min(1_000_000),
            );
            steps += 1;
        }
        assert_eq!(learned.about("t").record_bytes, 5_000 + RECORD_OVERHEAD - 1);
        assert!(steps < 6, "{steps}");
        assert_eq!(learned.about("another").batch_bytes, usize::MAX);
    }

    #[test]
    fn a_record_as_large_as_a_batch_was_alone_in_it() {
        let learned = Learned::default();
        learned.note(&refused(2_000_000), 1_000_000);
        let lesson = learned.about("t");
        assert_eq!(lesson.record_bytes, 2_000_000 + RECORD_OVERHEAD - 1);
        assert_eq!(lesson.batch_bytes, usize::MAX);
    }
}
