//! What operators see of an object store that takes requests and never answers.

use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Estate, eventually};

use crate::table::{every_event_once, export, metric, trace};

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
