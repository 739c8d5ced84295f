//! Sinks with a journal: entries, positions and notices move as one, whoever is killed or left behind;
//! and sinks that have no room, or begin with what comes next.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use penstock_broker::Broker;
use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use serde_json::Value;

use crate::plugins::{spawn, start};
use crate::{answers, bare, log, numbers, reaches, zombies};

const PARTITIONS: i32 = 4;

/// A sink that announces its files in the journal before it makes them.
pub(crate) fn write_ledger(deployment: &Deployment, name: &str, more: &str) {
    deployment.write(
        &format!("{name}.properties"),
        &format!(
            "name={name}\nconnector.class=Ledger\ntopics=in\nnotices={name}-files\n\
             value.converter=ByteArray\nconsumer.override.session.timeout.ms=6000\n{more}"
        ),
    );
}

pub(crate) fn records(numbers: std::ops::Range<usize>, partitions: i32) -> Vec<log::Out> {
    numbers
        .map(|number| {
            let partition = i32::try_from(number).unwrap() % partitions;
            (partition, None, Some(number.to_string().into_bytes()))
        })
        .collect()
}

/// The numbers in the files of a sink, by partition, in the order of the files.
pub(crate) fn filed(deployment: &Deployment, name: &str) -> BTreeMap<i32, Vec<usize>> {
    let mut numbers: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (partition, _, lines) in files(deployment, name) {
        numbers.entry(partition).or_default().extend(lines);
    }
    numbers
}

/// Partition, first offset and numbers of each file.
fn files(deployment: &Deployment, name: &str) -> Vec<(i32, i64, Vec<usize>)> {
    let Ok(dir) = fs::read_dir(deployment.path().join(format!("files-{name}"))) else {
        return Vec::new();
    };
    let mut files: Vec<_> = dir
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let (partition, first) = name.strip_prefix("in-")?.split_once('-')?;
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| line.parse().unwrap()).collect();
            Some((partition.parse().unwrap(), first.parse().unwrap(), lines))
        })
        .collect();
    files.sort();
    files
}

pub(crate) fn count(deployment: &Deployment, name: &str) -> usize {
    filed(deployment, name).values().map(Vec::len).sum()
}

/// The last entry of each partition.
fn entries(broker: &dyn Broker, connector: &str) -> BTreeMap<i32, Value> {
    let mut entries = BTreeMap::new();
    for message in log::read(broker, "_penstock.journal") {
        let key: Value = serde_json::from_slice(message.key.as_deref().unwrap()).unwrap();
        if key[0] == connector {
            assert_eq!(key[1], "in");
            let partition = i32::try_from(key[2].as_i64().unwrap()).unwrap();
            let note = serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
            entries.insert(partition, note);
        }
    }
    entries
}

/// Up to where the notices tell of files, which follow one another without a gap.
fn told(broker: &dyn Broker, connector: &str) -> BTreeMap<i32, i64> {
    let mut told = BTreeMap::new();
    for message in log::read(broker, &format!("{connector}-files")) {
        let notice: Value = serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
        let partition = i32::try_from(notice["partition"].as_i64().unwrap()).unwrap();
        let up_to = told.entry(partition).or_insert(0);
        assert_eq!(notice["first"], *up_to, "{notice}");
        *up_to = notice["next"].as_i64().unwrap();
    }
    told
}

fn positions(broker: &dyn Broker, connector: &str) -> BTreeMap<i32, i64> {
    let group = format!("connect-{connector}");
    let offsets = broker.group_offsets(&group, &["in"]).unwrap();
    offsets
        .into_iter()
        .map(|offset| (offset.partition, offset.offset))
        .collect()
}

