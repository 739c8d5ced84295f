//! The command line as its users type it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output, Stdio};

use penstock_tests::events::{DEMO_CONTRACT, DEMO_SCHEMA, demo};
use penstock_tests::{Estate, eventually, on_both_brokers, penstock};
use serde_json::Value;

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_problem_of_the_files_is_reported_at_once_with_its_place() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.set(
        "gateway.properties",
        "transforms.check.tpye",
        "ContractCheck",
    );
    deployment.set("files.properties", "connector.class", "FileSnik");
    deployment.set("worker.properties", "schemas.dri", "schemas");
    let files = deployment.files();
    let mut arguments = vec!["validate"];
    arguments.extend(files.iter().map(String::as_str));
    let output = deployment.penstock(&arguments);
    assert!(!output.status.success());
    let errors = errors(&output);
    for place in [
        "gateway.properties:",
        "files.properties:",
        "worker.properties:",
    ] {
        assert!(errors.contains(place), "{place} in {errors}");
    }
    for hint in ["FileSink", "schemas.dir"] {
        assert!(errors.contains(hint), "{hint} in {errors}");
    }
}

#[test]
fn the_acceptance_folders_are_valid() {
    for folder in ["demo", "wiki"] {
        let estate = Estate::embedded();
        let deployment = estate.deploy(folder);
        let files = deployment.files();
        let mut arguments = vec!["validate"];
        arguments.extend(files.iter().map(String::as_str));
        let output = deployment.penstock(&arguments);
        assert!(output.status.success(), "{folder}: {}", errors(&output));
    }
}

on_both_brokers! {
    async fn a_stream_is_looked_at_simulated_and_exported(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let _ = deployment.ask(&["health"]);

        let connectors = deployment.ask(&["list", "connector"]);
        for name in ["gateway", "demo-2", "files", "egress"] {
            assert!(connectors.contains(name), "{name} in {connectors}");
        }
        let schemas = deployment.ask(&["list", "schema"]);
        assert!(schemas.contains(DEMO_SCHEMA), "{schemas}");
        let contract: Value = serde_json::from_str(
            &deployment.ask(&["get", "contract", DEMO_CONTRACT, "-o", "json"]),
        )
        .unwrap();
        assert_eq!(contract["keyField"], "consistentValue");

        let simulated = deployment.ask(&["simulate", "--rate", "100", "--for", "2s"]);
        let accepted: usize = simulated.split(' ').next().unwrap().parse().unwrap();
        assert!(accepted > 0, "{simulated}");
        assert!(simulated.contains(" 0 refused"), "{simulated}");
        eventually("the simulated events", async || {
            (deployment.output("demo").len() == accepted).then_some(())
        })
        .await;

        let keys = deployment.ask(&["keys", "export", "--stream", "demo", "--reveal"]);
        assert!(keys.starts_with("keyLink,encryptionKey,expiresAt\n"), "{keys}");
        assert!(keys.lines().count() > 1, "{keys}");
        assert!(worker.stop().success());
    }

    async fn somebody_looks_at_a_stream_from_a_terminal(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let mut egress = tokio::process::Command::from(deployment.command(&["egress", "demo", "-n", "1"]))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // Viewers see what comes after they have come.
        eventually("the end of the egress", async || {
            let answer = gateway.send_json(DEMO_SCHEMA, &demo("a session", &[])).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
            egress.try_wait().unwrap()
        })
        .await;
        let output = egress.wait_with_output().await.unwrap();
        let event: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(event["notSensitiveValue"], "Anyone is free to see this text.");
        assert!(worker.stop().success());
    }

    async fn connectors_come_and_go_without_a_restart(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        deployment.write(
            "later/copy.properties",
            "name=copy\nconnector.class=FileSink\ntopics=demo\n\
             value.converter=io.confluent.connect.avro.AvroConverter\n\
             file=out/copied-{topic}-{partition}.jsonl\n",
        );
        let _ = deployment.ask(&["create", "connector", "later/copy.properties"]);
        let event = demo("a session", &[]);
        let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        eventually("the copied event", async || {
            (deployment.output("copied-demo").len() == 1).then_some(())
        })
        .await;
        let _ = deployment.ask(&["delete", "connector", "copy"]);
        let connectors = deployment.ask(&["list", "connector"]);
        assert!(!connectors.contains("copy"), "{connectors}");
        assert_eq!(worker.get("/connectors/copy").await.status(), 404);
        assert!(worker.stop().success());
    }
}

#[test]
fn the_quickstart_ends_by_itself_and_says_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(penstock())
        .args(["quickstart", "--for", "5s", "--rate", "20"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains(" events sent, "), "{shown}");
    assert!(!shown.contains("\n0 events sent"), "{shown}");
    let out = dir.path().join("penstock-quickstart/out");
    assert!(out.join("demo-0.jsonl").is_file(), "{shown}");
    assert!(out.join("demo-2-0.jsonl").is_file(), "{shown}");
}
