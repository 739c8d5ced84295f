//! Memory and open files are bounded: who has to give way, and what the sink needs of the runner.

use std::sync::Arc;

use penstock_connect::{Error, Need};

use crate::ObjectSink;

/// Ended files that may wait for their objects before no more records are taken.
const MOST_LEAVING: usize = 512;

/// A file whose writer holds so much is asked to give memory back before it is ended for it.
const SHRINK_AT: usize = 1 << 20;

/// How long the word that an object is there may wait for others, in milliseconds.
const NOTE_AFTER: i64 = 500;

/// What [`Sink::need`] answers from, as of the last write or flush.
#[derive(Default)]
pub(crate) struct State {
    /// Ended files, and those of them that wait to be announced.
    pub(crate) leaving: usize,
    unannounced: bool,
    /// Since when the word of an object waits for the journal.
    unnoted_since: Option<i64>,
    /// An upload cannot go on before the journal names it.
    pub(crate) unnoted_upload: bool,
    /// When the clock next ends a file.
    pub(crate) clock_due: Option<i64>,
    rebuilding: bool,
}

impl ObjectSink {
    /// Ends the files that took a record longest ago until one more may be opened. A file that has
    /// records of the offset at hand stays.
    pub(crate) fn make_room_for_one(&mut self) {
        let batch = self.batch;
        let mut open: usize = self
            .partitions
            .iter()
            .map(|held| held.books.collecting().len())
            .sum();
        while open >= self.plan.max_open.max(1) {
            let files = self
                .partitions
                .iter()
                .enumerate()
                .flat_map(|(place, held)| {
                    let current = held.books.next().filter(|_| held.batch == batch);
                    let files = held.books.collecting();
                    files
                        .filter(move |file| Some(file.what.last + 1) != current)
                        .map(move |file| (file.touched, file.id, place, &file.what.key))
                });
            let Some((.., place, key)) = files.min_by_key(|(touched, id, ..)| (*touched, *id))
            else {
                return;
            };
            let key = key.clone();
            self.partitions[place].books.end(&key);
            self.counters.cut_short.inc();
            open -= 1;
        }
    }

    /// Gives memory back where this sink is the one that has to: the largest files first shrink, then
    /// end, until what still collects is half of what was held. What is on its way out goes by itself.
    pub(crate) fn relieve(&mut self) -> Result<(), Error> {
        self.account();
        if !self.holder.must_yield() {
            return Ok(());
        }
        let enough = self.holder.held() / 2;
        let mut collecting = self.holder.held() - self.uploads.leaving();
        if collecting <= enough {
            return Ok(());
        }
        let mut files: Vec<(usize, usize, Arc<str>)> = Vec::new();
        for (place, held) in self.partitions.iter().enumerate() {
            for file in held.books.collecting() {
                let bytes = file.body.held() + self.uploads.waiting(file.id);
                files.push((bytes, place, file.what.key.clone()));
            }
        }
        files.sort_unstable();
        while collecting > enough
            && let Some((bytes, place, key)) = files.pop()
        {
            let books = &mut self.partitions[place].books;
            let Some(file) = books.collecting_mut(&key) else {
                continue;
            };
            if file.body.held() >= SHRINK_AT {
                let before = file.body.held();
                let chunk = file.body.shrink()?;
                self.writing = self.writing + file.body.held() - before;
                let id = file.id;
                self.uploads.push(id, chunk);
                let now = file.body.held() + self.uploads.waiting(id);
                if now <= bytes / 2 {
                    collecting = collecting.saturating_sub(bytes - now);
                    continue;
                }
            }
            books.end(&key);
            self.counters.cut_short.inc();
            collecting = collecting.saturating_sub(bytes);
        }
        self.finish_ended()?;
        self.account();
        Ok(())
    }

    /// Says what is held, and finds out what is needed.
    pub(crate) fn account(&mut self) {
        let mut state = State {
            unnoted_upload: self.uploads.unnoted(),
            clock_due: self.state.clock_due,
            ..State::default()
        };
        let (mut open, mut unnoted) = (0, false);
        for held in &self.partitions {
            let books = &held.books;
            open += books.collecting().len();
            state.leaving += books.leaving();
            state.unannounced |= books.unannounced();
            unnoted |= books.unnoted();
            state.rebuilding |= books.is_rebuilding();
        }
        state.unnoted_since =
            unnoted.then(|| self.state.unnoted_since.unwrap_or_else(|| (self.clock)()));
        self.state = state;
        self.holder.set(self.writing + self.uploads.held());
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.counters.open.set(gauge(open));
        self.counters.held.set(gauge(self.holder.held()));
    }

    fn has_no_room(&self) -> bool {
        let state = &self.state;
        // Files that are rebuilt end with their last record alone: where nothing else could go, it has
        // to come.
        let only_rebuilding = state.rebuilding && state.leaving == 0 && !self.uploads.in_flight();
        state.leaving >= MOST_LEAVING || (self.holder.is_full() && !only_rebuilding)
    }

    /// What the sink needs, as of the last write or flush and the clock.
    pub(crate) fn needs(&self) -> Need {
        if self.has_no_room() {
            return Need::Room;
        }
        let state = &self.state;
        let noted_at = state.unnoted_since.map(|since| since + NOTE_AFTER);
        let due = [state.clock_due, noted_at].into_iter().flatten().min();
        let flush = state.unannounced
            || state.unnoted_upload
            || self.uploads.has_news()
            || due.is_some_and(|due| (self.clock)() >= due);
        if flush { Need::Flush } else { Need::Nothing }
    }
}