/// Entry, position and notices of each partition say the same.
fn check_agreement(broker: &dyn Broker, connector: &str) {
    let positions = positions(broker, connector);
    let told = told(broker, connector);
    let entries = entries(broker, connector);
    for (partition, note) in &entries {
        let key = if note["done"] == true {
            "next"
        } else {
            "first"
        };
        let durable = note[key].as_i64().unwrap();
        let position = positions.get(partition).copied().unwrap_or_default();
        assert_eq!(position, durable, "{partition}: {note}");
        let told = told.get(partition).copied().unwrap_or_default();
        assert_eq!(told, durable, "{partition}: {note}");
    }
    assert!(told.keys().all(|partition| entries.contains_key(partition)));
}

/// Every number once, in order within its partition.
pub(crate) fn check_files(deployment: &Deployment, name: &str, count: usize, partitions: i32) {
    let filed = filed(deployment, name);
    let expected: BTreeMap<i32, Vec<usize>> = (0..partitions)
        .map(|partition| {
            let first = usize::try_from(partition).unwrap();
            let step = usize::try_from(partitions).unwrap();
            (partition, (first..count).step_by(step).collect())
        })
        .collect();
    assert_eq!(filed, expected);
}

async fn exists(deployment: &Deployment, file: &str) {
    let path = deployment.path().join(file);
    eventually(file, async || path.exists().then_some(())).await;
}

fn number_in(deployment: &Deployment, file: &str) -> usize {
    let text = fs::read_to_string(deployment.path().join(file)).unwrap_or_default();
    text.parse().unwrap_or_default()
}

async fn all_partitions(worker: &Worker, connector: &str, wanted: f64) {
    let name = "kafka_connect_sink_task_metrics_partition_count";
    eventually("the partitions", async || {
        (numbers::of_task(worker, name, connector).await == Some(wanted)).then_some(())
    })
    .await;
}

