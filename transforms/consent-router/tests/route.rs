//! Who gets which events, and which of their fields in which form.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../contract-check/tests/demo/mod.rs"]
mod demo;
#[path = "../../pii-encrypt/tests/store/mod.rs"]
mod store;

use std::cell::RefCell;
use std::sync::Arc;

use demo::{Demo, demo_event, order_event, record, run, schemaless, shown, with};
use penstock_connect::{
    Config, Origin, Placement, Record, RecordErrorKind, Settings, TopicPartition,
};
use penstock_consent_router::{ConsentRouter, ConsentRouterConfig, default_stream_name};
use penstock_formats::{Encoding, Payload, Schema};
use penstock_keys::KeyStore;
use penstock_pii_encrypt::{PiiEncrypt, PiiEncryptConfig};
use proptest::prelude::*;
use serde_json::{Value, json};
use store::Keys;

type Properties<'a> = &'a [(&'a str, &'a str)];

/// The demo's derived stream.
const DEMO_2: Properties<'_> = &[("streams", "demo-2"), ("demo-2.levels", "2")];

fn router(demo: &Demo, store: &Arc<KeyStore>, properties: Properties<'_>) -> ConsentRouter {
    let settings = Settings::from_pairs("test", properties.iter().copied());
    ConsentRouter::new(
        ConsentRouterConfig::read_all(settings).unwrap(),
        demo.context(),
        demo.contracts.clone(),
        demo.registry.clone(),
        store.clone(),
    )
}

/// The events as they lie encrypted in partition 3 of the stream "demo".
async fn encrypted(demo: &Demo, store: &Arc<KeyStore>, records: Vec<Record>) -> Vec<Record> {
    encrypted_with(demo, store, records, &[]).await
}

async fn encrypted_with(
    demo: &Demo,
    store: &Arc<KeyStore>,
    records: Vec<Record>,
    properties: Properties<'_>,
) -> Vec<Record> {
    let settings = Settings::from_pairs("test", properties.iter().copied());
    let mut encrypt = PiiEncrypt::new(
        PiiEncryptConfig::read_all(settings).unwrap(),
        demo.context(),
        demo.contracts.clone(),
        demo.registry.clone(),
        store.clone(),
    );
    let out = run(&mut encrypt, records).await;
    assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
    let mut records = out.passed;
    for (index, record) in records.iter_mut().enumerate() {
        record.set_origin(Origin {
            index,
            partition: Some(TopicPartition {
                topic: "demo".into(),
                partition: 3,
            }),
            offset: 100 + i64::try_from(index).unwrap(),
        });
    }
    records
}

fn consenting(schema: &Arc<Schema>, levels: Value) -> Record {
    let contract = match schema.kind() {
        penstock_formats::SchemaKind::Avro => demo::CONTRACT,
        penstock_formats::SchemaKind::Json => "streammachine/json/1.0.0",
    };
    let event = with(
        demo_event(),
        &[
            ("/strmMeta/consentLevels", levels),
            ("/strmMeta/eventContractRef", json!(contract)),
        ],
    );
    record(schema, &event)
}

/// What a field looks like: in plain, as it was encrypted, or what else stands there.
fn form(field: &str, out: &Value, encrypted: &Value) -> String {
    match out.get(field) {
        None => "gone".into(),
        Some(value) if *value == demo_event()[field] => "plain".into(),
        Some(value) if *value == encrypted[field] => "encrypted".into(),
        Some(other) => other.to_string(),
    }
}

