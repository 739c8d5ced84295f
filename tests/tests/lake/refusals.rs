//! What is wrong is said before the first record where that can be known; a record that fits no file
//! becomes a dead letter, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};

use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate, eventually, python};
use serde_json::{Value, json};

use crate::table::{every_event_once, export, files, trace};

/// The trace of an export's task once it has failed.
pub(crate) async fn failure(deployment: &Deployment, name: &str) -> String {
    eventually("a failed task", async || {
        let shown = deployment.penstock(&["get", "connector", name, "-o", "json"]);
        let status: Value = serde_json::from_slice(&shown.stdout).ok()?;
        let task = status["tasks"].get(0)?;
        let failed = task["state"] == "FAILED";
        failed.then(|| task["trace"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_and_credentials_that_are_wrong_are_told_before_the_first_record() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::s3().await;
    for name in ["missing", "secret", "id", "region"] {
        export(&deployment, &bucket, bucket.endpoint(), name, "");
    }
    let ocean = Bucket::gcs().await;
    export(&deployment, &ocean, ocean.endpoint(), "ocean", "");
    deployment.set("ocean.properties", "url", "gs://there-is-no-such-bucket/x");
    deployment.set("region.properties", "aws.region", "eu-west-9");
    deployment.set(
        "missing.properties",
        "url",
        "s3://there-is-no-such-bucket/x",
    );
    deployment.set(
        "secret.properties",
        "aws.secret.access.key",
        "not-the-secret",
    );
    deployment.set("id.properties", "aws.access.key.id", "nobody");
    let worker = deployment.spawn(&[]);
    let elsewhere = format!(
        "s3://{} cannot be written: the bucket is in another region; correct the region (it says us-east-1) \
         [AuthorizationHeaderMalformed]",
        bucket.name()
    );
    let unknown = format!(
        "s3://{} cannot be written: the store does not know these credentials (aws.access.key.id); correct them",
        bucket.name()
    );
    for (name, expected) in [
        (
            "missing",
            "s3://there-is-no-such-bucket cannot be written: there is no such bucket; make it, or correct its name",
        ),
        ("secret", &format!("{unknown} [SignatureDoesNotMatch]")),
        ("id", &format!("{unknown} [InvalidAccessKeyId]")),
        ("region", &elsewhere),
        (
            "ocean",
            "gs://there-is-no-such-bucket cannot be written: there is no such bucket; make it, or correct its name",
        ),
    ] {
        assert_eq!(failure(&deployment, name).await, expected, "{name}");
    }
    assert!(!worker.output().contains("not-the-secret"));
    assert!(worker.stop().success());
}

/// An export whose store refuses these requests, with 40 events to write, and what its task says then.
async fn refused(
    name: &str,
    fault: Fault,
    state: &str,
    expected: &str,
    go_on: impl AsyncFnOnce(&Deployment),
) {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::s3().await;
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    proxy.plan([fault.always()]);
    let keys = "rotate.records=10\nrotate.idle.ms=1500";
    export(&deployment, &bucket, proxy.url(), name, keys);
    let worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 2);
    senders.acknowledge(40).await;
    let sent = senders.stop().await;
    let said = trace(&worker, name, state, "").await;
    let object = said.split(['(', ')']).nth(1).unwrap_or_default();
    let expected = expected
        .replace("{bucket}", bucket.name())
        .replace("{object}", object);
    assert_eq!(said, expected);
    assert!(bucket.list("").await.is_empty());
    proxy.heal();
    go_on(&deployment).await;
    every_event_once(&bucket, name, Reader::JsonLines, &sent).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_told_before_the_first_record_and_waited_for() {
    refused(
        "skewed",
        Fault::refuse(403, "RequestTimeTooSkewed").on(Operation::Create),
        "RESTARTING",
        "s3://{bucket} cannot be written: this machine's clock and the store's differ by more than 15 minutes; \
         set the clock [RequestTimeTooSkewed]",
        async |_| {},
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_too_large_stops_the_task_with_advice_and_loses_nothing() {
    refused(
        "large",
        Fault::refuse(400, "EntityTooLarge").on(Operation::Put),
        "FAILED",
        "s3://{bucket} cannot be written ({object}): the object or its name is larger than the store takes; let \
         files end earlier (rotate.bytes) [EntityTooLarge]",
        async |deployment| {
            let url = format!("{}/connectors/large/tasks/0/restart", deployment.rest());
            let answer = reqwest::Client::new().post(url).send().await.unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
        },
    )
    .await;
}

/// Makes a topic and appends records, given in hex.
const PRODUCE: &str = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
servers, topic = sys.argv[1:3]
admin = AdminClient({"bootstrap.servers": servers})
admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
producer = Producer({"bootstrap.servers": servers, "acks": "all"})
for value in sys.argv[3:]:
    producer.produce(topic, bytes.fromhex(value))
assert producer.flush(30) == 0
"#;

/// Registers the schema of visits, and returns the events with it in front, in hex.
async fn framed(registry: &str, events: &[Value]) -> Vec<String> {
    let schema = json!({
        "type": "object",
        "properties": {"country": {"type": "string"}, "visits": {"type": "integer"}},
        "required": ["visits"],
    });
    let registered = reqwest::Client::new()
        .post(format!("{registry}/subjects/visits-value/versions"))
        .json(&json!({"schemaType": "JSON", "schema": schema.to_string()}))
        .send()
        .await
        .unwrap();
    let registered: Value = registered.json().await.unwrap();
    let id = registered["id"]
        .as_u64()
        .unwrap_or_else(|| panic!("{registered}"));
    let hex = |event: &Value| {
        let bytes = event.to_string().into_bytes();
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    events
        .iter()
        .map(|event| format!("00{id:08x}{}", hex(event)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_fit_no_file_become_dead_letters_and_the_rest_lies_in_files() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    for file in ["gateway", "demo-2", "egress", "files"] {
        deployment.remove(&format!("{file}.properties"));
    }
    let events = [
        json!({"country": "NL", "visits": 0}),
        json!({"visits": 1}),
        json!({"country": null, "visits": 2}),
        json!({"country": "NL", "visits": "three"}),
        json!({"country": "../../x", "visits": 4}),
        json!({"country": "NL", "visits": 5}),
    ];
    let records = framed(estate.registry_url().unwrap(), &events).await;
    let mut arguments = vec![estate.bootstrap_servers().unwrap(), "visits"];
    arguments.extend(records.iter().map(String::as_str));
    let _ = python(PRODUCE, &arguments, estate.path());

    let bucket = Bucket::s3().await;
    let keys = "format=parquet\npartition.by=country\nrotate.idle.ms=1000\nerrors.tolerance=all\n\
                errors.deadletterqueue.topic.name=visits-dlq\nerrors.deadletterqueue.topic.replication.factor=1\n\
                errors.deadletterqueue.context.headers.enable=true";
    export(&deployment, &bucket, bucket.endpoint(), "visits", keys);
    deployment.set("visits.properties", "topics", "visits");
    let converter = "io.confluent.connect.json.JsonSchemaConverter";
    deployment.set("visits.properties", "value.converter", converter);
    let worker = deployment.start().await;

    let there = |directory: &str| format!("visits/visits/country={directory}/visits+0+");
    let written = eventually("the rows that fit", async || {
        let mut written: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for (name, rows) in files(&bucket, "", Reader::Parquet).await {
            let place = name.rsplit_once('+').unwrap().0.to_owned() + "+";
            let visits = rows.iter().map(|row| row["visits"].as_i64().unwrap());
            written.entry(place).or_default().extend(visits);
        }
        let rows: usize = written.values().map(BTreeSet::len).sum();
        (rows >= 3).then_some(written)
    })
    .await;
    let expected = [
        (there("..%2F..%2Fx"), [4].into()),
        (there("NL"), [0, 5].into()),
    ];
    assert_eq!(written, expected.into());

    let letters = eventually("three dead letters", async || {
        let letters = deployment.ask(&["dead-letters", "visits-dlq", "--reveal"]);
        (letters.lines().count() >= 3).then_some(letters)
    })
    .await;
    let letters: Vec<Value> = letters
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let offsets: Vec<_> = letters
        .iter()
        .map(|letter| letter["record"]["offset"].as_i64())
        .collect();
    assert_eq!(offsets, [Some(1), Some(2), Some(3)]);
    for (letter, cause) in letters.iter().zip(["country", "country", "visits"]) {
        assert!(
            letter["cause"]["exception.message"]
                .to_string()
                .contains(cause),
            "{letter}"
        );
    }
    assert!(worker.stop().success());
}