on_both_brokers! {
    async fn entries_positions_and_notices_move_as_one_whenever_the_worker_is_killed(estate: Estate) {
        const RECORDS: usize = 20_000;
        const KILLS: usize = 4;
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", PARTITIONS, &records(0..RECORDS, PARTITIONS));
        }
        write_ledger(&deployment, "ledger", "tasks.max=2\nrows=60\n");
        for kill in 0..KILLS {
            let worker = start(&deployment).await;
            let target = RECORDS * (kill + 1) / (KILLS + 2);
            eventually("some files", async || {
                (count(&deployment, "ledger") >= target).then_some(())
            })
            .await;
            worker.kill();
            let broker = log::open(&estate, &deployment);
            tokio::task::block_in_place(|| check_agreement(&*broker, "ledger"));
        }
        let worker = start(&deployment).await;
        // What does not fill a file stays in the topic.
        eventually("nearly all files", async || {
            (count(&deployment, "ledger") >= RECORDS - PARTITIONS as usize * 60).then_some(())
        })
        .await;
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        tokio::task::block_in_place(|| check_agreement(&*broker, "ledger"));
        let told = told(&*broker, "ledger");
        for (partition, numbers) in filed(&deployment, "ledger") {
            assert_eq!(numbers.len() as i64, told[&partition]);
            let expected = (partition as usize..RECORDS).step_by(PARTITIONS as usize);
            assert!(numbers.iter().copied().eq(expected.take(numbers.len())), "{partition}");
        }
    }

    async fn a_task_that_the_group_went_on_without_writes_nothing(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &records(0..1000, 1));
        }
        write_ledger(
            &deployment,
            "ledger",
            "tasks.max=2\nrows=10\nhold=hold\nconsumer.override.max.poll.interval.ms=6000\n",
        );
        deployment.write("hold-0", "");
        deployment.write("hold-1", "");
        let worker = start(&deployment).await;
        // One of the two has the partition, and hangs before its first word.
        let stuck = eventually("a task that hangs", async || {
            (0..2).find(|task| deployment.path().join(format!("stuck-{task}")).exists())
        })
        .await;
        deployment.remove(&format!("hold-{}", 1 - stuck));
        eventually("the other writes", async || {
            (count(&deployment, "ledger") >= 900).then_some(())
        })
        .await;
        deployment.remove(&format!("hold-{stuck}"));
        let failed = format!("failed-{stuck}");
        exists(&deployment, &failed).await;
        let failed = fs::read_to_string(deployment.path().join(&failed)).unwrap();
        assert!(failed.starts_with("Reconnect: "), "{failed}");
        let late = "kafka_connect_sink_task_metrics_offset_commit_skip_total";
        let late = format!("{late}{{connector=\"ledger\",task=\"{stuck}\"}} 1");
        let metrics = worker.metrics().await;
        assert!(metrics.lines().any(|line| line == late), "{late} in {metrics}");
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        tokio::task::block_in_place(|| check_agreement(&*broker, "ledger"));
        let lines: Vec<usize> = filed(&deployment, "ledger").remove(&0).unwrap();
        assert!(lines.iter().copied().eq(0..lines.len()));
    }

    async fn a_sink_without_room_is_given_nothing_and_stays_in_its_group(estate: Estate) {
        const RECORDS: usize = 30_000;
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", PARTITIONS, &records(0..RECORDS, PARTITIONS));
        }
        write_ledger(&deployment, "ledger", "tasks.max=2\nrows=500\ngate=open\n");
        let worker = start(&deployment).await;
        let full = |task: usize| {
            let deployment = &deployment;
            async move {
                eventually("a full sink that is flushed", async || {
                    let full = number_in(deployment, &format!("held-{task}")) >= 500;
                    (full && number_in(deployment, &format!("flushes-{task}")) >= 30).then_some(())
                })
                .await;
            }
        };
        full(0).await;
        full(1).await;
        // Partitions come and go meanwhile.
        let restart = format!("{}/connectors/ledger/tasks/1/restart", deployment.rest());
        for _ in 0..2 {
            let answer = reqwest::Client::new().post(&restart).send().await.unwrap();
            assert_eq!(answer.status(), 204);
            for task in 0..2 {
                deployment.write(&format!("flushes-{task}"), "0");
                full(task).await;
            }
        }
        // One poll at most beyond what filled it.
        for task in 0..2 {
            let held = number_in(&deployment, &format!("held-{task}"));
            assert!(held < 500 + 2000, "{held}");
        }
        assert!(files(&deployment, "ledger").is_empty());
        deployment.write("open", "");
        eventually("nearly all files", async || {
            (count(&deployment, "ledger") >= RECORDS - PARTITIONS as usize * 500).then_some(())
        })
        .await;
        reaches(&worker, "ledger", "RUNNING").await;
        let restarts = numbers::of_task(&worker, "penstock_task_restarts_total", "ledger").await;
        assert_eq!(restarts, Some(0.0));
        assert!(worker.stop().success());
        for (partition, numbers) in filed(&deployment, "ledger") {
            let expected = (partition as usize..RECORDS).step_by(PARTITIONS as usize);
            assert!(numbers.iter().copied().eq(expected.take(numbers.len())), "{partition}");
        }
    }

    async fn a_sink_that_begins_with_what_comes_next_keeps_its_place_when_killed(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &records(0..10, 1));
        }
        write_ledger(&deployment, "next", "rows=1\nstart=latest\n");
        write_ledger(
            &deployment,
            "all",
            "rows=1\nstart=latest\nconsumer.override.auto.offset.reset=earliest\n",
        );
        let worker = start(&deployment).await;
        all_partitions(&worker, "next", 1.0).await;
        eventually("what was there", async || (count(&deployment, "all") == 10).then_some(())).await;
        worker.kill();
        {
            let broker = log::open(&estate, &deployment);
            assert_eq!(log::committed(&*broker, "next", "in"), Some(10));
            log::fill(&*broker, "in", 1, &records(10..15, 1));
        }
        let worker = start(&deployment).await;
        eventually("what came next", async || (count(&deployment, "next") == 5).then_some(())).await;
        assert_eq!(filed(&deployment, "next")[&0], [10, 11, 12, 13, 14]);
        eventually("everything", async || (count(&deployment, "all") == 15).then_some(())).await;
        assert!(worker.stop().success());
        check_files(&deployment, "all", 15, 1);
    }
}

