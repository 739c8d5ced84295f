//! Topics that may hold personal data, noted in `_penstock.configs` before the first record goes there.
//! So a worker that neither has the contract nor decrypts anything knows what it reads, and seals what
//! it rejects.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use penstock_broker::{Broker, OutRecord, Result};

use crate::{compacted, config_store};

/// Keys of the notes.
const PERSONAL: &str = "personal-";

/// The notes that this worker has read.
#[derive(Default)]
pub(crate) struct PersonalTopics {
    known: Mutex<Known>,
    /// Mostly there are several to be written: of what is read, and of what is made of it.
    writer: compacted::Writer,
}

#[derive(Debug, Default)]
struct Known {
    topics: BTreeSet<String>,
    /// The end of `_penstock.configs` when it was read last.
    end: i64,
}

impl PersonalTopics {
    /// Whether records of a topic may hold personal data. Asks the broker for the end of the notes, and
    /// reads them again when there are more: a note is always older than the records it is about.
    pub(crate) fn contains(&self, broker: &dyn Broker, topic: &str) -> Result<bool> {
        let mut known = self.known();
        if known.topics.contains(topic) {
            return Ok(true);
        }
        let (_, end) = broker.watermarks(config_store::TOPIC, 0)?;
        if end != known.end {
            let topics = &mut known.topics;
            compacted::read(broker, config_store::TOPIC, [0], |message| {
                let key = message.key.as_deref().unwrap_or_default();
                let topic = std::str::from_utf8(key)
                    .ok()
                    .and_then(|key| key.strip_prefix(PERSONAL));
                topics.extend(topic.map(str::to_owned));
            })?;
            known.end = end;
        }
        Ok(known.topics.contains(topic))
    }

    /// Notes that records of a topic may hold personal data; durable when this returns.
    pub(crate) fn note(&self, broker: &dyn Broker, topic: &str) -> Result<()> {
        if self.contains(broker, topic)? {
            return Ok(());
        }
        let key = format!("{PERSONAL}{topic}");
        let out = OutRecord::new(config_store::TOPIC, Some(b"true")).key(key.as_bytes());
        let written = self.writer.write(broker, &[out.partition(0)])?;
        let mut known = self.known();
        known.topics.insert(topic.to_owned());
        // Nobody wrote anything in between: there is nothing to be read again.
        if written.first().is_some_and(|note| note.offset == known.end) {
            known.end += 1;
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};

    #[test]
    fn a_note_of_one_worker_is_known_to_the_others_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let broker = EmbeddedBroker::open(&EmbeddedSettings::new(dir.path())).unwrap();
        config_store::create_topic(&broker, None).unwrap();
        let (one, other) = (PersonalTopics::default(), PersonalTopics::default());
        assert!(!other.contains(&broker, "demo").unwrap());
        one.note(&broker, "demo").unwrap();
        one.note(&broker, "demo").unwrap();
        assert!(other.contains(&broker, "demo").unwrap());
        assert!(!other.contains(&broker, "wiki").unwrap());
        assert_eq!(broker.watermarks(config_store::TOPIC, 0).unwrap(), (0, 1));
    }

    #[test]
    fn own_notes_need_no_reading_and_those_of_others_are_read_nevertheless() {
        let dir = tempfile::tempdir().unwrap();
        let broker = EmbeddedBroker::open(&EmbeddedSettings::new(dir.path())).unwrap();
        config_store::create_topic(&broker, None).unwrap();
        let (one, other) = (PersonalTopics::default(), PersonalTopics::default());
        one.note(&broker, "demo").unwrap();
        assert_eq!(one.known().end, 1);
        other.note(&broker, "wiki").unwrap();
        one.note(&broker, "pages").unwrap();
        assert_eq!(one.known().end, 3);
        for topic in ["demo", "wiki", "pages"] {
            assert!(one.contains(&broker, topic).unwrap(), "{topic}");
            assert!(other.contains(&broker, topic).unwrap(), "{topic}");
        }
    }
}
