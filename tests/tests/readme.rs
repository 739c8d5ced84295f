//! The commands of the README, as they stand there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
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

/// Commands that are followed by one more word.
const GROUPS: [&str; 5] = ["create", "list", "get", "delete", "keys"];

/// The `penstock` commands of a page, in blocks of shell and in the text.
fn commands(page: &str) -> Vec<&str> {
    let mut commands: Vec<&str> = page
        .split('`')
        .filter_map(|text| text.strip_prefix("penstock "))
        .filter(|text| !text.contains('\n'))
        .collect();
    let in_blocks = page.lines().filter_map(|line| {
        let command = line.trim_start().strip_prefix("penstock ")?;
        // What follows a command on its line.
        Some(command.split(" #").next().unwrap())
    });
    commands.extend(in_blocks.filter(|command| !command.contains('`')));
    commands
}

#[test]
fn every_command_and_option_that_the_pages_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        pages.extend(path.extension().is_some().then_some(path));
    }
    let mut seen = BTreeSet::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for command in commands(&text) {
            let words: Vec<_> = command.split_whitespace().collect();
            let depth = 1 + usize::from(GROUPS.contains(&words[0]));
            let verbs: Vec<_> = words
                .iter()
                .take(depth)
                .filter(|word| !word.starts_with('-'))
                .collect();
            let output = Command::new(penstock())
                .args(&verbs)
                .arg("--help")
                .output()
                .unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}: {command}", page.display());
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: {command}", page.display());
            }
            seen.extend(verbs.first().map(|verb| (**verb).to_owned()));
        }
    }
    for verb in [
        "run",
        "validate",
        "egress",
        "create",
        "keys",
        "dead-letters",
    ] {
        assert!(seen.contains(verb), "{verb} in {seen:?}");
    }
}
