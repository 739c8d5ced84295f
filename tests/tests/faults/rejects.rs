//! Records that cannot be processed, in the middle of a batch: the task stops at the first one, or sets
//! them aside and goes on.

use std::path::Path;

use penstock_broker::Message;
use penstock_tests::events::{demo, demo_avro};
use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::{answers, framed, log, numbers, reaches, register, without_contracts};

/// How records of a topic look, good and bad.
struct Format {
    topic: &'static str,
    /// Lines of a connector's file.
    converter: &'static str,
    good: fn(u32, usize) -> Vec<u8>,
    bad: fn(u32) -> Vec<Vec<u8>>,
}

const FORMATS: [Format; 2] = [
    Format {
        topic: "avro-in",
        converter: "value.converter=io.confluent.connect.avro.AvroConverter\n",
        good: |id, number| {
            let mut event = demo("a session", &[]);
            event["notSensitiveValue"] = marker(number).into();
            framed(id, &demo_avro(&event))
        },
        bad: |id| {
            let avro = demo_avro(&demo("a session", &[]));
            vec![
                framed(0x00ff_fff0, &avro),
                b"no frame".to_vec(),
                framed(id, &avro[..8]),
                framed(id, &[0xff; 60]),
                Vec::new(),
            ]
        },
    },
    Format {
        topic: "json-in",
        converter: "value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n",
        good: |_, number| {
            let event =
                json!({"consistentValue": "a session", "notSensitiveValue": marker(number)});
            event.to_string().into_bytes()
        },
        bad: |_| {
            let deep = format!("{{\"a\":{}", "[".repeat(100_000));
            vec![
                deep.into_bytes(),
                b"{\"consistentValue\":".to_vec(),
                b"{\"a\":\"\xff\xfe\", \"consistentValue\": 1}".to_vec(),
                b"[1, 2".to_vec(),
                b"\0\0\0\0\x01{}".to_vec(),
            ]
        },
    },
];

fn marker(number: usize) -> String {
    format!("marker-{number:04}")
}

/// Numbers of the good records, in the order in which they lie there.
fn markers(texts: impl Iterator<Item = String>) -> Vec<usize> {
    texts
        .map(|text| {
            let at = text.find("marker-").unwrap_or_else(|| panic!("{text}"));
            text[at + 7..at + 11].parse().unwrap()
        })
        .collect()
}

fn texts(messages: &[Message]) -> impl Iterator<Item = String> {
    messages.iter().map(|message| {
        let value = message.value.as_deref().unwrap();
        String::from_utf8_lossy(value).into_owned()
    })
}

/// Good records, from some on with a bad one after every third.
fn records(format: &Format, id: u32) -> Vec<log::Out> {
    let mut records = Vec::new();
    let mut bad = (format.bad)(id).into_iter();
    for number in 0..GOOD {
        let key = number.to_string().into_bytes();
        records.push((0, Some(key), Some((format.good)(id, number))));
        if number >= GOOD_FIRST && number % 3 == 2 {
            records.extend(
                bad.next()
                    .map(|value| (0, Some(b"bad".to_vec()), Some(value))),
            );
        }
    }
    assert!(bad.next().is_none());
    records
}

/// More than go through a chain together.
const GOOD_FIRST: usize = 1200;
const GOOD: usize = GOOD_FIRST + 20;
const BAD: usize = 5;
/// Where the first bad one lies.
const FIRST_BAD: usize = GOOD_FIRST + 3;

