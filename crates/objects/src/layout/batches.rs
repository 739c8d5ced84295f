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
