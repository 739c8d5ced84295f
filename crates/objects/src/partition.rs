//! The books of one partition: which file a record goes to, when a file ends, what is durable, and
//! what the journal has to say of it. Nothing here reads or writes: `B` is whatever takes a file's
//! records.
//!
//! A file is collecting, then leaving: it has ended, it is announced in the journal, it is durable.
//! A file that was announced and whose object never appeared is rebuilt from the same records.
//!
//! Two rules keep every record in the bucket once:
//! 1. A file ends between two offsets, never between two records of one offset. A key's cursor (the
//!    last offset that is durable) therefore says it all.
//! 2. The files of a key are announced in their order.

mod ending;
mod file;
mod leaving;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use self::file::Whole;
use self::leaving::{Leaving, Phase};
use crate::entry::{Announced, Entry, Stamped};
use crate::event_clock::{EventClock, Tick};
use crate::rebuild::{Ended, Rebuilds};
use crate::rotation::Rules;

pub(crate) use self::file::{File, Opening};

/// Names a file while it is in memory; ascends in the order of opening.
pub(crate) type FileId = u64;

/// Where a record goes.
pub(crate) enum Place<'a, B> {
    /// Nowhere: a durable file has it.
    Durable,
    /// Into this file, which has no limits if it is rebuilt.
    File(&'a mut File<B>),
    /// Into a file that is not open yet; one that is rebuilt has its name and stamp already.
    New(Option<(Arc<str>, Arc<str>)>),
}

/// The books of one partition.
pub(crate) struct Partition<B> {
    /// One past the last offset that came.
    next: Option<i64>,
    /// How far the records have come in their own time.
    clock: EventClock,
    /// The same before the offset that came last.
    clock_before: EventClock,
    /// What the clock said of the records in collecting files, as of the last look at it.
    stamped: Option<Stamped>,
    /// The journal does not hold it.
    stamp_unnoted: bool,
    /// When the journal was last made to hold it.
    stamped_at: i64,
    collecting: HashMap<Arc<str>, File<B>>,
    rebuilds: Rebuilds<B>,
    leaving: BTreeMap<FileId, Leaving>,
    cursors: HashMap<Arc<str>, i64>,
    cursor_bytes: usize,
    /// The greatest cursor that was loaded: from there on no record can be durable already.
    durable_to: i64,
    /// A draft may differ from the last one that was stored.
    changed: bool,
    /// Keys of files that end before the next offset.
    full: Vec<Arc<str>>,
    /// Files that have ended, whose bodies nobody has taken yet.
    ended: Vec<Ended<B>>,
    /// No collecting file has a lesser `time_due`, and none a lesser `begun`.
    time_due: Option<i64>,
    oldest: Option<i64>,
}