/// A sink and a pipeline of each tolerance, for each format.
fn write_connectors(deployment: &Deployment) {
    for format in &FORMATS {
        for tolerance in ["none", "all"] {
            let topic = format.topic;
            let common = |name: &str| {
                // The pipelines' rejects are not logged, as nobody has asked for it.
                let logs = name.contains("-sink-");
                format!(
                    "name={name}\ntopics={topic}\nkey.converter=StringConverter\n{converter}\
                     errors.tolerance={tolerance}\nerrors.log.enable={logs}\n\
                     errors.deadletterqueue.topic.name={name}-dlq\n\
                     errors.deadletterqueue.topic.replication.factor=1\n\
                     errors.deadletterqueue.context.headers.enable=true\n\
                     errors.stream.topic={name}-errors\n",
                    converter = format.converter,
                )
            };
            let name = format!("{topic}-sink-{tolerance}");
            deployment.write(
                &format!("{name}.properties"),
                &format!(
                    "{}connector.class=FileSink\nfile=out/{tolerance}-{{topic}}-{{partition}}.jsonl\n",
                    common(&name)
                ),
            );
            let name = format!("{topic}-pipe-{tolerance}");
            deployment.write(
                &format!("{name}.properties"),
                &format!(
                    "{}connector.class=TopicPipeline\ntransforms=mask,route\n\
                     transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value\n\
                     transforms.mask.fields=consistentValue\n\
                     transforms.mask.replacement=masked\n\
                     transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter\n\
                     transforms.route.regex=.*\n\
                     transforms.route.replacement={name}-out\n",
                    common(&name)
                ),
            );
        }
    }
}

fn error_schema() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("acceptance/wiki/schemas/error/2.1.0.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn header<'m>(message: &'m Message, name: &str) -> &'m str {
    let header = message.headers.iter().find(|header| &*header.name == name);
    let value = header.and_then(|header| header.value.as_deref());
    std::str::from_utf8(value.unwrap_or_else(|| panic!("{name}"))).unwrap()
}

/// Dead letters hold the records as they were, and say where from and why.
fn check_dead_letters(letters: &[Message], connector: &str, originals: &[log::Out]) {
    let bad: Vec<_> = originals
        .iter()
        .enumerate()
        .filter(|(_, (_, key, _))| key.as_deref() == Some(b"bad"))
        .collect();
    assert_eq!(letters.len(), bad.len(), "{connector}");
    for (letter, (offset, (_, _, value))) in letters.iter().zip(bad) {
        assert_eq!(letter.value.as_deref(), value.as_deref(), "{connector}");
        assert_eq!(letter.key.as_deref(), Some(&b"bad"[..]));
        assert_eq!(header(letter, "mine"), "kept");
        let context = |name: &str| header(letter, &format!("__connect.errors.{name}"));
        assert!(connector.starts_with(context("topic")));
        assert_eq!(context("partition"), "0");
        assert_eq!(context("offset"), offset.to_string());
        assert_eq!(context("connector.name"), connector);
        assert_eq!(context("task.id"), "0");
        let stages = ["VALUE_CONVERTER", "TRANSFORMATION", "TASK_PUT"];
        assert!(stages.contains(&context("stage")), "{}", context("stage"));
        assert!(context("exception.class.name").ends_with("Exception"));
        assert!(!context("exception.message").is_empty());
        assert!(context("exception.stacktrace").contains(context("exception.message")));
    }
}

/// The log says of each bad record where it lies and why, where that was asked for, and not what is in it.
async fn check_log(worker: &Worker, topic: &str, originals: &[log::Out]) {
    let output = worker.output();
    let lines: Vec<_> = output
        .lines()
        .filter(|line| line.contains(&format!("rejected {topic}-0 at offset ")))
        .collect();
    let bad = (0..originals.len()).filter(|at| originals[*at].1.as_deref() == Some(b"bad"));
    for offset in bad {
        let place = format!("rejected {topic}-0 at offset {offset}: ");
        let told: Vec<_> = lines.iter().filter(|line| line.contains(&place)).collect();
        let sink = format!("connector=\"{topic}-sink-all\"");
        assert!(
            told.len() == 1 && told[0].contains(&sink),
            "{offset}: {told:#?}"
        );
        assert!(
            !told[0].trim_end().ends_with(&place.trim_end()),
            "{told:?} says why"
        );
    }
    assert_eq!(lines.len(), BAD, "{lines:#?}");
    let name = "kafka_connect_task_error_metrics_total_errors_logged";
    for (kind, expected) in [("sink", BAD as f64), ("pipe", 0.0)] {
        let logged = numbers::of_task(worker, name, &format!("{topic}-{kind}-all")).await;
        assert_eq!(logged, Some(expected), "{kind}");
    }
}

