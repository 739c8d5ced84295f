//! The second write-up, step by step: a public event stream is consumed, its events enriched and
//! keyed by page, and what does not fit goes to an error stream.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use penstock_tests::events::{canary, page_change};
use penstock_tests::sse::SseServer;
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers, python};
use serde_json::{Value, json};

const STREAM: &str = "mediawiki.page_change.v1";
const SINK: &str = "event_platform_app.sink";
const ERRORS: &str = "event_platform_app.error";

async fn server(deployment: &Deployment) -> SseServer {
    SseServer::start(deployment.sse_address(), &[STREAM]).await
}

async fn connected(server: &SseServer) {
    eventually("a connection to the event stream", async || {
        (server.connections() > 0).then_some(())
    })
    .await;
}

async fn lines(deployment: &Deployment, topic: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} lines of {topic}");
    eventually(&what, async || {
        let lines = deployment.output(topic);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

/// What the enrichment function of the write-up returns.
fn enriched(event: &Value) -> Value {
    let mut event = event.clone();
    event["revision"]["content_slots"]["main"]["content_body"] = "content body".into();
    event
}

fn revisions(events: &[Value]) -> Vec<u64> {
    let mut revisions: Vec<_> = events
        .iter()
        .map(|event| event["revision"]["rev_id"].as_u64().unwrap())
        .collect();
    revisions.sort_unstable();
    revisions
}

on_both_brokers! {
    async fn events_are_enriched_and_failures_go_to_the_error_stream(estate: Estate) {
        let deployment = estate.deploy("wiki");
        let server = server(&deployment).await;
        let worker = deployment.start().await;
        connected(&server).await;

        let first = page_change(1, 100);
        server.publish(STREAM, &first);
        server.publish(STREAM, &canary());

        // Three events that cannot become enriched ones.
        let mut without_parent = page_change(2, 101);
        without_parent["revision"]
            .as_object_mut()
            .unwrap()
            .remove("content_slots");
        let mut without_kind = page_change(3, 102);
        without_kind.as_object_mut().unwrap().remove("page_change_kind");
        let not_json = "{\"truncated\":";
        server.publish(STREAM, &without_parent);
        server.publish(STREAM, &without_kind);
        let now = server.publish(STREAM, &canary());
        server.publish_at(STREAM, now, not_json);

        let last = page_change(4, 103);
        server.publish(STREAM, &last);

        let mut written = lines(&deployment, SINK, 2).await;
        written.sort_by_key(|event| event["revision"]["rev_id"].as_u64());
        assert_eq!(written, [enriched(&first), enriched(&last)]);

        let errors = lines(&deployment, ERRORS, 3).await;
        assert_eq!(errors.len(), 3);
        for error in &errors {
            assert_eq!(error["$schema"], "/error/2.1.0", "{error}");
            assert_eq!(error["meta"]["stream"], ERRORS, "{error}");
            for field in ["dt", "emitter_id", "message"] {
                let value = error[field].as_str();
                assert!(value.is_some_and(|value| !value.is_empty()), "{field}: {error}");
            }
        }
        let raw = |text: &str| {
            errors
                .iter()
                .find(|error| error["raw_event"] == text)
                .unwrap_or_else(|| panic!("{text} in {errors:#?}"))
        };
        let parent = raw(&without_parent.to_string());
        assert_eq!(parent["errored_schema_uri"], "/mediawiki/page/change/1.1.0");
        assert_eq!(parent["errored_stream_name"], "mediawiki.page_change");
        assert!(parent["message"].as_str().unwrap().contains("content_slots"), "{parent}");
        let kind = raw(&without_kind.to_string());
        assert!(kind["message"].as_str().unwrap().contains("page_change_kind"), "{kind}");
        raw(not_json);
        assert!(worker.stop().success());
    }

    async fn the_order_of_a_page_is_kept(estate: Estate) {
        let deployment = estate.deploy("wiki");
        deployment.set("worker.properties", "topic.creation.default.partitions", "4");
        let server = server(&deployment).await;
        let worker = deployment.start().await;
        connected(&server).await;
        for revision in 1..=200 {
            server.publish(STREAM, &page_change(revision % 20, revision));
        }
        lines(&deployment, SINK, 200).await;
        assert!(worker.stop().success());

        let mut files = 0;
        let mut pages = BTreeMap::new();
        for partition in 0..4 {
            let file = deployment.path().join(format!("out/{SINK}-{partition}.jsonl"));
            let text = std::fs::read_to_string(file).unwrap_or_default();
            files += usize::from(!text.is_empty());
            for line in text.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                let revisions: &mut Vec<_> = pages
                    .entry((event["page"]["page_id"].as_u64().unwrap(), partition))
                    .or_default();
                revisions.push(event["revision"]["rev_id"].as_u64().unwrap());
            }
        }
        assert!(files > 1, "the pages are spread over the partitions");
        // One entry per page: none lies in two partitions.
        assert_eq!(pages.len(), 20);
        for revisions in pages.values() {
            assert!(revisions.is_sorted(), "{revisions:?}");
            assert_eq!(revisions.len(), 10);
        }
    }

    async fn nothing_is_lost_or_doubled_when_connections_and_workers_end(estate: Estate) {
        let deployment = estate.deploy("wiki");
        for file in ["sink.properties", "error-sink.properties"] {
            // Kafka hands a dead member's partitions over when its session has ended.
            deployment.set(file, "consumer.override.session.timeout.ms", "6000");
        }
        let server = server(&deployment).await;
        let worker = deployment.start().await;
        connected(&server).await;
        for revision in 1..=50 {
            server.publish(STREAM, &page_change(1, revision));
        }
        lines(&deployment, SINK, 50).await;

        // The server closes connections from time to time; the client resumes.
        server.close_connections();
        for revision in 51..=100 {
            server.publish(STREAM, &page_change(1, revision));
        }
        lines(&deployment, SINK, 100).await;
        let requests = server.requests();
        assert!(requests[0].last_event_id.is_none());
        assert!(requests[1].last_event_id.as_deref().is_some_and(|id| id.contains("timestamp")));

        // A worker that was killed resumes where its durable position is.
        worker.kill();
        for revision in 101..=150 {
            server.publish(STREAM, &page_change(1, revision));
        }
        let worker = deployment.start().await;
        lines(&deployment, SINK, 150).await;

        // Events that arrive after that show that nothing is still on its way.
        server.publish(STREAM, &page_change(1, 151));
        let written = lines(&deployment, SINK, 151).await;
        assert!(worker.stop().success());
        assert_eq!(revisions(&written), (1..=151).collect::<Vec<_>>());
        assert!(deployment.output(ERRORS).is_empty());
    }
}

/// Prints the records' keys.
const KEYS: &str = r#"
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "keys", "auto.offset.reset": "earliest"})
consumer.subscribe([sys.argv[2]])
for _ in range(int(sys.argv[3])):
    print(consumer.poll(60).key().decode())
consumer.close()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn records_are_keyed_by_wiki_and_page() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("wiki");
    let server = server(&deployment).await;
    let worker = deployment.start().await;
    connected(&server).await;
    server.publish(STREAM, &page_change(7, 1));
    lines(&deployment, SINK, 1).await;
    let servers = estate.bootstrap_servers().unwrap();
    let key: Value =
        serde_json::from_str(&python(KEYS, &[servers, SINK, "1"], estate.path())).unwrap();
    assert_eq!(key, json!({"wiki_id": "example", "page.page_id": 7}));
    worker.stop();
}
