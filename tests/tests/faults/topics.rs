//! Topics that come and go while connectors read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::{log, without_contracts};

/// An intake whose events are plain JSON in `topic`.
fn write_gateway(deployment: &Deployment, topic: &str) {
    deployment.write(
        "gateway.properties",
        &format!(
            "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic={topic}\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n"
        ),
    );
}

async fn accept(deployment: &Deployment, marker: &str) {
    let mut event = demo("a session", &[]);
    event["notSensitiveValue"] = marker.into();
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// Creates a stream. On Kafka one that was deleted a moment ago may take a moment to be known.
async fn create(deployment: &Deployment, stream: &str) {
    eventually("the stream", async || {
        let request = reqwest::Client::new()
            .post(format!("{}/streams", deployment.rest()))
            .json(&json!({"name": stream}));
        let answer = request.send().await.unwrap();
        matches!(answer.status().as_u16(), 201 | 409).then_some(())
    })
    .await;
}

async fn delete(deployment: &Deployment, stream: &str) {
    let url = format!("{}/streams/{stream}", deployment.rest());
    let answer = reqwest::Client::new().delete(url).send().await.unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
}

on_both_brokers! {
    async fn a_topic_that_is_deleted_takes_no_records_of_others_along(estate: Estate) {
        let deployment = without_contracts(&estate);
        write_gateway(&deployment, "kept");
        deployment.write(
            "copy.properties",
            "name=copy\nconnector.class=TopicPipeline\ntopics=kept,gone\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
             transforms=route\n\
             transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter\n\
             transforms.route.regex=.*\ntransforms.route.replacement=out\n",
        );
        deployment.write(
            "files.properties",
            "name=files\nconnector.class=FileSink\ntopics=out\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
             file=out/{topic}-{partition}.jsonl\n",
        );
        // Transactions are open nearly all the time.
        deployment.set("worker.properties", "transaction.interval.ms", "1000");
        let worker = deployment.start().await;
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (stop, accepted) = (stop.clone(), accepted.clone());
                let gateway = deployment.gateway();
                tokio::spawn(async move {
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let mut event = demo("a session", &[]);
                        event["notSensitiveValue"] = format!("{sender}-{number}").into();
                        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
                        assert_eq!(answer.status, 204, "{}", answer.body);
                        number += 1;
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for round in 1..=15 {
            create(&deployment, "gone").await;
            eventually("more events", async || {
                (accepted.load(Ordering::Relaxed) >= round * 60).then_some(())
            })
            .await;
            delete(&deployment, "gone").await;
        }
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await.unwrap();
        }
        let count = accepted.load(Ordering::Relaxed);
        eventually("the pipeline has come to the end", async || {
            (deployment.output("out").len() >= count).then_some(())
        })
        .await;
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        let mut markers: Vec<String> = log::read(&*broker, "out")
            .iter()
            .map(|message| {
                let event: Value = serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
                event["notSensitiveValue"].as_str().unwrap().to_owned()
            })
            .collect();
        markers.sort();
        let all = markers.len();
        markers.dedup();
        assert_eq!((markers.len(), all), (count, count));
    }

    async fn a_pattern_finds_new_topics_and_leaves_out_rejects(estate: Estate) {
        let deployment = without_contracts(&estate);
        write_gateway(&deployment, "events-1");
        deployment.write(
            "everything.properties",
            "name=everything\nconnector.class=FileSink\ntopics.regex=.*\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
             file=out/{topic}-{partition}.jsonl\n",
        );
        // It cannot read anything of it: all becomes dead letters and error events.
        deployment.write(
            "schemas/error/2.1.0.json",
            include_str!("../../acceptance/wiki/schemas/error/2.1.0.json"),
        );
        deployment.write(
            "other.properties",
            "name=other\nconnector.class=FileSink\ntopics=events-1\n\
             value.converter=io.confluent.connect.avro.AvroConverter\n\
             file=out/other-{topic}-{partition}.jsonl\nerrors.tolerance=all\n\
             errors.deadletterqueue.topic.name=other-dlq\n\
             errors.deadletterqueue.topic.replication.factor=1\n\
             errors.stream.topic=other-errors\n",
        );
        let worker = deployment.start().await;
        accept(&deployment, "one").await;
        eventually("the first topic", async || {
            (deployment.output("events-1").len() == 1).then_some(())
        })
        .await;
        crate::numbers::settle(&worker, "other", 1, 1).await;
        // Another topic comes, and is found: only internal ones are left out by name.
        let config = json!({
            "connector.class": "HttpSource", "http.listen": "127.0.0.1:0", "topic": "_events-2",
        });
        let put = reqwest::Client::new()
            .put(format!("{}/connectors/second/config", deployment.rest()))
            .json(&config);
        assert_eq!(put.send().await.unwrap().status(), 201);
        let name = "kafka_connect_sink_task_metrics_partition_count";
        eventually("two topics", async || {
            let partitions = crate::numbers::of_task(&worker, name, "everything").await;
            (partitions == Some(2.0)).then_some(())
        })
        .await;
        assert!(worker.stop().success());
        for topic in ["other-dlq", "other-errors"] {
            assert!(deployment.output(topic).is_empty(), "{topic}");
        }
        let broker = log::open(&estate, &deployment);
        assert_eq!(log::read(&*broker, "other-dlq").len(), 1);
        let group = "connect-everything";
        let read = broker.group_offsets(group, &["other-dlq", "other-errors", "_penstock.configs"]);
        assert_eq!(read.unwrap(), []);
    }
}
