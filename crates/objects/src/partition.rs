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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::entry::{self, Announced, Content, Entry, PendingUpload, Stamped};
use crate::event_clock::{EventClock, Tick};
use crate::rebuild::{Ended, Rebuilds};
use crate::rotation::Rules;

/// Names a file while it is in memory; ascends in the order of opening.
pub(crate) type FileId = u64;

/// Bytes of cursors in the entry before the files that hold the position back are ended.
const MOST_CURSOR_BYTES: usize = 256 << 10;

/// How often the journal is told how far records were taken under what the clock says, in milliseconds.
const STAMP_EVERY: i64 = 10_000;

/// A file that takes records.
pub(crate) struct File<B> {
    pub(crate) id: FileId,
    pub(crate) what: Announced,
    pub(crate) body: B,
    /// Its first record as it was taken. Not that of its name when it is rebuilt without the first ones.
    pub(crate) begun: i64,
    /// The records' own time before its first record.
    clock_before: EventClock,
    /// The records' own time at which it ends.
    time_due: Option<i64>,
    /// The moment at which it ends.
    clock_due: Option<i64>,
    /// When it last took a record.
    pub(crate) touched: i64,
}

/// A file that has ended and whose bytes are complete.
pub(crate) struct Whole {
    id: FileId,
    what: Announced,
    begun: i64,
    clock_before: EventClock,
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

/// Where a record goes.
pub(crate) enum Place<'a, B> {
    /// Nowhere: a durable file has it.
    Durable,
    /// Into this file, which has no limits if it is rebuilt.
    File(&'a mut File<B>),
    /// Into a file that is not open yet; one that is rebuilt has its name and stamp already.
    New(Option<(Arc<str>, Arc<str>)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Ended; nobody else knows.
    Ended,
    /// The journal names it.
    Announced,
    /// Its object is there; the journal still names it.
    Durable,
}

struct Leaving {
    file: Whole,
    phase: Phase,
    /// The journal names it, if not with its latest content.
    listed: bool,
}

/// What a partition would write into the journal.
pub(crate) struct Draft {
    pub(crate) entry: Entry,
    /// Files that it names, which may become objects once it is stored.
    pub(crate) announced: Vec<FileId>,
    /// Files that it names no longer, with what is to be told of them.
    pub(crate) durable: Vec<(FileId, Announced)>,
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

    fn end_by_time(&mut self) {
        let now = self.clock.now();
        if self.time_due.is_some_and(|due| now >= Some(due)) {
            self.end_where(|file| file.time_due.is_some_and(|due| now >= Some(due)));
        }
    }

    /// The clock went back: no file waits for a time that may never come.
    fn set_back(&mut self, interval: i64) {
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
        if self.stamped.as_ref() == Some(&stamped) {
            return;
        }
        self.stamped = Some(stamped);
        if now.saturating_sub(self.stamped_at) >= STAMP_EVERY && !self.collecting.is_empty() {
            self.changed = true;
            self.stamped_at = now;
        }
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

    fn end_where(&mut self, which: impl Fn(&File<B>) -> bool) {
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

    /// A file has ended with this content. Returns the contents that its object may have: this one, and
    /// those that it was announced with before.
    pub(crate) fn ended(&mut self, mut file: Whole, content: Content) -> Vec<Content> {
        let contents = &mut file.what.contents;
        let listed = !contents.is_empty();
        contents.retain(|known| *known != content);
        contents.push(content);
        let contents = contents.clone();
        self.leave(file, Phase::Ended, listed);
        contents
    }

    fn leave(&mut self, file: Whole, phase: Phase, listed: bool) {
        self.changed = true;
        let leaving = Leaving {
            file,
            phase,
            listed,
        };
        self.leaving.insert(leaving.file.id, leaving);
    }

    /// A file's object is there.
    pub(crate) fn durable(&mut self, id: FileId) {
        if let Some(leaving) = self.leaving.get_mut(&id) {
            leaving.phase = Phase::Durable;
            self.changed = true;
            let (key, last) = (leaving.file.what.key.clone(), leaving.file.what.last);
            self.set_cursor(key, last);
        }
    }

    fn set_cursor(&mut self, key: Arc<str>, last: i64) {
        let bytes = entry::cursor_length(&key);
        let cursor = self.cursors.entry(key).or_insert_with(|| {
            self.cursor_bytes += bytes;
            last
        });
        *cursor = last.max(*cursor);
    }

    /// From where on the partition is to be read again, and the records' own time there.
    fn resume_at(&self) -> Option<(i64, EventClock)> {
        let next = (self.next?, self.clock);
        let collecting = self.taking().map(|file| (file.begun, file.clock_before));
        let leaving = self
            .leaving
            .values()
            .filter(|leaving| leaving.phase != Phase::Durable)
            .map(|leaving| (leaving.file.begun, leaving.file.clock_before));
        collecting
            .chain(leaving)
            .chain([next])
            .min_by_key(|(offset, _)| *offset)
    }

    /// All records before this offset are durable or were never to be; `None` before the first one
    /// came.
    pub(crate) fn position(&self) -> Option<i64> {
        self.resume_at().map(|(offset, _)| offset)
    }

    /// What the journal is to hold. `None` before the first record came.
    pub(crate) fn draft(&self, uploads: Vec<PendingUpload>) -> Option<Draft> {
        let (resume, clock) = self.resume_at()?;
        let mut draft = Draft {
            entry: Entry::new(resume, clock),
            announced: Vec::new(),
            durable: Vec::new(),
        };
        let entry = &mut draft.entry;
        entry.uploads = uploads;
        entry.stamped.clone_from(&self.stamped);
        let cursors = self.cursors.iter().filter(|(_, last)| **last >= resume);
        entry.cursors = cursors.map(|(key, last)| (key.clone(), *last)).collect();
        entry.cursors.sort_unstable();
        entry.announced = self.rebuilds.announced().cloned().collect();
        entry.announced.sort_unstable_by_key(|file| file.first);
        for (id, leaving) in &self.leaving {
            match leaving.phase {
                Phase::Durable => draft.durable.push((*id, leaving.file.what.clone())),
                Phase::Ended if !leaving.listed => {}
                phase => {
                    entry.announced.push(leaving.file.what.clone());
                    if phase == Phase::Ended {
                        draft.announced.push(*id);
                    }
                }
            }
        }
        // A file that is announced here takes more bytes than its cursor will: what is full stays so.
        let mut length = entry.length();
        for (id, leaving) in &self.leaving {
            if leaving.phase != Phase::Ended || leaving.listed {
                continue;
            }
            length += leaving.file.what.length();
            // In the order of opening: the files of a key are announced in theirs.
            if length > entry::ROOMY && leaving.file.begun > resume {
                break;
            }
            entry.announced.push(leaving.file.what.clone());
            draft.announced.push(*id);
        }
        Some(draft)
    }

    /// The journal may have to hold something else than it does.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// The journal holds the draft.
    pub(crate) fn stored(&mut self, draft: &Draft) {
        for id in &draft.announced {
            if let Some(file) = self.leaving.get_mut(id) {
                file.phase = Phase::Announced;
                file.listed = true;
            }
        }
        for (id, _) in &draft.durable {
            self.leaving.remove(id);
        }
        // More files may wait to be announced than one entry takes.
        self.changed = self.unannounced();
        let resume = draft.entry.resume;
        self.cursors.retain(|_, last| *last >= resume);
        self.cursor_bytes = self
            .cursors
            .keys()
            .map(|key| entry::cursor_length(key))
            .sum();
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

    /// When the clock next ends a file.
    pub(crate) fn clock_due(&self, rules: &Rules) -> Option<i64> {
        let files = self.collecting.values();
        files.filter_map(|file| file.clock_due(rules)).min()
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
