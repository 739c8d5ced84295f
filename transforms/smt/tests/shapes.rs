//! Transforms that change which fields there are, and what type they have.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_formats::{Encoding, Payload};
use support::*;

const RECORD: &str = r#"{"type":"record","name":"R","namespace":"n","fields":[
    {"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null},
    {"name":"c","type":{"type":"array","items":"long"}},{"name":"d","type":"double","default":1.5}]}"#;
const EVENT: &str = r#"{"a":1,"b":"x","c":[1,2],"d":0.5}"#;

#[test]
fn replace_field_takes_out_keeps_and_renames() {
    for (settings, expected) in [
        ("exclude=a,c", r#"{"b":"x","d":0.5}"#),
        ("include=a,c", r#"{"a":1,"c":[1,2]}"#),
        ("include=a,b\nexclude=b", r#"{"a":1}"#),
        ("renames=a:z,d:y", r#"{"z":1,"b":"x","c":[1,2],"y":0.5}"#),
        ("include=a\nrenames=a:b", r#"{"b":1}"#),
        ("blacklist=a,b,c", r#"{"d":0.5}"#),
        ("whitelist=d", r#"{"d":0.5}"#),
        ("exclude=nothing", EVENT),
    ] {
        for class in [
            "ReplaceField",
            "org.apache.kafka.connect.transforms.ReplaceField$Value",
        ] {
            assert_eq!(
                value(class, settings, json(EVENT)).unwrap(),
                expected,
                "{settings}"
            );
            assert_eq!(
                value(class, settings, avro(&avro_schema(RECORD), EVENT)).unwrap(),
                expected,
                "{settings}"
            );
        }
    }
}

#[test]
fn replace_field_keeps_the_schema_where_nothing_changes() {
    let mut replace = transform("ReplaceField", "exclude=nothing");
    let record = apply(
        &mut *replace,
        record(Some(avro(&avro_schema(RECORD), EVENT))),
    )
    .unwrap();
    assert_eq!(record.value.unwrap().schema().unwrap().id(), Some(1));
}

#[test]
fn replace_field_refuses_what_it_cannot_do_soundly() {
    for (schema, event, settings, expected) in [
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"u","type":["int","long"]}]}"#,
            r#"{"a":1,"u":2}"#,
            "exclude=a",
            "it has unions of several types",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"next","type":["null","R"],"default":null}]}"#,
            r#"{"a":1}"#,
            "exclude=a",
            "the record contains itself",
        ),
    ] {
        let error = value("ReplaceField", settings, avro(&avro_schema(schema), event)).unwrap_err();
        assert_eq!(
            error,
            format!("the schema that the transform needs cannot be derived: {expected}")
        );
    }
    assert_eq!(
        value("ReplaceField", "renames=a:b", json(r#"{"a":1,"b":2}"#)).unwrap_err(),
        "two fields would have the same name"
    );
    assert!(
        value("ReplaceField", "exclude=a", json("[]"))
            .unwrap_err()
            .contains("is an array")
    );
    assert_eq!(problems("ReplaceField", "exclude=a\nblacklist=b").len(), 1);
}

#[test]
fn a_json_event_has_to_fit_its_schema_after_the_change() {
    let schema = penstock_formats::Schema::json(
        r#"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#,
        &[],
    );
    let schema = std::sync::Arc::new(schema.unwrap());
    let event = || {
        Payload::new(
            &br#"{"a":1,"b":"x"}"#[..],
            Encoding::Registered(schema.clone()),
        )
    };
    assert_eq!(
        value("ReplaceField", "exclude=b", event()).unwrap(),
        r#"{"a":1}"#
    );
    assert!(value("ReplaceField", "exclude=a", event()).is_err());
    assert!(value("Cast", "spec=a:string", event()).is_err());
}

#[test]
fn flatten_joins_names_and_leaves_lists() {
    for (settings, event, expected) in [
        (
            "",
            r#"{"a":{"b":{"c":1},"d":[{"e":2}]},"f":null}"#,
            r#"{"a.b.c":1,"a.d":[{"e":2}],"f":null}"#,
        ),
        ("delimiter=_", r#"{"a":{"b":1},"c":{}}"#, r#"{"a_b":1}"#),
    ] {
        assert_eq!(value("Flatten", settings, json(event)).unwrap(), expected);
    }
    assert_eq!(
        value("Flatten", "", json(r#"{"a.b":1,"a":{"b":2}}"#)).unwrap_err(),
        "two fields would have the same name"
    );
    let nested = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"A","fields":[
            {"name":"b","type":{"type":"record","name":"B","fields":[{"name":"c","type":"int"}]}},{"name":"d","type":["null","string"]}]}},
            {"name":"e","type":"long"}]}"#,
    );
    let event = r#"{"a":{"b":{"c":1},"d":"x"},"e":2}"#;
    assert_eq!(
        value(
            "org.apache.kafka.connect.transforms.Flatten$Value",
            "delimiter=_",
            avro(&nested, event)
        )
        .unwrap(),
        r#"{"a_b_c":1,"a_d":"x","e":2}"#
    );
    assert!(
        value("Flatten", "", avro(&nested, event))
            .unwrap_err()
            .contains("cannot be derived")
    );
    let nullable = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null",{"type":"record","name":"A","fields":[]}]}]}"#,
    );
    let error = value("Flatten", "delimiter=_", avro(&nullable, r#"{"a":null}"#)).unwrap_err();
    assert!(error.ends_with("the record 'a' may be null"), "{error}");
}

#[test]
fn cast_follows_java() {
    for (spec, from, to) in [
        ("int8", "300", "44"),
        ("int8", "-1.9", "-1"),
        ("int16", "70000", "4464"),
        ("int32", "4294967297", "1"),
        ("int32", "1e300", "2147483647"),
        ("int64", "\"-5\"", "-5"),
        ("int64", "true", "1"),
        ("float32", "0.1", "0.1"),
        ("float64", "\"2.5\"", "2.5"),
        ("float64", "3", "3.0"),
        ("boolean", "0", "false"),
        ("boolean", "\"TRUE\"", "true"),
        ("boolean", "\"yes\"", "false"),
        ("boolean", "0.5", "false"),
        ("string", "1.0", "\"1.0\""),
        ("string", "12", "\"12\""),
        ("string", "true", "\"true\""),
        ("string", "\"x\"", "\"x\""),
        ("string", "null", "null"),
    ] {
        for class in ["Cast", "org.apache.kafka.connect.transforms.Cast$Value"] {
            let whole = value(class, &format!("spec={spec}"), json(from)).unwrap();
            assert_eq!(whole, to, "{from} as {spec}");
        }
        let field = value(
            "Cast",
            &format!("spec=a.b:{spec}"),
            json(&format!(r#"{{"a":{{"b":{from}}}}}"#)),
        )
        .unwrap();
        assert_eq!(
            field,
            format!(r#"{{"a":{{"b":{to}}}}}"#),
            "{from} as {spec}"
        );
    }
    for (spec, from) in [
        ("int8", "\"300\""),
        ("int32", "\"x\""),
        ("float64", "\"\""),
        ("int32", "{}"),
        ("int8", "\"1.5\""),
    ] {
        assert!(
            value("Cast", &format!("spec={spec}"), json(from)).is_err(),
            "{from} as {spec}"
        );
    }
}

#[test]
fn cast_gives_avro_fields_their_new_type() {
    let schema = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","long"],"default":null},
            {"name":"s","type":"string","default":"9"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"l","type":{"type":"array","items":"int"}}]}"#,
    );
    let event = r#"{"n":5,"s":"7","at":1700000000123,"l":[1]}"#;
    let mut cast = transform("Cast", "spec=n:string,s:int32,at:string,other:int8");
    let payload = apply(&mut *cast, record(Some(avro(&schema, event))))
        .unwrap()
        .value
        .unwrap();
    assert_eq!(
        text(Some(&payload)),
        r#"{"n":"5","s":7,"at":"2023-11-14T22:13:20.123Z","l":[1]}"#
    );
    let derived: serde_json::Value =
        serde_json::from_str(payload.schema().unwrap().text()).unwrap();
    assert_eq!(
        derived["fields"][0]["type"],
        serde_json::json!(["null", "string"])
    );
    let null = apply(
        &mut *cast,
        record(Some(avro(&schema, r#"{"n":null,"s":"7","at":0,"l":[]}"#))),
    )
    .unwrap();
    assert!(text(null.value.as_ref()).starts_with(r#"{"n":null,"s":7"#));
    for (spec, expected) in [
        ("l:string", "'l' is not a single value"),
        ("s:int8,s:int8", ""),
    ] {
        if expected.is_empty() {
            assert!(!problems("Cast", &format!("spec={spec}")).is_empty());
        } else {
            let error = value("Cast", &format!("spec={spec}"), avro(&schema, event)).unwrap_err();
            assert!(error.ends_with(expected), "{error}");
        }
    }
    assert_eq!(
        value(
            "Cast",
            "spec=string",
            avro(&avro_schema(r#"["null","int"]"#), "5")
        )
        .unwrap(),
        r#""5""#
    );
}

#[test]
fn timestamps_become_one_another() {
    const MILLIS: &str = "1700000000123";
    for (settings, from, to) in [
        (
            "target.type=string\nformat=yyyy-MM-dd HH:mm",
            MILLIS,
            "\"2023-11-14 22:13\"",
        ),
        (
            "target.type=unix\nformat=yyyy-MM-dd",
            "\"2023-11-14\"",
            "1699920000000",
        ),
        (
            "target.type=unix\nformat=yyyy-MM-dd\nunix.precision=seconds",
            "\"2023-11-14\"",
            "1699920000",
        ),
        (
            "target.type=Timestamp\nunix.precision=seconds",
            "1700000000",
            "1700000000000",
        ),
        (
            "target.type=Timestamp\nunix.precision=microseconds",
            "1700000000123456",
            MILLIS,
        ),
        (
            "target.type=Timestamp\nunix.precision=nanoseconds",
            "1700000000123456789",
            MILLIS,
        ),
        ("target.type=Date", MILLIS, "19675"),
        ("target.type=Time", MILLIS, "80000123"),
        ("target.type=Date", "-1", "-1"),
    ] {
        assert_eq!(
            value("TimestampConverter", settings, json(from)).unwrap(),
            to,
            "{settings}"
        );
        let field = value(
            "TimestampConverter",
            &format!("{settings}\nfield=t"),
            json(&format!(r#"{{"t":{from}}}"#)),
        );
        assert_eq!(field.unwrap(), format!(r#"{{"t":{to}}}"#), "{settings}");
    }
    assert_eq!(
        problems("TimestampConverter", "target.type=string").len(),
        1
    );
    for (settings, from, expected) in [
        (
            "target.type=unix\nfield=t",
            r#"{"t":"x"}"#,
            "field 't' is text, and there is no format to read it by",
        ),
        (
            "target.type=unix\nfield=t\nformat=yyyy",
            r#"{"t":"x"}"#,
            "field 't' is not a date as the format says",
        ),
        (
            "target.type=unix\nfield=t",
            r#"{"t":true}"#,
            "field 't' is a boolean and no point in time",
        ),
    ] {
        assert_eq!(
            value("TimestampConverter", settings, json(from)).unwrap_err(),
            expected
        );
    }
}

#[test]
fn timestamps_in_avro_are_read_by_their_logical_type() {
    let schema = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"t","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
            {"name":"d","type":{"type":"int","logicalType":"date"}}]}"#,
    );
    let event = r#"{"t":1700000000123456,"d":19675}"#;
    for (settings, expected) in [
        (
            "field=t\ntarget.type=string\nformat=yyyy-MM-dd'T'HH:mm:ss.SSS",
            r#"{"t":"2023-11-14T22:13:20.123","d":19675}"#,
        ),
        (
            "field=t\ntarget.type=unix",
            r#"{"t":1700000000123,"d":19675}"#,
        ),
        (
            "field=d\ntarget.type=Timestamp",
            r#"{"t":1700000000123456,"d":1699920000000}"#,
        ),
    ] {
        assert_eq!(
            value("TimestampConverter", settings, avro(&schema, event)).unwrap(),
            expected
        );
    }
}

#[test]
fn set_schema_metadata_renames_and_leaves_the_bytes() {
    let before = avro(&avro_schema(RECORD), EVENT);
    let mut set = transform(
        "SetSchemaMetadata",
        "schema.name=other.Name\nschema.version=4",
    );
    let after = apply(&mut *set, record(Some(before.clone())))
        .unwrap()
        .value
        .unwrap();
    assert_eq!(after.schema().unwrap().name(), Some("other.Name"));
    assert!(
        after
            .schema()
            .unwrap()
            .text()
            .contains(r#""connect.version":4"#)
    );
    assert_eq!(after.bytes(), before.bytes());
    assert!(
        value("SetSchemaMetadata", "schema.name=x", json("{}"))
            .unwrap_err()
            .contains("has no schema")
    );
}
