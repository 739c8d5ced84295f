//! Dead letters of streams that may hold personal data: sealed, and opened for those who may.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use penstock_broker::{OutRecord, ProducerSpec};
use penstock_tests::events::{DEMO_CONTRACT, DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::{Deployment, Estate, on_both_brokers};
use serde_json::{Value, json};

use crate::{bare, framed, letters, log, numbers, register, without_contracts};

const SECRET: &str = "Erika Mustermann";

/// A sink and a pipeline that set bad records aside and say so in the log.
fn write_connectors(deployment: &Deployment) {
    deployment.write(
        "schemas/error/2.1.0.json",
        include_str!("../../acceptance/wiki/schemas/error/2.1.0.json"),
    );
    for (name, what) in [
        (
            "sink",
            "connector.class=FileSink\nfile=out/{topic}-{partition}.jsonl\n",
        ),
        (
            "pipe",
            "connector.class=TopicPipeline\ntransforms=route\n\
             transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter\n\
             transforms.route.regex=in\ntransforms.route.replacement=out\n",
        ),
    ] {
        deployment.write(
            &format!("{name}.properties"),
            &format!(
                "name={name}\n{what}topics=in\nkey.converter=StringConverter\n\
                 value.converter=io.confluent.connect.avro.AvroConverter\n\
                 errors.tolerance=all\nerrors.log.enable=true\n\
                 errors.deadletterqueue.topic.name={name}-dlq\n\
                 errors.deadletterqueue.topic.replication.factor=1\n\
                 errors.deadletterqueue.context.headers.enable=true\n\
                 errors.stream.topic={name}-errors\n"
            ),
        );
    }
}

fn bytes(record: &Value, part: &str) -> Option<Vec<u8>> {
    let text = record[part].as_str()?;
    Some(BASE64_STANDARD.decode(text).unwrap())
}

on_both_brokers! {
    async fn where_contracts_are_dead_letters_are_sealed_and_can_be_opened(estate: Estate) {
        let deployment = bare(&estate);
        let id = register(&estate, &deployment, "streammachine.demo.1.0.2").await;
        let avro = demo_avro(&demo(SECRET, &[]));
        let key = SECRET.as_bytes().to_vec();
        let bad = framed(0x00ff_fff0, &avro);
        // As large as the topic takes: sealed it is larger.
        let large = framed(0x00ff_fff0, &SECRET.repeat((1 << 20) / SECRET.len() - 100).into_bytes());
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &[
                (0, None, Some(framed(id, &avro))),
                (0, Some(key.clone()), Some(bad.clone())),
                (0, Some(key.clone()), Some(large)),
                (0, None, Some(framed(id, &avro))),
            ]);
        }
        write_connectors(&deployment);
        let worker = deployment.start().await;
        for name in ["sink", "pipe"] {
            numbers::settle(&worker, name, 4, 2).await;
            let path = format!("/dead-letters/{name}-dlq");
            assert_eq!(worker.get(&path).await.status(), 400);
            let letters = letters(&worker, &format!("{name}-dlq"), 2).await;
            let [letter, omitted] = &letters[..] else {
                panic!("{letters:?}");
            };
            assert_eq!(letter["sealed"], true);
            assert_eq!(letter["cause"]["stage"], "VALUE_CONVERTER");
            assert_eq!(letter["record"]["topic"], "in");
            assert_eq!(letter["record"]["offset"], 1);
            assert_eq!(bytes(&letter["record"], "key"), Some(key.clone()));
            assert_eq!(bytes(&letter["record"], "value"), Some(bad.clone()));
            assert_eq!(letter["record"]["headers"], json!([["mine", BASE64_STANDARD.encode("kept")]]));
            // The one that did not fit is known by its place.
            assert_eq!(omitted["record"]["value"], Value::Null, "{omitted}");
            assert_eq!(omitted["cause"]["offset"], "2");
        }
        assert!(worker.output().contains("offset 1"), "{}", worker.output());
        assert!(!worker.output().contains("Mustermann"));
        assert!(!worker.metrics().await.contains("Mustermann"));
        assert!(worker.stop().success());

        let broker = log::open(&estate, &deployment);
        for topic in ["sink-dlq", "pipe-dlq", "sink-errors", "pipe-errors"] {
            let messages = log::read(&*broker, topic);
            assert_eq!(messages.len(), 2, "{topic}");
            for message in messages {
                let shown = format!("{:?}", message.headers)
                    + &String::from_utf8_lossy(message.value.as_deref().unwrap_or_default());
                assert!(message.key.is_none(), "{topic}");
                assert!(!shown.contains("Mustermann") && !shown.contains("raw_event"), "{shown}");
                assert!(!shown.contains("\"mine\""), "{shown}");
            }
        }
    }

    async fn a_dead_letter_that_cannot_be_opened_says_why_and_holds_up_no_other(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            let bad = framed(0x00ff_fff0, SECRET.as_bytes());
            log::fill(&*broker, "in", 1, &[(0, None, Some(bad))]);
        }
        write_connectors(&deployment);
        deployment.remove("pipe.properties");
        let worker = deployment.start().await;
        let first = letters(&worker, "sink-dlq", 1).await;
        assert!(worker.stop().success());

        // One that somebody has changed, and behind it the first once more.
        {
            let broker = log::open(&estate, &deployment);
            let letter = log::read(&*broker, "sink-dlq").remove(0);
            let sealed = letter.value.unwrap().to_vec();
            let mut changed = sealed.clone();
            *changed.last_mut().unwrap() ^= 1;
            let mut producer = broker.producer(ProducerSpec::default()).unwrap();
            for value in [changed, sealed] {
                let out = OutRecord::new("sink-dlq", Some(&value)).partition(0);
                producer.send(out.headers(&letter.headers)).unwrap();
            }
            for delivery in producer.flush(Duration::from_secs(60)).unwrap() {
                delivery.unwrap();
            }
        }
        let worker = deployment.start().await;
        let all = letters(&worker, "sink-dlq", 3).await;
        assert_eq!(all[0], first[0]);
        assert_eq!(all[2]["record"], first[0]["record"]);
        let unopened = &all[1];
        assert_eq!(unopened["record"], Value::Null, "{unopened}");
        let why = unopened["unopened"].as_str().unwrap();
        assert!(why.contains("it was changed since it was sealed"), "{why}");
        assert_eq!(unopened["cause"], first[0]["cause"]);
        assert!(worker.stop().success());
    }

    async fn contracts_that_come_while_a_connector_runs_seal_its_dead_letters(estate: Estate) {
        let deployment = without_contracts(&estate);
        write_connectors(&deployment);
        // Events in another format than the sink expects: each of them is a bad record.
        deployment.write(
            "gateway.properties",
            "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic=in\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n",
        );
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let event = demo(SECRET, &[]);
        assert_eq!(gateway.send_json(DEMO_SCHEMA, &event).await.status, 204);
        for name in ["sink", "pipe"] {
            numbers::settle(&worker, name, 1, 1).await;
        }
        let contract = json!({
            "ref": DEMO_CONTRACT, "schemaRef": DEMO_SCHEMA, "state": "ACTIVE",
            "keyField": "consistentValue", "piiFields": {"consistentValue": 2}, "validations": [],
        });
        let contracts = format!("{}/contracts", deployment.rest());
        let created = reqwest::Client::new().post(contracts).json(&contract).send().await.unwrap();
        assert_eq!(created.status(), 201, "{}", created.text().await.unwrap());
        assert_eq!(gateway.send_json(DEMO_SCHEMA, &event).await.status, 204);
        for name in ["sink", "pipe"] {
            numbers::settle(&worker, name, 2, 2).await;
        }
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        for topic in ["sink-dlq", "pipe-dlq", "sink-errors", "pipe-errors"] {
            let messages = log::read(&*broker, topic);
            let open: Vec<_> = messages
                .iter()
                .map(|message| {
                    let value = message.value.as_deref().unwrap();
                    String::from_utf8_lossy(value).contains("Mustermann")
                })
                .collect();
            assert_eq!(open, [true, false], "{topic}");
        }
    }
}
