//! The batch exporter's names: `2021-03-26T09:56:30-stream-<uuid>---<partition>.jsonl`.

use std::sync::Arc;

use chrono::DateTime;
use penstock_connect::{Record, RecordError};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Layout, NamedBy};

const DAY: i64 = 86_400_000;

/// Names of batches that end at even moments of the day.
pub struct Batches {
    /// Stands before each name.
    pub prefix: String,
    /// The connector that writes them.
    pub connector: Arc<str>,
    /// Time from one moment to the next, in milliseconds.
    pub interval: i64,
    /// What names end with.
    pub extension: String,
}

impl Layout for Batches {
    fn path(&self, _: &Record, _: &mut String) -> Result<Option<i64>, RecordError> {
        Ok(None)
    }

    /// The moment at which the batch began.
    fn stamp(&self, clock: i64) -> String {
        // Moments are counted from midnight, also where the last interval of a day is a shorter one.
        let of_day = clock.rem_euclid(DAY);
        let began = clock - of_day % self.interval;
        DateTime::from_timestamp_millis(began).map_or_else(String::new, |began| {
            began.format("%Y-%m-%dT%H:%M:%S").to_string()
        })
    }

    fn name(&self, _: &str, stamp: &str, file: NamedBy<'_>) -> String {
        format!(
            "{}{stamp}-stream-{}---{}{}",
            self.prefix,
            self.uuid(file),
            file.partition,
            self.extension
        )
    }
}

impl Batches {
    /// Follows from the file, so that a replay finds the same name (version 8: a digest of ours).
    fn uuid(&self, file: NamedBy<'_>) -> Uuid {
        let mut digest = Sha256::new();
        for part in [&*self.connector, file.topic] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.update(file.partition.to_be_bytes());
        digest.update(file.first.to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(connector: &str, interval: i64) -> Batches {
        Batches {
            prefix: "lake/".to_owned(),
            connector: connector.into(),
            interval,
            extension: ".jsonl".to_owned(),
        }
    }

    fn file(partition: i32, first: i64) -> NamedBy<'static> {
        NamedBy {
            topic: "demo",
            partition,
            first,
        }
    }

    #[test]
    fn names_say_when_the_batch_began_and_follow_from_what_is_in_it() {
        let layout = batches("export", 60_000);
        let stamp = layout.stamp(1_616_752_590_123);
        assert_eq!(stamp, "2021-03-26T09:56:00");
        let name = layout.name("", &stamp, file(2, 41));
        assert_eq!(
            name,
            "lake/2021-03-26T09:56:00-stream-bf9530ea-8a01-848d-b50d-0fbd43e6796f---2.jsonl"
        );
        assert_eq!(
            name,
            batches("export", 60_000).name("", &stamp, file(2, 41))
        );
        for (connector, other) in [
            ("export", file(1, 41)),
            ("export", file(2, 42)),
            ("other", file(2, 41)),
        ] {
            assert_ne!(name, batches(connector, 60_000).name("", &stamp, other));
        }
    }

    #[test]
    fn intervals_are_counted_from_midnight() {
        // 700 s do not divide a day: its last interval is a shorter one.
        let layout = batches("export", 700_000);
        for (clock, stamp) in [
            (0, "1970-01-01T00:00:00"),
            (86_399_999, "1970-01-01T23:55:00"),
            (86_400_000, "1970-01-02T00:00:00"),
        ] {
            assert_eq!(layout.stamp(clock), stamp);
        }
    }
}
