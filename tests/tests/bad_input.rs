//! Input that does not fit: a clear answer or a dead letter, and everything else flows on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::events::{DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::{
    Answer, Deployment, Estate, Gateway, Worker, eventually, on_both_brokers, python,
};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

const AVRO: &str = "application/octet-stream";
const JSON: &str = "application/json";

async fn send(gateway: &Gateway, schema: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = gateway
        .post("/event")
        .header("Strm-Schema-Ref", schema)
        .header(CONTENT_TYPE, kind)
        .body(body);
    Gateway::answer(request).await
}

async fn lines(deployment: &Deployment, topic: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} lines of {topic}");
    eventually(&what, async || {
        let lines = deployment.output(topic);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

on_both_brokers! {
    async fn requests_that_do_not_fit_are_refused_with_a_reason(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("gateway.properties", "http.max.body", "1mb");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();

        let good = demo("a session", &[3]);
        let avro = demo_avro(&good);
        let text = good.to_string();
        let doubled = text.replacen('{', "{\"notSensitiveValue\":\"first\",", 1);
        let mut wrong_type = good.clone();
        wrong_type["strmMeta"]["consentLevels"] = "2".into();
        let mut invalid_utf8 = avro.clone();
        let at = avro.windows(9).position(|bytes| bytes == b"a session").unwrap();
        invalid_utf8[at] = 0xff;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));

        let cases: [(&str, u16, &str, &str, Vec<u8>); 11] = [
            ("truncated Avro", 400, DEMO_SCHEMA, AVRO, avro[..avro.len() - 3].to_vec()),
            ("trailing bytes", 400, DEMO_SCHEMA, AVRO, [&avro[..], b"x"].concat()),
            ("invalid UTF-8", 400, DEMO_SCHEMA, AVRO, invalid_utf8),
            ("no body", 400, DEMO_SCHEMA, AVRO, Vec::new()),
            ("not JSON", 400, DEMO_SCHEMA, JSON, text.as_bytes()[..40].to_vec()),
            ("a name twice", 400, DEMO_SCHEMA, JSON, doubled.into_bytes()),
            ("a wrong type", 400, DEMO_SCHEMA, JSON, wrong_type.to_string().into_bytes()),
            ("deep nesting", 400, DEMO_SCHEMA, JSON, deep.into_bytes()),
            ("an unknown schema", 400, "streammachine/demo/9.9.9", AVRO, avro.clone()),
            ("an unknown content type", 415, DEMO_SCHEMA, "image/png", avro.clone()),
            ("a huge body", 413, DEMO_SCHEMA, JSON, vec![b' '; (1 << 20) + 1]),
        ];
        for (what, status, schema, kind, body) in cases {
            let answer = send(&gateway, schema, kind, body).await;
            assert_eq!(answer.status, status, "{what}: {}", answer.body);
            assert!(!answer.body.is_empty(), "{what}");
            assert!(!answer.body.contains("a session"), "{what}: {}", answer.body);
        }

        // The connection of a body that was not read to its end is closed: this takes another.
        let answer = send(&deployment.gateway(), DEMO_SCHEMA, AVRO, avro).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        lines(&deployment, "demo", 1).await;
        assert!(worker.stop().success());
        assert_eq!(deployment.output("demo").len(), 1);
    }

    async fn a_refusal_does_not_repeat_personal_values(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.write(
            "contracts/streammachine/example/1.3.0.json",
            &json!({
                "ref": "streammachine/example/1.3.0",
                "schemaRef": DEMO_SCHEMA,
                "state": "ACTIVE",
                "keyField": "consistentValue",
                "piiFields": {"consistentValue": 2},
                "validations": [{"field": "consistentValue", "type": "regex", "value": "^[a-z ]+$"}],
            })
            .to_string(),
        );
        let worker = deployment.start().await;
        let secret = "Erika Mustermann 1964";
        let answer = deployment
            .gateway()
            .send_json(DEMO_SCHEMA, &demo(secret, &[]))
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("consistentValue"), "{}", answer.body);
        assert!(answer.body.contains("^[a-z ]+$"), "{}", answer.body);
        assert!(!answer.body.contains("Mustermann"), "{}", answer.body);
        assert!(!worker.output().contains("Mustermann"), "{}", worker.output());
        assert!(!worker.metrics().await.contains("Mustermann"));
        worker.stop();
    }
}

/// A JSON Schema that leaves much open, and an Avro schema whose bytes can be of no use.
const OPEN_SCHEMA: &str = r#"{"type": "object", "properties": {"session": {"type": "string"}}}"#;
const PRICE_SCHEMA: &str = r#"{"type": "record", "name": "Price", "fields": [
    {"name": "strmMeta", "type": {"type": "record", "name": "Meta", "fields": [
        {"name": "eventContractRef", "type": "string"},
        {"name": "keyLink", "type": ["null", "string"], "default": null},
        {"name": "consentLevels", "type": {"type": "array", "items": "int"}}]}},
    {"name": "session", "type": "string"},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
    {"name": "tags", "type": {"type": "map", "values": "int"}}]}"#;

