//! A file of a partition: while it takes records, and when it has ended.

use std::sync::Arc;

use super::FileId;
use crate::entry::Announced;
use crate::event_clock::EventClock;
use crate::rotation::Rules;

/// A file that takes records.
pub(crate) struct File<B> {
    pub(crate) id: FileId,
    pub(crate) what: Announced,
    pub(crate) body: B,
    /// Its first record as it was taken. Not that of its name when it is rebuilt without the first ones.
    pub(crate) begun: i64,
    /// The records' own time before its first record.
    pub(super) clock_before: EventClock,
    /// The records' own time at which it ends.
    pub(super) time_due: Option<i64>,
    /// The moment at which it ends.
    pub(super) clock_due: Option<i64>,
    /// When it last took a record.
    pub(crate) touched: i64,
}

/// A file that has ended and whose bytes are complete.
pub(crate) struct Whole {
    pub(super) id: FileId,
    pub(super) what: Announced,
    pub(super) begun: i64,
    pub(super) clock_before: EventClock,
}

impl<B> File<B> {
    /// It was announced before and takes the same records again: rotation does not count.
    pub(crate) fn is_rebuilt(&self) -> bool {
        !self.what.contents.is_empty()
    }

    /// When the clock ends it.
    pub(crate) fn clock_due(&self, rules: &Rules) -> Option<i64> {
        let idle = rules.idle.map(|idle| self.touched.saturating_add(idle));
        [self.clock_due, idle].into_iter().flatten().min()
    }

    /// The file without its body, for [`Partition::ended`].
    pub(crate) fn split(self) -> (Whole, B) {
        let whole = Whole {
            id: self.id,
            what: self.what,
            begun: self.begun,
            clock_before: self.clock_before,
        };
        (whole, self.body)
    }

    /// Notes that its body has taken a record.
    pub(crate) fn took(&mut self, offset: i64, timestamp: Option<i64>, now: i64) {
        self.what.last = offset;
        self.what.rows += 1;
        self.touched = now;
        if let Some(time) = timestamp {
            let (least, greatest) = self.what.timestamps.unwrap_or((time, time));
            self.what.timestamps = Some((least.min(time), greatest.max(time)));
        }
    }
}

/// A file that begins, with its first record in its body.
pub(crate) struct Opening<B> {
    pub(crate) id: FileId,
    pub(crate) name: Arc<str>,
    pub(crate) stamp: Arc<str>,
    pub(crate) schema_id: Option<u32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) now: i64,
    pub(crate) body: B,
}
