//! The election against a model of the log: writers and readers at any pace, broker clocks that jump,
//! tombstones, and a compaction that removes whatever it may, in any order.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// `min.compaction.lag.ms`, `delete.retention.ms`, a key's window, and how long it is kept then.
const LAG: i64 = 60;
const DELETE_RETENTION: i64 = 2000;
const WINDOW: i64 = 100;
const RETENTION: i64 = 150;
/// Broker clocks jump by less than the retention.
const JUMP: i64 = 40;

#[derive(Clone, Copy, Debug)]
struct Record {
    offset: i64,
    written: i64,
    link: KeyLink,
    change: Change,
    /// When the compaction was done that removed what this tombstone deletes.
    cleaned: Option<i64>,
}

/// The log as it is, and as it would be without compaction.
#[derive(Default)]
struct Log {
    records: Vec<Record>,
    end: i64,
    now: i64,
    jump: i64,
    /// What a reader of every record holds at each offset.
    history: Vec<Vec<Entry>>,
    /// The standing with which each record landed.
    landed: HashMap<KeyLink, Standing>,
    /// What erasure and retention were meant to remove.
    doomed: HashSet<KeyLink>,
}

impl Log {
    fn append(&mut self, link: KeyLink, kind: Option<EntryKind>) -> i64 {
        let offset = self.end;
        let change = match kind {
            None => Change::Remove(link),
            Some(kind) => Change::Put(Entry {
                link,
                kind,
                offset,
                appended: self.now + self.jump,
                window: if kind == EntryKind::Candidate {
                    WINDOW
                } else {
                    0
                },
            }),
        };
        self.end += 1;
        self.records.push(Record {
            offset,
            written: self.now,
            link,
            change,
            cleaned: None,
        });
        let mut live = self.history.last().cloned().unwrap_or_default();
        apply(&mut live, change);
        self.check_finality(&live, change);
        self.history.push(live);
        offset
    }

    /// Invariant 2, at every record.
    fn check_finality(&mut self, live: &[Entry], change: Change) {
        for (entry, standing) in live.iter().zip(standings(live)) {
            let class = if standing == Standing::Current {
                Standing::Superseded
            } else {
                standing
            };
            let landed = self.landed.entry(entry.link).or_insert(class);
            assert_eq!(*landed, class, "{entry:?} changed its standing");
        }
        if let Change::Remove(link) = change
            && self.landed.get(&link) == Some(&Standing::Superseded)
        {
            assert!(
                self.doomed.contains(&link),
                "{link} was current once and nobody meant to remove it"
            );
        }
    }

    fn at(&self, end: i64) -> &[Entry] {
        usize::try_from(end)
            .ok()
            .and_then(|end| end.checked_sub(1))
            .map_or(&[], |last| &self.history[last])
    }

    /// Removes, of all that compaction may remove, what `choice` hits.
    fn compact(&mut self, choice: u64) {
        let cleanable = |record: &Record| record.written + LAG <= self.now;
        let last: HashMap<KeyLink, i64> = self
            .records
            .iter()
            .filter(|r| cleanable(r))
            .map(|r| (r.link, r.offset))
            .collect();
        let hit = |record: &Record| (choice >> (record.offset % 64)) & 1 == 1;
        let now = self.now;
        self.records.retain(|record| {
            let superseded = last
                .get(&record.link)
                .is_some_and(|last| *last > record.offset);
            let expired = record
                .cleaned
                .is_some_and(|cleaned| cleaned + DELETE_RETENTION <= now);
            !(hit(record) && (superseded || expired))
        });
        let mut earlier = HashSet::new();
        for record in &mut self.records {
            let is_first = earlier.insert(record.link);
            if is_first
                && matches!(record.change, Change::Remove(_))
                && last.contains_key(&record.link)
            {
                record.cleaned.get_or_insert(now);
            }
        }
    }
}

/// A reader with its copy.
#[derive(Clone, Default)]
struct Reader {
    position: i64,
    live: Vec<Entry>,
    /// When it was at the end, or began.
    complete: i64,
}

