//! Thousands of open files in a real worker, on little memory.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use penstock_tests::{Bucket, Estate, Worker, python};

use crate::table::{export, metric, task};

const PARTITIONS: usize = 200;
const PATHS: usize = 20;

/// Records of each path of each partition.
const ROUNDS: usize = 10;

/// The worker's budget, in its file's words and in bytes.
const BUDGET: (&str, u64) = ("256mb", 256 << 20);

/// Far above what the export takes: it bounds a hang, it asserts nothing.
const LIMIT: Duration = Duration::from_secs(240);

/// Makes a topic and fills it, one record of each partition after the other: 7 kB of JSON each, in
/// batches so small that a reader gets some of each partition at a time.
const PRODUCE: &str = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
servers, (partitions, paths, rounds) = sys.argv[1], map(int, sys.argv[2:])
admin = AdminClient({"bootstrap.servers": servers})
for made in admin.create_topics([NewTopic("wide", partitions, 1)]).values():
    made.result(60)
producer = Producer({"bootstrap.servers": servers, "acks": "all", "linger.ms": 50, "batch.size": 32768})
pad = "x" * 6900
for number in range(rounds * paths * partitions):
    value = '{"id":%d,"path":%d,"pad":"%s"}' % (number, number // partitions % paths, pad)
    while True:
        try:
            producer.produce("wide", value, partition=number % partitions)
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)
assert producer.flush(120) == 0
"#;

/// The most memory that a process has had, in bytes.
fn peak(worker: &Worker) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// Waits for the end of the export; returns how many files were open at a time, at most.
async fn run_to_the_end(worker: &Worker) -> f64 {
    let (since, mut most) = (Instant::now(), 0.0_f64);
    loop {
        most = most.max(metric(worker, "penstock_object_sink_open_files", "wide").await);
        let task = task(worker, "wide").await;
        match task["state"].as_str() {
            Some("COMPLETED") => return most,
            Some("FAILED") => panic!("{task}"),
            _ => assert!(
                since.elapsed() < LIMIT,
                "{task}\n{}",
                worker.metrics().await
            ),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The `id` that a line begins with.
fn id(line: &[u8]) -> usize {
    let digits = line.strip_prefix(br#"{"id":"#).unwrap();
    let end = digits.iter().position(|byte| *byte == b',').unwrap();
    std::str::from_utf8(&digits[..end])
        .unwrap()
        .parse()
        .unwrap()
}

/// The ids of all lines in the bucket, none of them twice.
async fn ids(bucket: &Bucket) -> BTreeSet<usize> {
    let names = bucket.names("wide/").await;
    let objects = stream::iter(&names).map(|name| bucket.get(name));
    let mut objects = objects.buffer_unordered(8);
    let mut ids = BTreeSet::new();
    while let Some(object) = objects.next().await {
        for line in object
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            assert!(ids.insert(id(line)), "{} is there twice", id(line));
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_four_thousand_open_files_stays_inside_its_budget() {
    let estate = Estate::kafka().await;
    let servers = estate.bootstrap_servers().unwrap();
    let sizes = [PARTITIONS, PATHS, ROUNDS].map(|size| size.to_string());
    let sizes = sizes.each_ref().map(String::as_str);
    let filling = [&[servers][..], &sizes[..]].concat();
    let _ = tokio::task::block_in_place(|| python(PRODUCE, &filling, estate.path()));

    let deployment = estate.deploy("demo");
    for file in ["gateway", "demo-2", "egress", "files"] {
        deployment.remove(&format!("{file}.properties"));
    }
    deployment.set("worker.properties", "memory.budget", BUDGET.0);
    let worker = deployment.start().await;
    let idle = peak(&worker);

    let bucket = Bucket::s3().await;
    // Files end when there is nothing more to read, or because memory is short.
    let keys = "partition.by=path\nrotate.bytes=128mb\npart.size=5mb\nmax.open.files=5000\nread.until=end\n\
                value.converter.schemas.enable=false\nconsumer.override.max.partition.fetch.bytes=65536";
    export(&deployment, &bucket, bucket.endpoint(), "wide", keys);
    deployment.set("wide.properties", "topics", "wide");
    let converter = "org.apache.kafka.connect.json.JsonConverter";
    deployment.set("wide.properties", "value.converter", converter);
    let _ = deployment.ask(&["create", "connector", "wide.properties"]);
    let open = run_to_the_end(&worker).await;
    let peak = peak(&worker);

    println!(
        "{open} files open at a time; {} MB at most, {} of them before the first record",
        peak >> 20,
        idle >> 20
    );
    assert_eq!(
        open,
        (PARTITIONS * PATHS) as f64,
        "every path had an open file"
    );
    let bytes = metric(&worker, "penstock_object_sink_bytes_total", "wide").await;
    assert!(
        bytes > BUDGET.1 as f64,
        "the budget was needed: {bytes} bytes"
    );
    // Beside what the worker has without any record.
    let most = BUDGET.1 + idle;
    assert!(peak <= most, "{peak} bytes, {most} at most");
    assert!(worker.stop().success());
    let expected: BTreeSet<usize> = (0..PARTITIONS * PATHS * ROUNDS).collect();
    assert!(ids(&bucket).await == expected, "every event once");
}
