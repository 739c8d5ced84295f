//! What the embedded registry answered is there after `kill -9`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::Server;
use penstock_formats::SchemaKind;

const STORE: &str = "REGISTRY_STORE_TO_BE_KILLED";

/// Not a test by itself: the process that the test below kills.
#[tokio::test]
async fn served_until_killed() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let server = Server::start_at(Path::new(&path), None).await;
    println!("\nserving {}", server.url);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn an_answered_registration_survives_a_hard_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.redb");
    let mut registered = Vec::new();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "served_until_killed", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("serving ").map(str::to_owned))
            .unwrap();
        let client = common::client_of(&url);
        for number in 0..20 {
            let subject = format!("s-{round}-{number}");
            let text = format!(
                r#"{{"type":"fixed","name":"F","size":{}}}"#,
                registered.len() + 1
            );
            let schema = client
                .register(&subject, SchemaKind::Avro, &text, &[])
                .await
                .unwrap();
            registered.push((subject, schema.id(), text));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let server = Server::start_at(&path, None).await;
    let client = server.client();
    for (subject, id, text) in registered {
        let found = client.latest(&subject).await.unwrap();
        assert_eq!(
            (found.schema.id(), found.schema.text()),
            (id, text.as_str())
        );
    }
}

#[test]
fn a_store_in_use_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/down/registry.redb");
    let first = penstock_registry::Store::open(&path).unwrap();
    let error = penstock_registry::Store::open(&path).unwrap_err();
    assert!(
        error.to_string().contains("another process has it open"),
        "{error}"
    );
    drop(first);
    penstock_registry::Store::open(&path).unwrap();
    std::fs::write(dir.path().join("file"), "not a store").unwrap();
    let error = penstock_registry::Store::open(&dir.path().join("file")).unwrap_err();
    assert!(error.to_string().contains("file: "), "{error}");
}
