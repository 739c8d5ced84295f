//! Kills between any two steps of the sink, with a journal and a store that fail, too.

use penstock_connect::JournalEntry;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    Flush,
    /// The background goes on a little.
    Pass,
    Kill,
    /// The kill comes as the journal is written: before, or after it is durable.
    KillInStore {
        after: bool,
    },
    Close,
    /// The store loses an answer, or a request, for a while.
    Fault {
        after: bool,
    },
    Clock(i64),
}

/// A journal that is killed as it is written.
struct Dying<'a> {
    journal: &'a mut MemoryJournal,
    after: bool,
}

impl Journal for Dying<'_> {
    fn load(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Bytes)>, Error> {
        self.journal.load(partitions)
    }

    fn store(&mut self, entries: Vec<JournalEntry>, notices: Vec<Record>) -> Result<(), Error> {
        if self.after {
            self.journal.store(entries, notices)?;
        }
        Err(Error::reconnect("killed"))
    }
}

struct World {
    bench: Bench,
    plan: Plan,
    faulty: Faulty,
    /// What is in the bucket.
    bucket: Arc<dyn ObjectStore>,
    topic: Vec<Record>,
    /// What comes next of each partition.
    next: [i64; 2],
}

impl World {
    async fn new(topic: &[Record], rotation: Rotation, hours: bool, budget: Budget) -> Self {
        let (faulty, store) = faulty();
        let bucket: Arc<dyn ObjectStore> = faulty.memory.clone();
        Self::with(topic, plan(store, rotation), faulty, bucket, hours, budget).await
    }

    async fn with(
        topic: &[Record],
        mut plan: Plan,
        faulty: Faulty,
        bucket: Arc<dyn ObjectStore>,
        hours: bool,
        budget: Budget,
    ) -> Self {
        plan.layout = Arc::new(ByKey { hours });
        plan.max_open = 8;
        let mut world = Self {
            bench: Bench::new(plan.clone(), budget),
            plan,
            faulty,
            bucket,
            topic: topic.to_vec(),
            next: [0; 2],
        };
        world.open().await;
        world
    }

    async fn open(&mut self) {
        self.faulty.well();
        self.next = [0; 2];
        let ours = [partition(0), partition(1)];
        let opened = self.bench.sink.open(&ours, &mut self.bench.journal).await;
        for position in opened.unwrap() {
            self.next[position.partition.partition as usize] = position.offset;
        }
    }

    async fn kill(&mut self) {
        self.bench.kill(self.plan.clone());
        self.open().await;
    }

    async fn write(&mut self, records: usize) {
        let next = self.next;
        let due = self.topic.iter().filter(|record| {
            let origin = record.origin();
            let number = origin.partition.as_ref().unwrap().partition;
            origin.offset >= next[number as usize]
        });
        let batch: Vec<Record> = due.take(records).cloned().collect();
        for record in &batch {
            let origin = record.origin();
            let number = origin.partition.as_ref().unwrap().partition;
            self.next[number as usize] = origin.offset + 1;
        }
        if self.bench.sink.write(batch).await.is_err() {
            return self.kill().await;
        }
        // As the runner does: nothing more is read before there is room.
        while self.bench.sink.need() == Need::Room {
            self.flush(FlushReason::Tick).await;
        }
    }

    async fn flush(&mut self, reason: FlushReason) {
        if self.bench.flush(reason).await.is_err() {
            self.kill().await;
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(records) => self.write(records).await,
            Step::Flush => self.flush(FlushReason::Tick).await,
            Step::Pass => tokio::task::yield_now().await,
            Step::Kill => self.kill().await,
            Step::KillInStore { after } => {
                let mut dying = Dying {
                    journal: &mut self.bench.journal,
                    after,
                };
                let flushed = self.bench.sink.flush(FlushReason::Tick, &mut dying).await;
                if flushed.is_err() {
                    self.kill().await;
                }
            }
            Step::Close => {
                self.flush(FlushReason::Close).await;
                let ours = [partition(0), partition(1)];
                self.bench.sink.close(&ours).await.unwrap();
                assert_eq!(self.bench.sink.holder.held(), 0);
                self.open().await;
            }
            Step::Fault { after } => {
                let mut left = 4;
                self.faulty.rule(move |what, _| match what {
                    "create" | "part" | "put" | "complete" if left > 0 => {
                        left -= 1;
                        if after { Fault::After } else { Fault::Before }
                    }
                    _ => Fault::None,
                });
            }
            Step::Clock(passes) => {
                self.bench.clock.fetch_add(passes, Ordering::Relaxed);
            }
        }
    }

