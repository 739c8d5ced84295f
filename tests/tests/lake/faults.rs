//! Object stores that are busy, slow, away, or lose their answers.

use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Estate, eventually};

use crate::table::{every_event_once, export};

/// What happens to the requests of an export, in this order.
fn plan() -> Vec<Fault> {
    vec![
        Fault::answer(503).on(Operation::Put).times(2),
        Fault::answer(429).on(Operation::Put).after(2),
        Fault::reset().on(Operation::Put).after(4),
        Fault::answer(500).once_done().on(Operation::Put).after(6),
        Fault::reset().once_done().on(Operation::Put).after(8),
        Fault::delay(Duration::from_secs(2))
            .on(Operation::Put)
            .after(10),
        Fault::answer(500).on(Operation::Get).after(3),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_are_written_once_whatever_the_store_answers() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::s3().await;
    let formats = [
        ("lines", Reader::JsonLines, "format=jsonl"),
        ("csv", Reader::Csv, "format=csv"),
        ("avro", Reader::Avro, "format=avro"),
        ("parquet", Reader::Parquet, "format=parquet"),
    ];
    let mut proxies = Vec::new();
    for (name, _, keys) in formats {
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        let keys = format!("{keys}\nrotate.records=40\nrotate.idle.ms=1500");
        export(&deployment, &bucket, proxy.url(), name, &keys);
        proxy.plan(plan());
        proxies.push(proxy);
    }
    let worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 4);
    senders.acknowledge(800).await;
    let sent = senders.stop().await;
    for (name, reader, _) in formats {
        every_event_once(&bucket, name, reader, &sent).await;
    }
    assert!(worker.stop().success());
    for proxy in &proxies {
        assert!(
            proxy.count(Operation::Put) > 12,
            "every fault of a put was met"
        );
    }
}

/// Large files go up in parts, each request of which fails once in each way.
async fn large_files(bucket: Bucket, more: Vec<Fault>) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    let keys = "format=jsonl\nrotate.bytes=12mb\nrotate.idle.ms=1500";
    export(&deployment, &bucket, proxy.url(), "large", keys);
    let faults = [
        Fault::reset().on(Operation::Part).after(1),
        Fault::answer(503).on(Operation::Complete),
        Fault::reset().once_done().on(Operation::Complete).after(1),
        Fault::answer(500)
            .once_done()
            .on(Operation::Complete)
            .after(3),
    ];
    proxy.plan(faults.into_iter().chain(more));
    let worker = deployment.start().await;
    let gateway = deployment.gateway();
    let mut sent = Vec::new();
    for number in 0..120 {
        let marker = format!("{number} {}", "x".repeat(400_000));
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = marker.clone().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        sent.push((marker, true));
    }
    every_event_once(&bucket, "large", Reader::JsonLines, &sent).await;
    eventually("no unfinished uploads", async || {
        bucket.unfinished().await.is_empty().then_some(())
    })
    .await;
    assert!(proxy.is_over(), "not met: {:?}", proxy.unmet());
    assert!(worker.stop().success());
}

fn busy() -> Fault {
    Fault::answer(503).on(Operation::Create)
}

fn part_lost() -> Fault {
    Fault::answer(500).once_done().on(Operation::Part).after(3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_are_written_once_whatever_s3_answers() {
    large_files(Bucket::s3().await, vec![busy(), part_lost()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_are_written_once_whatever_gcs_answers() {
    // GCS ignores bytes that it has already; fake-gcs-server takes them twice.
    large_files(Bucket::gcs().await, vec![busy()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_are_written_once_whatever_azure_answers() {
    // An upload in blocks has no beginning of its own.
    large_files(Bucket::azure().await, vec![part_lost()]).await;
}
