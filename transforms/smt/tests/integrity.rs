//! Whatever the event: a transform changes the named field and nothing else, and what comes out can be read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/formats/tests/damage/mod.rs"]
mod damage;
mod support;

use std::sync::{Arc, OnceLock};

use damage::{damage, damaged};
use penstock_formats::{Encoding, Payload, Schema};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{apply, avro, avro_schema, record, text, transform};

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,4}", "[\"\\\\/{}\\[\\],:é日\u{1f600}\u{0}\n ]{0,6}"]
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000..1_000_000i64).prop_map(|n| json!(n as f64 / 64.0)),
        any_text().prop_map(Value::from),
    ]
}

/// Objects whose names come from a few, so that the paths of the tests are often there.
fn any_object() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop_oneof!["[abc]", any_text()], inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn event() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[abc]", any_object()), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Applies `change` to every value at the path, through arrays as [`penstock_formats::Fields`] goes.
fn at_path(value: &mut Value, path: &[&str], change: &mut dyn FnMut(&mut Value)) {
    match (value, path) {
        (Value::Array(items), _) => items
            .iter_mut()
            .for_each(|item| at_path(item, path, change)),
        (value, []) => change(value),
        (Value::Object(members), [first, rest @ ..]) => {
            if let Some(member) = members.get_mut(*first) {
                at_path(member, rest, change);
            }
        }
        _ => {}
    }
}

fn masked(value: &mut Value) {
    *value = match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(number) if number.is_f64() => json!(0.0),
        Value::Number(_) => json!(0),
        Value::String(_) => json!(""),
        Value::Array(_) => return,
        Value::Object(_) => json!({}),
    };
}

const SCHEMA: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"a","type":{"type":"record","name":"A","fields":[
        {"name":"a","type":["null","string"]},{"name":"b","type":{"type":"array","items":"string"}},{"name":"c","type":"boolean"}]}},
    {"name":"b","type":{"type":"map","values":{"type":"array","items":{"type":"record","name":"B","fields":[
        {"name":"a","type":"string"},{"name":"b","type":["long","null"]}]}}}},
    {"name":"c","type":["null","long"]},{"name":"d","type":"string"}]}"#;

