//! Who may use what a worker listens on: programs, and no page of somebody else in a browser.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, eventually};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::{bare, without_contracts};

async fn status(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_origins_and_bodies_that_are_not_json_are_refused() {
    let estate = Estate::embedded();
    let deployment = without_contracts(&estate);
    let worker = deployment.start().await;
    let http = Client::new();
    let connectors = format!("{}/connectors", deployment.rest());
    let export = json!({"name": "export", "config": {
        "connector.class": "FileSink", "topics": "demo", "file": "out/{topic}-{partition}.jsonl",
    }})
    .to_string();
    let create = || http.post(&connectors).body(export.clone());
    let as_json = || create().header("content-type", "application/json; charset=utf-8");

    // What a page can send to another origin without asking first.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let (refused, body) = status(create().header("content-type", kind)).await;
        assert_eq!((refused, &body["error_code"]), (415, &json!(415)), "{body}");
    }
    assert_eq!(status(create()).await.0, 415);
    let (refused, body) = status(as_json().header("origin", "https://evil.example")).await;
    assert_eq!((refused, &body["error_code"]), (403, &json!(403)), "{body}");
    // A name that was made to point here.
    let rebound = as_json()
        .header("host", "evil.example:8083")
        .header("origin", "http://evil.example:8083");
    assert_eq!(status(rebound).await.0, 403);
    assert_eq!(status(http.get(&connectors)).await, (200, json!([])));

    assert_eq!(
        status(as_json().header("origin", deployment.rest()))
            .await
            .0,
        201
    );
    let pause = || http.put(format!("{connectors}/export/pause"));
    assert_eq!(status(pause().header("origin", "null")).await.0, 403);
    assert_eq!(status(pause()).await.0, 202);

    if estate.registry_url().is_none() {
        let subject = format!("{}/subjects/mine/versions", deployment.registry());
        let register = || http.post(&subject).json(&json!({"schema": "\"string\""}));
        let foreign = register().header("origin", "https://evil.example");
        assert_eq!(status(foreign).await.0, 403);
        assert_eq!(status(register()).await.0, 200);
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_shown_to_programs_on_this_machine_or_to_who_has_the_token() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    let gateway = deployment.gateway();
    let sent = gateway
        .send_json(DEMO_SCHEMA, &demo("a session", &[]))
        .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    let http = Client::new();
    let keys = |stream: &str| format!("{}/streams/{stream}/keys?reveal=true", deployment.rest());
    let letters = format!("{}/dead-letters/demo?reveal=true", deployment.rest());

    // As it comes: the length is not known beforehand.
    let answer = http.get(keys("demo")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["transfer-encoding"], "chunked");
    let text = answer.text().await.unwrap();
    let key: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert!(key["encryptionKey"]["key"].is_array(), "one key");
    assert!(key["keyLink"].is_string() && key["expiresAt"].is_i64());
    let nobodys = http.get(keys("nobody%27s%20%2F")).send().await.unwrap();
    assert_eq!(
        (nobodys.status(), nobodys.text().await.unwrap()),
        (reqwest::StatusCode::OK, String::new())
    );

    for url in [&keys("demo"), &letters] {
        for (header, value) in [
            ("host", "evil.example:8083"),
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "worker.example"),
        ] {
            let (refused, body) = status(http.get(url).header(header, value)).await;
            assert_eq!(
                (refused, &body["error_code"]),
                (403, &json!(403)),
                "{header}: {body}"
            );
        }
        assert_eq!(status(http.get(url)).await.0, 200);
    }
    assert!(worker.stop().success());

    deployment.set("worker.properties", "rest.reveal.token", "a token");
    let worker = deployment.start().await;
    let from_afar = |token: &str| {
        http.get(keys("demo"))
            .header("host", "worker.example")
            .header("x-forwarded-for", "192.0.2.1")
            .bearer_auth(token)
    };
    assert_eq!(status(from_afar("a tokem")).await.0, 401);
    assert_eq!(from_afar("a token").send().await.unwrap().status(), 200);
    assert_eq!(status(http.get(keys("demo"))).await.0, 401);
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_works_by_name_and_by_address() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    let worker = deployment.start().await;
    let _ = deployment.ask(&["create", "stream", "visits"]);
    let by_name = deployment.rest().replace("127.0.0.1", "localhost");
    for address in [deployment.rest(), by_name] {
        let export = [
            "keys", "export", "--stream", "visits", "--reveal", "--worker", &address,
        ];
        let keys = eventually("the keys", async || {
            let output = deployment.penstock(&export);
            output.status.success().then_some(output.stdout)
        })
        .await;
        assert_eq!(keys, b"keyLink,encryptionKey,expiresAt\n");
    }
    assert!(worker.stop().success());
}
