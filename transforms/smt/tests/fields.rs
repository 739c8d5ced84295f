//! Transforms that set, mask and extract fields.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use penstock_connect::Placement;
use penstock_formats::{Encoding, Payload, Schema};
use support::*;

const EVENT: &str = r#"{"meta": {"id": "x", "level": 3}, "tags": ["a", "b"], "items": [{"p": 1}, {"p": 2}],
    "name": "Ann", "age": 42, "score": 1.5, "ok": true, "none": null}"#;

fn event_schema() -> Arc<Schema> {
    avro_schema(
        r#"{"type":"record","name":"E","namespace":"n","fields":[
            {"name":"meta","type":{"type":"record","name":"M","fields":[{"name":"id","type":"string"},{"name":"level","type":"int"}]}},
            {"name":"tags","type":{"type":"array","items":"string"}},
            {"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"p","type":"int"}]}}},
            {"name":"name","type":["null","string"]},
            {"name":"age","type":"long"},
            {"name":"score","type":"double"},
            {"name":"ok","type":"boolean"},
            {"name":"none","type":["null","string"]},
            {"name":"raw","type":"bytes","default":""},
            {"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]},"default":"A"},
            {"name":"map","type":{"type":"map","values":"int"},"default":{}},
            {"name":"inner","type":["null",{"type":"record","name":"N","fields":[{"name":"x","type":"int"}]}],"default":null}]}"#,
    )
}

/// The two JSON texts say the same.
fn same(left: &str, right: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    parse(left) == parse(right)
}

/// The event with some members replaced, as the transform should leave it.
fn event_with(changes: serde_json::Value) -> String {
    let mut event: serde_json::Value = serde_json::from_str(EVENT).unwrap();
    merge(&mut event, changes);
    event.to_string()
}

fn merge(into: &mut serde_json::Value, changes: serde_json::Value) {
    match (into, changes) {
        (serde_json::Value::Object(members), serde_json::Value::Object(changes)) => {
            for (name, change) in changes {
                merge(
                    members.entry(name).or_insert(serde_json::Value::Null),
                    change,
                );
            }
        }
        (into, change) => *into = change,
    }
}

/// Runs the transform over the event as JSON and as Avro, and compares what `changes` says.
#[track_caller]
fn changes_both(class: &str, settings: &str, changes: serde_json::Value) {
    let expected = event_with(changes);
    let of_json = value(class, settings, json(EVENT)).unwrap();
    assert!(
        same(&of_json, &expected),
        "{settings}: JSON became {of_json}"
    );
    let of_avro = value(class, settings, avro(&event_schema(), EVENT)).unwrap();
    let mut of_avro: serde_json::Value = serde_json::from_str(&of_avro).unwrap();
    for default in ["raw", "kind", "map", "inner"] {
        of_avro.as_object_mut().unwrap().remove(default);
    }
    assert!(
        same(&of_avro.to_string(), &expected),
        "{settings}: Avro became {of_avro}"
    );
}

#[test]
fn set_field_overwrites_by_the_declared_type_and_by_literal_without_a_schema() {
    for (field, given, changes) in [
        (
            "name",
            "content body",
            serde_json::json!({"name": "content body"}),
        ),
        ("meta.level", "5", serde_json::json!({"meta": {"level": 5}})),
        ("meta/id", "new", serde_json::json!({"meta": {"id": "new"}})),
        ("age", "-1", serde_json::json!({"age": -1})),
        ("score", "2.25", serde_json::json!({"score": 2.25})),
        ("ok", "false", serde_json::json!({"ok": false})),
        (
            "none",
            "something",
            serde_json::json!({"none": "something"}),
        ),
        (
            "items.p",
            "9",
            serde_json::json!({"items": [{"p": 9}, {"p": 9}]}),
        ),
    ] {
        changes_both(
            "SetField",
            &format!("field={field}\nvalue={given}"),
            changes,
        );
    }
}

