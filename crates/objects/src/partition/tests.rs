//! A topic, a journal and a bucket in memory, and kills between any two steps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
                let stamp: Arc<str> = self.stamp().into();
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

    fn stamp(&self) -> String {
        (self.clock / 1000).to_string()
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
            while !self.flying.is_empty() {
                self.land(0);
            }
            while !self.landed.is_empty() {
                self.hear(0);
            }
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
        prop_oneof![4 => (0..40i64).prop_map(Some), 1 => Just(None)],
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
                    // Time goes on, with records that are late.
                    *time = time.map(|late| index as i64 * 10 - late * 3);
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
