//! What a contract accepts, what it refuses, and what the refusal says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod demo;

use std::sync::Arc;

use demo::{
    CONTRACT, Demo, demo_contract, demo_event, order_event, parse, record, run, schemaless, shown,
    with,
};
use penstock_connect::{Config, RecordErrorKind, Retry, Settings, Transform};
use penstock_contract_check::{ContractCheck, ContractCheckConfig};
use penstock_formats::SchemaKind;
use penstock_registry::{RegistryClient, RegistryConfig, SchemaRef};
use serde_json::{Value, json};

fn check(demo: &Demo, properties: &[(&str, &str)]) -> ContractCheck {
    let settings = Settings::from_pairs("test", properties.iter().copied());
    let config = ContractCheckConfig::read_all(settings).unwrap();
    ContractCheck::new(
        config,
        demo.context(),
        demo.contracts.clone(),
        demo.registry.clone(),
    )
}

#[tokio::test]
async fn a_good_event_passes_with_nonce_and_time_of_acceptance() {
    let demo = Demo::start().await;
    let mut check = check(&demo, &[]);
    for (schema, reference) in [
        (&demo.schema, CONTRACT),
        (&demo.json, "streammachine/json/1.0.0"),
    ] {
        let mut event = with(
            demo_event(),
            &[("/strmMeta/eventContractRef", json!(reference))],
        );
        if Arc::ptr_eq(schema, &demo.json) {
            // A field that is not there is filled in like one that is null.
            let meta = event["strmMeta"].as_object_mut().unwrap();
            meta.remove("nonce");
            meta.remove("billingId");
        }
        let out = run(
            &mut check,
            vec![record(schema, &event), record(schema, &event)],
        )
        .await;
        assert_eq!(out.rejected.len(), 0, "{:?}", out.rejected);
        let passed: Vec<Value> = out.passed.iter().map(shown).collect();
        let nonces: Vec<i64> = passed
            .iter()
            .map(|event| event["strmMeta"]["nonce"].as_i64().unwrap())
            .collect();
        assert_ne!(nonces[0], nonces[1]);
        assert!(nonces.iter().all(|nonce| i32::try_from(*nonce).is_ok()));
        let timestamp = passed[0]["strmMeta"]["timestamp"].clone();
        assert!(timestamp.as_i64().unwrap() > 1_600_000_000_000);
        let expected = with(
            event,
            &[
                ("/strmMeta/nonce", json!(nonces[0])),
                ("/strmMeta/timestamp", timestamp),
            ],
        );
        assert_eq!(passed[0], expected);
    }
}

#[tokio::test]
async fn nonce_and_timestamp_that_are_there_stay() {
    let demo = Demo::start().await;
    let event = with(
        demo_event(),
        &[
            ("/strmMeta/nonce", json!(-5)),
            ("/strmMeta/timestamp", json!(7)),
        ],
    );
    let out = run(&mut check(&demo, &[]), vec![record(&demo.schema, &event)]).await;
    assert_eq!(shown(&out.passed[0]), event);
}

