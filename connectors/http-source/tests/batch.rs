//! `POST /v1/events` answers as EventGate does, with a result for each event that was not accepted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_connect::{Outcome, Record, RecordError, RecordErrorKind};
use serde_json::{Value, json};
use support::{DEMO, Gateway, answer};

const ID: &str = "5e1dd101-641c-11ea-ab6c-b083fecf1287";

fn page(number: u64) -> Value {
    json!({"$schema": "/mediawiki/page/1.0.0", "page": number, "meta": {"id": ID}})
}

/// Pages from 100 on are rejected, those from 200 on find the broker away.
fn by_number(record: &Record) -> Outcome {
    let json: Value = serde_json::from_slice(record.value.as_ref().unwrap().bytes()).unwrap();
    match json["page"].as_u64().unwrap() {
        0..100 => Outcome::Delivered,
        100..200 => Outcome::Rejected(RecordError::new(
            RecordErrorKind::Validation,
            "a rule does not hold",
        )),
        _ => Outcome::Unavailable {
            message: "the broker is away".into(),
        },
    }
}

#[tokio::test]
async fn the_status_says_how_many_were_accepted() {
    let gateway = Gateway::start("http.max.events=3", by_number).await;
    let bad = json!({"$schema": "/mediawiki/page/1.0.0"});
    let numbered = json!({"$schema": "/mediawiki/page/1.0.0", "page": 1, "meta": {"id": 5}});
    for (query, events, status) in [
        ("", page(1), 201),
        ("", json!([page(1), page(2)]), 201),
        ("", numbered, 201),
        ("?hasty=true", json!([page(1), page(2)]), 202),
        // What only the worker can find is not waited for.
        ("?hasty=true", json!([page(100)]), 202),
        ("?hasty=true", json!([page(1), bad]), 207),
        ("?hasty=false", page(1), 201),
        ("", json!([page(1), bad]), 207),
        ("", json!([page(1), page(100)]), 207),
        ("", json!([page(1), page(200)]), 207),
        ("", json!([bad, page(100)]), 400),
        ("", bad.clone(), 400),
        ("", json!([bad, page(200)]), 503),
        ("", json!([]), 400),
        ("", json!([1, 2, 3, 4]), 413),
        ("", json!("text"), 400),
    ] {
        let body = events.to_string();
        let request = gateway
            .post(&format!("/v1/events{query}"))
            .header("Content-Type", "application/json")
            .body(body.clone());
        let answer = answer(request).await;
        assert_eq!(answer.status, status, "{query} {body}: {}", answer.body);
        assert_eq!(answer.body.is_empty(), status < 203, "{}", answer.body);
        assert_eq!(answer.retry_after.is_some(), status == 503);
    }
}

#[tokio::test]
async fn each_event_that_is_not_accepted_has_its_result() {
    let gateway = Gateway::start("", by_number).await;
    let events = json!([
        page(1),
        page(100),
        page(200),
        {"$schema": "/mediawiki/page/1.0.0", "page": "secret", "meta": {"id": "secret"}},
        {"$schema": "/no/such/1.0.0"},
        {"$schema": "secret"},
        {"page": 1},
        {"$schema": 1},
        "secret",
    ]);
    let answer = answer(gateway.events(&events.to_string())).await;
    assert_eq!(answer.status, 207);
    assert!(!answer.body.contains("secret"), "{}", answer.body);
    let results: Value = serde_json::from_str(&answer.body).unwrap();
    insta::assert_json_snapshot!(results);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_as_a_whole() {
    let gateway = Gateway::start("", by_number).await;
    for (body, expected) in [
        (
            "",
            "The body holds no event: send a JSON event or an array of them.",
        ),
        ("[{},", "The body is not JSON: line 1, column 4."),
        ("[{}] x", "The body is not JSON: line 1, column 6."),
    ] {
        let answer = answer(gateway.events(body)).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, expected));
    }
    let not_json = gateway
        .post("/v1/events")
        .header("Content-Type", "text/plain")
        .body("{}");
    assert_eq!(answer(not_json).await.status, 415);
}

#[tokio::test]
async fn the_request_may_name_the_schema_of_events_that_do_not() {
    let gateway = Gateway::start("", |_| Outcome::Delivered).await;
    let request = gateway
        .events(r#"[{"consistentValue":"a"},{"consistentValue":"b"}]"#)
        .header("Strm-Schema-Ref", DEMO);
    assert_eq!(answer(request).await.status, 201);
}

#[tokio::test]
async fn deep_and_long_bodies_are_refused_without_harm() {
    let gateway = Gateway::start("", by_number).await;
    let deep = "[".repeat(1_000_000);
    assert_eq!(answer(gateway.events(&deep)).await.status, 400);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(answer(gateway.events(&deep)).await.status, 400);
    let many = format!("[1{}]", ",1".repeat(500_000));
    assert_eq!(answer(gateway.events(&many)).await.status, 413);
}

#[tokio::test]
async fn a_probe_sends_the_test_events_through() {
    let gateway = Gateway::start("", by_number).await;
    assert_eq!(gateway.get("/v1/_test/events").await.status, 404);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.json");
    for (number, status) in [(1, 201), (100, 400), (200, 503)] {
        std::fs::write(&file, page(number).to_string()).unwrap();
        let lines = format!("http.test.events={}", file.display());
        let gateway = Gateway::start(&lines, by_number).await;
        assert_eq!(gateway.get("/v1/_test/events").await.status, status);
    }
}

#[tokio::test]
async fn requests_and_events_are_counted() {
    let gateway = Gateway::start("", by_number).await;
    answer(gateway.events(&json!([page(1), page(2), page(100), page(200)]).to_string())).await;
    gateway.get("/ready").await;
    let requests = "penstock_http_source_requests_total";
    let batch = [("path", "/v1/events"), ("status", "207")];
    assert_eq!(gateway.count(requests, &batch), 1.0);
    assert_eq!(gateway.count(requests, &[("path", "/ready")]), 1.0);
    for (outcome, count) in [("accepted", 2.0), ("invalid", 1.0), ("deferred", 1.0)] {
        let events = gateway.count("penstock_http_source_events_total", &[("outcome", outcome)]);
        assert_eq!(events, count, "{outcome}");
    }
}
