//! What a vocabulary tells the engine.

use std::sync::Arc;
use std::time::Duration;

use penstock_connect::{Record, RecordError, choice};
use penstock_files::FileSpec;

use crate::Store;
use crate::layout::Zone;

/// Where files go, what they look like, and when they end.
#[derive(Clone)]
pub struct Plan {
    /// The bucket.
    pub store: Store,
    /// What all names begin with: `topics/`; may be empty. A record whose name does not is rejected.
    pub prefix: String,
    /// Where in the bucket a record's file lies.
    pub layout: Arc<dyn Layout>,
    /// What files look like.
    pub files: FileSpec,
    /// When files end.
    pub rotation: Rotation,
    /// What happens to records without a value.
    pub nulls: NullValues,
    /// Size of the parts of a large upload.
    pub part_bytes: usize,
    /// Topic for a notice of each finished file.
    pub notices: Option<Arc<str>>,
    /// Most files that may be open in one task.
    pub max_open: usize,
}

choice! {
    /// What happens to a record whose value is null (a tombstone).
    pub enum NullValues {
        /// Rejects it.
        Fail = "fail",
        /// Leaves it out, counted.
        Ignore = "ignore",
        /// Writes it, where the format can.
        Write = "write",
    }
}

/// When a file ends; the first condition that holds ends it.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// After so many records.
    pub records: Option<u64>,
    /// At so many bytes.
    pub bytes: Option<u64>,
    /// When the partition's event time is this far past that of the file's first record.
    pub event_time: Option<Duration>,
    /// When no record has come for this long.
    pub idle: Option<Duration>,
    /// At these moments of the day.
    pub schedule: Option<Schedule>,
    /// At these as well.
    pub second_schedule: Option<Schedule>,
}

/// Moments that lie evenly from midnight in a time zone.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Time from one to the next.
    pub interval: Duration,
    /// The time zone.
    pub zone: Zone,
}

/// What tells one file of a path from another.
#[derive(Clone, Copy, Debug)]
pub struct NamedBy<'a> {
    /// The topic that the records were read from.
    pub topic: &'a str,
    /// The partition that they were read from.
    pub partition: i32,
    /// Offset of the file's first record.
    pub first: i64,
}

/// Where in the bucket a record's file lies. What follows from the record alone is kept apart from what
/// the clock says, so that a replay, at another time, finds the same files.
pub trait Layout: Send + Sync {
    /// Appends the part of the path that follows from the record alone, and returns the record's event
    /// time (milliseconds since the epoch), if the layout has one. Records of one path share files.
    fn path(&self, record: &Record, out: &mut String) -> Result<Option<i64>, RecordError>;

    /// What the clock (milliseconds since the epoch) adds to names; empty where names do not depend on
    /// it. A file ends when this changes.
    fn stamp(&self, clock: i64) -> String;

    /// The object's name, without leading slash.
    fn name(&self, path: &str, stamp: &str, file: NamedBy<'_>) -> String;
}
