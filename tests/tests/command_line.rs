//! The command line as its users type it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures::SinkExt;
use penstock_tests::certificates::Authority;
use penstock_tests::events::{DEMO_CONTRACT, DEMO_SCHEMA, demo};
use penstock_tests::{Estate, eventually, on_both_brokers, penstock};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use xtask::fetch;

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The program with no worker but the one that is named.
fn alone(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(penstock());
    command
        .args(arguments)
        .env_remove("PENSTOCK_WORKER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for the end, bounded.
async fn ended(child: tokio::process::Child) -> Output {
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    output.await.expect("it ends").unwrap()
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
        // The worker is ready before its connectors listen.
        drop(deployment.viewer("demo").await);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_is_the_one_that_is_named() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    let url = deployment.rest();
    for name in [url.as_str(), url.trim_start_matches("http://")] {
        let output = ended(
            alone(&["--worker", name, "list", "schemas"])
                .spawn()
                .unwrap(),
        )
        .await;
        assert!(output.status.success(), "{}", errors(&output));
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains(DEMO_SCHEMA)
        );
    }
    // What it says is stronger than the environment, and what nobody listens on is said.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let mut command = alone(&["list", "schemas", "--worker", &nobody]);
    let output = ended(command.env("PENSTOCK_WORKER", &url).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    for word in [nobody.as_str(), "penstock run", "--worker URL"] {
        assert!(errors.contains(word), "{word} in {errors}");
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_are_simulated_at_a_gateway_schema_and_contract_of_ones_choice() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let authority = Authority::new("a test's authority");
    let identity = authority.issue("gateway", &["127.0.0.1"]);
    deployment.write("tls/chain.pem", &identity.certificate);
    deployment.write("tls/key.pem", &identity.key);
    deployment.write("tls/authority.pem", &authority.certificate());
    deployment.set(
        "gateway.properties",
        "http.tls.certificate",
        "tls/chain.pem",
    );
    deployment.set("gateway.properties", "http.tls.key", "tls/key.pem");
    deployment.set("gateway.properties", "http.auth.tokens", "a-token");
    // Another event type, with another contract.
    let acceptance = |file: &str| std::fs::read_to_string(deployment.path().join(file)).unwrap();
    let schema = acceptance("schemas/streammachine/demo/1.0.2.avsc").replace("demo.v1", "shop.v1");
    deployment.write("schemas/shop/clicks/1.0.0.avsc", &schema);
    let contract = acceptance("contracts/streammachine/example/1.3.0.json")
        .replace(DEMO_CONTRACT, "shop/rules/1.0.0")
        .replace(DEMO_SCHEMA, "shop/clicks/1.0.0");
    deployment.write("contracts/shop/rules/1.0.0.json", &contract);
    let mut worker = deployment.spawn(&[]);
    worker.healthy().await;

    let trusted = deployment.path().join("tls/authority.pem");
    let simulate = |more: &[&str]| {
        let given = ["simulate", "--rate", "500", "-n", "20"];
        let mut command = deployment.command(&[&given[..], more].concat());
        command.env("SSL_CERT_FILE", &trusted).output().unwrap()
    };
    // The scheme comes from the gateway's settings; it lets nobody in without a token.
    let refused = simulate(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        errors(&refused).contains("HTTP 401"),
        "{}",
        errors(&refused)
    );
    let gateway = format!("https://{}", deployment.gateway_address());
    for (more, contract) in [
        (&["--token", "a-token"][..], DEMO_CONTRACT),
        (
            &[
                "--token",
                "a-token",
                "--gateway",
                &gateway,
                "--schema",
                "shop/clicks/1.0.0",
                "--contract",
                "shop/rules/1.0.0",
            ],
            "shop/rules/1.0.0",
        ),
    ] {
        let output = simulate(more);
        assert!(output.status.success(), "{}", errors(&output));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(shown, "20 events accepted, 0 refused\n");
        eventually("the simulated events", async || {
            let events = deployment.output("demo");
            let of_contract = events
                .iter()
                .filter(|event| event["strmMeta"]["eventContractRef"] == contract);
            (of_contract.count() == 20).then_some(())
        })
        .await;
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_ends_at_a_gateway_that_is_not_there_and_by_ctrl_c_at_one_that_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("http://{}", silent.local_addr().unwrap());
    let simulation = alone(&["simulate", "--rate", "2000", "--gateway", &gateway])
        .spawn()
        .unwrap();
    // As many events are on the way as may be: it waits for the first answer.
    let mut connections = Vec::new();
    while connections.len() < 256 {
        let accepted = tokio::time::timeout(Duration::from_secs(60), silent.accept()).await;
        connections.push(accepted.expect("256 connections").unwrap());
    }
    interrupt(simulation.id().unwrap());
    let output = ended(simulation).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("has not answered 256 events"),
        "{}",
        errors(&output)
    );

    drop((silent, connections));
    let output = ended(alone(&["simulate", "--gateway", &gateway]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains(&gateway) && errors.contains("Connection refused"),
        "{errors}"
    );
}

fn interrupt(process: u32) {
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -INT {process}")])
        .status();
    assert!(kill.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_a_viewer_has_lost_are_told_and_not_counted() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let egress = format!("ws://{}", server.local_addr().unwrap());
    let looking = alone(&["egress", "demo", "--from", &egress, "-n", "2"])
        .spawn()
        .unwrap();
    let (connection, _) = server.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(connection).await.unwrap();
    for frame in [
        r#"{"n":1}"#,
        r#"{"penstock":{"dropped":7}}"#,
        r#"{"n":2}"#,
        r#"{"n":3}"#,
    ] {
        // It may have seen enough.
        let _ = socket.send(Message::text(frame)).await;
    }
    let output = ended(looking).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(
        String::from_utf8(output.stdout.clone()).unwrap(),
        "{\"n\":1}\n{\"n\":2}\n"
    );
    assert!(errors(&output).contains("7 events"), "{}", errors(&output));

    // An egress that ends before is no success.
    let looking = alone(&["egress", "demo", "--from", &egress])
        .spawn()
        .unwrap();
    let (connection, _) = server.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(connection).await.unwrap();
    socket.close(None).await.unwrap();
    assert_eq!(ended(looking).await.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_at_a_stream_that_is_not_there_is_told_which_are() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    drop(deployment.viewer("demo").await);
    let output = deployment.penstock(&["egress", "demmo", "-n", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(errors.contains("Topics: demo"), "{errors}");
    assert!(worker.stop().success());
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let estate = Estate::embedded();
    let (zsh, fish) = (fetch::debian::zsh(), fetch::debian::fish());
    for (shell, mut program, check) in [
        ("bash", Command::new("bash"), "-n"),
        ("zsh", zsh.unwrap_or_else(|error| panic!("{error}")), "-n"),
        (
            "fish",
            fish.unwrap_or_else(|error| panic!("{error}")),
            "--no-execute",
        ),
    ] {
        let output = Command::new(penstock())
            .args(["completion", shell])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("quickstart"), "{shell}: {script}");
        let file = estate.path().join(shell);
        std::fs::write(&file, script).unwrap();
        let checked = program.arg(check).arg(&file).output().unwrap();
        assert!(checked.status.success(), "{shell}: {}", errors(&checked));
    }
    // In bash the words are completed.
    let script = "source ./bash\nCOMP_WORDS=(penstock quick); COMP_CWORD=1\n_penstock penstock quick penstock\necho ${COMPREPLY[@]}\n";
    let completed = Command::new("bash")
        .args(["-c", script])
        .current_dir(estate.path())
        .output()
        .unwrap();
    let completed = String::from_utf8(completed.stdout).unwrap();
    assert_eq!(completed.trim(), "quickstart");
}

#[test]
fn the_exit_status_tells_a_wrong_command_line_from_a_failure() {
    let help = Command::new(penstock()).arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("Exit status: 0 when done; 1 after a failure"),
        "{help}"
    );
    for (arguments, status) in [
        (&["validate", "no-such-file.properties"][..], 1),
        (&["--worker", "http://127.0.0.1:1", "health"], 1),
        (&["no-such-command"], 2),
        (&["simulate", "--rate", "0"], 2),
        (&["--worker", "ftp://nowhere", "health"], 2),
    ] {
        let output = Command::new(penstock()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
