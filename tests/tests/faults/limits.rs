//! Topics that take less than they are sent: the load flows, and only the records that do not fit are
//! rejected.

use std::collections::BTreeMap;

use futures::future::join_all;
use penstock_broker::TopicSpec;
use penstock_tests::events::{DEMO_SCHEMA, demo, page_change};
use penstock_tests::sse::SseServer;
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::{answers, log, numbers, reaches, task, without_contracts};

const GOOD: usize = 2_000;
/// Where a record lies that is larger than the small topic takes, and one without a key.
const LARGE: usize = 1_500;
const KEYLESS: usize = 1_600;

/// So many bytes a topic takes that is small; a load fills batches far beyond it.
const SMALL: &str = "20000";

fn records() -> Vec<log::Out> {
    (0..GOOD)
        .map(|number| {
            let length = if number == LARGE { 25_000 } else { 1_000 };
            let key = (number != KEYLESS).then(|| number.to_string().into_bytes());
            (0, key, Some(format!("{number:0>length$}").into_bytes()))
        })
        .collect()
}

/// Makes topics with settings, past the worker.
fn make(estate: &Estate, deployment: &Deployment, topics: &[(&str, &str, &str)]) {
    let broker = log::open(estate, deployment);
    for (topic, key, value) in topics {
        let spec = TopicSpec::new(*topic, 1).config(key, *value);
        broker.create_topic(&spec).unwrap();
    }
}

fn write_pipeline(deployment: &Deployment, target: &str, tolerance: &str) {
    let name = format!("{target}-{tolerance}");
    deployment.write(
        &format!("{name}.properties"),
        &format!(
            "name={name}\nconnector.class=TopicPipeline\ntopics=in\n\
             key.converter=ByteArrayConverter\nvalue.converter=ByteArrayConverter\n\
             transforms=route\n\
             transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter\n\
             transforms.route.regex=.*\ntransforms.route.replacement={name}-out\n\
             errors.tolerance={tolerance}\n\
             errors.deadletterqueue.topic.name={name}-dlq\n\
             errors.deadletterqueue.topic.replication.factor=1\n\
             errors.deadletterqueue.context.headers.enable=true\n"
        ),
    );
}

fn write_gateway(deployment: &Deployment, topic: &str) {
    deployment.write(
        "gateway.properties",
        &format!(
            "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic={topic}\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n"
        ),
    );
}

async fn send(deployment: &Deployment, bytes: usize) -> (u16, String) {
    let mut event = demo("a session", &[]);
    event["notSensitiveValue"] = "x".repeat(bytes).into();
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    (answer.status, answer.body)
}

