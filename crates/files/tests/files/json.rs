//! JSON lines, JSON arrays and raw bytes.

use std::sync::Arc;

use penstock_connect::RecordErrorKind;
use penstock_files::{Content, Dialect, FileSpec, Format, Member, Timestamps};
use penstock_formats::{Encoding, Payload, Schema};

use crate::support::*;

#[test]
fn a_line_is_the_value_or_an_object_of_the_members_asked_for_in_their_order() {
    let record = full_record(json(r#"{"a":"x\"y"}"#));
    for (content, expected) in [
        (Content::Value, r#"{"a":"x\"y"}"#),
        (envelope(&[Member::Value]), r#"{"value":{"a":"x\"y"}}"#),
        (
            envelope(&[Member::Offset, Member::Value]),
            r#"{"offset":12,"value":{"a":"x\"y"}}"#,
        ),
        (
            envelope(&[Member::Key, Member::Timestamp]),
            r#"{"key":"k,\"1","timestamp":1611923730250}"#,
        ),
        (
            envelope(&[Member::Headers]),
            r#"{"headers":[{"key":"h\n","value":"v"},{"key":"b","value":"/w==","encoding":"base64"},{"key":"n","value":null}]}"#,
        ),
    ] {
        let spec = with_content(Format::JsonLines, content);
        assert_eq!(
            text_file(&spec, std::slice::from_ref(&record)),
            format!("{expected}\n")
        );
    }
}

#[test]
fn timestamps_are_numbers_or_dates_as_the_dialect_says() {
    let spec = FileSpec {
        content: envelope(&[Member::Timestamp]),
        dialect: Dialect {
            timestamps: Timestamps::Iso8601,
            ..Dialect::default()
        },
        ..FileSpec::new(Format::JsonLines)
    };
    let mut record = full_record(None);
    for (timestamp, expected) in [
        (Some(1_611_923_730_250), r#""2021-01-29T12:35:30.250Z""#),
        (Some(1_611_923_730_000), r#""2021-01-29T12:35:30Z""#),
        (Some(-1), r#""1969-12-31T23:59:59.999Z""#),
        (None, "null"),
    ] {
        record.timestamp = timestamp;
        assert_eq!(
            text_file(&spec, std::slice::from_ref(&record)),
            format!("{{\"timestamp\":{expected}}}\n")
        );
    }
    record.timestamp = Some(i64::MAX);
    let error = rejection(&spec, &record);
    assert_eq!(
        error.message,
        "the timestamp is no date within 262,000 years"
    );
}

#[test]
fn an_array_has_an_item_a_line_and_is_whole_json() {
    let spec = FileSpec::new(Format::Json);
    let records = [
        record(0, json(r#"{"a":1}"#)),
        record(1, None),
        record(2, json("[2]")),
    ];
    let text = text_file(&spec, &records);
    assert_eq!(text, "[\n{\"a\":1},\nnull,\n[2]\n]");
    let items: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(items.len(), 3);
}

#[test]
fn a_rejected_item_leaves_no_comma() {
    let spec = FileSpec::new(Format::Json);
    let good = record(0, json("1"));
    let bad = record(1, json("{"));
    let mut file = spec.begin(&bad).unwrap();
    let mut out = Vec::new();
    file.push(&bad).unwrap_err();
    file.push(&good).unwrap();
    file.push(&bad).unwrap_err();
    file.finish(&mut out).unwrap();
    assert_eq!(out, b"[\n1\n]");
}

#[test]
fn a_tombstone_is_null() {
    for (content, expected) in [
        (Content::Value, "null\n"),
        (
            envelope(&[Member::Value, Member::Offset]),
            "{\"value\":null,\"offset\":12}\n",
        ),
    ] {
        let spec = with_content(Format::JsonLines, content);
        assert_eq!(text_file(&spec, &[record(12, None)]), expected);
    }
}

#[test]
fn a_value_that_is_not_json_is_rejected_and_leaves_no_trace() {
    for bytes in [&b"{\"a\":"[..], b"", b"{} {}", b"\"\xff\"", b"\"a\nb\""] {
        let content = envelope(&[Member::Offset, Member::Value]);
        let record = record(1, Payload::new(bytes.to_vec(), Encoding::Json));
        let mut out = b"before\n".to_vec();
        let error = content
            .append_json(&record, Timestamps::Millis, &mut out)
            .unwrap_err();
        assert_eq!(error.kind, RecordErrorKind::Malformed);
        // A line break in a string is found before the rest is looked at.
        let found = [
            "the value is not JSON: ",
            "the value cannot be written as JSON: ",
        ];
        assert!(
            found.iter().any(|text| error.message.starts_with(text)),
            "{error}"
        );
        assert_eq!(out, b"before\n");
    }
}

#[test]
fn json_of_several_lines_becomes_one() {
    let spec = FileSpec::new(Format::JsonLines);
    let text = text_file(&spec, &[record(0, json("{\n  \"a\": 1\r\n}"))]);
    assert_eq!(text, "{\"a\":1}\n");
}

#[test]
fn avro_is_plain_json() {
    let schema = schema(
        r#"{"type":"record","name":"R","fields":[
            {"name":"s","type":["null","string"]},
            {"name":"b","type":"bytes"},
            {"name":"f","type":"float"},
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},
            {"name":"m","type":{"type":"map","values":{"type":"array","items":"long"}}}]}"#,
    );
    let line = r#"{"s":"x\n","b":"AP8=","f":0.1,"d":"12.50","m":{"k":[1,-2]}}"#;
    let spec = FileSpec::new(Format::JsonLines);
    let value = of_schema(&schema, line);
    assert_eq!(text_file(&spec, &[record(0, value)]), format!("{line}\n"));
    let cut = Payload::new(vec![2], Encoding::Registered(schema));
    assert_eq!(
        rejection(&spec, &record(0, cut)).message,
        "the value cannot be written as JSON: malformed Avro at byte 1: ends within an integer"
    );
}

#[test]
fn raw_bytes_have_the_separator_behind_each() {
    let records = [
        record(0, bytes(&[0, 255])),
        record(1, text("a,b")),
        record(2, json("{}")),
    ];
    let mut spec = FileSpec::new(Format::Bytes);
    assert_eq!(file(&spec, &records), b"\x00\xff\na,b\n{}\n");
    spec.dialect.separator = Arc::from(&b""[..]);
    assert_eq!(file(&spec, &records), b"\x00\xffa,b{}");
}

#[test]
fn raw_bytes_refuse_what_could_not_be_read_back() {
    let spec = FileSpec::new(Format::Bytes);
    assert_eq!(
        rejection(&spec, &record(0, None)).message,
        "a record without a value has no place in a file of raw bytes"
    );
    let schema = Arc::new(Schema::avro("\"string\"", &[]).unwrap());
    assert_eq!(
        rejection(&spec, &record(0, of_schema(&schema, "\"x\""))).message,
        "a value of an Avro schema cannot be read back from a file of raw bytes: write Avro files, or \
         read the topic with the ByteArrayConverter"
    );
}