fn forms(out: &Record, encrypted: &Record) -> [String; 3] {
    let (out, encrypted) = (shown(out), shown(encrypted));
    ["uniqueIdentifier", "consistentValue", "someSensitiveValue"]
        .map(|field| form(field, &out, &encrypted))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_stream_has_the_events_that_consent_and_their_fields_up_to_its_level() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let levels = [json!([]), json!([0]), json!([1]), json!([2]), json!([3])];
    let records = levels.map(|levels| consenting(&demo.schema, levels));
    let inputs = encrypted(&demo, &keys.store, records.into()).await;
    let mut router = router(&demo, &keys.store, DEMO_2);
    let out = run(&mut router, inputs.clone()).await;

    assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
    let withheld: Vec<_> = out
        .filtered
        .iter()
        .map(|(r, why)| (r.origin().index, *why))
        .collect();
    assert_eq!(
        withheld,
        [(0, "no consent"), (1, "no consent"), (2, "no consent")]
    );
    assert_eq!(out.passed.len(), 2);
    for (record, input) in out.passed.iter().zip(&inputs[3..]) {
        assert_eq!(&*record.topic, "demo-2");
        assert_eq!(record.placement, Placement::Partition(3));
        assert_eq!(record.origin(), input.origin());
        assert_eq!(
            record.key.as_ref().unwrap().bytes(),
            input.key.as_ref().unwrap().bytes()
        );
        assert_eq!(forms(record, input), ["plain", "plain", "encrypted"]);
        let (out, input) = (shown(record), shown(input));
        assert_eq!(out["strmMeta"], input["strmMeta"]);
        assert_eq!(out["notSensitiveValue"], input["notSensitiveValue"]);
    }
    let counter = demo.metrics.counter(
        "penstock_consent_events_total",
        "",
        &["connector", "stream", "outcome"],
    );
    assert_eq!(
        counter
            .with_label_values(&["test", "demo-2", "passed"])
            .get(),
        2
    );
    assert_eq!(
        counter
            .with_label_values(&["test", "demo-2", "withheld"])
            .get(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_streams_come_from_one_pass() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let records =
        [json!([1, 3]), json!([0]), json!([2])].map(|levels| consenting(&demo.schema, levels));
    let inputs = encrypted(&demo, &keys.store, records.into()).await;
    let mut router = router(
        &demo,
        &keys.store,
        &[
            ("streams", "demo-1,demo-1-3,demo-3"),
            ("demo-1.levels", "1"),
            ("demo-1-3.levels", "1,3"),
            ("demo-1-3.mode", "granular"),
            ("demo-3.levels", "3"),
        ],
    );
    let out = run(&mut router, inputs.clone()).await;
    let shown: Vec<_> = out
        .passed
        .iter()
        .map(|record| {
            let index = record.origin().index;
            (
                &*record.topic,
                index,
                forms(record, &inputs[index]).join(" "),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("demo-1", 0, "plain encrypted encrypted".to_owned()),
            ("demo-1-3", 0, "plain encrypted plain".into()),
            ("demo-3", 0, "plain plain plain".into()),
            ("demo-1", 2, "plain encrypted encrypted".into()),
        ]
    );
    assert_eq!(out.filtered.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_granted_are_kept_masked_nulled_or_dropped() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    for (json, mode, expected) in [
        (false, "keep", ["plain", "encrypted", "encrypted"]),
        (false, "null", ["plain", "\"\"", "null"]),
        (false, "drop", ["plain", "\"\"", "null"]),
        (false, "mask", ["plain", MASKED[0], MASKED[1]]),
        (true, "keep", ["plain", "encrypted", "encrypted"]),
        (true, "null", ["plain", "\"\"", "null"]),
        // The schema requires consistentValue.
        (true, "drop", ["plain", "\"\"", "gone"]),
        (true, "mask", ["plain", MASKED[0], MASKED[1]]),
    ] {
        let schema = if json { &demo.json } else { &demo.schema };
        let inputs = encrypted(&demo, &keys.store, vec![consenting(schema, json!([1]))]).await;
        let properties = [
            ("streams", "out"),
            ("out.levels", "1"),
            ("out.not.granted", mode),
            ("mask.seed", "salt"),
        ];
        let out = run(&mut router(&demo, &keys.store, &properties), inputs.clone()).await;
        assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
        assert_eq!(forms(&out.passed[0], &inputs[0]), expected, "{mode} {json}");
    }
}

/// HMAC-SHA256, keyed with "salt", of the demo event's consistentValue and someSensitiveValue; from
/// `printf … | openssl dgst -sha256 -hmac salt`.
const MASKED: [&str; 2] = [
    "\"d3a4e7e5693e33fdcd46b76208500a613465a657ced22205db38354d7a83cae5\"",
    "\"9e581f7741535b96440df54be6520a9b8e5116b18207830c0ea53fecd9345541\"",
];

#[tokio::test(flavor = "multi_thread")]
async fn nested_fields_and_lists_are_decrypted_too() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let inputs = encrypted(
        &demo,
        &keys.store,
        vec![record(&demo.nested, &order_event())],
    )
    .await;
    let mut router = router(
        &demo,
        &keys.store,
        &[("streams", "out"), ("out.levels", "1")],
    );
    let out = run(&mut router, inputs.clone()).await;
    let (out, input) = (shown(&out.passed[0]), shown(&inputs[0]));
    assert_eq!(out["customer"], order_event()["customer"]);
    assert_eq!(out["notes"], input["notes"]);
    assert_ne!(out["notes"], order_event()["notes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_key_leaves_fields_encrypted_and_is_counted() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let inputs = encrypted(
        &demo,
        &keys.store,
        vec![consenting(&demo.schema, json!([3]))],
    )
    .await;
    let link = shown(&inputs[0])["strmMeta"]["keyLink"]
        .as_str()
        .unwrap()
        .to_owned();
    keys.erase(&link).await;
    let out = run(&mut router(&demo, &keys.store, DEMO_2), inputs.clone()).await;
    assert_eq!(shown(&out.passed[0]), shown(&inputs[0]));
    let counter = demo.metrics.counter(
        "penstock_consent_erased_key_events_total",
        "",
        &["connector", "stream"],
    );
    assert_eq!(counter.with_label_values(&["test", "demo-2"]).get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_though_it_should_be_is_rejected() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let other = with(
        demo_event(),
        &[("/consistentValue", json!("another person"))],
    );
    let inputs = encrypted(
        &demo,
        &keys.store,
        vec![
            consenting(&demo.schema, json!([3])),
            record(&demo.schema, &other),
        ],
    )
    .await;
    let (event, other) = (shown(&inputs[0]), shown(&inputs[1]));
    let changed = |pointer: &str, value: Value| {
        record(&demo.schema, &with(event.clone(), &[(pointer, value)]))
    };
    let mut router = router(&demo, &keys.store, DEMO_2);
    for (input, kind, message) in [
        (
            changed(
                "/strmMeta/keyLink",
                json!("cd181172-4ec7-4f0d-86bb-662fc0ee854b"),
            ),
            RecordErrorKind::Key,
            "the event names a key that the key store does not know",
        ),
        (
            changed("/strmMeta/keyLink", json!(null)),
            RecordErrorKind::Key,
            "field 'strmMeta.keyLink' names no key, though the event has personal fields that are not null: was it encrypted?",
        ),
        (
            changed("/uniqueIdentifier", other["uniqueIdentifier"].clone()),
            RecordErrorKind::Key,
            "field 'uniqueIdentifier' cannot be decrypted: the ciphertext was not made with this key, or was changed since",
        ),
        (
            changed(
                "/uniqueIdentifier",
                json!("279e9dcb-a9a5-497b-8d46-b213106f7fab"),
            ),
            RecordErrorKind::Key,
            "field 'uniqueIdentifier' cannot be decrypted: the ciphertext was not made with this key, or was changed since",
        ),
        (
            changed(
                "/strmMeta/eventContractRef",
                json!("streammachine/nothing/1.0.0"),
            ),
            RecordErrorKind::Contract,
            "Invalid event contract: streammachine/nothing/1.0.0. Not supported.",
        ),
    ] {
        let before = shown(&input);
        let out = run(&mut router, vec![input]).await;
        assert!(
            out.passed.is_empty() && out.filtered.is_empty(),
            "{message}"
        );
        let (rejected, error) = &out.rejected[0];
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
        assert_eq!(shown(rejected), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_encrypted_but_is_no_ciphertext_is_rejected() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let other = with(
        demo_event(),
        &[("/consistentValue", json!("another person"))],
    );
    let records = vec![
        consenting(&demo.schema, json!([3])),
        record(&demo.schema, &other),
    ];
    let inputs = encrypted(&demo, &keys.store, records).await;
    let (event, other) = (shown(&inputs[0]), shown(&inputs[1]));
    let nothing_granted: Properties<'_> = &[
        ("streams", "demo-2"),
        ("demo-2.levels", "9"),
        ("demo-2.mode", "granular"),
    ];
    let message = "field 'someSensitiveValue' is personal and stays encrypted in demo-2, but what it holds is no ciphertext of the event's key: was the event encrypted under this contract?";
    let plain = json!("a person's secret that is as long as any ciphertext");
    for (properties, levels, value) in [
        (DEMO_2, json!([3]), plain.clone()),
        (DEMO_2, json!([3]), json!("")),
        // Whoever wrote it to the stream had no key, or that of another person.
        (DEMO_2, json!([3]), other["someSensitiveValue"].clone()),
        (nothing_granted, json!([9]), plain.clone()),
    ] {
        let changes = [
            ("/someSensitiveValue", value),
            ("/strmMeta/consentLevels", levels),
        ];
        let input = record(&demo.schema, &with(event.clone(), &changes));
        let out = run(&mut router(&demo, &keys.store, properties), vec![input]).await;
        assert_eq!((out.passed.len(), out.filtered.len()), (0, 0));
        let error = &out.rejected[0].1;
        assert_eq!(error.kind, RecordErrorKind::Key);
        assert_eq!(error.message, message);
    }

    let link = event["strmMeta"]["keyLink"].as_str().unwrap();
    keys.erase(link).await;
    let input = with(event.clone(), &[("/uniqueIdentifier", plain)]);
    let input = record(&demo.schema, &input);
    let out = run(&mut router(&demo, &keys.store, DEMO_2), vec![input]).await;
    assert_eq!(out.passed.len(), 0, "plaintext passes for an erased key");
    let message = &out.rejected[0].1.message;
    assert!(message.starts_with("field 'uniqueIdentifier' is personal and stays encrypted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_another_shape_does_not_carry_personal_values_past() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let properties = [
        ("streams", "out,none"),
        ("out.levels", "1"),
        ("none.levels", "2"),
        ("none.not.granted", "drop"),
        ("pii.fields", "user.mail:2"),
        ("meta.consent.levels", "consent"),
    ];
    for (user, consent, expected) in [
        (json!(null), json!([2]), (2, 0, 0)),
        (json!({}), json!([1]), (1, 0, 0)),
        (json!("a@b.c"), json!([2]), (0, 0, 1)),
        (json!("a@b.c"), json!([1]), (0, 0, 1)),
        (json!([{}, ["a@b.c"]]), json!([1]), (0, 0, 1)),
        // Whoever gets nothing need not hear what is wrong with it.
        (json!("a@b.c"), json!([]), (0, 1, 0)),
    ] {
        let event = json!({"user": user, "consent": consent});
        let out = run(
            &mut router(&demo, &keys.store, &properties),
            vec![schemaless(&event)],
        )
        .await;
        let counts = (out.passed.len(), out.filtered.len(), out.rejected.len());
        assert_eq!(counts, expected, "{event}");
        for (_, error) in &out.rejected {
            assert_eq!(
                error.message,
                "field 'user' has personal fields and is no object"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_personal_fields_names_a_key_whatever_becomes_of_them() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let inputs = encrypted(
        &demo,
        &keys.store,
        vec![consenting(&demo.schema, json!([9]))],
    )
    .await;
    let unnamed = with(shown(&inputs[0]), &[("/strmMeta/keyLink", json!(null))]);
    let empty = with(
        unnamed.clone(),
        &[
            ("/uniqueIdentifier", json!(null)),
            ("/someSensitiveValue", json!(null)),
        ],
    );
    for not_granted in ["keep", "null", "drop"] {
        let properties = [
            ("streams", "out"),
            ("out.levels", "9"),
            ("out.mode", "granular"),
            ("out.not.granted", not_granted),
        ];
        let mut router = router(&demo, &keys.store, &properties);
        for event in [&unnamed, &empty] {
            let out = run(&mut router, vec![record(&demo.schema, event)]).await;
            assert_eq!(out.passed.len(), 0, "{not_granted}");
            assert_eq!(
                out.rejected[0].1.message,
                "field 'strmMeta.keyLink' names no key, though the event has personal fields that are not null: was it encrypted?"
            );
        }
        let out = run(&mut router, inputs.clone()).await;
        assert_eq!(out.passed.len(), 1, "{not_granted}: {:?}", out.rejected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_withheld_without_asking_for_keys_or_telling_of_consent() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut unknown = encrypted(
        &demo,
        &keys.store,
        vec![consenting(&demo.schema, json!([0]))],
    )
    .await;
    let event = with(
        shown(&unknown[0]),
        &[(
            "/strmMeta/keyLink",
            json!("cd181172-4ec7-4f0d-86bb-662fc0ee854b"),
        )],
    );
    unknown.push(record(&demo.schema, &event));
    let mut tombstone = unknown[0].clone();
    tombstone.value = None;
    unknown.push(tombstone);
    let out = run(&mut router(&demo, &keys.store, DEMO_2), unknown).await;
    let reasons: Vec<_> = out.filtered.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, ["no consent", "no consent", "tombstone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_field_for_it_the_record_key_names_the_key() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let event = json!({"session": "s-1", "mail": "a@b.c", "consent": [1]});
    let properties = [("pii.fields", "mail:1"), ("key.field", "session")];
    let mut inputs =
        encrypted_with(&demo, &keys.store, vec![schemaless(&event)], &properties).await;
    inputs.push({
        let mut record = inputs[0].clone();
        record.key = Some(Payload::new("", Encoding::Bytes));
        record
    });
    let properties = [
        ("streams", "out"),
        ("out.levels", "1"),
        ("pii.fields", "mail:1"),
        ("meta.consent.levels", "consent"),
    ];
    let out = run(&mut router(&demo, &keys.store, &properties), inputs).await;
    assert_eq!(shown(&out.passed[0]), event);
    assert_eq!(
        out.rejected[0].1.message,
        "the record key names no key, though the event has personal fields that are not null: was it encrypted?"
    );
}

#[test]
fn properties_that_do_not_go_together_are_refused() {
    let problems = |properties: Properties<'_>| -> Vec<String> {
        let settings = Settings::from_pairs("test", properties.iter().copied());
        let problems = ConsentRouterConfig::read_all(settings).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    };
    for (properties, expected) in [
        (
            &[][..],
            vec!["test: streams: must name at least one stream"],
        ),
        (
            &[("streams", "a,b"), ("b.levels", "1"), ("c.levels", "1")],
            vec![
                "test: streams: a has no levels; add a.levels=…",
                "test: streams: does not name c, which has keys of its own; add it or remove them",
            ],
        ),
        (
            &[("streams", "a"), ("a.levels", "1,2")],
            vec![
                "test: a.levels: must be one level, since mode is cumulative; for a set of levels say mode=granular",
            ],
        ),
        (
            &[("streams", "a"), ("a.levels", "high")],
            vec!["test: a.levels: must be consent levels (whole numbers from 0), not \"high\""],
        ),
        (
            &[
                ("streams", "a"),
                ("a.levels", "1"),
                ("a.not.granted", "mask"),
            ],
            vec!["test: mask.seed: is required, since not.granted=mask"],
        ),
        (
            &[("streams", "a"), ("a.levels", "1"), ("a.mod", "granular")],
            vec!["test: a.mod: unknown key; did you mean a.mode?"],
        ),
    ] {
        assert_eq!(problems(properties), expected);
    }
}

#[test]
fn derived_streams_are_named_by_their_levels() {
    assert_eq!(default_stream_name("demo", &[2]), "demo-2");
    assert_eq!(default_stream_name("demo", &[0, 1]), "demo-0-1");
}

#[test]
fn with_full_consent_every_event_comes_out_as_it_went_in() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let demo = runtime.block_on(Demo::start());
    let keys = Keys::open();
    let properties = [("streams", "all"), ("all.levels", "3")];
    let router = RefCell::new(router(&demo, &keys.store, &properties));
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(
        person in ".{1,30}",
        id in proptest::option::of(".{0,300}"),
        secret in proptest::option::of(any::<String>()),
        emails in proptest::collection::vec(proptest::option::of(any::<String>()), 0..5),
        notes in proptest::collection::vec(any::<String>(), 0..5),
        json in any::<bool>(),
    )| {
        let flat = with(
            shown(&consenting(if json { &demo.json } else { &demo.schema }, json!([3]))),
            &[
                ("/consistentValue", json!(person)),
                ("/uniqueIdentifier", json!(id)),
                ("/someSensitiveValue", json!(secret)),
            ],
        );
        let notes: Vec<Value> = notes.iter().map(|text| json!({"text": text, "stars": 1})).collect();
        let nested = with(
            order_event(),
            &[
                ("/strmMeta/consentLevels", json!([3])),
                ("/customer/id", json!(person)),
                ("/customer/emails", json!(emails)),
                ("/notes", json!(notes)),
            ],
        );
        let schema = if json { &demo.json } else { &demo.schema };
        let records = vec![record(schema, &flat), record(&demo.nested, &nested)];
        let inputs = runtime.block_on(encrypted(&demo, &keys.store, records));
        let out = runtime.block_on(run(&mut *router.borrow_mut(), inputs.clone()));
        prop_assert!(out.rejected.is_empty(), "{:?}", out.rejected);
        for ((record, input), event) in out.passed.iter().zip(&inputs).zip([flat, nested]) {
            let link = shown(input)["strmMeta"]["keyLink"].clone();
            prop_assert_eq!(shown(record), with(event, &[("/strmMeta/keyLink", link)]));
        }
    });
}