/// Error events fit the published schema, date-time formats included.
fn check_error_events(events: &[Message], connector: &str) {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&error_schema())
        .unwrap();
    assert_eq!(events.len(), BAD, "{connector}");
    for event in events {
        let event: Value = serde_json::from_slice(&event.value.as_deref().unwrap()[5..]).unwrap();
        if let Err(error) = validator.validate(&event) {
            panic!("{error}: {event}");
        }
        assert_eq!(event["emitter_id"], connector);
        assert_eq!(event["meta"]["stream"], format!("{connector}-errors"));
        // Nothing here is personal: the raw event is there.
        assert!(event["raw_event"].is_string(), "{event}");
    }
}

on_both_brokers! {
    async fn bad_records_stop_the_task_there_or_are_set_aside(estate: Estate) {
        let deployment = without_contracts(&estate);
        deployment.write("schemas/error/2.1.0.json", &error_schema().to_string());
        let id = register(&estate, &deployment, "streammachine.demo.1.0.2").await;
        let originals = FORMATS.each_ref().map(|format| records(format, id));
        {
            let broker = log::open(&estate, &deployment);
            for (format, originals) in FORMATS.iter().zip(&originals) {
                log::fill(&*broker, format.topic, 1, originals);
            }
        }
        write_connectors(&deployment);
        let mut worker = deployment.spawn(&[]);
        answers(&deployment).await;
        let every: Vec<_> = (0..GOOD).collect();
        let before: Vec<_> = (0..FIRST_BAD).collect();
        for format in &FORMATS {
            let topic = format.topic;
            for kind in ["sink", "pipe"] {
                let name = format!("{topic}-{kind}-none");
                let status = reaches(&worker, &name, "FAILED").await;
                let trace = status["trace"].as_str().unwrap();
                assert!(trace.contains(&format!("{topic}-0 offset {FIRST_BAD}")), "{trace}");
            }
            let done = format!("all-{topic}");
            eventually(&done, async || {
                (deployment.output(&done).len() == GOOD).then_some(())
            }).await;
            for kind in ["sink", "pipe"] {
                numbers::settle(&worker, &format!("{topic}-{kind}-all"), GOOD + BAD, BAD).await;
            }
        }
        // Health names a failed task, and stays that of the worker; a restart ends at the same record.
        let failed = "avro-in-pipe-none";
        let health = worker.get("/health").await;
        assert_eq!(health.status(), 200);
        let health = health.text().await.unwrap();
        assert!(health.contains("FAILED: ") && health.contains(&format!("{failed} task 0")), "{health}");
        let http = reqwest::Client::new();
        let restart = format!("{}/connectors/{failed}/tasks/0/restart", deployment.rest());
        assert_eq!(http.post(restart).send().await.unwrap().status(), 204);
        reaches(&worker, failed, "FAILED").await;
        assert!(worker.is_running());
        for (format, originals) in FORMATS.iter().zip(&originals) {
            check_log(&worker, format.topic, originals).await;
        }
        assert!(worker.stop().success());

        let broker = log::open(&estate, &deployment);
        let end = i64::try_from(GOOD + BAD).unwrap();
        let stopped = i64::try_from(FIRST_BAD).unwrap();
        for (format, originals) in FORMATS.iter().zip(&originals) {
            let topic = format.topic;
            for (tolerance, expected, offset) in [("none", &before, stopped), ("all", &every, end)] {
                let lines = deployment.output(&format!("{tolerance}-{topic}"));
                let lines = lines.iter().map(Value::to_string);
                assert_eq!(&markers(lines), expected, "{topic} {tolerance}");
                let piped = log::read(&*broker, &format!("{topic}-pipe-{tolerance}-out"));
                assert_eq!(&markers(texts(&piped)), expected, "{topic} {tolerance}");
                assert!(texts(&piped).all(|text| text.contains("masked")), "{topic}");
                for kind in ["sink", "pipe"] {
                    let name = format!("{topic}-{kind}-{tolerance}");
                    assert_eq!(log::committed(&*broker, &name, topic), Some(offset), "{name}");
                    let letters = log::read(&*broker, &format!("{name}-dlq"));
                    let events = log::read(&*broker, &format!("{name}-errors"));
                    if tolerance == "all" {
                        check_dead_letters(&letters, &name, originals);
                        check_error_events(&events, &name);
                    } else {
                        assert_eq!((letters.len(), events.len()), (0, 0), "{name}");
                    }
                }
            }
        }
    }
}
