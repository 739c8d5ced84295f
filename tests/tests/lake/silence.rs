//! Object stores that take a request and never answer: the client's patience ends it.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::senders::{Senders, Sent};
use penstock_tests::{Bucket, Estate, Gateway, eventually};

use crate::table::{every_event_once, export, metric, trace};

/// Sends events of 400 kB: ten of them in one file are put, sixteen go up in parts.
async fn send_large(gateway: &Gateway, count: usize) -> Sent {
    let mut sent = Vec::new();
    for number in 0..count {
        let marker = format!("{number} {}", "x".repeat(400_000));
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = marker.clone().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        sent.push((marker, true));
    }
    sent
}

/// Each kind of request is met by silence, once before the store has done what was asked, and once
/// after it.
async fn silent_once(bucket: Bucket, part_done: Option<Fault>) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let silence = |operation| Fault::silence().on(operation);
    let whole = vec![
        silence(Operation::Put),
        silence(Operation::Put).once_done().after(2),
        silence(Operation::Get),
    ];
    let in_parts = vec![
        // The first one is the look at the bucket before the first record.
        silence(Operation::Create),
        silence(Operation::Create).after(1),
        silence(Operation::Part).after(1),
        silence(Operation::Complete),
        silence(Operation::Complete).once_done().after(1),
    ];
    let mut proxies = Vec::new();
    for (name, rotation, plan) in [
        ("whole", "rotate.records=8", whole),
        (
            "parts",
            "rotate.bytes=6mb",
            in_parts.into_iter().chain(part_done).collect(),
        ),
    ] {
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        let keys = format!("{rotation}\nrotate.idle.ms=1500\nstore.timeout.ms=1000");
        export(&deployment, &bucket, proxy.url(), name, &keys);
        proxy.plan(plan);
        proxies.push(proxy);
    }
    let worker = deployment.start().await;
    let sent = send_large(&deployment.gateway(), 40).await;
    for name in ["whole", "parts"] {
        every_event_once(&bucket, name, Reader::JsonLines, &sent).await;
    }
    for proxy in &proxies {
        assert!(proxy.is_over(), "not met: {:?}", proxy.unmet());
    }
    eventually("no unfinished uploads", async || {
        bucket.unfinished().await.is_empty().then_some(())
    })
    .await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_written_once_though_s3_takes_requests_and_says_nothing() {
    let part_done = Fault::silence().once_done().on(Operation::Part).after(3);
    silent_once(Bucket::s3().await, Some(part_done)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_written_once_though_gcs_takes_requests_and_says_nothing() {
    // GCS ignores bytes that it has already; fake-gcs-server takes them twice.
    silent_once(Bucket::gcs().await, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_metrics_and_status_name_a_store_that_stays_silent_and_the_export_goes_on_after_it() {
    let bucket = Bucket::s3().await;
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    let keys = "rotate.records=20\nrotate.idle.ms=1500\nstore.timeout.ms=500";
    export(&deployment, &bucket, proxy.url(), "quiet", keys);
    proxy.plan([Fault::silence().on(Operation::Put).always()]);
    let worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 2);
    senders.acknowledge(60).await;

    eventually("a request that waits", async || {
        let waiting = metric(&worker, "penstock_object_sink_requests", "quiet").await;
        (waiting >= 1.0).then_some(())
    })
    .await;
    let name = format!("s3://{}", bucket.name());
    let told = format!("{name} has not done what it was asked for since 500 ms: take quiet/");
    eventually("the log says so", async || {
        worker.output().contains(&told).then_some(())
    })
    .await;
    let said = trace(&worker, "quiet", "RESTARTING", "no answer came").await;
    assert!(
        said.starts_with(&format!("{name} cannot be written (quiet/"))
            && said.contains("): no answer came in the time of store.timeout.ms"),
        "{said}"
    );
    let failures = "penstock_object_sink_request_failures_total";
    assert!(metric(&worker, failures, "quiet").await >= 1.0);
    assert_eq!(
        metric(&worker, "penstock_object_sink_files_total", "quiet").await,
        0.0
    );

    proxy.heal();
    senders.acknowledge(60).await;
    let sent = senders.stop().await;
    every_event_once(&bucket, "quiet", Reader::JsonLines, &sent).await;
    eventually("nothing waits", async || {
        let waiting = metric(&worker, "penstock_object_sink_requests", "quiet").await;
        (waiting == 0.0).then_some(())
    })
    .await;
    assert!(worker.stop().success());
}
