//! Hard kills while uploads in parts are under way: when parts are there, when all of them are, and when
//! the object is there and the worker has not heard of it.

use penstock_tests::faults::Operation::{self, Abort, Complete, Part};
use penstock_tests::faults::{Fault, FaultProxy, Seen};
use penstock_tests::{Bucket, Estate, eventually};

use crate::formats::{AVRO_CONTAINER, Format, JSON_LINES, PARQUET};
use crate::large_events::{
    IN_A_FILE, durable, first_offset, holds, no_unfinished_uploads, rotation, send,
};
use crate::table::completed;

const FILES: usize = 3;

/// The file that the kill meets: one is there before, one comes after.
const MET: usize = 1;

/// An export, and where its upload stands still until the worker is killed.
struct Held {
    format: Format,
    at: Operation,
    /// The store has done what it was asked for, and does not say so.
    done: bool,
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
    fn fault(&self) -> Fault {
        let silence = match self.done {
            true => Fault::silence().once_done(),
            false => Fault::silence(),
        };
        let fault = silence.on(self.at).naming(&first_offset(MET));
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
    async fn stands_still(&self, proxy: &FaultProxy) {
        let what = format!("an upload of {} that stands still", self.name());
        eventually(&what, async || {
            let met = met(proxy);
            let arrived = |seen: &Seen| seen.operation == Part && done(seen);
            let is_held =
                |seen: &Seen| seen.operation == self.at && seen.struck && done(seen) == self.done;
            (met.iter().any(arrived) && met.iter().any(is_held)).then_some(())
        })
        .await;
    }
}

/// The requests for the file that the kill meets.
fn met(proxy: &FaultProxy) -> Vec<Seen> {
    let name = first_offset(MET);
    let is_met = |seen: &Seen| {
        seen.object
            .as_ref()
            .is_some_and(|object| object.contains(&name))
    };
    proxy.seen().into_iter().filter(is_met).collect()
}

/// The store has done what was asked.
fn done(seen: &Seen) -> bool {
    seen.status.is_some_and(|status| status < 400)
}

/// `gives_up`: the store has uploads that somebody has to give up.
async fn killed_uploads(bucket: Bucket, gives_up: bool) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    for held in &HELD {
        let (endpoint, calm) = (bucket.endpoint(), held.calm());
        held.format
            .export(&deployment, &bucket, endpoint, &calm, &rotation());
    }
    let worker = deployment.start().await;
    let sent = send(&deployment.gateway(), FILES).await;
    for held in &HELD {
        durable(&worker, &held.calm(), FILES * IN_A_FILE).await;
    }
    assert!(worker.stop().success());

    let mut proxies = Vec::new();
    for held in &HELD {
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        proxy.plan([held.fault()]);
        let keys = format!("{}\nread.until=end", rotation());
        held.format
            .export(&deployment, &bucket, proxy.url(), held.name(), &keys);
        proxies.push(proxy);
    }
    let worker = deployment.start().await;
    for (held, proxy) in HELD.iter().zip(&proxies) {
        held.stands_still(proxy).await;
    }
    worker.kill();
    for (held, proxy) in HELD.iter().zip(&proxies) {
        let there = bucket.names(&format!("{}/", held.name())).await;
        let appeared = there.iter().any(|name| name.contains(&first_offset(MET)));
        assert_eq!(appeared, held.done, "{there:?}");
        proxy.heal();
    }

    let worker = deployment.start().await;
    for (held, proxy) in HELD.iter().zip(&proxies) {
        let name = held.name();
        completed(&worker, name).await;
        holds(&bucket, name, held.format.reader, &sent).await;
        let calm = bucket.names(&format!("{}/", held.calm())).await;
        let names = bucket.names(&format!("{name}/")).await;
        let twins: Vec<String> = names.iter().map(|name| format!("calm-{name}")).collect();
        assert_eq!(twins, calm);
        for (name, calm) in names.iter().zip(&calm) {
            assert!(bucket.get(name).await == bucket.get(calm).await, "{name}");
        }
        let given_up = |seen: &Seen| seen.operation == Abort && seen.status.is_some();
        assert_eq!(met(proxy).iter().any(given_up), gives_up, "{name}");
    }
    no_unfinished_uploads(&bucket).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_uploads_to_s3_leaves_the_files_of_an_undisturbed_run() {
    killed_uploads(Bucket::s3().await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_uploads_to_gcs_leaves_the_files_of_an_undisturbed_run() {
    killed_uploads(Bucket::gcs().await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_uploads_to_azure_leaves_the_files_of_an_undisturbed_run() {
    // Azure forgets the blocks of an object that nobody has made of them.
    killed_uploads(Bucket::azure().await, false).await;
}