#[tokio::test]
async fn what_breaks_a_contract_is_refused_with_the_known_texts() {
    use RecordErrorKind::{Contract, Field, Validation};
    let demo = Demo::start().await;
    let mut check = check(&demo, &[]);
    let reference = "/strmMeta/eventContractRef";
    let schema = "in event with schema: 'streammachine/demo/1.0.2'";
    for (changes, kind, text) in [
        (vec![(reference, json!(""))], Contract, "Invalid event contract: . Not supported.".to_owned()),
        (
            vec![(reference, json!("streammachine/nothing/1.0.0"))],
            Contract,
            "Invalid event contract: streammachine/nothing/1.0.0. Not supported.".into(),
        ),
        (
            vec![(reference, json!("streammachine/draft/1.0.0"))],
            Contract,
            "Invalid event contract: streammachine/draft/1.0.0. Not supported.".into(),
        ),
        (
            vec![(reference, json!("streammachine/archived/1.0.0"))],
            Contract,
            "Invalid event contract: streammachine/archived/1.0.0. Not supported.".into(),
        ),
        (
            vec![(reference, json!("shop/orders/1.0.0"))],
            Contract,
            "Invalid event contract: shop/orders/1.0.0. Not supported. It is for schema 'shop/order/1.0.0', and the event has another.".into(),
        ),
        (
            vec![("/consistentValue", json!(""))],
            Validation,
            format!("Field: 'consistentValue' {schema} with value: '' doesn't match regex: '^.+$'"),
        ),
        (
            vec![("/notSensitiveValue", json!("UPPER"))],
            Validation,
            format!("Field: 'notSensitiveValue' {schema} with value: 'UPPER' doesn't match regex: '^[a-z ]*$'"),
        ),
        (
            vec![("/someSensitiveValue", json!("SECRET"))],
            Validation,
            format!("Field: 'someSensitiveValue' {schema} with value: '[hidden]' doesn't match regex: '^[a-z ]*$'"),
        ),
        (
            vec![(reference, json!("streammachine/open/1.0.0")), ("/consistentValue", json!(""))],
            Field,
            format!("Field: 'consistentValue' {schema} is the key field and must not be empty"),
        ),
        (
            vec![("/strmMeta/keyLink", json!("cd181172-4ec7-4f0d-86bb-662fc0ee854b"))],
            Validation,
            "Field: 'strmMeta/keyLink' is filled in when the event is encrypted, and has to be null in an event that is sent".into(),
        ),
    ] {
        let event = with(demo_event(), &changes);
        let out = run(&mut check, vec![record(&demo.schema, &event)]).await;
        assert_eq!((out.passed.len(), out.rejected.len()), (0, 1), "{text}");
        let (refused, error) = &out.rejected[0];
        assert_eq!((error.kind, &error.message), (kind, &text));
        assert_eq!(shown(refused), event, "the record is what arrived");
    }
}