impl<B> Partition<B> {
    /// A partition of which nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            next: None,
            clock: EventClock::default(),
            clock_before: EventClock::default(),
            stamped: None,
            stamp_unnoted: false,
            stamped_at: i64::MIN,
            collecting: HashMap::new(),
            rebuilds: Rebuilds::new(),
            leaving: BTreeMap::new(),
            cursors: HashMap::new(),
            cursor_bytes: 0,
            durable_to: i64::MIN,
            changed: true,
            full: Vec::new(),
            ended: Vec::new(),
            time_due: None,
            oldest: None,
        }
    }

    /// The partition as its entry left it. `exists` says of each announced file whether its object is
    /// there; `ids` gives ids for those.
    pub(crate) fn resume(
        entry: Entry,
        exists: impl Fn(&Announced) -> bool,
        mut ids: impl FnMut() -> FileId,
    ) -> Self {
        let mut partition = Self::new();
        partition.next = Some(entry.resume);
        partition.clock = entry.clock;
        partition.clock_before = entry.clock;
        partition.stamped = entry.stamped;
        for (key, cursor) in entry.cursors {
            partition.set_cursor(key, cursor);
        }
        for what in entry.announced {
            if exists(&what) {
                partition.set_cursor(what.key.clone(), what.last);
                let file = Whole {
                    id: ids(),
                    begun: what.first,
                    clock_before: EventClock::default(),
                    what,
                };
                partition.leave(file, Phase::Durable, true);
            } else {
                partition.rebuilds.expect(what);
            }
        }
        partition.durable_to = partition
            .cursors
            .values()
            .copied()
            .max()
            .unwrap_or(i64::MIN);
        partition
    }

    /// One past the last offset that came.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// A record comes. If those before it were read again and it is not, files that the clock gave another
    /// stamp than this one end before it.
    pub(crate) fn reach(&mut self, offset: i64, stamp: &Arc<str>) {
        let again = |offset| self.stamp_of(offset).is_some();
        let behind = |next: i64| next <= offset && again(next - 1) && !again(offset);
        if self.next.is_some_and(behind) {
            self.end_where(|file| file.what.stamp != *stamp);
        }
    }

    /// Notes that a record came which goes into no file.
    pub(crate) fn pass(&mut self, offset: i64, rules: &Rules) {
        self.advance(offset, rules);
    }

    /// Says where a record goes. Files that end before it have ended then.
    pub(crate) fn place(
        &mut self,
        offset: i64,
        key: &str,
        event_time: Option<i64>,
        rules: &Rules,
    ) -> Place<'_, B> {
        let moved = self.advance(offset, rules);
        if let (Some(time), Some(interval)) = (event_time, rules.event_time) {
            match self.clock.see(time, interval) {
                Tick::Stays => {}
                Tick::Forth if moved => self.end_by_time(),
                Tick::Forth => {}
                Tick::Back => self.set_back(interval),
            }
        }
        // A file that is rebuilt may lie before one of its key that is durable.
        if let Some(rebuild) = self.rebuilds.find(key, offset) {
            return rebuild;
        }
        if offset <= self.durable_to && self.cursors.get(key).is_some_and(|last| offset <= *last) {
            return Place::Durable;
        }
        match self.collecting.get_mut(key) {
            Some(file) => Place::File(file),
            None => Place::New(None),
        }
    }

    /// Opens the file of a record that [`place`](Self::place) found none for, and says whether it is
    /// one that is rebuilt.
    pub(crate) fn open(
        &mut self,
        offset: i64,
        key: Arc<str>,
        opening: Opening<B>,
        rules: &Rules,
    ) -> bool {
        let Opening { id, now, .. } = opening;
        let mut file = File {
            id,
            what: Announced {
                name: opening.name,
                key: key.clone(),
                stamp: opening.stamp,
                first: offset,
                last: offset,
                rows: 0,
                schema_id: opening.schema_id,
                timestamps: None,
                contents: Vec::new(),
            },
            body: opening.body,
            begun: offset,
            clock_before: self.clock_before,
            time_due: None,
            clock_due: None,
            touched: now,
        };
        file.took(offset, opening.timestamp, now);
        self.changed = true;
        let Err(mut file) = self.rebuilds.begin(offset, Box::new(file)) else {
            return true;
        };
        file.time_due = match (rules.event_time, self.clock.now()) {
            (Some(interval), Some(now)) => Some(now.saturating_add(interval)),
            _ => None,
        };
        file.clock_due = rules.moment(now);
        self.time_due = [self.time_due, file.time_due].into_iter().flatten().min();
        self.oldest = self.oldest.or(Some(offset));
        self.collecting.insert(key, *file);
        false
    }

    /// The file of a key ends before the next offset.
    pub(crate) fn full(&mut self, key: Arc<str>) {
        self.full.push(key);
    }

    /// The last offset that came is complete: files that are full end.
    pub(crate) fn settle(&mut self) {
        for key in std::mem::take(&mut self.full) {
            self.end(&key);
        }
        self.end_by_time();
        if let Some(next) = self.next {
            self.end_rebuilds(next);
        }
    }

    fn end_rebuilds(&mut self, before: i64) {
        let ended = self.ended.len();
        self.rebuilds.end_before(before, &mut self.ended);
        self.changed |= self.ended.len() > ended;
    }

    fn advance(&mut self, offset: i64, rules: &Rules) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.settle();
        self.end_rebuilds(offset);
        if self
            .oldest
            .is_some_and(|oldest| offset - oldest >= rules.reach)
        {
            self.end_where(|file| offset - file.begun >= rules.reach);
        }
        self.next = Some(offset + 1);
        // The position goes with the records where no file holds it back.
        self.changed |= self.collecting.is_empty();
        self.clock_before = self.clock;
        true
    }

    /// Files that take records, those that are rebuilt left out.
    pub(crate) fn collecting(&self) -> impl ExactSizeIterator<Item = &File<B>> {
        self.collecting.values()
    }

    /// As [`collecting`](Self::collecting), to change their bodies.
    pub(crate) fn collecting_mut(&mut self, key: &str) -> Option<&mut File<B>> {
        self.collecting.get_mut(key)
    }

    /// Some files wait for records to be complete again.
    pub(crate) fn is_rebuilding(&self) -> bool {
        !self.rebuilds.is_empty()
    }

    /// Files that have ended, up to where the journal names them no longer.
    pub(crate) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    /// Files that have ended and that the journal does not name.
    pub(crate) fn unannounced(&self) -> bool {
        self.leaving.values().any(|file| file.phase == Phase::Ended)
    }

    /// Files of which there are objects, which the journal still names.
    pub(crate) fn unnoted(&self) -> bool {
        self.leaving
            .values()
            .any(|file| file.phase == Phase::Durable)
    }

    /// When the clock next ends a file, or the journal is to be told of what it says.
    pub(crate) fn clock_due(&self, rules: &Rules) -> Option<i64> {
        let files = self.collecting.values();
        let files = files.filter_map(|file| file.clock_due(rules));
        files.chain(self.stamp_due()).min()
    }

    /// All files that take records.
    pub(crate) fn taking(&self) -> impl Iterator<Item = &File<B>> {
        self.collecting.values().chain(self.rebuilds.begun())
    }

    /// The ids of all files that are not durable.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileId> {
        self.taking()
            .map(|file| file.id)
            .chain(self.leaving.keys().copied())
    }
}

#[cfg(test)]
mod tests;
