//! An intake that is stopped under load: whoever was told 204 finds the event, and nobody waits in vain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo, page_change};
use penstock_tests::{Estate, Gateway, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::{log, without_contracts};

/// What the sender of an event knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Written,
    NotNow,
    Nothing,
}

async fn send(gateway: &Gateway, marker: &str) -> Known {
    let mut event = demo("a session", &[2]);
    event["notSensitiveValue"] = marker.into();
    let request = gateway
        .post("/event")
        .header("Strm-Schema-Ref", DEMO_SCHEMA)
        // Far above what an answer takes: one that never comes is told from one that does.
        .timeout(Duration::from_secs(60))
        .json(&event);
    match request.send().await {
        Ok(answer) if answer.status() == 204 => Known::Written,
        Ok(answer) => {
            assert!(matches!(answer.status().as_u16(), 429 | 503), "{answer:?}");
            assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
            Known::NotNow
        }
        Err(error) => {
            assert!(!error.is_timeout(), "no answer to {marker}");
            Known::Nothing
        }
    }
}

on_both_brokers! {
    async fn stopping_under_load_loses_and_doubles_nothing(estate: Estate) {
        let deployment = estate.deploy("demo");
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicUsize::new(0));
        let mut worker = deployment.start().await;
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let gateway = deployment.gateway();
                let (stop, written) = (stop.clone(), written.clone());
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let marker = format!("{sender}-{}", sent.len());
                        let known = send(&gateway, &marker).await;
                        if known == Known::Written {
                            written.fetch_add(1, Ordering::Relaxed);
                        } else {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        sent.push((marker, known));
                    }
                    sent
                })
            })
            .collect();
        for round in 1..=3 {
            eventually("acknowledged events", async || {
                (written.load(Ordering::Relaxed) >= round * 150).then_some(())
            })
            .await;
            assert!(worker.stop().success());
            worker = deployment.start().await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for sender in senders {
            sent.extend(sender.await.unwrap());
        }
        let acknowledged = sent.iter().filter(|(_, known)| *known == Known::Written).count();
        for topic in ["demo", "demo-2"] {
            let counts = eventually(&format!("all events in {topic}"), async || {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                for event in deployment.output(topic) {
                    let marker = event["notSensitiveValue"].as_str().unwrap();
                    *counts.entry(marker.to_owned()).or_default() += 1;
                }
                let there = |(marker, known): &&(String, Known)| {
                    *known == Known::Written && counts.contains_key(marker)
                };
                (sent.iter().filter(there).count() == acknowledged).then_some(counts)
            })
            .await;
            for (marker, known) in &sent {
                let count = counts.get(marker).copied().unwrap_or(0);
                let possible = match known {
                    Known::Written => 1..=1,
                    Known::NotNow | Known::Nothing => 0..=1,
                };
                assert!(possible.contains(&count), "{marker} ({known:?}) {count} times in {topic}");
            }
        }
        assert!(worker.stop().success());
    }

    async fn several_events_of_one_request_each_have_their_own_result(estate: Estate) {
        const SCHEMA: &str = "mediawiki/page/change/1.1.0";
        let deployment = without_contracts(&estate);
        deployment.write(
            &format!("schemas/{SCHEMA}.json"),
            include_str!("../../acceptance/wiki/schemas/mediawiki/page/change/1.1.0.json"),
        );
        deployment.write(
            "gateway.properties",
            "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic=pages\n\
             value.converter=io.confluent.connect.json.JsonSchemaConverter\n",
        );
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let send = async |path: &str, body: &Value| {
            let answer = Gateway::answer(gateway.post(path).json(body)).await;
            let body: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
            (answer.status, body)
        };
        let page = |revision| page_change(1, revision);
        let mut invalid = page(100);
        invalid["page"]["page_id"] = "no number".into();

        assert_eq!(send("/v1/events", &page(1)).await.0, 201);
        assert_eq!(send("/v1/events", &json!([page(2), page(3)])).await.0, 201);
        assert_eq!(send("/v1/events?hasty=true", &page(4)).await.0, 202);
        let (status, results) = send("/v1/events", &json!([page(5), invalid, page(6)])).await;
        assert_eq!(status, 207, "{results}");
        assert_eq!(results["invalid"].as_array().unwrap().len(), 1, "{results}");
        assert_eq!(results["invalid"][0]["index"], 1, "{results}");
        assert_eq!(results["error"], json!([]), "{results}");
        let (status, results) = send("/v1/events", &json!([invalid])).await;
        assert_eq!(status, 400, "{results}");
        assert!(worker.stop().success());

        let mut revisions: Vec<u64> = log::read(&*log::open(&estate, &deployment), "pages")
            .iter()
            .map(|message| {
                let event = &message.value.as_deref().unwrap()[5..];
                let event: Value = serde_json::from_slice(event).unwrap();
                event["revision"]["rev_id"].as_u64().unwrap()
            })
            .collect();
        revisions.sort_unstable();
        assert_eq!(revisions, [1, 2, 3, 4, 5, 6]);
    }

    async fn the_topics_own_subject_does_not_stand_in_the_way(estate: Estate) {
        let deployment = without_contracts(&estate);
        let topic = format!("events-{}", uuid::Uuid::new_v4().simple());
        deployment.write(
            "gateway.properties",
            &format!(
                "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic={topic}\n\
                 value.converter=io.confluent.connect.avro.AvroConverter\n"
            ),
        );
        let worker = deployment.start().await;
        let registry = estate
            .registry_url()
            .map_or_else(|| deployment.registry(), str::to_owned);
        let http = reqwest::Client::new();
        let conflicting = json!({"schema": "{\"type\":\"record\",\"name\":\"Other\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"});
        let registered = http
            .post(format!("{registry}/subjects/{topic}-value/versions"))
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(conflicting.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(registered.status(), 200);
        let latest = format!("{registry}/subjects/streammachine.demo.1.0.2/versions/latest");
        let latest: Value = http.get(latest).send().await.unwrap().json().await.unwrap();
        let answer = deployment
            .gateway()
            .send_json(DEMO_SCHEMA, &demo("a session", &[2]))
            .await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert!(worker.stop().success());
        let messages = log::read(&*log::open(&estate, &deployment), &topic);
        let value = messages[0].value.as_deref().unwrap();
        let id = u32::from_be_bytes(value[1..5].try_into().unwrap());
        assert_eq!(latest["id"], id);
    }
}
