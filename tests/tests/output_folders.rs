//! Folders that a FileSink cannot write for a while, without rights or without room: the status says
//! which and why, others go on, and afterwards nothing is missing and nothing is there twice. The same of
//! the folder of the embedded log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::senders::each_once;
use penstock_tests::{Deployment, Estate, Worker, eventually};
use serde_json::Value;

/// Gives up what lets root write where nobody may, keeping the user.
const WITHOUT_RIGHTS: &str = r#"exec setpriv --inh-caps=-all --bounding-set=-all "$@""#;

/// Mounts a small file system, most of it taken, at `out`.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=512k tmpfs out &&
    head -c 450000 /dev/zero >out/ballast && exec "$@""#;

/// The same where the embedded log lies.
const SMALL_LOG: &str = r#"mount -t tmpfs -o size=24m tmpfs data &&
    head -c 8000000 /dev/zero >data/ballast && exec "$@""#;

const EVENTS: usize = 300;

/// The demo with a second sink of the same topic that writes elsewhere.
fn deploy(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    deployment.remove("demo-2.properties");
    deployment.set("files.properties", "topics", "demo");
    // Soon again, so that the test is.
    deployment.set("worker.properties", "task.restart.delay.max.ms", "500");
    let text = fs::read_to_string(deployment.path().join("files.properties")).unwrap();
    let other = text
        .replace("name=files", "name=other")
        .replace("file=out/", "file=other/");
    deployment.write("other.properties", &other);
    fs::create_dir(deployment.path().join("out")).unwrap();
    deployment
}

/// A worker that a shell starts, from what `script` prepares for it.
async fn start(deployment: &Deployment, program: &str, options: &[&str], script: &str) -> Worker {
    let mut arguments: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    arguments.extend(["-ec", script, "sh"].map(str::to_owned));
    arguments.push(penstock_tests::penstock().to_str().unwrap().to_owned());
    arguments.push("run".to_owned());
    arguments.extend(deployment.files());
    let mut worker = Worker::spawn_program(Path::new(program), deployment, &arguments, &[]);
    worker.healthy().await;
    deployment.gateway().ready().await;
    worker
}

/// Sends numbered events.
async fn send(deployment: &Deployment, numbers: std::ops::Range<usize>) {
    let gateway = deployment.gateway();
    for number in numbers {
        let mut event = demo("a session", &[]);
        event["notSensitiveValue"] = number.to_string().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
}

/// The numbers that lie in a folder's files, in their order.
fn numbers(folder: &Path) -> Vec<usize> {
    let text = fs::read_to_string(folder.join("demo-0.jsonl")).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let number = |line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["notSensitiveValue"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    complete.lines().map(number).collect()
}

async fn all_in(folder: &Path) {
    let what = format!("all events in {}", folder.display());
    eventually(&what, async || {
        let numbers = numbers(folder);
        (numbers.len() >= EVENTS).then_some(())
    })
    .await;
    assert_eq!(numbers(folder), (0..EVENTS).collect::<Vec<_>>());
}

/// The worker's own view of a folder: the disk is mounted nowhere else.
fn mounted(deployment: &Deployment, worker: &Worker, folder: &str) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", worker.id()));
    root.join(deployment.path().strip_prefix("/").unwrap())
        .join(folder)
}

/// State and trace of a connector's task.
async fn task(worker: &Worker, connector: &str) -> (String, String) {
    let status = worker.get(&format!("/connectors/{connector}/status")).await;
    let status: Value = status.json().await.unwrap();
    let task = &status["tasks"][0];
    let text = |key: &str| task[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("trace"))
}

/// Waits until the sink waits for its folder, and sees that everything else goes on.
async fn waits(deployment: &Deployment, worker: &Worker, why: &[&str]) {
    let trace = eventually("a task that restarts", async || {
        let (state, trace) = task(worker, "files").await;
        (state == "RESTARTING").then_some(trace)
    })
    .await;
    for word in why {
        assert!(trace.contains(word), "{word} in {trace}");
    }
    send(deployment, EVENTS / 2..EVENTS).await;
    all_in(&deployment.path().join("other")).await;
    assert_eq!(task(worker, "other").await.0, "RUNNING");
    // Between two attempts; during one the task runs.
    eventually("the cause in the list", async || {
        let listed = deployment.ask(&["list", "connectors"]);
        listed.contains(why[1]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_rights_is_waited_for_and_nothing_is_lost() {
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let out = deployment.path().join("out");
    fs::set_permissions(&out, Permissions::from_mode(0o555)).unwrap();
    let worker = start(&deployment, "sh", &[], WITHOUT_RIGHTS).await;
    send(&deployment, 0..EVENTS / 2).await;
    waits(
        &deployment,
        &worker,
        &["out/demo-0.jsonl", "Permission denied"],
    )
    .await;
    assert!(numbers(&out).is_empty());

    fs::set_permissions(&out, Permissions::from_mode(0o755)).unwrap();
    all_in(&out).await;
    assert_eq!(task(&worker, "files").await.0, "RUNNING");
    assert!(worker.stop().success());
    assert_eq!(numbers(&out), (0..EVENTS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let unshare = ["--map-root-user", "--mount", "sh"];
    let worker = start(&deployment, "unshare", &unshare, SMALL_DISK).await;
    send(&deployment, 0..EVENTS / 2).await;
    waits(
        &deployment,
        &worker,
        &["out/demo-0.jsonl", "No space left on device"],
    )
    .await;

    let out = mounted(&deployment, &worker, "out");
    assert!(numbers(&out).len() < EVENTS);
    fs::remove_file(out.join("ballast")).unwrap();
    all_in(&out).await;
    assert_eq!(task(&worker, "files").await.0, "RUNNING");
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_log_is_waited_for_and_nothing_is_lost() {
    const REFUSALS: usize = 5;
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    fs::create_dir(deployment.path().join("data")).unwrap();
    let unshare = ["--map-root-user", "--mount", "sh"];
    let worker = start(&deployment, "unshare", &unshare, SMALL_LOG).await;
    let gateway = deployment.gateway();
    let mut sent: Vec<(String, bool)> = Vec::new();
    let send = async |sent: &mut Vec<(String, bool)>| {
        let marker = sent.len().to_string();
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = marker.clone().into();
        event["strmMeta"]["billingId"] = "x".repeat(100_000).into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        let accepted = answer.status == 204;
        if !accepted {
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        }
        sent.push((marker, accepted));
        accepted
    };
    let mut refused = 0;
    while refused < REFUSALS {
        refused += usize::from(!send(&mut sent).await);
        assert!(sent.len() < 1000, "the disk is never full");
    }
    let (state, trace) = task(&worker, "gateway").await;
    assert_eq!(state, "RUNNING");
    assert!(trace.contains("is full; make room"), "{trace}");
    // However many events are refused.
    for line in ["senders are told to come again", "ERROR"] {
        let told = worker.output().matches(line).count();
        assert!((1..REFUSALS).contains(&told), "{}", worker.output());
    }

    fs::remove_file(mounted(&deployment, &worker, "data").join("ballast")).unwrap();
    while !send(&mut sent).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(sent.len() < 2000, "there is room, and nothing is accepted");
    }
    for topic in ["demo", "demo-2"] {
        each_once(&sent, topic, async || {
            let events = deployment.output(topic).into_iter();
            let marker = |event: Value| event["notSensitiveValue"].as_str().unwrap().to_owned();
            events.map(marker).collect()
        })
        .await;
    }
    assert!(worker.stop().success());
}
