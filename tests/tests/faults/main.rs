//! What the runner promises when things go wrong: bad records, servers that are away, processes that
//! are stopped, killed or frozen, and plugins that panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod away;
mod changes;
mod contracts;
mod dead_letters;
mod elsewhere;
mod intake;
mod journal;
mod limits;
mod log;
mod numbers;
mod offsets;
mod onlookers;
mod operating;
mod plugins;
mod refusing;
mod rejects;
mod settings;
mod source;
mod strangers;
mod topics;
mod until_end;
mod zombies;

use penstock_tests::{Deployment, Estate, Worker, eventually};
use serde_json::Value;

/// The folder of the demo with nothing but its worker.
fn bare(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    for file in ["gateway", "demo-2", "files", "egress"] {
        deployment.remove(&format!("{file}.properties"));
    }
    deployment
}

/// The folder without contracts, so that nothing counts as personal.
fn without_contracts(estate: &Estate) -> Deployment {
    let deployment = bare(estate);
    deployment.remove("contracts/streammachine/example/1.3.0.json");
    deployment
}

/// Lets a worker register the folder's schemas once, and returns the id of one.
async fn register(estate: &Estate, deployment: &Deployment, subject: &str) -> u32 {
    let worker = deployment.start().await;
    let registry = estate
        .registry_url()
        .map_or_else(|| deployment.registry(), str::to_owned);
    let url = format!("{registry}/subjects/{subject}/versions/latest");
    let answer = reqwest::Client::new().get(url).send().await.unwrap();
    let version: Value = answer.json().await.unwrap();
    let id = version["id"].as_u64().unwrap();
    assert!(worker.stop().success());
    u32::try_from(id).unwrap()
}

/// A payload with the prefix that names its schema.
fn framed(id: u32, payload: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], payload].concat()
}

/// Waits until a worker answers, healthy or not.
async fn answers(deployment: &Deployment) {
    let http = reqwest::Client::new();
    eventually("an answer of the worker", async || {
        http.get(format!("{}/", deployment.rest()))
            .send()
            .await
            .ok()
    })
    .await;
}

async fn task(worker: &Worker, connector: &str) -> Value {
    let path = format!("/connectors/{connector}/tasks/0/status");
    worker.get(&path).await.json().await.unwrap()
}

/// Waits until the first task of a connector is in a state; returns its status.
/// The dead letters of a topic as a worker shows them, once there are so many: Kafka answers a commit before
/// readers see what was in it.
async fn letters(worker: &Worker, topic: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} dead letters in {topic}"), async || {
        let path = format!("/dead-letters/{topic}?reveal=true");
        let letters: Vec<Value> = worker.get(&path).await.json().await.ok()?;
        (letters.len() >= count).then_some(letters)
    })
    .await
}

async fn reaches(worker: &Worker, connector: &str, state: &str) -> Value {
    eventually(&format!("{connector} in state {state}"), async || {
        let task = task(worker, connector).await;
        (task["state"] == state).then_some(task)
    })
    .await
}
