//! Files on their way out: what the journal has to say of them, and what is durable.

use std::sync::Arc;

use super::file::Whole;
use super::{FileId, Partition};
use crate::entry::{self, Announced, Content, Entry, PendingUpload};
use crate::event_clock::EventClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Ended; nobody else knows.
    Ended,
    /// The journal names it.
    Announced,
    /// Its object is there; the journal still names it.
    Durable,
}

pub(super) struct Leaving {
    pub(super) file: Whole,
    pub(super) phase: Phase,
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

impl<B> Partition<B> {
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

    pub(super) fn leave(&mut self, file: Whole, phase: Phase, listed: bool) {
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

    pub(super) fn set_cursor(&mut self, key: Arc<str>, last: i64) {
        let bytes = entry::cursor_length(&key);
        let cursor = self.cursors.entry(key).or_insert_with(|| {
            self.cursor_bytes += bytes;
            last
        });
        *cursor = last.max(*cursor);
    }

    /// From where on the partition is to be read again, and the records' own time there.
    pub(super) fn resume_at(&self) -> Option<(i64, EventClock)> {
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
        self.stamp_unnoted = draft.entry.stamped != self.stamped;
        let resume = draft.entry.resume;
        self.cursors.retain(|_, last| *last >= resume);
        self.cursor_bytes = self
            .cursors
            .keys()
            .map(|key| entry::cursor_length(key))
            .sum();
    }
}
