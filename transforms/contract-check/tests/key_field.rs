//! "The key field is present and not empty", however it may not be there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod demo;

use demo::{
    Demo, demo_contract, demo_event, order_contract, order_event, parse, record, run, with,
};
use penstock_connect::{Config, RecordErrorKind, Settings};
use penstock_contract_check::{ContractCheck, ContractCheckConfig};
use serde_json::json;

#[tokio::test]
async fn a_key_field_that_is_null_absent_or_there_several_times_is_refused() {
    let demo = Demo::start().await;
    for contract in [
        with(
            demo_contract("ACTIVE"),
            &[
                ("/ref", json!("streammachine/nullable/1.0.0")),
                ("/keyField", json!("uniqueIdentifier")),
                ("/validations", json!([])),
            ],
        ),
        with(
            demo_contract("ACTIVE"),
            &[
                ("/ref", json!("streammachine/json-key/1.0.0")),
                ("/schemaRef", json!("streammachine/demo-json/1.0.0")),
                ("/keyField", json!("uniqueIdentifier")),
                ("/validations", json!([])),
            ],
        ),
        with(
            order_contract(),
            &[
                ("/ref", json!("shop/notes/1.0.0")),
                ("/keyField", json!("notes/text")),
            ],
        ),
    ] {
        demo.contracts.put(parse(&contract)).unwrap();
    }
    let named =
        |event, reference: &str| with(event, &[("/strmMeta/eventContractRef", json!(reference))]);
    let null = with(demo_event(), &[("/uniqueIdentifier", json!(null))]);
    let mut absent = named(demo_event(), "streammachine/json-key/1.0.0");
    absent.as_object_mut().unwrap().remove("uniqueIdentifier");
    let mut twice = record(
        &demo.json,
        &named(demo_event(), "streammachine/json-key/1.0.0"),
    );
    let text = String::from_utf8(twice.value.as_ref().unwrap().bytes().to_vec()).unwrap();
    let text = text.replacen('{', "{\"uniqueIdentifier\":\"another\",", 1);
    twice.value = Some(penstock_formats::Payload::new(
        text,
        penstock_formats::Encoding::Registered(demo.json.clone()),
    ));
    let records = [
        (
            record(
                &demo.schema,
                &named(null.clone(), "streammachine/nullable/1.0.0"),
            ),
            "must not be empty",
        ),
        (
            record(&demo.json, &named(null, "streammachine/json-key/1.0.0")),
            "must not be empty",
        ),
        (record(&demo.json, &absent), "must not be empty"),
        (twice, "must be there once, not several times"),
    ];
    let settings = Settings::from_pairs("test", [("", ""); 0]);
    let config = ContractCheckConfig::read_all(settings).unwrap();
    let mut check = ContractCheck::new(
        config,
        demo.context(),
        demo.contracts.clone(),
        demo.registry.clone(),
    );
    for (record, problem) in records {
        let out = run(&mut check, vec![record]).await;
        assert_eq!((out.passed.len(), out.rejected.len()), (0, 1), "{problem}");
        let (_, error) = &out.rejected[0];
        assert_eq!(error.kind, RecordErrorKind::Field);
        assert!(error.message.contains("'uniqueIdentifier'"), "{error}");
        assert!(error.message.ends_with(problem), "{error}");
    }
    // One that lies in a list is no key field.
    let out = run(
        &mut check,
        vec![record(
            &demo.nested,
            &named(order_event(), "shop/notes/1.0.0"),
        )],
    )
    .await;
    assert_eq!(out.rejected[0].1.kind, RecordErrorKind::Contract);
}