/// An event of the price schema, with these bytes for the price and the map.
fn price(price: &[u8], tags: &[u8]) -> Vec<u8> {
    let text = |text: &[u8]| [&[u8::try_from(text.len() * 2).unwrap()][..], text].concat();
    let levels: &[u8] = &[2, 4, 0];
    let parts = [
        text(b"shop/price/1.0.0"),
        vec![0],
        levels.to_vec(),
        text(b"a session"),
        text(price),
        tags.to_vec(),
    ];
    parts.concat()
}

on_both_brokers! {
    /// Streams of many schemas, whose readers stop at the first event that they cannot read.
    async fn what_the_gateway_accepts_stops_nobody_behind_it(estate: Estate) {
        let deployment = estate.deploy("demo");
        for (name, ending, schema, personal) in [
            ("open", "json", OPEN_SCHEMA, json!({"session": 2, "user/name": 2})),
            ("price", "avsc", PRICE_SCHEMA, json!({"session": 2})),
        ] {
            let reference = format!("shop/{name}/1.0.0");
            deployment.write(&format!("schemas/{reference}.{ending}"), schema);
            let contract = json!({
                "ref": reference, "schemaRef": reference, "state": "ACTIVE",
                "keyField": "session", "piiFields": personal, "validations": [],
            });
            deployment.write(&format!("contracts/{reference}.json"), &contract.to_string());
        }
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let open = |levels: Value, user: Value| {
            let meta = json!({"eventContractRef": "shop/open/1.0.0", "consentLevels": levels});
            json!({"strmMeta": meta, "session": "a session", "user": user})
        };
        let named = |levels: Value| open(levels, json!({"name": "Erika"})).to_string().into_bytes();
        let shaped = |user: Value| open(json!([2]), user).to_string().into_bytes();
        let lines_within = serde_json::to_string_pretty(&open(json!([2]), json!({"name": "Erika\u{0}\r\n"})));
        let large = named(json!([2, 123_456_789]));
        let large = String::from_utf8(large).unwrap().replace("123456789", "1234567890123456789012345");
        let (cents, one_tag) = (&[4, 0xe2][..], &[2, 2, b'a', 2, 0][..]);
        let cases: [(&str, &str, u16, Vec<u8>); 15] = [
            ("a level with a point", "open", 204, named(json!([2.0]))),
            ("no levels", "open", 204, named(json!(null))),
            ("a level that is text", "open", 400, named(json!(["2"]))),
            ("a level with a fraction", "open", 400, named(json!([2.5]))),
            ("a level beyond all numbers", "open", 400, large.into_bytes()),
            ("an object for levels", "open", 400, named(json!({"level": 2}))),
            ("several users", "open", 204, shaped(json!([{"name": "Erika"}, {"name": null}, {}]))),
            ("a user that is text", "open", 400, shaped(json!("Erika"))),
            ("a name with parts", "open", 400, shaped(json!({"name": {"first": "Erika"}}))),
            ("line breaks", "open", 204, lines_within.unwrap().replace('\n', "\r\n").into_bytes()),
            ("a price", "price", 204, price(cents, one_tag)),
            ("no tags", "price", 204, price(cents, &[0])),
            ("a price of too many digits", "price", 400, price(&[0x01, 0x86, 0xa0], one_tag)),
            ("a tag twice", "price", 400, price(cents, &[4, 2, b'a', 2, 2, b'a', 4, 0])),
            ("a price that breaks off", "price", 400, price(cents, &[])),
        ];
        for (what, schema, status, body) in &cases {
            let kind = if *schema == "open" { JSON } else { AVRO };
            let answer = send(&gateway, &format!("shop/{schema}/1.0.0"), kind, body.clone()).await;
            assert_eq!(answer.status, *status, "{what}: {}", answer.body);
            assert!(!answer.body.contains("Erika"), "{what}: {}", answer.body);
        }
        accept(&deployment, "a session").await;
        let accepted = cases.iter().filter(|(_, _, status, _)| *status == 204).count() + 1;
        assert_eq!(lines(&deployment, "demo", accepted).await.len(), accepted);
        // All but the one without levels.
        let derived = lines(&deployment, "demo-2", accepted - 1).await;
        assert!(derived.iter().all(|event| event.to_string().contains("a session")));
        for connector in ["files", "demo-2"] {
            assert_eq!(tasks(&worker, connector).await[0]["state"], "RUNNING", "{connector}");
        }
        assert!(worker.stop().success());
        assert_eq!(deployment.output("demo").len(), accepted);
    }
}

