//! What stands in a file is done: predicates, subjects, key files, states to begin in; and what would
//! spoil the worker's own topics is refused.

use std::os::unix::fs::PermissionsExt;

use penstock_tests::events::{DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use reqwest::Method;
use serde_json::{Value, json};

use crate::offsets::call;
use crate::{bare, framed, letters, log, numbers, reaches, register, without_contracts};

const ROUTER: &str = "org.apache.kafka.connect.transforms.RegexRouter";

/// A route for the records that a pipeline's transform takes.
fn route(name: &str, topic: &str) -> String {
    format!(
        "transforms.{name}.type={ROUTER}\ntransforms.{name}.regex=in\ntransforms.{name}.replacement={topic}\n"
    )
}

fn values(deployment: &Deployment, estate: &Estate, topic: &str) -> Vec<Option<Vec<u8>>> {
    let broker = log::open(estate, deployment);
    let messages = log::read(&*broker, topic);
    let value = |message: penstock_broker::Message| message.value.map(|value| value.to_vec());
    messages.into_iter().map(value).collect()
}

on_both_brokers! {
    async fn a_predicate_or_its_negation_decides_what_a_transform_takes(estate: Estate) {
        let deployment = without_contracts(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &[
                (0, Some(b"a".to_vec()), Some(b"one".to_vec())),
                (0, Some(b"a".to_vec()), None),
                (0, Some(b"b".to_vec()), Some(b"two".to_vec())),
            ]);
        }
        deployment.write(
            "pipe.properties",
            &format!(
                "name=pipe\nconnector.class=TopicPipeline\ntopics=in\n\
                 key.converter=StringConverter\nvalue.converter=StringConverter\n\
                 predicates=deletes\n\
                 predicates.deletes.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone\n\
                 transforms=gone,kept\ntransforms.gone.predicate=deletes\n\
                 transforms.kept.predicate=deletes\ntransforms.kept.negate=true\n{}{}",
                route("gone", "gone"),
                route("kept", "kept"),
            ),
        );
        let worker = deployment.start().await;
        numbers::settle(&worker, "pipe", 3, 0).await;
        assert!(worker.stop().success());
        assert_eq!(values(&deployment, &estate, "gone"), [None]);
        let kept = [Some(b"one".to_vec()), Some(b"two".to_vec())];
        assert_eq!(values(&deployment, &estate, "kept"), kept);
    }

    async fn no_record_gets_into_the_workers_own_topics(estate: Estate) {
        let deployment = without_contracts(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &[(0, Some(b"a".to_vec()), Some(b"one".to_vec()))]);
            for topic in ["_penstock.keys", "our-keys"] {
                log::fill(&*broker, topic, 1, &[]);
            }
        }
        deployment.set("worker.properties", "keys.topic", "our-keys");
        for (name, topic) in [("prefix", "_penstock.keys"), ("keys", "our-keys")] {
            deployment.write(
                &format!("{name}.properties"),
                &format!(
                    "name={name}\nconnector.class=TopicPipeline\ntopics=in\ntransforms=route\n\
                     errors.tolerance=all\nerrors.deadletterqueue.topic.name={name}-dlq\n\
                     errors.deadletterqueue.topic.replication.factor=1\n\
                     errors.deadletterqueue.context.headers.enable=true\n{}",
                    route("route", topic),
                ),
            );
        }
        let worker = deployment.start().await;
        for (name, topic, reason) in [
            ("prefix", "_penstock.keys", "_penstock.keys is an internal topic of the worker"),
            ("keys", "our-keys", "topic our-keys belongs to the worker itself"),
        ] {
            numbers::settle(&worker, name, 1, 1).await;
            let letters = letters(&worker, &format!("{name}-dlq"), 1).await;
            let message = letters[0]["cause"]["exception.message"].as_str().unwrap();
            assert!(message.contains(reason), "{letters:?}");
            // One that names it is refused at once.
            let router = json!({
                "transforms": "consent", "transforms.consent.type": "ConsentRouter",
                "transforms.consent.streams": format!("mine, {topic}"),
                "transforms.consent.mine.levels": "1",
                format!("transforms.consent.{topic}.levels"): "1",
            });
            for (key, more) in [
                ("errors.deadletterqueue.topic.name", json!({"errors.deadletterqueue.topic.name": topic})),
                ("errors.stream.topic", json!({"errors.stream.topic": topic})),
                ("transforms.consent.streams", router),
            ] {
                let mut config = json!({"connector.class": "TopicPipeline", "topics": "in"});
                config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                let (status, answer) = call(&deployment, Method::PUT, "/connectors/bad/config", Some(config)).await;
                assert_eq!(status, 400, "{answer}");
                let message = answer["message"].as_str().unwrap();
                let expected = format!("{key}: {topic} belongs to the worker itself");
                assert!(message.contains(&expected), "{message}");
            }
            let (status, answer) = call(&deployment, Method::DELETE, &format!("/streams/{topic}"), None).await;
            assert_eq!(status, 404, "{answer}");
            let derived = json!({"name": topic, "derived_from": "in", "levels": [2]});
            let (status, answer) = call(&deployment, Method::POST, "/streams", Some(derived)).await;
            assert_eq!(status, 400, "{answer}");
        }
        assert!(worker.stop().success());
        for topic in ["_penstock.keys", "our-keys"] {
            assert!(!values(&deployment, &estate, topic).contains(&Some(b"one".to_vec())), "{topic}");
        }
    }

    async fn derived_schemas_are_registered_under_the_subject_that_the_strategy_names(estate: Estate) {
        let deployment = without_contracts(&estate);
        let id = register(&estate, &deployment, "streammachine.demo.1.0.2").await;
        let record = framed(id, &demo_avro(&demo("a session", &[])));
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &[(0, None, Some(record))]);
        }
        let registry = estate.registry_url().map_or_else(|| deployment.registry(), str::to_owned);
        // Others use the same registry, and the name of the demo's record.
        let run = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("run.R{run}");
        let pipe = |connector: &str, more: &str| {
            let out = format!("{connector}-{run}");
            format!(
                "name={connector}\nconnector.class=TopicPipeline\ntopics=in\n\
                 key.converter=StringConverter\nvalue.converter=io.confluent.connect.avro.AvroConverter\n\
                 transforms=name,route\n\
                 transforms.name.type=org.apache.kafka.connect.transforms.SetSchemaMetadata$Value\n\
                 transforms.name.schema.name={name}\n\
                 errors.tolerance=all\nerrors.deadletterqueue.topic.name={connector}-dlq\n\
                 errors.deadletterqueue.topic.replication.factor=1\n{}{more}",
                route("route", &out),
            )
        };
        let strategy = "value.converter.value.subject.name.strategy=io.confluent.kafka.serializers.subject";
        for (connector, more) in [
            ("by-topic", String::new()),
            ("by-record", format!("{strategy}.RecordNameStrategy\n")),
            ("by-both", format!("{strategy}.TopicRecordNameStrategy\n")),
        ] {
            deployment.write(&format!("{connector}.properties"), &pipe(connector, &more));
        }
        let strict = "value.converter.auto.register.schemas=false\n";
        deployment.write("strict.properties", &pipe("strict", strict));
        let worker = deployment.start().await;
        for connector in ["by-topic", "by-record", "by-both"] {
            numbers::settle(&worker, connector, 1, 0).await;
        }
        // Nobody has registered its schema, and it may not.
        numbers::settle(&worker, "strict", 1, 1).await;
        let http = reqwest::Client::new();
        let latest = async |subject: &str| {
            let url = format!("{registry}/subjects/{subject}/versions/latest");
            let answer = http.get(url).send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        let mut schema = Value::Null;
        for subject in [format!("by-topic-{run}-value"), name.clone(), format!("by-both-{run}-{name}")] {
            let (status, version) = latest(&subject).await;
            assert_eq!(status, 200, "{subject}: {version}");
            schema = version["schema"].clone();
        }
        let subject = format!("strict-{run}-value");
        assert_eq!(latest(&subject).await.0, 404);
        // Once somebody has, its records pass.
        let url = format!("{registry}/subjects/{subject}/versions");
        let body = json!({"schema": schema}).to_string();
        let kind = "application/vnd.schemaregistry.v1+json";
        let registered = http.post(url).header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(registered.status(), 200);
        let _ = call(&deployment, Method::PUT, "/connectors/strict/stop", None).await;
        let reset = call(&deployment, Method::DELETE, "/connectors/strict/offsets", None).await;
        assert_eq!(reset.0, 200, "{}", reset.1);
        let _ = call(&deployment, Method::PUT, "/connectors/strict/resume", None).await;
        eventually("the record of the registered schema", async || {
            let topic = format!("/streams/strict-{run}");
            let (_, stream) = call(&deployment, Method::GET, &topic, None).await;
            (stream["offsets"].as_i64() >= Some(1)).then_some(())
        })
        .await;
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_that_is_not_there_is_made_for_its_owner_alone() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.set("worker.properties", "keys.kek.file", "secrets/kek");
    let worker = deployment.start().await;
    let gateway = deployment.gateway();
    let accept = async || {
        let event = demo("a session", &[2]);
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    };
    accept().await;
    assert!(worker.stop().success());
    let file = deployment.path().join("secrets/kek");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!deployment.path().join("data/kek").exists());
    // It is the key from then on, and is not made anew when it gets lost.
    let worker = deployment.start().await;
    accept().await;
    let decrypted = eventually("both events", async || {
        let lines = deployment.output("demo-2");
        (lines.len() == 2).then_some(lines)
    })
    .await;
    assert!(
        decrypted
            .iter()
            .all(|event| event["consistentValue"] == "a session")
    );
    assert!(worker.stop().success());
    std::fs::rename(&file, deployment.path().join("secrets/elsewhere")).unwrap();
    let mut worker = deployment.spawn(&[]);
    worker.healthy().await;
    let task = reaches(&worker, "gateway", "FAILED").await;
    let trace = task["trace"].as_str().unwrap();
    assert!(trace.contains("put the file back"), "{trace}");
    assert!(!file.exists());
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_begins_in_the_state_that_its_json_file_names() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    let config = json!({
        "connector.class": "FileSink", "topics": "visits", "file": "out/{topic}-{partition}.jsonl",
    });
    let file = json!({"name": "copy", "config": config, "initial_state": "PAUSED"});
    deployment.write("copy.json", &file.to_string());
    let other = json!({"name": "other", "config": config, "initial_state": "STOPPED"});
    deployment.write("later/other.json", &other.to_string());
    let start = async || {
        let arguments = ["run", "worker.properties", "copy.json"].map(String::from);
        let mut worker = Worker::spawn(&deployment, &arguments, &[]);
        worker.healthy().await;
        worker
    };
    let state = async |name: &str| {
        let path = format!("/connectors/{name}/status");
        let (_, status) = call(&deployment, Method::GET, &path, None).await;
        status["connector"]["state"].clone()
    };
    let worker = start().await;
    assert_eq!(state("copy").await, "PAUSED");
    let _ = deployment.ask(&["create", "connector", "later/other.json"]);
    assert_eq!(state("other").await, "STOPPED");
    let resumed = call(&deployment, Method::PUT, "/connectors/copy/resume", None).await;
    assert_eq!(resumed.0, 202);
    assert!(worker.stop().success());
    // The first state only.
    let worker = start().await;
    assert_eq!(state("copy").await, "RUNNING");
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intake_sets_nothing_aside() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    for (key, value) in [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "gateway-dlq"),
        ("errors.stream.topic", "gateway-errors"),
    ] {
        deployment.set("gateway.properties", key, value);
    }
    let worker = deployment.start().await;
    let note = "errors.deadletterqueue.topic.name: has no effect: an intake refuses to its sender";
    assert!(worker.output().contains(note), "{}", worker.output());
    let mut event = demo("", &[]);
    event["consistentValue"] = "".into();
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    let (_, streams) = call(&deployment, Method::GET, "/streams", None).await;
    for stream in streams.as_array().unwrap() {
        let name = stream["name"].as_str().unwrap();
        assert!(!name.starts_with("gateway-"), "{streams}");
    }
    assert!(worker.stop().success());
}