/// A frozen worker wakes up in the middle of a flush, while another has its partition: whether it has
/// learnt of it by then or not, it writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_in_a_flush_writes_nothing() {
    for time_to_learn in [Duration::ZERO, Duration::from_secs(5)] {
        let estate = Estate::kafka().await;
        let deployments = [bare(&estate), bare(&estate)];
        let broker = log::open(&estate, &deployments[0]);
        log::fill(&*broker, "in", 1, &records(0..1000, 1));
        let files = deployments[1].path().join("files-ledger");
        for deployment in &deployments {
            let more = format!("rows=10\nhold=hold\ndir={}\n", files.display());
            write_ledger(deployment, "ledger", &more);
        }
        deployments[0].write("hold-0", "");
        let frozen = start(&deployments[0]).await;
        exists(&deployments[0], "stuck-0").await;
        zombies::signal(&frozen, "-STOP");
        let other = start(&deployments[1]).await;
        eventually("the other writes", async || {
            (count(&deployments[1], "ledger") >= 900).then_some(())
        })
        .await;
        zombies::signal(&frozen, "-CONT");
        tokio::time::sleep(time_to_learn).await;
        deployments[0].remove("hold-0");
        exists(&deployments[0], "failed-0").await;
        let failed = fs::read_to_string(deployments[0].path().join("failed-0")).unwrap();
        assert!(failed.starts_with("Reconnect: "), "{failed}");
        assert!(frozen.stop().success());
        assert!(other.stop().success());
        tokio::task::block_in_place(|| check_agreement(&*broker, "ledger"));
        let lines: Vec<usize> = filed(&deployments[1], "ledger").remove(&0).unwrap();
        assert!(lines.iter().copied().eq(0..lines.len()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_behind_a_transaction_that_is_open_are_waited_for() {
    let estate = Estate::kafka().await;
    let deployment = bare(&estate);
    let broker = log::open(&estate, &deployment);
    log::fill(&*broker, "in", 1, &records(0..10, 1));
    write_ledger(&deployment, "ledger", "rows=1\n");
    let worker = start(&deployment).await;
    let written = async |wanted: usize| {
        eventually("all files", async || {
            (count(&deployment, "ledger") == wanted).then_some(())
        })
        .await;
    };
    written(10).await;
    // Somebody begins a transaction and is not heard of again; what the sink writes down stands behind it.
    let mut somebody = tokio::task::block_in_place(|| log::begin(&*broker, "_penstock.journal"));
    log::fill(&*broker, "in", 1, &records(10..20, 1));
    written(20).await;
    worker.kill();
    log::fill(&*broker, "in", 1, &records(20..30, 1));
    let worker = start(&deployment).await;
    let waits = "_penstock.journal: waiting for the end of a transaction that is open there";
    eventually("a sink that waits", async || {
        worker.output().contains(waits).then_some(())
    })
    .await;
    assert_eq!(count(&deployment, "ledger"), 20);
    tokio::task::block_in_place(|| somebody.abort()).unwrap();
    written(30).await;
    assert!(worker.stop().success());
    check_files(&deployment, "ledger", 30, 1);
    tokio::task::block_in_place(|| check_agreement(&*broker, "ledger"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_broadcasts_has_no_journal() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    write_ledger(&deployment, "ledger", "mode=broadcast\n");
    let worker = spawn(&deployment);
    answers(&deployment).await;
    let status = reaches(&worker, "ledger", "FAILED").await;
    let expected = "a sink that broadcasts has no journal: it reads without a group";
    assert_eq!(status["trace"], expected);
    assert!(worker.stop().success());
}