    async fn end(&mut self) -> BTreeMap<String, Vec<String>> {
        self.faulty.well();
        loop {
            self.write(usize::MAX).await;
            // What failed before the end is heard of now.
            match self.bench.flush(FlushReason::End).await {
                Ok(_) if self.is_at_end() => return objects(&*self.bucket).await,
                Ok(_) => {}
                Err(_) => self.kill().await,
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.topic.iter().all(|record| {
            let origin = record.origin();
            let number = origin.partition.as_ref().unwrap().partition;
            origin.offset < self.next[number as usize]
        })
    }
}

fn topics() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec((0..2i32, 0..4u8, 1..3i64, 0..62i64, 0..60usize), 1..120).prop_map(
        |records| {
            let mut offsets = [0; 2];
            let records = records.into_iter().enumerate();
            records
                .map(|(index, (number, key, gap, late, long))| {
                    offsets[number as usize] += gap;
                    let offset = offsets[number as usize];
                    let value = format!("\"{number}-{offset}{}\"", " ".repeat(long));
                    // Some come from the far future.
                    let time = match late {
                        60.. => late * 86_400_000,
                        _ => index as i64 * 10 - late,
                    };
                    record_at(number, offset, &format!("k{key}"), &value, time)
                })
                .collect()
        },
    )
}

fn steps(clock: bool) -> impl Strategy<Value = Vec<Step>> {
    let passes = if clock { 0..2000i64 } else { 0..1 };
    let step = prop_oneof![
        6 => (1..30usize).prop_map(Step::Write),
        6 => Just(Step::Flush),
        4 => Just(Step::Pass),
        1 => Just(Step::Kill),
        1 => any::<bool>().prop_map(|after| Step::KillInStore { after }),
        1 => Just(Step::Close),
        1 => any::<bool>().prop_map(|after| Step::Fault { after }),
        1 => passes.prop_map(Step::Clock),
    ];
    prop::collection::vec(step, 0..50)
}

fn rotations() -> impl Strategy<Value = Rotation> {
    (
        prop::option::of(1..9u64),
        prop::option::of(1..900u64),
        prop::option::of(1..400u64),
    )
        .prop_map(|(records, bytes, event_time)| Rotation {
            records,
            bytes,
            event_time: event_time.map(Duration::from_millis),
            ..Rotation::default()
        })
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kills_and_faults_change_nothing_in_the_bucket(
        topic in topics(), rotation in rotations(), steps in steps(false),
    ) {
        let (undisturbed, there, notices, uploads) = run(async {
            let mut world = World::new(&topic, rotation.clone(), false, Budget::unlimited()).await;
            let undisturbed = world.end().await;
            let mut world = World::new(&topic, rotation, false, Budget::unlimited()).await;
            for step in steps {
                world.step(step).await;
            }
            let there = world.end().await;
            (undisturbed, there, world.bench.notices(), world.faulty.uploads())
        });
        prop_assert_eq!(&there, &undisturbed);
        prop_assert_eq!(notices.len(), there.len(), "one notice a file");
        prop_assert!(uploads.iter().all(|parts| *parts == 0), "no parts are left: {:?}", uploads);
    }

    #[test]
    fn files_that_clock_or_memory_end_are_exact_too(
        topic in topics(), mut rotation in rotations(), steps in steps(true),
        idle in prop::option::of(1..3000u64), interval in prop::option::of(500..5000u64), hours: bool,
        budget in prop_oneof![Just(usize::MAX), 2_000..20_000usize],
    ) {
        rotation.idle = idle.map(Duration::from_millis);
        rotation.schedule = interval.map(|interval| Schedule {
            interval: Duration::from_millis(interval),
            zone: crate::layout::Zone::UTC,
        });
        let (there, notices) = run(async {
            let mut world = World::new(&topic, rotation, hours, Budget::new(budget)).await;
            for step in steps {
                world.step(step).await;
            }
            (world.end().await, world.bench.notices())
        });
        let mut rows: Vec<String> = there.values().flatten().cloned().collect();
        rows.sort();
        let mut expected: Vec<String> = topic
            .iter()
            .map(|record| String::from_utf8(record.value.as_ref().unwrap().bytes().to_vec()).unwrap())
            .collect();
        expected.sort();
        prop_assert_eq!(rows, expected);
        prop_assert_eq!(notices.len(), there.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kills_change_nothing_in_a_directory(
        topic in topics(), rotation in rotations(), steps in steps(false),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (undisturbed, there) = run(async {
            let mut world = World::new(&topic, rotation.clone(), false, Budget::unlimited()).await;
            let undisturbed = world.end().await;
            let store = Store::directory(directory.path()).unwrap();
            let bucket = store.objects().clone();
            let plan = plan(store, rotation);
            let unlimited = Budget::unlimited();
            let mut world = World::with(&topic, plan, Faulty::new(), bucket, false, unlimited).await;
            for step in steps {
                world.step(step).await;
            }
            (undisturbed, world.end().await)
        });
        prop_assert_eq!(there, undisturbed);
    }
}
