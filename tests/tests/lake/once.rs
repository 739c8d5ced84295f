//! `penstock export`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use penstock_tests::readers::{Reader, read};
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers, python};
use serde_json::Value;

use crate::table::files;

on_both_brokers! {
    async fn an_export_that_runs_once_writes_what_the_stream_holds_and_goes(estate: Estate) {
        let deployment = estate.deploy("demo");
        let bucket = Bucket::s3().await;
        let worker = deployment.start_with(&bucket.credentials()).await;
        let senders = Senders::start(&deployment.gateway(), 4);
        senders.acknowledge(300).await;
        let sent = senders.stop().await;
        let rows = eventually("all events in the derived stream", async || {
            let rows = deployment.output("demo-2");
            let complete = rows.len() >= sent.iter().filter(|(_, done)| *done).count();
            complete.then_some(rows)
        })
        .await;

        let folder = tempfile::tempdir().unwrap();
        let to = format!("file://{}", folder.path().display());
        for format in ["parquet", "jsonl"] {
            let to = format!("{to}/{format}");
            let export = ["export", "demo-2", "--to", &to, "--format", format, "--once", "-o", "json"];
            let told: Value = serde_json::from_str(&deployment.ask(&export)).unwrap();
            assert_eq!(told["rows"], rows.len(), "{told}");
            assert!(told["files"].as_u64() >= Some(1) && told["bytes"].as_u64() > Some(0), "{told}");
        }
        for (format, reader) in [("parquet", Reader::Parquet), ("jsonl", Reader::JsonLines)] {
            let read = read(reader, &folder.path().join(format));
            let written: Vec<Value> = read.into_iter().flat_map(|file| file.rows).collect();
            assert!(written == rows, "{format}");
        }

        let to = format!("s3://{}/once", bucket.name());
        let endpoint = format!("endpoint={}", bucket.endpoint());
        let export = [
            "export", "demo-2", "--to", &to, "--once", "--compression", "gzip",
            "--set", &endpoint, "--set", "aws.region=us-east-1",
        ];
        let told = deployment.ask(&export);
        assert!(told.contains("FILES") && told.contains(&to), "{told}");
        let written = files(&bucket, "once/", Reader::JsonLines).await;
        let written: Vec<Value> = written.into_iter().flat_map(|(_, rows)| rows).collect();
        assert!(written == rows);

        let left = deployment.ask(&["list", "connectors", "-o", "json"]);
        assert!(!left.contains("export-"), "{left}");
        assert!(worker.stop().success());
    }
}

/// Runs a program on a terminal of its own, and prints what stands there in the end.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys
shown = bytearray()
def read(descriptor):
    data = os.read(descriptor, 65536)
    shown.extend(data)
    return data
os.environ["TERM"] = "xterm"
real, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
os.dup2(sink, 1)
status = pty.spawn(sys.argv[1:], read)
os.dup2(real, 1)
sys.stdout.write(shown.decode("utf-8", "replace"))
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Events in the derived stream, and how many there are.
async fn fill(deployment: &Deployment, events: usize) -> usize {
    let senders = Senders::start(&deployment.gateway(), 4);
    senders.acknowledge(events).await;
    let sent = senders.stop().await;
    let acknowledged = sent.iter().filter(|(_, done)| *done).count();
    eventually("all events in the derived stream", async || {
        let rows = deployment.output("demo-2").len();
        (rows >= acknowledged).then_some(rows)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_how_far_an_export_is() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    let rows = fill(&deployment, 100).await;
    let folder = tempfile::tempdir().unwrap();
    let to = format!("file://{}", folder.path().display());
    let command = deployment.command(&["export", "demo-2", "--to", &to, "--once"]);
    let rest = deployment.rest();
    let variable = format!("PENSTOCK_WORKER={rest}");
    let program = command.get_program().to_str().unwrap();
    let mut arguments = vec!["env", &variable, program];
    arguments.extend(
        command
            .get_args()
            .map(|argument| argument.to_str().unwrap()),
    );
    let shown =
        tokio::task::block_in_place(|| python(ON_A_TERMINAL, &arguments, deployment.path()));
    let bar = format!("/{rows} offsets");
    assert!(shown.contains(&bar), "{shown:?}");
    assert!(shown.contains("FILES"), "{shown:?}");
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_an_export_is_told_what_it_waits_for() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    fill(&deployment, 20).await;
    let command = [
        "export",
        "demo-2",
        "--to",
        "s3://lake/x",
        "--once",
        "--name",
        "waits",
        "--set",
        "endpoint=http://127.0.0.1:1",
        "--set",
        "aws.region=us-east-1",
        "--set",
        "aws.access.key.id=a",
        "--set",
        "aws.secret.access.key=b",
    ];
    let mut command = deployment.command(&command);
    let mut export = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    let errors = export.stderr.take().unwrap();
    tokio::task::block_in_place(|| BufReader::new(errors).read_line(&mut told)).unwrap();
    let expected = "the export waits, and tries again: s3://lake cannot be written: ";
    assert!(told.contains(expected), "{told}");
    export.kill().unwrap();
    export.wait().unwrap();
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_cannot_run_says_why() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    for (arguments, expected) in [
        (
            &["demo", "--to", "s4://x"][..],
            "penstock: request: url: must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory, not \"s4://x\"",
        ),
        (
            &["demo", "--to", "file:///x", "--set", "format=csv"],
            "penstock: --set format: the command line has an option for it",
        ),
        (
            &["nothing", "--to", "file:///x"],
            "penstock: there is no stream nothing",
        ),
    ] {
        let output = deployment.penstock(&[&["export"], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned();
        assert!(!output.status.success());
        assert_eq!(error, expected);
    }
    assert!(worker.stop().success());
}