on_both_brokers! {
    async fn a_pipeline_rejects_what_its_topic_does_not_take_and_nothing_else(estate: Estate) {
        let deployment = without_contracts(&estate);
        make(&estate, &deployment, &[
            ("small-none-out", "max.message.bytes", SMALL),
            ("small-all-out", "max.message.bytes", SMALL),
            ("compacted-none-out", "cleanup.policy", "compact"),
            ("compacted-all-out", "cleanup.policy", "compact"),
        ]);
        log::fill(&*log::open(&estate, &deployment), "in", 1, &records());
        let targets = [("small", LARGE, "max.message.bytes"), ("compacted", KEYLESS, "need a key")];
        for (target, ..) in targets {
            write_pipeline(&deployment, target, "none");
            write_pipeline(&deployment, target, "all");
        }
        let worker = deployment.spawn(&[]);
        answers(&deployment).await;
        for (target, bad, cause) in targets {
            let status = reaches(&worker, &format!("{target}-none"), "FAILED").await;
            let trace = status["trace"].as_str().unwrap();
            assert!(trace.contains(&format!("offset {bad}")) && trace.contains(cause), "{trace}");
            numbers::settle(&worker, &format!("{target}-all"), GOOD, 1).await;
        }
        assert!(worker.stop().success());

        let broker = log::open(&estate, &deployment);
        for (target, bad, cause) in targets {
            for (tolerance, expected, committed) in [
                ("none", (0..bad).collect::<Vec<_>>(), bad),
                ("all", (0..GOOD).filter(|number| *number != bad).collect(), GOOD),
            ] {
                let name = format!("{target}-{tolerance}");
                let written: Vec<usize> = log::read(&*broker, &format!("{name}-out"))
                    .iter()
                    .map(|message| {
                        let text = std::str::from_utf8(message.value.as_deref().unwrap()).unwrap();
                        text.parse().unwrap()
                    })
                    .collect();
                assert_eq!(written, expected, "{name}");
                let committed = i64::try_from(committed).unwrap();
                assert_eq!(log::committed(&*broker, &name, "in"), Some(committed), "{name}");
                let letters = log::read(&*broker, &format!("{name}-dlq"));
                if tolerance == "none" {
                    assert_eq!(letters.len(), 0, "{name}");
                    continue;
                }
                let [letter] = &letters[..] else { panic!("{letters:?}") };
                let original = &records()[bad];
                assert_eq!((&letter.key.as_deref(), &letter.value.as_deref()), (&original.1.as_deref(), &original.2.as_deref()));
                let headers: BTreeMap<_, _> = letter
                    .headers
                    .iter()
                    .map(|header| (&*header.name, header.value.clone().unwrap()))
                    .collect();
                assert_eq!(headers["__connect.errors.offset"], bad.to_string());
                let message = &headers["__connect.errors.exception.message"];
                assert!(String::from_utf8_lossy(message).contains(cause), "{message:?}");
            }
        }
    }

    async fn a_gateway_writes_to_a_small_topic_and_refuses_what_it_does_not_take(estate: Estate) {
        let deployment = without_contracts(&estate);
        make(&estate, &deployment, &[("small", "max.message.bytes", SMALL)]);
        write_gateway(&deployment, "small");
        let worker = deployment.start().await;
        // Batches of many of them are larger than the topic takes.
        for _ in 0..3 {
            for (status, body) in join_all((0..150).map(|_| send(&deployment, 1_000))).await {
                assert_eq!(status, 204, "{body}");
            }
        }
        let (status, body) = send(&deployment, 25_000).await;
        assert_eq!(status, 413, "{body}");
        assert_eq!(send(&deployment, 1_000).await.0, 204);
        assert!(worker.stop().success());
        assert_eq!(log::read(&*log::open(&estate, &deployment), "small").len(), 451);
    }

    async fn a_gateway_survives_a_record_without_a_key_for_a_compacted_topic(estate: Estate) {
        let deployment = without_contracts(&estate);
        make(&estate, &deployment, &[("compacted", "cleanup.policy", "compact")]);
        write_gateway(&deployment, "compacted");
        let worker = deployment.start().await;
        for _ in 0..2 {
            let (status, body) = send(&deployment, 10).await;
            assert_eq!(status, 400, "{body}");
            assert!(body.contains("need a key"), "{body}");
        }
        assert_eq!(task(&worker, "gateway").await["state"], "RUNNING");
        assert!(worker.stop().success());
    }

    async fn a_source_stops_at_an_event_its_topic_does_not_take_or_keeps_it_as_a_dead_letter(estate: Estate) {
        const STREAM: &str = "mediawiki.page_change.v1";
        const SINK: &str = "event_platform_app.sink";
        let deployment = estate.deploy("wiki");
        make(&estate, &deployment, &[(SINK, "max.message.bytes", SMALL)]);
        let file = "page-change.properties";
        for (key, value) in [
            ("errors.tolerance", "none"),
            ("errors.deadletterqueue.topic.name", "wiki-dlq"),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
            // All of it comes in one batch.
            ("batch.interval.ms", "2000"),
            ("since", "2000-01-01T00:00:00Z"),
        ] {
            deployment.set(file, key, value);
        }
        let server = SseServer::start(deployment.sse_address(), &[STREAM]).await;
        for revision in 1..=20 {
            let mut event = page_change(revision, revision);
            if revision == 12 {
                event["revision"]["comment"] = "x".repeat(25_000).into();
            }
            server.publish(STREAM, &event);
        }
        let worker = deployment.spawn(&[]);
        answers(&deployment).await;
        let status = reaches(&worker, "page-change", "FAILED").await;
        let trace = status["trace"].as_str().unwrap();
        assert!(trace.contains("max.message.bytes"), "{trace}");
        let count = |expected: usize| {
            let deployment = &deployment;
            eventually("events", async move || {
                (deployment.output(SINK).len() == expected).then_some(())
            })
        };
        count(11).await;
        let config = format!("{}/connectors/page-change/config", deployment.rest());
        let tolerate = json!({"errors.tolerance": "all"});
        let patch = reqwest::Client::new().patch(config).json(&tolerate);
        assert_eq!(patch.send().await.unwrap().status(), 200);
        count(19).await;
        eventually("the error event", async || {
            (deployment.output("event_platform_app.error").len() == 1).then_some(())
        })
        .await;
        assert!(worker.stop().success());

        let error = &deployment.output("event_platform_app.error")[0];
        let raw: Value = serde_json::from_str(error["raw_event"].as_str().unwrap()).unwrap();
        assert_eq!(raw["revision"]["rev_id"], 12);
        // The dead letter is the event as its topic would have it.
        let letters = log::read(&*log::open(&estate, &deployment), "wiki-dlq");
        let [letter] = &letters[..] else { panic!("{}", letters.len()) };
        let value = letter.value.as_deref().unwrap();
        let written = log::read(&*log::open(&estate, &deployment), SINK);
        assert_eq!(value[..5], written[0].value.as_deref().unwrap()[..5]);
        let event: Value = serde_json::from_slice(&value[5..]).unwrap();
        assert_eq!(event["revision"]["rev_id"], 12);
    }
}
