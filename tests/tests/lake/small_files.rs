//! Small files, each of which is one put, to object stores that are busy, slow, away, or lose their
//! answers.

use std::time::Duration;

use penstock_tests::faults::{Fault, Operation};
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Estate};

use crate::formats::{every_fault_was_met, export_each};
use crate::table::every_event_once;

/// What happens to the requests of an export, in this order.
fn plan() -> Vec<Fault> {
    let on_puts = [
        Fault::answer(503).times(2),
        Fault::answer(429).after(2),
        Fault::reset().after(4),
        Fault::silence().after(5),
        Fault::answer(500).once_done().after(6),
        Fault::reset().once_done().after(8),
        Fault::silence().once_done().after(10),
        Fault::delay(Duration::from_secs(1)).after(12),
    ];
    let on_gets = [
        Fault::answer(500),
        Fault::silence().after(1),
        Fault::reset().after(2),
    ];
    let puts = on_puts.map(|fault| fault.on(Operation::Put)).into_iter();
    // Not what is asked before the first record.
    let gets = on_gets.map(|fault| fault.on(Operation::Get).naming("demo-2"));
    puts.chain(gets).collect()
}

async fn small_files(bucket: Bucket) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let keys = "rotate.records=40\nrotate.idle.ms=1500\nstore.timeout.ms=2000";
    let exports = export_each(&deployment, &bucket, &plan(), keys).await;
    let worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 4);
    senders.acknowledge(800).await;
    let sent = senders.stop().await;
    for (format, _) in &exports {
        every_event_once(&bucket, format.name, format.reader, &sent).await;
    }
    every_fault_was_met(&exports).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_of_each_format_are_written_once_whatever_s3_answers() {
    small_files(Bucket::s3().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_of_each_format_are_written_once_whatever_gcs_answers() {
    small_files(Bucket::gcs().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_of_each_format_are_written_once_whatever_azure_answers() {
    small_files(Bucket::azure().await).await;
}
