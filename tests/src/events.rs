//! Events of the acceptance folders' schemas.

use std::fs;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use xtask::paths;

/// Ref of the demo's schema.
pub const DEMO_SCHEMA: &str = "streammachine/demo/1.0.2";
/// Ref of the demo's contract.
pub const DEMO_CONTRACT: &str = "streammachine/example/1.3.0";

/// A demo event as its generated class makes it: everything empty.
#[must_use]
pub fn empty_demo() -> Value {
    json!({
        "strmMeta": {
            "eventContractRef": "",
            "nonce": null,
            "timestamp": null,
            "keyLink": null,
            "billingId": null,
            "consentLevels": [],
        },
        "uniqueIdentifier": null,
        "consistentValue": "",
        "someSensitiveValue": null,
        "notSensitiveValue": null,
    })
}

/// A demo event with all fields filled in.
#[must_use]
pub fn demo(session: &str, consent_levels: &[i32]) -> Value {
    let mut event = empty_demo();
    event["strmMeta"]["eventContractRef"] = DEMO_CONTRACT.into();
    event["strmMeta"]["consentLevels"] = consent_levels.into();
    event["uniqueIdentifier"] = uuid::Uuid::new_v4().to_string().into();
    event["consistentValue"] = session.into();
    event["someSensitiveValue"] = "A value that should be encrypted".into();
    event["notSensitiveValue"] = "Anyone is free to see this text.".into();
    event
}

/// The demo event in Avro's binary encoding, written by a library that is not ours.
///
/// # Panics
/// When the event does not fit the demo's schema.
#[must_use]
pub fn demo_avro(event: &Value) -> Vec<u8> {
    let schema = Schema::parse_str(&demo_schema()).expect("the demo's schema is Avro");
    let value = Avro::try_from(event.clone())
        .and_then(|value| value.resolve(&schema))
        .expect("the event fits");
    GenericDatumWriter::builder(&schema)
        .build()
        .and_then(|writer| writer.write_value_to_vec(value))
        .expect("the event can be encoded")
}

/// The text of the demo's schema.
pub(crate) fn demo_schema() -> String {
    acceptance("demo/schemas/streammachine/demo/1.0.2.avsc")
}

/// A page change of the published schema's own example, for one page of the wiki `example`.
///
/// # Panics
/// When the schema has no example.
#[must_use]
pub fn page_change(page_id: u64, revision: u64) -> Value {
    let schema: Value =
        serde_json::from_str(&acceptance("wiki/schemas/mediawiki/page/change/1.1.0.json"))
            .expect("the schema is JSON");
    let mut event = schema["examples"][0].clone();
    assert!(event.is_object(), "the schema has an example");
    // Kafka deletes records that are older than its retention, and takes their time from the event.
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    event["dt"] = now.as_str().into();
    event["meta"]["dt"] = now.into();
    event["meta"]["id"] = uuid::Uuid::new_v4().to_string().into();
    event["page"]["page_id"] = page_id.into();
    event["page"]["page_title"] = format!("Page_{page_id}").into();
    event["revision"]["rev_id"] = revision.into();
    event
}

/// The event that operators send through every stream to see that it flows.
#[must_use]
pub fn canary() -> Value {
    let mut event = page_change(0, 0);
    event["meta"]["domain"] = "canary".into();
    event
}

fn acceptance(file: &str) -> String {
    let path = paths::workspace().join("tests/acceptance").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