#[test]
fn set_field_reads_its_value_as_told() {
    for (field, given, reading, expected) in [
        ("new", "5", "auto", r#"{"new":5}"#),
        ("new", "5", "string", r#"{"new":"5"}"#),
        ("new", "[1, null]", "auto", r#"{"new":[1, null]}"#),
        ("new", "05", "auto", r#"{"new":"05"}"#),
        ("new", "", "auto", r#"{"new":""}"#),
        ("new", "null", "json", r#"{"new":null}"#),
        ("new", "say \"hi\"", "auto", r#"{"new":"say \"hi\""}"#),
    ] {
        let settings = format!("field={field}\nvalue={given}\nvalue.type={reading}");
        assert_eq!(value("SetField", &settings, json("{}")).unwrap(), expected);
    }
    let settings = "field=name\nvalue=null\nvalue.type=json";
    assert!(
        value("SetField$Value", settings, avro(&event_schema(), EVENT))
            .unwrap()
            .contains(r#""name":null"#)
    );
    assert_eq!(
        problems("SetField", "field=a\nvalue=x\nvalue.type=json"),
        ["t.properties:2: value: is not JSON, as value.type=json says"]
    );
}

#[test]
fn set_field_makes_no_missing_parents() {
    let settings = "field=revision.content.body\nvalue=x";
    for event in [
        r#"{"a":1}"#,
        r#"{"revision":{}}"#,
        r#"{"revision":null}"#,
        r#"{"revision":{"content":5}}"#,
    ] {
        assert_eq!(
            value("SetField", settings, json(event)).unwrap_err(),
            "field 'revision.content.body' cannot be set: what it would lie in is not there",
        );
    }
    assert_eq!(
        value("SetField", settings, json(r#"{"revision":{"content":{}}}"#)).unwrap(),
        r#"{"revision":{"content":{"body":"x"}}}"#
    );
    assert_eq!(
        value(
            "SetField",
            "field=inner.x\nvalue=1",
            avro(&event_schema(), EVENT)
        )
        .unwrap_err(),
        "field 'inner.x' cannot be set: what it would lie in is not there"
    );
}

#[test]
fn set_field_rejects_what_the_schema_does_not_take() {
    for (field, given, expected) in [
        (
            "age",
            "old",
            "field 'age' cannot be set: the configured value does not have the type that the schema declares",
        ),
        ("kind", "C", "field 'kind' is"),
        ("nam", "x", "did you mean 'name'?"),
    ] {
        let settings = format!("field={field}\nvalue={given}");
        let error = value("SetField", &settings, avro(&event_schema(), EVENT)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let error = value(
        "SetField",
        "field=a\nvalue=x",
        Payload::new(&b"x"[..], Encoding::Bytes),
    )
    .unwrap_err();
    assert_eq!(
        error,
        "the value is bytes and has no fields; give the connector a value.converter that reads records"
    );
}

#[test]
fn set_field_follows_a_json_schema_through_names_it_leaves_open() {
    let schema = Schema::json(
        r#"{"type":"object","additionalProperties":false,"properties":{"revision":{"type":"object","additionalProperties":false,
            "properties":{"slots":{"type":"object","additionalProperties":{"type":"object","additionalProperties":false,
            "properties":{"body":{"type":"string"},"size":{"type":"integer"}}}}}}}}"#,
        &[],
    );
    let schema = Arc::new(schema.unwrap());
    let event = |text: &str| {
        Payload::new(
            text.as_bytes().to_vec(),
            Encoding::Registered(schema.clone()),
        )
    };
    let full = r#"{"revision":{"slots":{"main":{"size":1}}}}"#;
    for (settings, expected) in [
        (
            "field=revision.slots.main.body\nvalue=7",
            r#"{"revision":{"slots":{"main":{"size":1,"body":"7"}}}}"#,
        ),
        (
            "field=revision.slots.main.size\nvalue=7",
            r#"{"revision":{"slots":{"main":{"size":7}}}}"#,
        ),
    ] {
        assert_eq!(value("SetField", settings, event(full)).unwrap(), expected);
    }
    for settings in [
        "field=revision.slots.main.bodi\nvalue=7",
        "field=other\nvalue=7",
    ] {
        assert!(
            value("SetField", settings, event(full))
                .unwrap_err()
                .contains("has no field")
        );
    }
}

#[test]
fn mask_field_puts_the_empty_value_of_each_type() {
    for (fields, changes) in [
        (
            "name,age,score,ok,none",
            serde_json::json!({"name": "", "age": 0, "score": 0.0, "ok": false}),
        ),
        (
            "meta.id,tags,items.p",
            serde_json::json!({"meta": {"id": ""}, "tags": ["", ""], "items": [{"p": 0}, {"p": 0}]}),
        ),
        ("missing,name", serde_json::json!({"name": ""})),
    ] {
        let java = "org.apache.kafka.connect.transforms.MaskField$Value";
        changes_both(java, &format!("fields={fields}"), changes);
    }
    let event = format!(
        "{}{}",
        EVENT.trim_end().trim_end_matches('}'),
        r#","raw":"AQI=","map":{"a":1}}"#
    );
    let masked = value("MaskField", "fields=raw,map", avro(&event_schema(), &event)).unwrap();
    assert!(
        masked.contains(r#""raw":"""#) && masked.contains(r#""map":{}"#),
        "{masked}"
    );
    assert_eq!(
        value("MaskField", "fields=meta", json(r#"{"meta":{"a":1}}"#)).unwrap(),
        r#"{"meta":{}}"#
    );
}

#[test]
fn mask_field_puts_the_replacement_into_text_and_numbers() {
    changes_both(
        "MaskField",
        "fields=name,none\nreplacement=***",
        serde_json::json!({"name": "***"}),
    );
    changes_both(
        "MaskField",
        "fields=age,name,score\nreplacement=7",
        serde_json::json!({"age": 7, "name": "7", "score": 7.0}),
    );
    for (fields, replacement, expected) in [
        (
            "age",
            "x",
            "field 'age' is a number, and the configured replacement is not",
        ),
        (
            "ok",
            "x",
            "field 'ok' is neither text nor a number and cannot be masked with a replacement",
        ),
    ] {
        let settings = format!("fields={fields}\nreplacement={replacement}");
        assert_eq!(
            value("MaskField", &settings, json(EVENT)).unwrap_err(),
            expected
        );
        assert_eq!(
            value("MaskField", &settings, avro(&event_schema(), EVENT)).unwrap_err(),
            expected
        );
    }
}

#[test]
fn what_cannot_be_masked_is_rejected_and_never_passes() {
    let error = value("MaskField", "fields=kind", avro(&event_schema(), EVENT)).unwrap_err();
    assert!(error.starts_with("field 'kind' is "), "{error}");
    assert!(value("MaskField", "fields=a", json("{\"a\":")).is_err());
    assert!(value("MaskField", "fields=meta", avro(&event_schema(), EVENT)).is_err());
}

#[test]
fn transforms_of_the_key_leave_the_value_alone() {
    let mut record = record(Some(json(r#"{"a":"x"}"#)));
    record.key = Some(json(r#"{"a":"x"}"#));
    let mut mask = transform(
        "org.apache.kafka.connect.transforms.MaskField$Key",
        "fields=a",
    );
    let masked = apply(&mut *mask, record).unwrap();
    assert_eq!(
        (text(masked.key.as_ref()), text(masked.value.as_ref())),
        (r#"{"a":""}"#.into(), r#"{"a":"x"}"#.into())
    );
}

#[test]
fn value_to_key_names_nested_fields_by_their_paths() {
    let settings = "fields=name,meta.id,meta.level,none,score";
    let expected = r#"{"name":"Ann","meta.id":"x","meta.level":3,"none":null,"score":1.5}"#;
    for payload in [json(EVENT), avro(&event_schema(), EVENT)] {
        let mut to_key = transform("org.apache.kafka.connect.transforms.ValueToKey", settings);
        let before = text(Some(&payload));
        let record = apply(&mut *to_key, record(Some(payload))).unwrap();
        assert_eq!(text(record.key.as_ref()), expected);
        assert_eq!(text(record.value.as_ref()), before);
        assert!(matches!(record.key.unwrap().encoding(), Encoding::Json));
    }
}

#[test]
fn the_new_key_chooses_the_partition_whatever_was_chosen_before() {
    // As PiiEncrypt and ConsentRouter leave them: records of one page, of several persons.
    for placement in [Placement::Key, Placement::Hash(7), Placement::Partition(3)] {
        let mut input = record(Some(json(r#"{"page":1}"#)));
        input.placement = placement;
        let mut to_key = transform("ValueToKey", "fields=page");
        let out = apply(&mut *to_key, input).unwrap();
        assert_eq!(text(out.key.as_ref()), r#"{"page":1}"#);
        assert_eq!(out.placement, Placement::Key);
        let mut refused = record(Some(json("{}")));
        refused.placement = placement;
        let (refused, _) = apply(&mut *to_key, refused).unwrap_err();
        assert_eq!(refused.placement, placement);
    }
}

#[test]
fn a_key_that_is_changed_chooses_the_partition_too() {
    const JSON: &str = r#"{"page":1,"day":"2023-11-14","of":{"who":"Ann"}}"#;
    for (class, settings, rekeys) in [
        ("Cast", "spec=page:string", true),
        ("ExtractField", "field=page", true),
        ("Flatten", "", true),
        ("HeaderFrom", "fields=page\nheaders=h\noperation=move", true),
        (
            "HeaderFrom",
            "fields=page\nheaders=h\noperation=copy",
            false,
        ),
        ("HoistField", "field=f", true),
        ("InsertField", "topic.field=topic", true),
        ("MaskField", "fields=of.who", true),
        ("ReplaceField", "exclude=of", true),
        ("SetField", "field=page\nvalue=2", true),
        (
            "TimestampConverter",
            "field=day\ntarget.type=unix\nformat=yyyy-MM-dd",
            true,
        ),
    ] {
        for before in [Placement::Hash(7), Placement::Partition(3)] {
            for (part, after) in [("Key", Placement::Key), ("Value", before)] {
                let after = if rekeys { after } else { before };
                let mut changes = transform(&format!("{class}${part}"), settings);
                let mut input = record(Some(json(JSON)));
                input.key = Some(json(JSON));
                input.placement = before;
                let out = apply(&mut *changes, input.clone()).unwrap();
                assert_eq!(out.placement, after, "{class}${part} {settings}");
                let changed = text(out.key.as_ref()) != JSON;
                assert_eq!(
                    changed,
                    rekeys && part == "Key",
                    "{class}${part} {settings}"
                );
            }
        }
    }
}

#[test]
fn equal_keys_meet_in_one_partition_also_if_one_was_so_before() {
    for key in [r#"{"who":"Ann"}"#, r#"{"who":""}"#] {
        let mut input = record(None);
        input.key = Some(json(key));
        input.placement = Placement::Hash(7);
        let masked = apply(&mut *transform("MaskField$Key", "fields=who"), input).unwrap();
        assert_eq!(text(masked.key.as_ref()), r#"{"who":""}"#);
        assert_eq!(masked.placement, Placement::Key);
    }
}

#[test]
fn a_record_that_has_no_key_stays_where_it_was() {
    for (settings, key) in [("field=who", None), ("field=none", Some(json("{}")))] {
        let mut input = record(None);
        input.key = key;
        input.placement = Placement::Hash(7);
        let out = apply(&mut *transform("ExtractField$Key", settings), input).unwrap();
        assert!(out.key.is_none());
        assert_eq!(out.placement, Placement::Hash(7));
    }
}

#[test]
fn equal_values_make_equal_keys_however_they_are_escaped() {
    let key = |event: &str| {
        let mut to_key = transform("ValueToKey", "fields=a");
        text(
            apply(&mut *to_key, record(Some(json(event))))
                .unwrap()
                .key
                .as_ref(),
        )
    };
    assert_eq!(key(r#"{"a":"\u00e9\/"}"#), key(r#"{"a":"é/"}"#));
}

#[test]
fn value_to_key_rejects_a_record_without_one_of_the_fields() {
    for (event, expected) in [
        (
            r#"{"a":1}"#,
            "field 'b.c', which the key is made of, is not there",
        ),
        (
            r#"{"a":1,"b":{}}"#,
            "field 'b.c', which the key is made of, is not there",
        ),
        (
            r#"{"a":1,"b":{"c":[1,2]}}"#,
            "field 'b.c', which the key is made of, lies in a list or occurs more than once",
        ),
    ] {
        assert_eq!(
            value("ValueToKey", "fields=a,b.c", json(event)).unwrap_err(),
            expected
        );
    }
    let mut to_key = transform("ValueToKey", "fields=a");
    assert!(apply(&mut *to_key, record(None)).is_err());
    assert!(value("ValueToKey", "fields=tags", avro(&event_schema(), EVENT)).is_err());
}

#[test]
fn insert_field_puts_facts_into_declared_and_new_fields() {
    let settings = "topic.field=t\npartition.field=p\noffset.field=o\ntimestamp.field=ts\nstatic.field=s\nstatic.value=v";
    let inserted = r#""t":"t","p":3,"o":7,"ts":1700000000123,"s":"v"}"#;
    assert_eq!(
        value("InsertField", settings, json(r#"{"a":1}"#)).unwrap(),
        format!(r#"{{"a":1,{inserted}"#)
    );
    let schema = avro_schema(
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int"},{"name":"s","type":["null","string"]}]}"#,
    );
    let mut insert = transform(
        "org.apache.kafka.connect.transforms.InsertField$Value",
        &settings.replace("p\n", "p!\n"),
    );
    let record = apply(
        &mut *insert,
        record(Some(avro(&schema, r#"{"a":1,"s":null}"#))),
    )
    .unwrap();
    let payload = record.value.unwrap();
    assert_eq!(
        text(Some(&payload)),
        r#"{"a":1,"s":"v","t":"t","p":3,"o":7,"ts":1700000000123}"#
    );
    let derived: serde_json::Value =
        serde_json::from_str(payload.schema().unwrap().text()).unwrap();
    assert_eq!(
        derived["fields"][2],
        serde_json::json!({"name": "t", "type": ["null", "string"], "default": null})
    );
    assert_eq!(
        derived["fields"][3],
        serde_json::json!({"name": "p", "type": "int"})
    );
    assert_eq!(
        (derived["name"].as_str(), payload.schema().unwrap().id()),
        (Some("R"), None)
    );
}

#[test]
fn insert_field_keeps_a_schema_that_has_the_fields() {
    let schema = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"o","type":["null","long"]}]}"#,
    );
    let mut insert = transform("InsertField", "offset.field=o");
    let record = apply(&mut *insert, record(Some(avro(&schema, r#"{"o":null}"#)))).unwrap();
    assert_eq!(record.value.unwrap().schema().unwrap().id(), Some(1));
}

#[test]
fn insert_field_says_what_is_missing() {
    assert_eq!(problems("InsertField", "").len(), 1);
    assert_eq!(problems("InsertField", "static.field=a").len(), 1);
    let mut insert = transform("InsertField", "offset.field=o");
    let from_source = penstock_connect::Record::new("t".into(), Some(json("{}")));
    assert!(
        apply(&mut *insert, from_source)
            .unwrap_err()
            .1
            .message
            .contains("has no offset")
    );
    assert!(
        value("InsertField", "topic.field=x.y", json("{}"))
            .unwrap_err()
            .contains("is not there")
    );
}

#[test]
fn extract_field_takes_a_field_with_its_own_schema() {
    for (field, expected) in [
        ("name", r#""Ann""#),
        ("age", "42"),
        ("meta.level", "3"),
        ("meta", r#"{"id":"x","level":3}"#),
        ("none", "<null>"),
        ("inner", "<null>"),
    ] {
        let settings = format!("field={field}");
        let of_json = value("ExtractField", &settings, json(EVENT)).unwrap();
        assert_eq!(of_json.replace(": ", ":").replace(", ", ","), expected);
        assert_eq!(
            value("ExtractField", &settings, avro(&event_schema(), EVENT)).unwrap(),
            expected
        );
    }
    assert_eq!(
        value("ExtractField", "field=tags", json(EVENT)).unwrap(),
        r#"["a", "b"]"#
    );
    let error = value("ExtractField", "field=tags", avro(&event_schema(), EVENT)).unwrap_err();
    assert_eq!(
        error,
        "the schema that the transform needs cannot be derived: 'tags' is a list"
    );
    assert_eq!(
        value(
            "ExtractField",
            "field=a.b\nfield.syntax.version=V1",
            json(r#"{"a.b":1}"#)
        )
        .unwrap(),
        "1"
    );
}

#[test]
fn hoist_field_wraps_anything() {
    for (payload, expected) in [
        (json("[1]"), r#"{"f":[1]}"#),
        (
            Payload::new(&b"x\"y"[..], Encoding::Text),
            r#"{"f":"x\"y"}"#,
        ),
        (
            avro(
                &avro_schema(
                    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#,
                ),
                r#"{"a":1}"#,
            ),
            r#"{"f":{"a":1}}"#,
        ),
        (avro(&avro_schema(r#""long""#), "5"), r#"{"f":5}"#),
    ] {
        assert_eq!(value("HoistField", "field=f", payload).unwrap(), expected);
    }
    let mut hoist = transform("HoistField", "field=f");
    assert_eq!(
        text(apply(&mut *hoist, record(None)).unwrap().value.as_ref()),
        r#"{"f":null}"#
    );
}

#[test]
fn tombstones_pass_where_there_is_nothing_to_change() {
    for (class, settings) in [
        ("SetField", "field=a\nvalue=1"),
        ("MaskField", "fields=a"),
        ("InsertField", "topic.field=a"),
        ("ExtractField", "field=a"),
        ("ReplaceField", "exclude=a"),
        ("Cast", "spec=a:string"),
        ("Flatten", ""),
        ("TimestampConverter", "field=a\ntarget.type=unix"),
        ("SetSchemaMetadata", "schema.name=x"),
    ] {
        let mut transform = transform(class, settings);
        assert!(
            apply(&mut *transform, record(None))
                .unwrap()
                .value
                .is_none(),
            "{class}"
        );
    }
}
