//! What every vocabulary has beside its own words.

use std::sync::Arc;
use std::time::Duration;

use penstock_connect::config;
use penstock_connect::config::{ByteSize, Millis};

use crate::layout::Zone;
use crate::{Rotation, Schedule};

/// A day has so many milliseconds where no clock is changed.
const DAY: Duration = Duration::from_secs(86_400);

config! {
    /// What Penstock adds to every vocabulary.
    #[check(check)]
    pub struct EngineKeys {
        /// A file ends when it has this size, as far as it is known before compression.
        "rotate.bytes" => rotate_bytes: Option<ByteSize>,
        /// A file ends when no record has come for it for this long.
        "rotate.idle.ms" => rotate_idle: Option<Millis>,
        /// Topic for a notice of each finished file: its name, records, bytes, offsets and schema.
        "notify.topic" => notify_topic: Option<String>,
        /// Most files that may be open at a time in one task. When more are needed, the one that has waited longest ends.
        "max.open.files" => max_open: usize = "1024",
    }
}

fn check(config: &EngineKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let too_small = || "must be at least 1".to_owned();
    if config.rotate_bytes.is_some_and(|size| size.0 == 0) {
        problems.push(("rotate.bytes", too_small()));
    }
    if config.rotate_idle.is_some_and(|idle| idle.0.is_zero()) {
        problems.push(("rotate.idle.ms", too_small()));
    }
    if config.max_open == 0 {
        problems.push(("max.open.files", too_small()));
    }
    problems
}

impl EngineKeys {
    /// Adds these reasons for a file to end.
    pub fn rotation(&self, rotation: Rotation) -> Rotation {
        Rotation {
            bytes: self.rotate_bytes.map(|size| size.0),
            idle: self.rotate_idle.map(|idle| idle.0),
            ..rotation
        }
    }

    /// Whether a file ends for one of these reasons.
    pub fn ends_files(&self) -> bool {
        self.rotate_bytes.is_some() || self.rotate_idle.is_some()
    }

    /// The topic for notices.
    pub fn notices(&self) -> Option<Arc<str>> {
        self.notify_topic.as_deref().map(Arc::from)
    }
}

/// A part of a multipart upload; S3 and GCS take no smaller ones, and 10,000 of them.
const SMALLEST_PART: u64 = 5 << 20;

/// Whether parts can be so large. The message is about the key that says it.
pub fn check_part(size: ByteSize) -> Result<(), String> {
    if (SMALLEST_PART..=2 << 30).contains(&size.0) {
        Ok(())
    } else {
        Err("must be from 5mb to 2gb: stores take no other parts".to_owned())
    }
}

/// The size of parts as the engine takes it.
pub fn part_bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

/// Moments of the day. The message is about the key that says how far apart they are.
pub fn schedule(interval: Duration, zone: Zone) -> Result<Schedule, String> {
    if interval.is_zero() || interval > DAY {
        return Err("must be from 1 to 86400000 (a day)".to_owned());
    }
    Ok(Schedule { interval, zone })
}