/// Appends a record that no schema registry knows, as somebody else on the same Kafka may.
const PRODUCE: &str = r#"
import sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1], "acks": "all"})
producer.produce(sys.argv[2], bytes.fromhex(sys.argv[3]), partition=0, headers={"mine": b"kept"})
assert producer.flush(30) == 0
"#;

/// Prints the first record of a topic as JSON: value in hex, and headers.
const CONSUME: &str = r#"
import json, sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "reader"})
consumer.assign([TopicPartition(sys.argv[2], 0, 0)])
record = consumer.poll(60)
assert record and not record.error(), record and record.error()
headers = {name: value and value.decode() for name, value in record.headers() or []}
print(json.dumps({"value": record.value().hex(), "headers": headers}))
consumer.close()
"#;

/// A frame with a schema id that was never handed out, and a name that could be somebody's.
const UNKNOWN_SCHEMA: &str = "0000fffff04572696b61";

async fn accept(deployment: &Deployment, session: &str) {
    let event = demo(session, &[3]);
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn tasks(worker: &Worker, connector: &str) -> Vec<Value> {
    let path = format!("/connectors/{connector}/status");
    let status: Value = worker.get(&path).await.json().await.unwrap();
    status["tasks"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_becomes_a_dead_letter_with_its_cause() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    for (file, topic) in [("files", "files-dlq"), ("demo-2", "demo-2-dlq")] {
        let file = format!("{file}.properties");
        deployment.set(&file, "errors.tolerance", "all");
        deployment.set(&file, "errors.deadletterqueue.topic.name", topic);
        deployment.set(
            &file,
            "errors.deadletterqueue.topic.replication.factor",
            "1",
        );
        deployment.set(
            &file,
            "errors.deadletterqueue.context.headers.enable",
            "true",
        );
    }
    deployment.set("files.properties", "errors.deadletterqueue.seal", "never");
    let worker = deployment.start().await;
    let servers = estate.bootstrap_servers().unwrap();
    accept(&deployment, "before").await;
    let _ = python(PRODUCE, &[servers, "demo", UNKNOWN_SCHEMA], estate.path());
    accept(&deployment, "after").await;
    assert_eq!(lines(&deployment, "demo", 2).await.len(), 2);
    assert_eq!(lines(&deployment, "demo-2", 2).await.len(), 2);

    let read = |topic: &str| -> Value {
        serde_json::from_str(&python(CONSUME, &[servers, topic], estate.path())).unwrap()
    };
    let context = |letter: &Value, connector: &str| {
        let headers = &letter["headers"];
        assert_eq!(headers["__connect.errors.topic"], "demo");
        assert_eq!(headers["__connect.errors.partition"], "0");
        assert_eq!(headers["__connect.errors.offset"], "1");
        assert_eq!(headers["__connect.errors.connector.name"], connector);
        let message = &headers["__connect.errors.exception.message"];
        assert!(
            message
                .as_str()
                .is_some_and(|message| message.contains("16777200")),
            "{letter}"
        );
        assert!(!headers.to_string().contains("Erika"), "{letter}");
    };

    let letter = read("files-dlq");
    context(&letter, "files");
    assert_eq!(letter["headers"]["mine"], "kept");
    assert_eq!(letter["value"], UNKNOWN_SCHEMA);

    // Unless told otherwise, what comes from a stream with a contract is sealed as a whole.
    let sealed = read("demo-2-dlq");
    context(&sealed, "demo-2");
    assert_eq!(sealed["headers"].get("mine"), None);
    assert!(
        !sealed["value"].as_str().unwrap().contains("4572696b61"),
        "{sealed}"
    );
    let refused = deployment.penstock(&["dead-letters", "demo-2-dlq"]);
    assert!(!refused.status.success());
    let opened = deployment.ask(&["dead-letters", "demo-2-dlq", "--reveal"]);
    let opened: Value = serde_json::from_str(&opened).unwrap();
    assert_eq!(opened["record"]["value"], "AAD///BFcmlrYQ==");
    assert_eq!(opened["record"]["headers"], json!([["mine", "a2VwdA=="]]));
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tolerance_a_task_stops_at_the_record_it_cannot_read() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    let servers = estate.bootstrap_servers().unwrap();
    accept(&deployment, "before").await;
    lines(&deployment, "demo", 1).await;
    let _ = python(PRODUCE, &[servers, "demo", UNKNOWN_SCHEMA], estate.path());
    accept(&deployment, "after").await;

    let failed = eventually("a failed task", async || {
        let tasks = tasks(&worker, "files").await;
        tasks.into_iter().find(|task| task["state"] == "FAILED")
    })
    .await;
    let trace = failed["trace"].as_str().unwrap();
    assert!(
        trace.contains("demo-0@1") || trace.contains("offset 1"),
        "{trace}"
    );
    // The gateway goes on, and nothing after the record was written or skipped.
    accept(&deployment, "later").await;
    assert_eq!(deployment.output("demo").len(), 1);
    worker.stop();
}
