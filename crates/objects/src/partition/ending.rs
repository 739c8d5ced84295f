//! When files end: by the records' own time, by the clock, by what the entry may hold, or all at once.

use std::sync::Arc;

use super::Partition;
use super::file::File;
use crate::entry::Stamped;
use crate::rebuild::Ended;
use crate::rotation::Rules;

/// Bytes of cursors in the entry before the files that hold the position back are ended.
const MOST_CURSOR_BYTES: usize = 256 << 10;

/// How often the journal is told how far records were taken under what the clock says, in milliseconds.
const STAMP_EVERY: i64 = 10_000;

impl<B> Partition<B> {
    pub(super) fn end_by_time(&mut self) {
        let now = self.clock.now();
        if self.time_due.is_some_and(|due| now >= Some(due)) {
            self.end_where(|file| file.time_due.is_some_and(|due| now >= Some(due)));
        }
    }

    /// The clock went back: no file waits for a time that may never come.
    pub(super) fn set_back(&mut self, interval: i64) {
        let latest = self.clock.now().map(|now| now.saturating_add(interval));
        for file in self.collecting.values_mut() {
            file.time_due = file.time_due.min(latest);
        }
        self.time_due = self.time_due.min(latest);
    }

    /// What the clock said when this record was taken before a restart.
    pub(crate) fn stamp_of(&self, offset: i64) -> Option<&Arc<str>> {
        let stamped = self.stamped.as_ref();
        stamped
            .filter(|stamped| offset < stamped.before)
            .map(|stamped| &stamped.stamp)
    }

    /// Ends the files that the clock or the stamp ends. Between batches only.
    pub(crate) fn end_due(&mut self, now: i64, stamp: &Arc<str>, rules: &Rules) {
        // Records that are read again come before the clock says anything new.
        let again = self.next.is_some_and(|next| self.stamp_of(next).is_some());
        self.end_where(|file| {
            let idle = rules
                .idle
                .is_some_and(|idle| now.saturating_sub(file.touched) >= idle);
            let over = !again && file.what.stamp != *stamp;
            idle || file.clock_due.is_some_and(|due| now >= due) || over
        });
        if !again && !stamp.is_empty() {
            self.stamp(now, stamp);
        }
    }

    /// Notes that the records that came are under this stamp, if they are in a collecting file.
    fn stamp(&mut self, now: i64, stamp: &Arc<str>) {
        let Some(before) = self.next else { return };
        let stamped = Stamped {
            before,
            stamp: stamp.clone(),
        };
        if self.stamped.as_ref() != Some(&stamped) {
            self.stamped = Some(stamped);
            self.stamp_unnoted = true;
        }
        if self.stamp_due().is_some_and(|due| now >= due) {
            self.changed = true;
            self.stamped_at = now;
        }
    }

    /// When the journal is to be told under what the records were taken.
    pub(super) fn stamp_due(&self) -> Option<i64> {
        let untold = self.stamp_unnoted && !self.collecting.is_empty();
        untold.then(|| self.stamped_at.saturating_add(STAMP_EVERY))
    }

    /// Ends the file that holds the position back where the entry has grown too large. Between batches
    /// only.
    pub(crate) fn end_overgrown(&mut self) {
        if self.cursor_bytes < MOST_CURSOR_BYTES {
            return;
        }
        let oldest = self.collecting.values().map(|file| file.begun).min();
        if oldest.is_some() && oldest == self.resume_at().map(|(resume, _)| resume) {
            self.end_where(|file| Some(file.begun) == oldest);
        }
    }

    /// Ends all files, but for those that are rebuilt and whose records have not all come.
    pub(crate) fn end_all(&mut self) {
        self.settle();
        self.end_where(|_| true);
    }

    /// Ends the file of a key. Between offsets only.
    pub(crate) fn end(&mut self, key: &str) {
        if let Some(file) = self.collecting.remove(key) {
            self.ended.push(Ended::File(Box::new(file)));
        }
    }

    pub(super) fn end_where(&mut self, which: impl Fn(&File<B>) -> bool) {
        let found = self.collecting.extract_if(|_, file| which(file));
        self.ended
            .extend(found.map(|(_, file)| Ended::File(Box::new(file))));
        let files = self.collecting.values();
        self.time_due = files.clone().filter_map(|file| file.time_due).min();
        self.oldest = files.map(|file| file.begun).min();
    }

    /// Files that have ended since the last call. Each body is to be brought to its end, and its file
    /// given to [`ended`](Self::ended).
    pub(crate) fn take_ended(&mut self) -> Vec<Ended<B>> {
        std::mem::take(&mut self.ended)
    }
}
