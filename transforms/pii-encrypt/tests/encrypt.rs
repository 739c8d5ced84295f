//! What is encrypted and how it can be read again, and what is rejected because it cannot be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../contract-check/tests/demo/mod.rs"]
mod demo;
mod store;

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo::{Demo, demo_event, order_event, record, run, schemaless, shown, with};
use penstock_connect::{Config, Outputs, Placement, Record, RecordErrorKind, Settings, Transform};
use penstock_contract_check::{ContractCheck, ContractCheckConfig};
use penstock_keys::KeyStore;
use penstock_pii_encrypt::{PiiEncrypt, PiiEncryptConfig};
use proptest::prelude::*;
use serde_json::{Value, json};
use store::{Keys, key_of};

fn encrypter(demo: &Demo, store: &Arc<KeyStore>, properties: &[(&str, &str)]) -> PiiEncrypt {
    let settings = Settings::from_pairs("test", properties.iter().copied());
    PiiEncrypt::new(
        PiiEncryptConfig::read_all(settings).unwrap(),
        demo.context(),
        demo.contracts.clone(),
        demo.registry.clone(),
        store.clone(),
    )
}

fn link(event: &Value) -> String {
    event["strmMeta"]["keyLink"].as_str().unwrap().to_owned()
}

/// The plaintext of an encrypted field.
async fn decrypted(store: &KeyStore, link: &str, field: &Value) -> String {
    let ciphertext = STANDARD.decode(field.as_str().unwrap()).unwrap();
    assert_eq!(ciphertext[0], 1, "Tink's prefix");
    let mut plaintext = Vec::new();
    key_of(store, link)
        .await
        .decrypt(&ciphertext, &mut plaintext)
        .unwrap();
    String::from_utf8(plaintext).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_fields_become_ciphertexts_under_the_key_that_the_event_names() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut encrypt = encrypter(&demo, &keys.store, &[]);
    for (schema, contract) in [
        (&demo.schema, demo::CONTRACT),
        (&demo.json, "streammachine/json/1.0.0"),
    ] {
        let event = with(
            demo_event(),
            &[
                ("/strmMeta/eventContractRef", json!(contract)),
                ("/uniqueIdentifier", json!(null)),
                (
                    "/someSensitiveValue",
                    json!("Füße \"zitiert\" \\ \u{1F600}"),
                ),
                ("/consistentValue", json!("one-person")),
            ],
        );
        let out = run(&mut encrypt, vec![record(schema, &event)]).await;
        assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
        let passed = &out.passed[0];
        let encrypted = shown(passed);
        let link = link(&encrypted);
        for field in ["consistentValue", "someSensitiveValue"] {
            let plaintext = decrypted(&keys.store, &link, &encrypted[field]).await;
            assert_eq!(json!(plaintext), event[field]);
        }
        let expected = with(
            event,
            &[
                ("/strmMeta/keyLink", json!(link)),
                ("/consistentValue", encrypted["consistentValue"].clone()),
                (
                    "/someSensitiveValue",
                    encrypted["someSensitiveValue"].clone(),
                ),
            ],
        );
        assert_eq!(
            encrypted, expected,
            "null stays null, and nothing else changes"
        );
        assert_eq!(passed.key.as_ref().unwrap().bytes(), link.as_bytes());
        let hash = keys.store.placement_hash("demo", "one-person");
        assert_eq!(passed.placement, Placement::Hash(hash));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_fields_and_every_element_of_lists_are_encrypted() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut encrypt = encrypter(&demo, &keys.store, &[]);
    let event = order_event();
    let out = run(&mut encrypt, vec![record(&demo.nested, &event)]).await;
    let encrypted = shown(&out.passed[0]);
    let link = link(&encrypted);
    for pointer in [
        "/customer/id",
        "/customer/emails/0",
        "/customer/emails/2",
        "/notes/0/text",
        "/notes/1/text",
    ] {
        let field = encrypted.pointer(pointer).unwrap();
        let plaintext = decrypted(&keys.store, &link, field).await;
        assert_eq!(
            json!(plaintext),
            *event.pointer(pointer).unwrap(),
            "{pointer}"
        );
    }
    assert_eq!(encrypted["customer"]["emails"][1], json!(null));
    assert_eq!(encrypted["customer"]["age"], json!(40));
    assert_eq!(encrypted["notes"][1]["stars"], json!(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_of_one_person_are_equal_and_other_persons_have_other_keys() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut encrypt = encrypter(&demo, &keys.store, &[]);
    let person = |name: &str| {
        let event = with(demo_event(), &[("/consistentValue", json!(name))]);
        record(&demo.schema, &event)
    };
    let first = run(
        &mut encrypt,
        vec![person("ann"), person("bob"), person("ann")],
    )
    .await;
    let second = run(&mut encrypt, vec![person("bob")]).await;
    let events: Vec<Value> = first
        .passed
        .iter()
        .chain(&second.passed)
        .map(shown)
        .collect();
    assert_eq!(events[0], events[2]);
    assert_eq!(events[1], events[3]);
    assert_ne!(link(&events[0]), link(&events[1]));
    assert_ne!(
        events[0]["someSensitiveValue"],
        events[1]["someSensitiveValue"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_keys_of_their_own_unless_one_is_named() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let to = |topic: &str| {
        let mut record = record(&demo.schema, &demo_event());
        record.topic = topic.into();
        record
    };
    let mut by_topic = encrypter(&demo, &keys.store, &[]);
    let out = run(&mut by_topic, vec![to("a"), to("b")]).await;
    assert_ne!(link(&shown(&out.passed[0])), link(&shown(&out.passed[1])));
    let mut by_name = encrypter(&demo, &keys.store, &[("key.stream", "a")]);
    let again = run(&mut by_name, vec![to("a"), to("b")]).await;
    for record in &again.passed {
        assert_eq!(link(&shown(record)), link(&shown(&out.passed[0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_fields_need_no_contract_and_no_schema() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let listed = [
        ("pii.fields", "user/mail:1,user.names:2"),
        ("key.field", "session"),
        ("meta.key.link", "key"),
    ];
    let mut encrypt = encrypter(&demo, &keys.store, &listed);
    let event = json!({"session": "s-1", "key": null, "user": {"mail": "a@b.c", "names": ["Ann", "Anna"]}, "page": "/"});
    let out = run(&mut encrypt, vec![schemaless(&event)]).await;
    assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
    let encrypted = shown(&out.passed[0]);
    let link = encrypted["key"].as_str().unwrap();
    for pointer in ["/user/mail", "/user/names/0", "/user/names/1"] {
        let plaintext = decrypted(&keys.store, link, encrypted.pointer(pointer).unwrap()).await;
        assert_eq!(json!(plaintext), *event.pointer(pointer).unwrap());
    }
    assert_eq!(
        (&encrypted["session"], &encrypted["page"]),
        (&json!("s-1"), &json!("/"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_erased_with_the_person_whom_their_events_are_about() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let about = |session: &str, person: Value| json!({"session": session, "mail": "a@b.c", "person": person});
    let listed = [
        ("pii.fields", "mail:1"),
        ("key.field", "session"),
        ("data.subject.field", "person"),
    ];
    let mut encrypt = encrypter(&demo, &keys.store, &listed);
    let events = [
        about("s-1", json!("ann")),
        about("s-2", json!("ann")),
        about("s-3", json!("bob")),
        about("s-4", json!(null)),
        about("s-5", json!("")),
    ];
    let out = run(&mut encrypt, events.iter().map(schemaless).collect()).await;
    assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
    assert_eq!(keys.store.erase_subject("ann").await.unwrap(), 2);
    assert_eq!(keys.store.erase_subject("bob").await.unwrap(), 1);
    assert_eq!(keys.store.erase_subject("").await.unwrap(), 0);

    let contract = with(
        demo::demo_contract("ACTIVE"),
        &[
            ("/ref", json!("streammachine/subject/1.0.0")),
            ("/dataSubjectField", json!("notSensitiveValue")),
        ],
    );
    demo.contracts.put(demo::parse(&contract)).unwrap();
    let event = with(
        demo_event(),
        &[
            (
                "/strmMeta/eventContractRef",
                json!("streammachine/subject/1.0.0"),
            ),
            ("/notSensitiveValue", json!("eve")),
        ],
    );
    let mut by_contract = encrypter(&demo, &keys.store, &[]);
    let out = run(&mut by_contract, vec![record(&demo.schema, &event)]).await;
    assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
    assert_eq!(keys.store.erase_subject("eve").await.unwrap(), 1);

    for (person, problem) in [
        (json!(7), "holds an integer instead of a string"),
        // Which of them would have the key erased?
        (json!(["ann", "bob"]), "is there several times"),
    ] {
        let out = run(&mut encrypt, vec![schemaless(&about("s-6", person))]).await;
        assert_eq!(
            out.rejected[0].1.message,
            format!("field 'person' says whom the event is about, and {problem}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_in_the_schema_say_what_is_personal() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let text = r#"{"type": "record", "name": "R", "fields": [
        {"name": "session", "type": "string"},
        {"name": "mail", "type": "string", "confluent:tags": ["PII"]},
        {"name": "page", "type": "string", "confluent:tags": ["PUBLIC"]}]}"#;
    let schema = Arc::new(penstock_formats::Schema::avro(text, &[]).unwrap());
    let tagged = [("pii.tags", "PII:1"), ("key.field", "session")];
    let mut encrypt = encrypter(&demo, &keys.store, &tagged);
    let event = json!({"session": "s-1", "mail": "a@b.c", "page": "/"});
    let out = run(
        &mut encrypt,
        vec![record(&schema, &event), schemaless(&event)],
    )
    .await;
    let encrypted = shown(&out.passed[0]);
    let link = std::str::from_utf8(out.passed[0].key.as_ref().unwrap().bytes()).unwrap();
    assert_eq!(
        decrypted(&keys.store, link, &encrypted["mail"]).await,
        "a@b.c"
    );
    assert_eq!(
        (&encrypted["session"], &encrypted["page"]),
        (&json!("s-1"), &json!("/"))
    );
    assert_eq!(
        out.rejected[0].1.message,
        "the event comes without a schema whose tags could say what is personal"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_encrypted_is_rejected_as_it_came() {
    use RecordErrorKind::{Contract, Field};
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut by_contract = encrypter(&demo, &keys.store, &[]);
    let avro = |changes: &[(&str, Value)]| record(&demo.schema, &with(demo_event(), changes));
    let mut tombstone = avro(&[]);
    tombstone.value = None;
    let mut text = avro(&[]);
    text.value = Some(penstock_formats::Payload::new(
        "ann@example.org",
        penstock_formats::Encoding::Text,
    ));
    let draft = [(
        "/strmMeta/eventContractRef",
        json!("streammachine/draft/1.0.0"),
    )];
    let taken = [(
        "/strmMeta/keyLink",
        json!("cd181172-4ec7-4f0d-86bb-662fc0ee854b"),
    )];
    let cases: Vec<(Record, RecordErrorKind, &str)> = vec![
        (
            avro(&[("/strmMeta/eventContractRef", json!(""))]),
            Contract,
            "Invalid event contract: . Not supported.",
        ),
        (
            avro(&draft),
            Contract,
            "Invalid event contract: streammachine/draft/1.0.0. Not supported.",
        ),
        (
            record(
                &demo.nested,
                &with(
                    order_event(),
                    &[("/strmMeta/eventContractRef", json!(demo::CONTRACT))],
                ),
            ),
            Contract,
            "Invalid event contract: streammachine/example/1.3.0. Not supported. It is for schema 'streammachine/demo/1.0.2', and the event has another.",
        ),
        (
            avro(&[("/consistentValue", json!(""))]),
            Field,
            "Field: 'consistentValue' in event with schema: 'streammachine/demo/1.0.2' is the key field and must not be empty",
        ),
        (
            avro(&taken),
            Field,
            "field 'strmMeta.keyLink' names a key already: the event was encrypted before, or its sender made the name up",
        ),
        (
            tombstone,
            Contract,
            "the record has no value (a tombstone), so that no contract can be applied to it",
        ),
        (
            text,
            RecordErrorKind::Schema,
            "the value is neither Avro nor JSON, so that its fields cannot be found: use a converter that reads it as one of these",
        ),
    ];
    for (record, kind, message) in cases {
        let before = record.value.as_ref().map(|value| value.bytes().clone());
        let out = run(&mut by_contract, vec![record]).await;
        let (rejected, error) = &out.rejected[0];
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
        let after = rejected.value.as_ref().map(|value| value.bytes().clone());
        assert_eq!((before, &rejected.key.is_none()), (after, &true));
        assert!(out.passed.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_strings_are_rejected_without_being_shown() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let listed = [("pii.fields", "user:1"), ("key.field", "session")];
    let mut encrypt = encrypter(&demo, &keys.store, &listed);
    for (value, kind) in [
        (json!(4_711_815), "an integer"),
        (json!(true), "a boolean"),
        (json!(["a", 4_711_815]), "an integer"),
        (
            json!({"phone": 4_711_815}),
            "there is something else: an object is no single value",
        ),
    ] {
        let event = json!({"session": "s-1", "user": value});
        let out = run(&mut encrypt, vec![schemaless(&event)]).await;
        let message = &out.rejected[0].1.message;
        assert!(
            message.contains("user") && message.contains(kind),
            "{message}"
        );
        assert!(!message.contains("4711815"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_another_shape_does_not_carry_personal_values_past() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let listed = [
        ("pii.fields", "user.contact.mail:1"),
        ("key.field", "session"),
    ];
    let mut encrypt = encrypter(&demo, &keys.store, &listed);
    for (user, good) in [
        (json!({"contact": {"mail": "a@b.c"}}), true),
        (
            json!([{"contact": {"mail": "a@b.c"}}, {"contact": null}, {}]),
            true,
        ),
        (json!(null), true),
        (json!([]), true),
        (json!("a@b.c"), false),
        (json!({"contact": "a@b.c"}), false),
        (json!({"contact": ["a@b.c"]}), false),
        (json!([{"contact": {"mail": "a@b.c"}}, "a@b.c"]), false),
    ] {
        let event = json!({"session": "s-1", "user": user});
        let out = run(&mut encrypt, vec![schemaless(&event)]).await;
        assert_eq!(out.passed.len() == 1, good, "{event}");
        match good {
            true => assert!(!shown(&out.passed[0]).to_string().contains("a@b.c")),
            false => assert!(
                out.rejected[0]
                    .1
                    .message
                    .ends_with("has personal fields and is no object")
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_while_there_are_no_keys_to_be_had() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let mut encrypt = encrypter(&demo, &keys.store, &[]);
    keys.lose_topic();
    let error = encrypt
        .prepare(&[record(&demo.schema, &demo_event())])
        .await
        .unwrap_err();
    let start = "cannot get the keys to encrypt with: ";
    assert!(error.message.starts_with(start), "{}", error.message);
    assert!(
        !error.message.contains("a-user-session"),
        "{}",
        error.message
    );
}

#[test]
fn properties_that_do_not_go_together_are_refused() {
    for (properties, expected) in [
        (
            vec![("pii.fields", "a:1")],
            vec!["test: key.field: is required, since pii.fields is given"],
        ),
        (
            vec![("key.field", "a")],
            vec!["test: key.field: goes with pii.fields or pii.tags; contracts name theirs"],
        ),
        (
            vec![
                ("pii.fields", "a:1"),
                ("contract", "a/b/1.0.0"),
                ("key.field", "a"),
            ],
            vec!["test: pii.fields: says in another way what contract says; keep one of them"],
        ),
        (
            vec![("contract", "a/b"), ("pii.feilds", "a:1")],
            vec![
                "test: contract: \"a/b\" is not a contract reference: expected handle/name/x.y.z with names of letters, digits, '_' and '-'",
                "test: pii.feilds: unknown key; did you mean pii.fields?",
            ],
        ),
    ] {
        let settings = Settings::from_pairs("test", properties);
        let problems = PiiEncryptConfig::read_all(settings).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
    }
}

/// Text long enough that it cannot turn up in a ciphertext by chance.
fn telling() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 äöü\"\\\\\n]{8,40}"
}

#[test]
fn no_plaintext_of_a_personal_field_is_in_what_goes_on() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let demo = runtime.block_on(Demo::start());
    let keys = Keys::open();
    let encrypt = RefCell::new(encrypter(&demo, &keys.store, &[]));
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(
        person in telling(),
        id in proptest::option::of(telling()),
        secret in proptest::option::of(telling()),
        json in any::<bool>(),
    )| {
        let (schema, contract) = match json {
            true => (&demo.json, "streammachine/json/1.0.0"),
            false => (&demo.schema, demo::CONTRACT),
        };
        let event = with(demo_event(), &[
            ("/strmMeta/eventContractRef", json!(contract)),
            ("/consistentValue", json!(person)),
            ("/uniqueIdentifier", json!(id)),
            ("/someSensitiveValue", json!(secret)),
        ]);
        let out = runtime.block_on(run(&mut *encrypt.borrow_mut(), vec![record(schema, &event)]));
        prop_assert_eq!(out.passed.len(), 1);
        let mut bytes = out.passed[0].value.as_ref().unwrap().bytes().to_vec();
        bytes.extend_from_slice(out.passed[0].key.as_ref().unwrap().bytes());
        for plaintext in [Some(&person), id.as_ref(), secret.as_ref()].into_iter().flatten() {
            let needle = plaintext.as_bytes();
            prop_assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_checked_is_encrypted_without_another_walk_and_to_the_same_bytes() {
    let demo = Demo::start().await;
    let keys = Keys::open();
    let config = ContractCheckConfig::read_all(Settings::default()).unwrap();
    let (contracts, registry) = (demo.contracts.clone(), demo.registry.clone());
    let mut check = ContractCheck::new(config, demo.context(), contracts, registry);
    let mut encrypt = encrypter(&demo, &keys.store, &[]);
    let bytes = |out: &Outputs| -> Vec<Vec<u8>> {
        let values = out
            .passed
            .iter()
            .map(|record| record.value.as_ref().unwrap());
        values
            .map(|value| {
                let mut bytes = Vec::new();
                value.write_to(&mut bytes);
                bytes
            })
            .collect()
    };
    for (schema, contract) in [
        (&demo.schema, demo::CONTRACT),
        (&demo.json, "streammachine/json/1.0.0"),
    ] {
        let records = ["a", "a longer value", "b"].map(|value| {
            let changes = [
                ("/strmMeta/eventContractRef", json!(contract)),
                ("/strmMeta/nonce", json!(7)),
                ("/strmMeta/timestamp", json!(1_700_000_000_000_i64)),
                ("/someSensitiveValue", json!(value)),
            ];
            record(schema, &with(demo_event(), &changes))
        });
        let checked = run(&mut check, records.to_vec()).await;
        assert_eq!(checked.rejected.len(), 0, "{:?}", checked.rejected);
        for record in &checked.passed {
            assert!(record.value.as_ref().unwrap().found().is_some());
        }
        let kept = run(&mut encrypt, checked.passed).await;
        let walked = run(&mut encrypt, records.to_vec()).await;
        assert_eq!(kept.rejected.len(), 0, "{:?}", kept.rejected);
        assert_eq!(bytes(&kept), bytes(&walked));
    }
}