fn avro_event() -> impl Strategy<Value = Value> {
    let a = (
        prop::option::of(any_text()),
        prop::collection::vec(any_text(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(a, b, c)| json!({"a": a, "b": b, "c": c}));
    let item =
        (any_text(), prop::option::of(any::<i64>())).prop_map(|(a, b)| json!({"a": a, "b": b}));
    let b = prop::collection::btree_map("[abk]", prop::collection::vec(item, 0..4), 0..3);
    (a, b, prop::option::of(any::<i64>()), any_text())
        .prop_map(|(a, b, c, d)| json!({"a": a, "b": b, "c": c, "d": d}))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The value after the transform; `None` if it was rejected.
fn through(class: &str, settings: &str, payload: Payload) -> Option<Value> {
    let mut transform = transform(class, settings);
    apply(&mut *transform, record(Some(payload)))
        .ok()
        .map(|record| parsed(&text(record.value.as_ref())))
}

fn paths() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn masking_json_changes_the_field_alone(event in event(), path in paths()) {
        let settings = format!("fields={}", path.join("."));
        let out = through("MaskField", &settings, support::json(&event.to_string())).expect("nothing to reject");
        let mut expected = event;
        at_path(&mut expected, &path, &mut masked);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn setting_a_json_field_changes_it_alone_or_rejects(event in event(), path in paths(), value in any_scalar()) {
        let given = value.to_string().replace('\\', "\\\\");
        let settings = format!("field={}\nvalue.type=json\nvalue={given}", path.join("."));
        let out = through("SetField", &settings, support::json(&event.to_string()));
        let mut expected = event;
        let mut parents = 0;
        let (name, above) = path.split_last().unwrap();
        at_path(&mut expected, above, &mut |parent| {
            if let Value::Object(members) = parent {
                parents += 1;
                match members.get_mut(*name) {
                    // Of a list, every element is set: an empty one stays empty.
                    Some(member @ Value::Array(_)) => at_path(member, &[], &mut |old| *old = value.clone()),
                    Some(member) => *member = value.clone(),
                    None => {
                        members.insert((*name).to_owned(), value.clone());
                    }
                }
            }
        });
        match out {
            Some(out) => prop_assert_eq!(out, expected),
            None => prop_assert!(parents == 0 || expected.to_string().contains("[]"), "{} parents", parents),
        }
    }

    #[test]
    fn masking_avro_changes_the_field_alone(event in avro_event(), path in prop::sample::select(vec!["a.a", "a.b", "a.c", "b.k.a", "b.a.b", "c", "d"])) {
        let schema = avro_schema(SCHEMA);
        let out = through("MaskField", &format!("fields={path}"), avro(&schema, &event.to_string())).expect("nothing to reject");
        let mut expected = event;
        at_path(&mut expected, &path.split('.').collect::<Vec<_>>(), &mut masked);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn reshaping_avro_leaves_the_other_fields(event in avro_event()) {
        let schema = avro_schema(SCHEMA);
        let payload = || avro(&schema, &event.to_string());
        let members = event.as_object().unwrap();
        let without = |name: &str| Value::Object(members.iter().filter(|(key, _)| *key != name).map(|(k, v)| (k.clone(), v.clone())).collect());
        for name in ["c", "d", "b"] {
            prop_assert_eq!(through("ReplaceField", &format!("exclude={name}"), payload()).unwrap(), without(name));
        }
        let mut inserted = event.clone();
        inserted["topic"] = json!("t");
        prop_assert_eq!(through("InsertField", "topic.field=topic", payload()).unwrap(), inserted);
        let mut cast = event.clone();
        if let Some(number) = event["c"].as_i64() {
            cast["c"] = json!(number.to_string());
        }
        prop_assert_eq!(through("Cast", "spec=c:string", payload()).unwrap(), cast);
        prop_assert_eq!(through("HoistField", "field=f", payload()).unwrap(), json!({"f": event}));
        let mut flat = without("a");
        for (name, value) in event["a"].as_object().unwrap() {
            flat[format!("a_{name}")] = value.clone();
        }
        prop_assert_eq!(through("Flatten", "delimiter=_", payload()).unwrap(), flat);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_that_are_no_event_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        through_all(&bytes);
    }

    #[test]
    fn damaged_json_never_panics(event in event(), pretty: bool, damage in damage()) {
        let text = if pretty { format!("{event:#}") } else { event.to_string() };
        through_all(&damaged(text.into(), &damage));
    }

    #[test]
    fn damaged_avro_never_panics(event in avro_event(), damage in damage()) {
        let schema = avro_schema(SCHEMA);
        through_all(&damaged(avro(&schema, &event.to_string()).bytes().to_vec(), &damage));
    }
}

/// All transforms that look at payloads, over the bytes as JSON and as Avro, and what comes out is shown.
fn through_all(bytes: &[u8]) {
    for (class, settings) in [
        ("SetField", "field=a.a\nvalue=1"),
        ("SetField", "field=c\nvalue=1"),
        ("ValueToKey", "fields=d,a.a"),
        ("MaskField", "fields=a.a,d"),
        ("InsertField", "topic.field=x"),
        ("ReplaceField", "exclude=a"),
        ("ReplaceField", "exclude=c\nrenames=a:z"),
        ("ExtractField", "field=a.a"),
        ("HoistField", "field=f"),
        ("Cast", "spec=d:int32"),
        ("Cast", "spec=c:string"),
        ("Cast", "spec=string"),
        (
            "TimestampConverter",
            "field=d\ntarget.type=unix\nformat=yyyy-MM-dd",
        ),
        (
            "TimestampConverter",
            "field=c\ntarget.type=string\nformat=yyyy-MM-dd",
        ),
        ("Flatten", "delimiter=_"),
        ("HeaderFrom", "fields=d,b.k.a\nheaders=h,i\noperation=copy"),
        ("HeaderFrom", "fields=d\nheaders=h\noperation=move"),
        ("SetSchemaMetadata", "schema.name=x"),
    ] {
        for encoding in [Encoding::Json, Encoding::Registered(event_schema())] {
            let payload = Payload::new(bytes.to_vec(), encoding);
            let mut transform = transform(class, settings);
            if let Ok(record) = apply(&mut *transform, record(Some(payload))) {
                for payload in [&record.key, &record.value].into_iter().flatten() {
                    let _ = (payload.to_json(&mut Vec::new()), payload.decode());
                }
            }
        }
    }
}

/// Parsed once for all cases.
fn event_schema() -> Arc<Schema> {
    static PARSED: OnceLock<Arc<Schema>> = OnceLock::new();
    Arc::clone(PARSED.get_or_init(|| avro_schema(SCHEMA)))
}

#[test]
fn json_of_several_lines_that_ends_within_a_string_is_refused() {
    let payload = Payload::new("\n\"", Encoding::Json);
    let mut hoist = transform("HoistField", "field=f");
    let (_, error) = apply(&mut *hoist, record(Some(payload))).unwrap_err();
    assert_eq!(
        error.message,
        "malformed JSON at byte 1: a string without an end"
    );
}
