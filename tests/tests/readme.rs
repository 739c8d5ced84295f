//! The commands of the README, as they stand there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Stdio};

use penstock_tests::{Deployment, Estate, eventually, penstock};
use serde_json::Value;

const README: &str = include_str!("../../README.md");

/// The shell blocks of the README, in order.
fn blocks() -> Vec<&'static str> {
    README
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

fn block(with: &str) -> &'static str {
    let found: Vec<_> = blocks()
        .into_iter()
        .filter(|block| block.contains(with))
        .collect();
    assert_eq!(found.len(), 1, "one block with {with}");
    found[0]
}

/// A shell in the deployment's folder that finds `penstock` and its worker.
fn shell(deployment: &Deployment, script: &str) -> Command {
    let binary = penstock();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-ec", script])
        .current_dir(deployment.path())
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("PENSTOCK_WORKER", deployment.rest());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_seen_and_derived_with_the_commands_of_the_readme() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let validated = shell(
        &deployment,
        block("penstock validate").lines().next().unwrap(),
    )
    .output()
    .unwrap();
    assert!(validated.status.success(), "{validated:?}");
    let worker = deployment.start().await;

    let commands = block("penstock egress demo &").replace("penstock egress demo &\n", "");
    let egress = block("penstock egress demo &").lines().next().unwrap();
    let mut looking = tokio::process::Command::from(shell(
        &deployment,
        &format!("exec {} -n 1", egress.trim_end_matches(" &")),
    ))
    .stdout(Stdio::piped())
    .kill_on_drop(true)
    .spawn()
    .unwrap();
    // Viewers see what comes after they have come.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let gateway = deployment.gateway_address();
    let sent = shell(&deployment, &commands.replace("127.0.0.1:8080", &gateway))
        .output()
        .unwrap();
    let shown = String::from_utf8(sent.stdout).unwrap();
    assert!(sent.status.success(), "{shown}");
    assert!(shown.contains("204 No Content"), "{shown}");
    assert!(shown.contains("demo-0-1"), "{shown}");
    eventually("the event in the terminal", async || {
        looking.try_wait().unwrap()
    })
    .await;
    let seen = looking.wait_with_output().await.unwrap();
    let event: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_ne!(event["consistentValue"], "a-session", "it lies encrypted");
    assert!(worker.stop().success());
}

#[test]
fn every_page_and_program_that_the_readme_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let links: Vec<_> = README
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(links.len() > 3, "{links:?}");
    for link in links {
        assert!(root.join(link).exists(), "{link}");
    }
    // The first command's arguments are those that the program takes.
    let first = block("-- quickstart");
    let arguments: Vec<_> = first
        .trim()
        .split("-- ")
        .nth(1)
        .unwrap()
        .split(' ')
        .collect();
    let help = Command::new(penstock())
        .args([arguments[0], "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains(arguments[1]), "{arguments:?} in {help}");
}