/// A router behind the intake could only stop at what it cannot read.
#[tokio::test]
async fn consent_levels_that_no_router_reads_are_refused() {
    let demo = Demo::start().await;
    let schema = r#"{"type": "object", "properties": {"strmMeta": {}, "consistentValue": {"type": "string"},
        "uniqueIdentifier": {"type": "string"}, "someSensitiveValue": {"type": "string"}}}"#;
    let reference = SchemaRef::parse("shop/open/1.0.0").unwrap();
    let subject = reference.subject();
    let registered = demo
        .registry
        .register(&subject, SchemaKind::Json, schema, &[]);
    let schema = registered.await.unwrap();
    let contract = with(
        demo_contract("ACTIVE"),
        &[
            ("/ref", json!("shop/open/1.0.0")),
            ("/schemaRef", json!("shop/open/1.0.0")),
            ("/validations", json!([])),
        ],
    );
    demo.contracts.put(parse(&contract)).unwrap();
    let mut by_default = check(&demo, &[]);
    let mut elsewhere = check(&demo, &[("meta.consent.levels", "consent")]);
    let event = |field: &str, levels: &Value| {
        let mut event =
            json!({"strmMeta": {"eventContractRef": "shop/open/1.0.0"}, "consistentValue": "a"});
        let at = match field {
            "consent" => &mut event,
            _ => &mut event["strmMeta"],
        };
        at[field] = levels.clone();
        record(&schema, &event)
    };
    for (levels, wrong) in [
        (json!(null), None),
        (json!([]), None),
        (json!([0, -1, 2.0, 1e3]), None),
        (json!([1, "2"]), Some("a string")),
        (json!([2.5]), Some("a number")),
        (json!([1e300]), Some("a number")),
        (json!([true]), Some("a boolean")),
        (json!({"level": 2}), Some("an object")),
    ] {
        for (check, field, path) in [
            (&mut by_default, "consentLevels", "strmMeta.consentLevels"),
            (&mut elsewhere, "consent", "consent"),
        ] {
            let out = run(check, vec![event(field, &levels)]).await;
            let Some(what) = wrong else {
                assert_eq!(out.passed.len(), 1, "{levels}: {:?}", out.rejected);
                continue;
            };
            let message = &out.rejected[0].1.message;
            assert!(
                message.contains(path) && message.contains(what),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn one_bad_event_leaves_the_others_of_its_batch_alone() {
    let demo = Demo::start().await;
    let bad = with(demo_event(), &[("/consistentValue", json!(""))]);
    let mut truncated = record(&demo.schema, &demo_event());
    let bytes = truncated.value.as_ref().unwrap().bytes().slice(..3);
    truncated.value = Some(penstock_formats::Payload::new(
        bytes,
        penstock_formats::Encoding::Registered(demo.schema.clone()),
    ));
    let mut tombstone = record(&demo.schema, &demo_event());
    tombstone.value = None;
    let records = vec![
        record(&demo.schema, &demo_event()),
        record(&demo.schema, &bad),
        truncated,
        tombstone,
        schemaless(&demo_event()),
        record(&demo.nested, &order_event()),
    ];
    let out = run(&mut check(&demo, &[]), records).await;
    assert_eq!(out.passed.len(), 2);
    let kinds: Vec<_> = out
        .rejected
        .iter()
        .map(|(_, error)| error.kind.as_str())
        .collect();
    assert_eq!(kinds, ["validation", "malformed", "contract", "contract"]);
}

#[tokio::test]
async fn validations_look_at_each_element_and_pass_over_nulls() {
    let demo = Demo::start().await;
    let mut check = check(&demo, &[]);
    let bad = with(
        order_event(),
        &[("/customer/emails", json!(["a@b", "", "c"]))],
    );
    let out = run(
        &mut check,
        vec![
            record(&demo.nested, &order_event()),
            record(&demo.nested, &bad),
        ],
    )
    .await;
    assert_eq!(out.passed.len(), 1);
    assert_eq!(
        out.rejected[0].1.message,
        "Field: 'customer/emails' in event with schema: 'shop/order/1.0.0' with value: '' doesn't match regex: '@'"
    );
}

#[tokio::test]
async fn a_contract_that_does_not_fit_its_schema_accepts_nothing_and_says_all_that_is_wrong() {
    let demo = Demo::start().await;
    let contract = with(
        demo::order_contract(),
        &[
            ("/ref", json!("shop/misfit/1.0.0")),
            ("/keyField", json!("customer/emails")),
            (
                "/piiFields",
                json!({"customer/name": 1, "customer/age": 2, "customer/kind": 3, "strmMeta/keyLink": 1}),
            ),
            ("/dataSubjectField", json!("customer/ids")),
        ],
    );
    demo.contracts.put(parse(&contract)).unwrap();
    let event = with(
        order_event(),
        &[("/strmMeta/eventContractRef", json!("shop/misfit/1.0.0"))],
    );
    let out = run(&mut check(&demo, &[]), vec![record(&demo.nested, &event)]).await;
    let message = &out.rejected[0].1.message;
    for part in [
        "contract shop/misfit/1.0.0 does not fit the event's schema: ",
        "strmMeta/keyLink is about the event itself and cannot be personal",
        "$.keyField lies in a list, and there has to be one value",
        "$.piiFields[\"customer/name\"] field path 'customer.name'",
        "$.piiFields[\"customer/age\"] is a whole number in the schema; only strings and lists of strings can be encrypted so far",
        "$.piiFields[\"customer/kind\"] is restricted in the schema",
        "$.dataSubjectField field path 'customer.ids'",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
}

#[tokio::test]
async fn a_contract_named_in_the_properties_holds_for_every_event() {
    let demo = Demo::start().await;
    let mut check = check(&demo, &[("contract", CONTRACT)]);
    let event = with(
        demo_event(),
        &[("/strmMeta/eventContractRef", json!("whatever"))],
    );
    let out = run(&mut check, vec![record(&demo.schema, &event)]).await;
    assert_eq!(out.passed.len(), 1);
}

#[tokio::test]
async fn a_changed_contract_holds_from_the_next_batch_on() {
    let demo = Demo::start().await;
    let mut check = check(&demo, &[]);
    let event = || vec![record(&demo.schema, &demo_event())];
    assert_eq!(run(&mut check, event()).await.passed.len(), 1);
    demo.contracts
        .put(parse(&demo_contract("ARCHIVED")))
        .unwrap();
    assert_eq!(run(&mut check, event()).await.rejected.len(), 1);
}

#[tokio::test]
async fn a_registry_that_is_away_holds_the_batch_back_instead_of_refusing_it() {
    let demo = Demo::start().await;
    let mut config = RegistryConfig::new(["http://127.0.0.1:9"]);
    config.max_wait = std::time::Duration::from_millis(50);
    let away = RegistryClient::new(config).unwrap();
    let config =
        ContractCheckConfig::read_all(Settings::from_pairs("test", [("", ""); 0])).unwrap();
    let mut check = ContractCheck::new(config, demo.context(), demo.contracts.clone(), away);
    let error = check
        .prepare(&[record(&demo.schema, &demo_event())])
        .await
        .unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert_eq!(
        error.message,
        "cannot look up schema streammachine/demo/1.0.2 of contract streammachine/example/1.3.0"
    );
    assert!(
        error.trace().contains("is not available"),
        "{}",
        error.trace()
    );
}

#[tokio::test]
async fn a_registry_that_lets_nobody_in_holds_the_batch_back_and_the_event_is_not_blamed() {
    for answer in [
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
    ] {
        let demo = Demo::start().await;
        let registry = RegistryClient::new(RegistryConfig::new([answering(answer).await])).unwrap();
        let config =
            ContractCheckConfig::read_all(Settings::from_pairs("test", [("", ""); 0])).unwrap();
        let mut check =
            ContractCheck::new(config, demo.context(), demo.contracts.clone(), registry);
        let error = check
            .prepare(&[record(&demo.schema, &demo_event())])
            .await
            .unwrap_err();
        assert_eq!(error.retry, Retry::Backoff, "{}", error.trace());
    }
}

#[tokio::test]
async fn a_schema_that_the_registry_does_not_have_is_named_without_the_registrys_words() {
    let demo = Demo::start().await;
    let body = r#"{"error_code":40401,"message":"internal words"}"#;
    let answer = format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let registry =
        RegistryClient::new(RegistryConfig::new([answering(answer.leak()).await])).unwrap();
    let config =
        ContractCheckConfig::read_all(Settings::from_pairs("test", [("", ""); 0])).unwrap();
    let mut check = ContractCheck::new(config, demo.context(), demo.contracts.clone(), registry);
    let out = run(&mut check, vec![record(&demo.schema, &demo_event())]).await;
    assert_eq!(
        out.rejected[0].1.message,
        "Invalid event contract: streammachine/example/1.3.0. Not supported. Its schema \
         'streammachine/demo/1.0.2' is not in the registry."
    );
}

/// The address of a server that answers every request alike.
async fn answering(answer: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn checks_are_counted_by_outcome() {
    let demo = Demo::start().await;
    let bad = with(demo_event(), &[("/consistentValue", json!(""))]);
    let records = [demo_event(), bad, demo_event()].map(|event| record(&demo.schema, &event));
    run(&mut check(&demo, &[]), records.into()).await;
    let counter = demo.metrics.counter(
        "penstock_contract_checked_events_total",
        "",
        &["connector", "outcome"],
    );
    assert_eq!(counter.with_label_values(&["test", "accepted"]).get(), 2);
    assert_eq!(counter.with_label_values(&["test", "validation"]).get(), 1);
}
