//! Large files, which go up in parts, to object stores that are busy, slow, away, or lose their answers
//! at each step of it: in each format, beside one another, from one topic.

use std::time::Duration;

use penstock_tests::faults::Fault;
use penstock_tests::faults::Operation::{self, Complete, Create, Part};
use penstock_tests::{Bucket, Estate};

use crate::formats::{every_fault_was_met, export_each};
use crate::large_events::{IN_A_FILE, durable, holds, no_unfinished_uploads, rotation, send};

const FILES: usize = 4;

/// What stands in the name of an export's file for the offset of its first record: those of the embedded
/// log have no gaps.
fn first_offset(file: usize) -> String {
    format!("+{:010}.", file * IN_A_FILE)
}

/// What the requests of an export's files meet: `steps` are not done, with all that a store can say or
/// not say then; of `lost` ones, which are done, the answer is lost. Each file meets something else, and
/// a request that is made again meets what comes next.
fn plan(steps: &[Operation], lost: &[Operation]) -> Vec<Fault> {
    let mut plan = Vec::new();
    let mut meets = |file: usize, operation: &Operation, faults: Vec<Fault>| {
        let name = first_offset(file);
        let faults = faults.into_iter();
        plan.extend(faults.map(|fault| fault.on(*operation).naming(&name)));
    };
    for operation in steps {
        let slow = Fault::delay(Duration::from_secs(1));
        let busy = [429, 500, 503].map(Fault::answer);
        meets(0, operation, [&busy[..], &[Fault::reset(), slow]].concat());
        meets(1, operation, vec![Fault::silence()]);
    }
    for operation in lost {
        meets(1, operation, vec![Fault::answer(500).once_done()]);
        meets(2, operation, vec![Fault::reset().once_done()]);
        meets(3, operation, vec![Fault::silence().once_done()]);
    }
    plan
}

async fn large_files(bucket: Bucket, plan: Vec<Fault>) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    // Files end where their rotation says, and not because memory is short.
    deployment.set("worker.properties", "memory.budget", "512mb");
    deployment.remove("files.properties");
    let keys = format!("{}\nstore.timeout.ms=2000", rotation());
    let exports = export_each(&deployment, &bucket, &plan, &keys).await;
    let worker = deployment.start().await;
    let sent = send(&deployment.gateway(), FILES).await;
    for (format, _) in &exports {
        durable(&worker, format.name, FILES * IN_A_FILE).await;
        holds(&bucket, format.name, format.reader, &sent).await;
    }
    every_fault_was_met(&exports).await;
    no_unfinished_uploads(&bucket).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_of_each_format_are_written_once_whatever_s3_answers() {
    // A beginning whose answer is lost leaves an upload that nobody knows of.
    let plan = plan(&[Create, Part, Complete], &[Part, Complete]);
    large_files(Bucket::s3().await, plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_of_each_format_are_written_once_whatever_gcs_answers() {
    // GCS ignores bytes that it has already; fake-gcs-server takes them twice.
    let plan = plan(&[Create, Part, Complete], &[Complete]);
    large_files(Bucket::gcs().await, plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_of_each_format_are_written_once_whatever_azure_answers() {
    // An upload in blocks has no beginning of its own.
    let plan = plan(&[Part, Complete], &[Part, Complete]);
    large_files(Bucket::azure().await, plan).await;
}
