//! Hard kills while uploads in parts are under way: when parts are there, when all of them are, and when
//! the object is there and the worker has not heard of it.

use penstock_tests::faults::Operation::{self, Abort, Complete, Part};
use penstock_tests::faults::{Fault, FaultProxy, Seen};
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::formats::{AVRO_CONTAINER, Format, JSON_LINES, PARQUET};
use crate::large_events::{IN_A_FILE, durable, holds, no_unfinished_uploads, rotation, send};
use crate::table::completed;

const FILES: usize = 3;

/// The file that the kill meets: one is there before, one comes after.
const MET: usize = 1;

/// An export, and where its upload stands still until the worker is killed.
struct Held {
    format: Format,
    at: Operation,
    /// Whether the store has done what it was asked for, and does not say so.
    done: bool,
    /// Requests that the store has answered before.
    passed: usize,
}

const HELD: [Held; 3] = [
    Held {
        format: AVRO_CONTAINER,
        at: Part,
        done: false,
        passed: 1,
    },
    Held {
        format: PARQUET,
        at: Complete,
        done: false,
        passed: 0,
    },
    Held {
        format: JSON_LINES,
        at: Complete,
        done: true,
        passed: 0,
    },
];

impl Held {
    fn fault(&self, object: &str) -> Fault {
        let silence = match self.done {
            true => Fault::silence().once_done(),
            false => Fault::silence(),
        };
        let fault = silence.on(self.at).naming(object);
        fault.after(self.passed).always()
    }

    fn name(&self) -> &'static str {
        self.format.name
    }

    /// An export that nothing happens to.
    fn calm(&self) -> String {
        format!("calm-{}", self.name())
    }

    /// Waits until the store has a part, and has been asked for what it does not answer.
    async fn stands_still(&self, proxy: &FaultProxy, object: &str) {
        let what = format!("an upload of {object} that stands still");
        eventually(&what, async || {
            let met = requests(proxy, object);
            let arrived = |seen: &Seen| seen.operation == Part && done(seen);
            let is_held =
                |seen: &Seen| seen.operation == self.at && seen.struck && done(seen) == self.done;
            (met.iter().any(arrived) && met.iter().any(is_held)).then_some(())
        })
        .await;
    }
}

/// The requests for an object.
fn requests(proxy: &FaultProxy, object: &str) -> Vec<Seen> {
    let mut seen = proxy.seen();
    seen.retain(|seen| seen.object.as_deref() == Some(object));
    seen
}

/// The store has done what was asked.
fn done(seen: &Seen) -> bool {
    seen.status.is_some_and(|status| status < 400)
}

/// An export that is killed, and the names of its twin's files and of its own.
struct Export {
    held: &'static Held,
    proxy: FaultProxy,
    calm: Vec<String>,
    names: Vec<String>,
}

/// Fills the topic, and exports it without disturbance.
async fn run_calmly(deployment: &Deployment, bucket: &Bucket) -> Vec<Value> {
    for held in &HELD {
        let (endpoint, calm) = (bucket.endpoint(), held.calm());
        let format = held.format;
        format.export(deployment, bucket, endpoint, &calm, &rotation());
    }
    let worker = deployment.start().await;
    let sent = send(&deployment.gateway(), FILES).await;
    for held in &HELD {
        durable(&worker, &held.calm(), FILES * IN_A_FILE).await;
    }
    assert!(worker.stop().success());
    sent
}

/// Exports the topic once more, and kills the worker when all uploads stand still.
async fn kill_in_the_middle(deployment: &Deployment, bucket: &Bucket) -> Vec<Export> {
    let mut exports = Vec::new();
    for held in &HELD {
        let calm = bucket.names(&format!("{}/", held.calm())).await;
        let names: Vec<String> = calm
            .iter()
            .map(|name| name.replacen("calm-", "", 1))
            .collect();
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        proxy.plan([held.fault(&names[MET])]);
        let keys = format!("{}\nread.until=end", rotation());
        let format = held.format;
        format.export(deployment, bucket, proxy.url(), held.name(), &keys);
        exports.push(Export {
            held,
            proxy,
            calm,
            names,
        });
    }
    let worker = deployment.start().await;
    for export in &exports {
        let met = &export.names[MET];
        export.held.stands_still(&export.proxy, met).await;
        // An upload that the store has begun and the journal does not name yet would be left behind.
        let next = &export.names[MET + 1];
        eventually(&format!("parts of {next}"), async || {
            let met = requests(&export.proxy, next);
            let arrived = |seen: &Seen| seen.operation == Part && done(seen);
            met.iter().any(arrived).then_some(())
        })
        .await;
    }
    worker.kill();
    for export in &exports {
        let there = bucket.names(&format!("{}/", export.held.name())).await;
        let appeared = there.contains(&export.names[MET]);
        assert_eq!(appeared, export.held.done, "{there:?}");
        export.proxy.heal();
    }
    exports
}

/// `gives_up`: the store has uploads that somebody has to give up.
async fn killed_uploads(estate: Estate, bucket: Bucket, gives_up: bool) {
    let deployment = estate.deploy("demo");
    // Files end where their rotation says, and not because memory is short.
    deployment.set("worker.properties", "memory.budget", "512mb");
    deployment.remove("files.properties");
    let sent = run_calmly(&deployment, &bucket).await;
    let exports = kill_in_the_middle(&deployment, &bucket).await;
    let worker = deployment.start().await;
    for export in &exports {
        let name = export.held.name();
        completed(&worker, name).await;
        holds(&bucket, name, export.held.format.reader, &sent).await;
        let there = bucket.names(&format!("{name}/")).await;
        assert_eq!(there, export.names);
        for (name, calm) in there.iter().zip(&export.calm) {
            assert!(bucket.get(name).await == bucket.get(calm).await, "{name}");
        }
        let given_up = requests(&export.proxy, &export.names[MET])
            .iter()
            .any(|seen| seen.operation == Abort && seen.status.is_some());
        assert_eq!(given_up, gives_up, "{name}");
    }
    no_unfinished_uploads(&bucket).await;
    assert!(worker.stop().success());
}

on_both_brokers! {
    async fn a_kill_in_the_middle_of_uploads_to_s3_leaves_the_files_of_an_undisturbed_run(estate: Estate) {
        killed_uploads(estate, Bucket::s3().await, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_uploads_to_gcs_leaves_the_files_of_an_undisturbed_run() {
    killed_uploads(Estate::embedded(), Bucket::gcs().await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_uploads_to_azure_leaves_the_files_of_an_undisturbed_run() {
    // Azure forgets the blocks of an object that nobody has made of them.
    killed_uploads(Estate::embedded(), Bucket::azure().await, false).await;
}
