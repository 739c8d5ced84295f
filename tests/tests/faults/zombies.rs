//! Pipelines that are killed or frozen at any moment, several workers in one group: every record comes
//! out exactly once.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use penstock_broker::Broker;
use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use serde_json::json;

use crate::{bare, log};

const PARTITIONS: i32 = 6;

/// A pipeline of three tasks from `in` to `out`.
fn write_pipeline(deployment: &Deployment) {
    deployment.write(
        "copy.properties",
        "name=copy\nconnector.class=TopicPipeline\ntasks.max=3\ntopics=in\n\
         consumer.override.session.timeout.ms=6000\n\
         value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
         transforms=mask,route\n\
         transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value\n\
         transforms.mask.fields=text\n\
         transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter\n\
         transforms.route.regex=in\n\
         transforms.route.replacement=out\n",
    );
}

fn records(numbers: std::ops::Range<usize>) -> Vec<log::Out> {
    numbers
        .map(|number| {
            let partition = i32::try_from(number).unwrap() % PARTITIONS;
            let value = json!({"number": number, "text": "hidden"}).to_string();
            (partition, None, Some(value.into_bytes()))
        })
        .collect()
}

/// The numbers of all committed records of `out`, in the order of each partition.
fn numbers(broker: &dyn Broker) -> Vec<(i32, u64)> {
    let messages = log::read(broker, "out");
    messages
        .iter()
        .map(|message| {
            let value = message.value.as_deref().unwrap();
            let value: serde_json::Value = serde_json::from_slice(value).unwrap();
            assert_eq!(value["text"], "", "{value}");
            (message.partition, value["number"].as_u64().unwrap())
        })
        .collect()
}

/// Every number once, and in order within its partition.
fn check_exactly_once(broker: &dyn Broker, count: usize) {
    let found = numbers(broker);
    for partition in 0..PARTITIONS {
        let of_partition: Vec<_> = found.iter().filter(|(p, _)| *p == partition).collect();
        for pair in of_partition.windows(2) {
            assert!(pair[0].1 < pair[1].1, "{pair:?} in partition {partition}");
        }
    }
    let mut all: Vec<_> = found.into_iter().map(|(_, number)| number).collect();
    all.sort_unstable();
    assert_eq!(all, (0..count as u64).collect::<Vec<_>>());
}

async fn all_there(broker: &dyn Broker, count: usize) {
    eventually(&format!("{count} records in out"), async || {
        let found = tokio::task::block_in_place(|| numbers(broker).len());
        (found >= count).then_some(())
    })
    .await;
}

/// How many partitions the tasks of a worker have.
async fn partitions(worker: &Worker) -> f64 {
    let metrics = worker.metrics().await;
    let name = "kafka_connect_sink_task_metrics_partition_count{connector=\"copy\"";
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    samples
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

on_both_brokers! {
    async fn a_pipeline_killed_again_and_again_doubles_and_loses_nothing(estate: Estate) {
        const CHUNK: usize = 3000;
        let deployment = bare(&estate);
        write_pipeline(&deployment);
        for round in 0..5 {
            {
                let broker = log::open(&estate, &deployment);
                log::fill(&*broker, "in", PARTITIONS, &records(round * CHUNK..(round + 1) * CHUNK));
            }
            let worker = deployment.start().await;
            // Somewhere in the middle of it, not always at the same place.
            eventually("some of it done", async || {
                let done = written(&worker).await;
                (done >= (round * 400) as f64).then_some(())
            }).await;
            worker.kill();
        }
        let worker = deployment.start().await;
        eventually("the end", async || {
            if partitions(&worker).await != f64::from(PARTITIONS) {
                return None;
            }
            // Asked after the partitions: no task has a lag from before it was given them.
            let metrics = worker.metrics().await;
            let samples = |name: &str| {
                let start = format!("kafka_connect_sink_task_metrics_{name}{{connector=\"copy\"");
                let samples = metrics.lines().filter(|line| line.starts_with(&start));
                samples.map(|line| line.ends_with(" 0")).collect::<Vec<bool>>()
            };
            let tasks = samples("partition_count").len();
            let (lags, active) = (samples("sink_record_lag_max"), samples("sink_record_active_count"));
            (lags.len() == tasks && lags.iter().chain(&active).all(|none| *none)).then_some(())
        }).await;
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        check_exactly_once(&*broker, 5 * CHUNK);
    }
}

/// Records that the tasks of this worker have sent on.
async fn written(worker: &Worker) -> f64 {
    let metrics = worker.metrics().await;
    let name = "kafka_connect_sink_task_metrics_sink_record_send_total{connector=\"copy\"";
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    samples
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Writes records until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(broker: Arc<dyn Broker>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let next = count.load(Ordering::Relaxed);
                log::fill(&*broker, "in", PARTITIONS, &records(next..next + 100));
                count.store(next + 100, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { stop, sent, thread }
    }

    async fn more(&self, count: usize) {
        let target = self.sent.load(Ordering::Relaxed) + count;
        eventually("more records", async || {
            (self.sent.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await;
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

pub(crate) fn signal(worker: &Worker, name: &str) {
    let status = Command::new("kill")
        .args([name, &worker.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_writes_nothing_that_another_has_written() {
    let estate = Estate::kafka().await;
    let deployments = [bare(&estate), bare(&estate)];
    let broker = log::open(&estate, &deployments[0]);
    log::fill(&*broker, "in", PARTITIONS, &[]);
    for deployment in &deployments {
        write_pipeline(deployment);
    }
    let frozen = deployments[0].start().await;
    let mut other = deployments[1].start().await;
    let load = Load::start(broker.clone());
    eventually("both have partitions", async || {
        (partitions(&frozen).await > 0.0 && partitions(&other).await > 0.0).then_some(())
    })
    .await;
    load.more(500).await;
    signal(&frozen, "-STOP");
    eventually("the other has all partitions", async || {
        (partitions(&other).await == f64::from(PARTITIONS)).then_some(())
    })
    .await;
    load.more(500).await;
    signal(&frozen, "-CONT");
    eventually("both have partitions again", async || {
        (partitions(&frozen).await > 0.0 && partitions(&other).await > 0.0).then_some(())
    })
    .await;
    // And the other one is killed outright, and comes back.
    load.more(500).await;
    other.kill();
    load.more(500).await;
    other = deployments[1].start().await;
    load.more(500).await;
    let count = load.end();
    all_there(&*broker, count).await;
    assert!(frozen.stop().success());
    assert!(other.stop().success());
    tokio::task::block_in_place(|| check_exactly_once(&*broker, count));
}