impl Reader {
    fn read(&mut self, log: &Log, count: usize) {
        if log.now - self.complete > DELETE_RETENTION / 2 {
            *self = Self {
                complete: log.now,
                ..Self::default()
            };
        }
        let ahead = log
            .records
            .iter()
            .filter(|record| record.offset >= self.position);
        let mut last = None;
        for record in ahead.take(count) {
            apply(&mut self.live, record.change);
            last = Some(record.offset);
        }
        self.position = last.map_or(self.position, |last| last + 1);
        if !log
            .records
            .iter()
            .any(|record| record.offset >= self.position)
        {
            self.position = log.end;
            self.complete = log.now;
            assert_eq!(self.live, log.at(log.end), "Invariant 1");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Task {
    Create,
    Erase(usize),
    EraseAll,
    RemoveVoids,
    Expire,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    /// Reads to `end`, which was the end of the log, or the end of own records, at `began`.
    Reading {
        end: i64,
        began: i64,
        next: Next,
    },
}

#[derive(Clone, Debug)]
enum Next {
    /// Use whatever is current; own candidate.
    Use(KeyLink),
    Begin(Task),
    /// Remove these, which stand behind a barrier if need be.
    Remove(HashSet<KeyLink>),
    /// Remaining stages.
    Stages(Vec<Vec<KeyLink>>),
}

/// A worker.
struct Writer {
    reader: Reader,
    state: State,
}

impl Writer {
    fn start(&mut self, log: &mut Log, links: &mut u128, task: Task) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        match task {
            Task::Create => {
                // Its view may be as old as it likes.
                let known = current(&self.reader.live).is_some_and(|key| log.now < key.expires());
                if !known {
                    let link = next_link(links);
                    let offset = log.append(link, Some(EntryKind::Candidate));
                    self.wait(log.now, offset + 1, Next::Use(link));
                }
            }
            task => self.wait(log.now, log.end, Next::Begin(task)),
        }
    }

    fn wait(&mut self, began: i64, end: i64, next: Next) {
        self.state = State::Reading { end, began, next };
    }

    fn step(&mut self, log: &mut Log, links: &mut u128, count: usize) {
        self.reader.read(log, count);
        let State::Reading { end, began, next } = self.state.clone() else {
            return;
        };
        // A compacted log may end before `end`.
        let at_end = !log
            .records
            .iter()
            .any(|r| r.offset >= self.reader.position && r.offset < end);
        if self.reader.position < end && !at_end {
            return;
        }
        if log.now - began >= LAG / 2 {
            return self.wait(log.now, log.end, next);
        }
        if self.reader.position <= end {
            assert_eq!(self.reader.live, log.at(end), "Invariant 3");
        }
        self.state = State::Idle;
        match next {
            Next::Use(own) => self.used(log, own),
            Next::Begin(task) => self.plan(log, links, task),
            Next::Remove(wanted) => {
                let plan = plan_removal(&self.reader.live, |entry| wanted.contains(&entry.link));
                self.stage(log, vec![plan.barriers, plan.winners, plan.voids]);
            }
            Next::Stages(stages) => self.stage(log, stages),
        }
    }

    fn used(&mut self, log: &mut Log, own: KeyLink) {
        if let Some(key) = current(&self.reader.live) {
            assert_eq!(
                log.landed[&key.link],
                Standing::Superseded,
                "what is used was elected"
            );
            if key.link != own && self.reader.live.iter().any(|entry| entry.link == own) {
                // Its writer removes a void candidate at once.
                if log.landed[&own] == Standing::Void {
                    log.append(own, None);
                }
            }
        }
    }

    fn plan(&mut self, log: &mut Log, links: &mut u128, task: Task) {
        let live = &self.reader.live;
        let candidates: Vec<_> = live
            .iter()
            .filter(|e| e.kind == EntryKind::Candidate)
            .copied()
            .collect();
        let wanted: HashSet<KeyLink> = match task {
            Task::Create => unreachable!("creating begins with a candidate"),
            Task::Erase(_) if candidates.is_empty() => return,
            Task::Erase(n) => HashSet::from([candidates[n % candidates.len()].link]),
            Task::EraseAll => candidates.iter().map(|entry| entry.link).collect(),
            Task::RemoveVoids => {
                let voids: Vec<_> = live
                    .iter()
                    .zip(standings(live))
                    .filter(|(_, s)| *s == Standing::Void)
                    .collect();
                for link in voids
                    .iter()
                    .map(|(entry, _)| entry.link)
                    .collect::<Vec<_>>()
                {
                    log.append(link, None);
                }
                return;
            }
            Task::Expire => {
                let now = log.now + log.jump;
                let over = candidates
                    .iter()
                    .filter(|entry| entry.expires() + RETENTION <= now);
                over.map(|entry| entry.link).collect()
            }
        };
        log.doomed.extend(&wanted);
        let is_wanted = |entry: &Entry| wanted.contains(&entry.link);
        if !matches!(task, Task::Expire) && needs_barrier(live, is_wanted) {
            let offset = log.append(next_link(links), Some(EntryKind::Barrier));
            return self.wait(log.now, offset + 1, Next::Remove(wanted));
        }
        let plan = plan_removal(live, is_wanted);
        self.stage(log, vec![plan.barriers, plan.winners, plan.voids]);
    }

    /// Writes the last of the stages.
    fn stage(&mut self, log: &mut Log, mut stages: Vec<Vec<KeyLink>>) {
        while let Some(stage) = stages.pop() {
            let ends = stage.iter().map(|link| log.append(*link, None) + 1);
            if let Some(end) = ends.max() {
                return self.wait(log.now, end, Next::Stages(stages));
            }
        }
    }
}

fn next_link(links: &mut u128) -> KeyLink {
    *links += 1;
    KeyLink(links.to_be_bytes())
}

#[derive(Clone, Debug)]
enum Op {
    Start(usize, Task),
    Step(usize, usize),
    ReadSlowly(usize),
    Advance(i64),
    Jump(i64),
    Compact(u64),
    ReadFromStart,
}

fn op() -> impl Strategy<Value = Op> {
    let task = prop_oneof![
        6 => Just(Task::Create),
        2 => (0usize..5).prop_map(Task::Erase),
        1 => Just(Task::EraseAll),
        2 => Just(Task::RemoveVoids),
        2 => Just(Task::Expire),
    ];
    prop_oneof![
        8 => (0usize..3, task).prop_map(|(writer, task)| Op::Start(writer, task)),
        14 => (0usize..3, 1usize..6).prop_map(|(writer, count)| Op::Step(writer, count)),
        2 => (1usize..4).prop_map(Op::ReadSlowly),
        5 => prop_oneof![Just(1), Just(LAG / 3), Just(WINDOW), Just(RETENTION + WINDOW), Just(DELETE_RETENTION)].prop_map(Op::Advance),
        1 => (-JUMP..JUMP).prop_map(Op::Jump),
        4 => any::<u64>().prop_map(Op::Compact),
        2 => Just(Op::ReadFromStart),
    ]
}

fn run(ops: Vec<Op>) {
    let mut log = Log::default();
    let mut links = 0;
    let mut writers: Vec<Writer> = (0..3)
        .map(|_| Writer {
            reader: Reader::default(),
            state: State::Idle,
        })
        .collect();
    let mut slow = Reader::default();
    for op in ops {
        match op {
            Op::Start(writer, task) => writers[writer].start(&mut log, &mut links, task),
            Op::Step(writer, count) => writers[writer].step(&mut log, &mut links, count),
            Op::ReadSlowly(count) => slow.read(&log, count),
            Op::Advance(by) => log.now += by,
            Op::Jump(jump) => log.jump = jump,
            Op::Compact(choice) => log.compact(choice),
            Op::ReadFromStart => Reader {
                complete: log.now,
                ..Reader::default()
            }
            .read(&log, usize::MAX),
        }
    }
    // Whoever reads to the end agrees; `read` compares.
    let fresh = Reader {
        complete: log.now,
        ..Reader::default()
    };
    for mut reader in writers
        .into_iter()
        .map(|writer| writer.reader)
        .chain([slow, fresh])
    {
        reader.read(&log, usize::MAX);
    }
    let live: HashSet<KeyLink> = log.at(log.end).iter().map(|entry| entry.link).collect();
    for (link, standing) in &log.landed {
        if *standing == Standing::Superseded && !log.doomed.contains(link) {
            assert!(
                live.contains(link),
                "{link} was current and can no longer decrypt"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_agree_and_no_key_that_was_current_is_lost(ops in proptest::collection::vec(op(), 1..120)) {
        run(ops);
    }
}

fn candidate(link: u8, offset: i64, appended: i64) -> Entry {
    Entry {
        link: KeyLink([link; 16]),
        kind: EntryKind::Candidate,
        offset,
        appended,
        window: WINDOW,
    }
}

fn barrier(link: u8, offset: i64) -> Entry {
    Entry {
        kind: EntryKind::Barrier,
        window: 0,
        ..candidate(link, offset, 0)
    }
}

#[test]
fn a_candidate_wins_at_the_end_of_the_window_and_not_before() {
    use Standing::{Barrier, Current, Superseded, Void};
    let cases: [(&[Entry], &[Standing]); 5] = [
        (&[], &[]),
        (
            &[candidate(1, 0, 0), candidate(2, 1, WINDOW - 1)],
            &[Current, Void],
        ),
        (
            &[candidate(1, 0, 0), candidate(2, 1, WINDOW)],
            &[Superseded, Current],
        ),
        (
            &[
                candidate(1, 0, 0),
                candidate(2, 1, 5),
                candidate(3, 2, WINDOW + 1),
            ],
            &[Superseded, Void, Current],
        ),
        (
            &[candidate(1, 0, 0), barrier(2, 1), candidate(3, 2, 1)],
            &[Superseded, Barrier, Current],
        ),
    ];
    for (live, expected) in cases {
        assert_eq!(standings(live), expected, "{live:?}");
        let is_current = |(_, standing): &(&Entry, &Standing)| **standing == Current;
        assert_eq!(
            current(live),
            live.iter()
                .zip(expected)
                .find(is_current)
                .map(|(entry, _)| entry)
        );
    }
}

#[test]
fn an_unending_window_is_never_over() {
    let mut first = candidate(1, 0, 0);
    first.window = i64::MAX;
    assert_eq!(
        current(&[first, candidate(2, 1, i64::MAX - 1)]),
        Some(&first)
    );
}

#[test]
fn void_candidates_go_before_their_winner_and_barriers_when_nothing_is_left_before_them() {
    let link = |n: u8| KeyLink([n; 16]);
    let live = [
        candidate(1, 0, 0),
        candidate(2, 1, 5),
        candidate(3, 2, WINDOW),
        barrier(4, 3),
        candidate(5, 4, WINDOW + 1),
    ];
    let first = plan_removal(&live, |entry| entry.link == link(1));
    assert_eq!(
        first,
        Removal {
            voids: vec![link(2)],
            winners: vec![link(1)],
            barriers: vec![]
        }
    );
    let both = plan_removal(&live, |entry| entry.offset < 3);
    assert_eq!(
        both,
        Removal {
            voids: vec![link(2)],
            winners: vec![link(1), link(3)],
            barriers: vec![link(4)]
        }
    );
    assert!(needs_barrier(&live, |entry| entry.link == link(5)));
    assert!(!needs_barrier(&live, |entry| entry.link == link(3)));
}

#[test]
fn a_record_that_is_written_again_counts_where_it_stands_last() {
    let mut live = Vec::new();
    for entry in [candidate(1, 0, 0), candidate(2, 1, 1), candidate(1, 2, 2)] {
        apply(&mut live, Change::Put(entry));
    }
    assert_eq!(live, [candidate(2, 1, 1), candidate(1, 2, 2)]);
}
