//! A topic, a journal and a bucket in memory, and kills between any two steps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entry::{self, Content};

const DAY: i64 = 86_400_000;

/// A row: the offset of its record, and which of the records of that offset it is.
type Row = (i64, usize);

#[derive(Clone, Debug)]
struct Object {
    content: Content,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Message {
    offset: i64,
    /// Key and event time of each record that was made of it.
    records: Vec<(u8, Option<i64>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// A batch of so many messages.
    Take(usize),
    /// A flush; the kill comes before or after the journal holds it.
    Flush {
        before: bool,
        after: bool,
    },
    /// One of the uploads under way arrives.
    Land(usize),
    /// Word of one that arrived comes back.
    Hear(usize),
    /// An upload of a task that was killed arrives all the same.
    Straggle(usize),
    Kill,
    /// Memory is short: one of the files ends.
    End(usize),
    /// Time passes.
    Clock(i64),
}

struct World {
    topic: Vec<Message>,
    rules: Rules,
    creates_only: bool,
    journal: Option<Entry>,
    bucket: BTreeMap<String, Object>,
    partition: Partition<Vec<Row>>,
    at: usize,
    ids: FileId,
    clock: i64,
    salt: u32,
    /// Ended files on their way.
    ready: BTreeMap<FileId, (String, Object)>,
    flying: Vec<FileId>,
    landed: Vec<FileId>,
    stragglers: Vec<(String, Object)>,
    told: BTreeMap<String, u64>,
}

impl World {
    fn new(topic: &[Message], rules: Rules, creates_only: bool) -> Self {
        Self {
            topic: topic.to_vec(),
            rules,
            creates_only,
            journal: None,
            bucket: BTreeMap::new(),
            partition: Partition::new(),
            at: 0,
            ids: 0,
            clock: 0,
            salt: 0,
            ready: BTreeMap::new(),
            flying: Vec::new(),
            landed: Vec::new(),
            stragglers: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn take(&mut self, messages: usize) {
        let end = (self.at + messages).min(self.topic.len());
        let batch: Vec<Message> = self.topic[self.at..end].to_vec();
        for message in batch {
            for (copy, (key, time)) in message.records.iter().enumerate() {
                self.record(message.offset, copy, &format!("key{key}"), *time);
            }
        }
        self.at = end;
        self.partition.settle();
    }

    fn record(&mut self, offset: i64, copy: usize, key: &str, time: Option<i64>) {
        let (rules, now) = (self.rules, self.clock);
        let stamp = self.stamp();
        self.partition.reach(offset, &stamp);
        // A record that no file takes, every now and then.
        if offset % 13 == 5 {
            return self.partition.pass(offset, &rules);
        }
        let (key, full): (Arc<str>, bool) = match self.partition.place(offset, key, time, &rules) {
            Place::Durable => return,
            Place::File(file) => {
                file.body.push((offset, copy));
                file.took(offset, time, now);
                let length = 100 * file.what.rows;
                (file.what.key.clone(), rules.full(file.what.rows, length))
            }
            Place::New(named) => {
                let stamp = self.partition.stamp_of(offset).cloned().unwrap_or(stamp);
                let named =
                    named.unwrap_or_else(|| (format!("{key}/{stamp}/{offset}").into(), stamp));
                self.ids += 1;
                let opening = Opening {
                    id: self.ids,
                    name: named.0,
                    stamp: named.1,
                    schema_id: None,
                    timestamp: time,
                    now,
                    body: vec![(offset, copy)],
                };
                let key: Arc<str> = key.into();
                let rebuilt = self.partition.open(offset, key.clone(), opening, &rules);
                (key, !rebuilt && rules.full(1, 100))
            }
        };
        // A file that is rebuilt is full when its last record came, not before.
        if full {
            self.partition.full(key);
        }
    }

    fn stamp(&self) -> Arc<str> {
        (self.clock / 1000).to_string().into()
    }

    fn finish_ended(&mut self) {
        for ended in self.partition.take_ended() {
            let file = match ended {
                Ended::File(file) => file,
                Ended::Short(..) | Ended::Vanished(_) => panic!("the topic has all its records"),
            };
            self.salt += 1;
            let content = Content {
                bytes: file.body.len() as u64,
                // Other bytes each time, as after a shortage of memory.
                checksum: self.salt,
            };
            let (id, name) = (file.id, file.what.name.to_string());
            let (file, rows) = file.split();
            let known = self.partition.ended(file, content);
            assert_eq!(known.last(), Some(&content));
            self.ready.insert(id, (name, Object { content, rows }));
        }
    }

    fn flush(&mut self, before: bool, after: bool) {
        let stamp = self.stamp();
        self.partition.end_due(self.clock, &stamp, &self.rules);
        self.partition.end_overgrown();
        self.finish_ended();
        if let Some(draft) = self.partition.draft(Vec::new()) {
            if before {
                return self.kill();
            }
            // As it is read again.
            let partition = penstock_connect::TopicPartition {
                topic: "t".into(),
                partition: 0,
            };
            let entry = Entry::decode(&partition, &draft.entry.encode().unwrap()).unwrap();
            assert!(
                self.journal
                    .as_ref()
                    .is_none_or(|last| last.resume <= entry.resume)
            );
            self.journal = Some(entry);
            for (_, what) in &draft.durable {
                *self.told.entry(what.name.to_string()).or_default() += 1;
            }
            self.partition.stored(&draft);
            self.flying.extend(draft.announced);
        }
        if after {
            self.kill();
        }
    }

    fn put(&mut self, name: String, object: Object) {
        if let Some(there) = self.bucket.get(&name) {
            assert_eq!(there.rows, object.rows, "{name} is written with other rows");
            if self.creates_only {
                return;
            }
        }
        self.bucket.insert(name, object);
    }

    fn land(&mut self, which: usize) {
        if !self.flying.is_empty() {
            let id = self.flying.remove(which % self.flying.len());
            let (name, object) = self.ready[&id].clone();
            self.put(name, object);
            self.landed.push(id);
        }
    }

    fn hear(&mut self, which: usize) {
        if !self.landed.is_empty() {
            let id = self.landed.remove(which % self.landed.len());
            self.partition.durable(id);
            self.ready.remove(&id);
        }
    }

    fn kill(&mut self) {
        for id in std::mem::take(&mut self.flying) {
            self.stragglers.push(self.ready[&id].clone());
        }
        self.ready.clear();
        self.landed.clear();
        let bucket = &self.bucket;
        let ids = &mut self.ids;
        (self.partition, self.at) = match self.journal.clone() {
            None => (Partition::new(), 0),
            Some(entry) => {
                let at = self
                    .topic
                    .partition_point(|message| message.offset < entry.resume);
                let exists = |what: &Announced| {
                    bucket.get(&*what.name).is_some_and(|object| {
                        assert!(
                            what.contents.contains(&object.content),
                            "{} has a content that nobody announced",
                            what.name
                        );
                        true
                    })
                };
                let next = || {
                    *ids += 1;
                    *ids
                };
                (Partition::resume(entry, exists, next), at)
            }
        };
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Take(messages) => self.take(messages),
            Step::Flush { before, after } => self.flush(before, after),
            Step::Land(which) => self.land(which),
            Step::Hear(which) => self.hear(which),
            Step::Straggle(which) => {
                if !self.stragglers.is_empty() {
                    let (name, object) = self.stragglers.remove(which % self.stragglers.len());
                    self.put(name, object);
                }
            }
            Step::Kill => self.kill(),
            Step::End(which) => {
                let mut keys: Vec<Arc<str>> = self
                    .partition
                    .collecting()
                    .map(|file| file.what.key.clone())
                    .collect();
                keys.sort();
                if !keys.is_empty() {
                    self.partition.end(&keys[which % keys.len()]);
                }
            }
            Step::Clock(passes) => self.clock += passes,
        }
    }

    /// Everything that is left, to its end.
    fn end(&mut self) {
        self.take(usize::MAX / 2);
        self.partition.end_all();
        for _ in 0..3 {
            self.flush(false, false);
            self.arrive();
        }
    }

    /// All that is under way.
    fn arrive(&mut self) {
        while !self.flying.is_empty() {
            self.land(0);
        }
        while !self.landed.is_empty() {
            self.hear(0);
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .bucket
            .values()
            .flat_map(|object| object.rows.clone())
            .collect();
        rows.sort_unstable();
        rows
    }

    fn files(&self) -> Vec<(String, Vec<Row>)> {
        let files = self.bucket.iter();
        files
            .map(|(name, object)| (name.clone(), object.rows.clone()))
            .collect()
    }
}

fn expected(topic: &[Message]) -> Vec<Row> {
    let rows = topic.iter().filter(|message| message.offset % 13 != 5);
    rows.flat_map(|message| (0..message.records.len()).map(|copy| (message.offset, copy)))
        .collect()
}

fn topics() -> impl Strategy<Value = Vec<Message>> {
    let record = (
        0..4u8,
        prop_oneof![
            30 => (0..40i64).prop_map(Some),
            6 => Just(None),
            1 => (40..50i64).prop_map(Some),
        ],
    );
    let records = prop_oneof![
        6 => prop::collection::vec(record.clone(), 1),
        1 => prop::collection::vec(record, 2..5)
    ];
    prop::collection::vec((records, 1..4i64), 1..80).prop_map(|messages| {
        let mut offset = 0;
        let messages = messages
            .into_iter()
            .enumerate()
            .map(|(index, (mut records, gap))| {
                offset += gap;
                for (_, time) in &mut records {
                    // Time goes on, with records that are late, and some of the far future.
                    *time = time.map(|late| match late {
                        40.. => late * DAY,
                        _ => index as i64 * 10 - late * 3,
                    });
                }
                Message { offset, records }
            });
        messages.collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    (
        prop_oneof![Just(u64::MAX), 1..6u64],
        prop_oneof![Just(u64::MAX), 100..700u64],
        prop_oneof![Just(None), (1..200i64).prop_map(Some)],
        prop_oneof![3 => Just(i64::MAX), 1 => 1..60i64],
    )
        .prop_map(|(records, bytes, event_time, reach)| Rules {
            records,
            bytes,
            event_time,
            idle: None,
            schedules: [None; 2],
            reach,
        })
}

fn steps(undetermined: bool) -> impl Strategy<Value = Vec<Step>> {
    let flush = |before, after| Step::Flush { before, after };
    let always = prop_oneof![
        8 => (1..8usize).prop_map(Step::Take),
        4 => Just(flush(false, false)),
        1 => Just(flush(true, false)),
        1 => Just(flush(false, true)),
        5 => (0..9usize).prop_map(Step::Land),
        4 => (0..9usize).prop_map(Step::Hear),
        1 => (0..9usize).prop_map(Step::Straggle),
        1 => Just(Step::Kill),
    ];
    let step = if undetermined {
        prop_oneof![
            8 => always,
            1 => (0..9usize).prop_map(Step::End),
            1 => (0..900i64).prop_map(Step::Clock),
        ]
        .boxed()
    } else {
        always.boxed()
    };
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_killed_every_record_is_there_once_under_the_names_of_an_undisturbed_run(
        topic in topics(), rules in rules(), steps in steps(false), creates_only: bool,
    ) {
        let mut undisturbed = World::new(&topic, rules, creates_only);
        undisturbed.end();
        prop_assert_eq!(undisturbed.rows(), expected(&topic));

        let mut world = World::new(&topic, rules, creates_only);
        for step in steps {
            world.step(step);
        }
        world.end();
        for (name, object) in std::mem::take(&mut world.stragglers) {
            world.put(name, object);
        }
        prop_assert_eq!(world.files(), undisturbed.files());
        prop_assert_eq!(world.told.into_values().sum::<u64>(), world.bucket.len() as u64);
    }

    #[test]
    fn files_that_clock_or_memory_end_lose_and_repeat_nothing_either(
        topic in topics(), mut rules in rules(), steps in steps(true), creates_only: bool,
        idle in prop::option::of(1..2000i64),
    ) {
        rules.idle = idle;
        let mut world = World::new(&topic, rules, creates_only);
        for step in steps {
            world.step(step);
        }
        world.end();
        for (name, object) in std::mem::take(&mut world.stragglers) {
            world.put(name, object);
        }
        prop_assert_eq!(world.rows(), expected(&topic));
        let told: Vec<String> = world.told.keys().cloned().collect();
        let there: Vec<String> = world.bucket.keys().cloned().collect();
        prop_assert_eq!(told, there);
        prop_assert!(world.told.values().all(|times| *times == 1));
    }
}

fn timed(times: impl IntoIterator<Item = i64>) -> Vec<Message> {
    let messages = times.into_iter().enumerate();
    let messages = messages.map(|(index, time)| Message {
        // None of those that no file takes.
        offset: index as i64 * 13,
        records: vec![(0, Some(time))],
    });
    messages.collect()
}

fn hourly() -> Rules {
    Rules {
        records: u64::MAX,
        bytes: u64::MAX,
        event_time: Some(DAY / 24),
        idle: None,
        schedules: [None; 2],
        reach: i64::MAX,
    }
}

#[test]
fn one_record_of_the_far_future_does_not_stop_rotation() {
    let minute = DAY / 1440;
    let mut times: Vec<i64> = (0..1000).map(|at| at * minute).collect();
    times[90] = 400_000 * DAY;
    let topic = timed(times);
    let mut world = World::new(&topic, hourly(), true);
    world.take(topic.len());
    let opened = world.partition.collecting().map(|file| file.begun).min();
    assert!(
        opened >= Some(topic[940].offset),
        "{opened:?} holds the position back"
    );
}

#[test]
fn a_device_whose_clock_is_wrong_does_not_make_many_files() {
    let minute = DAY / 1440;
    let times = (0..6000).map(|at| match at % 10 {
        7 => 400_000 * DAY + at * minute,
        3 => at * minute - 3 * DAY,
        _ => at * minute,
    });
    let topic = timed(times);
    let mut world = World::new(&topic, hourly(), true);
    world.end();
    let files = world.bucket.len();
    assert!((95..=106).contains(&files), "{files} files in 100 hours");
}

/// All of a topic's files are announced and land, and no entry was larger than one record may be.
fn entries_of(world: &mut World) -> usize {
    world.partition.end_all();
    let mut largest = 0;
    for _ in 0..10_000 {
        world.flush(false, false);
        let written = world.journal.as_ref().map(|entry| entry.encode().unwrap());
        largest = largest.max(written.map_or(0, |entry| entry.len()));
        if world.flying.is_empty() && !world.partition.has_changed() {
            return largest;
        }
        world.arrive();
    }
    panic!("files wait for ever to be announced");
}

fn long_key(number: i64) -> String {
    format!("{number:0900}")
}

#[test]
fn an_entry_stays_smaller_than_a_record_may_be_however_many_files_end_at_once() {
    let mut world = World::new(&[], hourly(), true);
    for offset in (0..2000).filter(|offset| offset % 13 != 5) {
        world.record(offset, 0, &long_key(offset), None);
    }
    let largest = entries_of(&mut world);
    assert!(largest > entry::ROOMY / 2, "{largest}");
    assert!(largest < entry::ROOMY + 8192, "{largest}");
    assert_eq!(
        world.bucket.len(),
        (0..2000).filter(|at| at % 13 != 5).count()
    );
    assert_eq!(world.partition.position(), Some(2000));
}

#[test]
fn a_file_that_holds_the_position_back_ends_when_the_entry_has_many_cursors() {
    let mut world = World::new(&[], hourly(), true);
    world.record(0, 0, "waits", None);
    // All files but the first are durable soon.
    let export = |world: &mut World, offsets: std::ops::Range<i64>| {
        for offset in offsets.filter(|offset| offset % 13 != 5) {
            world.record(offset, 0, &long_key(offset / 26), None);
            if offset % 26 == 25 {
                world.partition.end(&long_key(offset / 26));
                world.flush(false, false);
                world.arrive();
            }
        }
    };
    export(&mut world, 1..1000);
    assert_eq!(world.partition.position(), Some(0), "there is room yet");
    export(&mut world, 1000..10_000);
    let position = world.partition.position();
    assert!(position > Some(7000), "{position:?}");
    let written = world.journal.as_ref().unwrap().encode().unwrap().len();
    assert!(written < entry::ROOMY + 8192, "{written}");
}
