//! pyarrow and DuckDB read the Parquet files: nesting, logical types, nulls, statistics, compressions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::{Header, Record};
use penstock_files::{Compression, Content, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema, avro};
use penstock_tests::readers::{FileRead, Reader, read};
use serde_json::{Value, json};

const READERS: [Reader; 2] = [Reader::Parquet, Reader::ParquetByDuckDb];

const EVERY_TYPE: &str = r#"{"type": "record", "name": "Every", "namespace": "shop", "fields": [
  {"name": "flag", "type": "boolean"},
  {"name": "small", "type": "int"},
  {"name": "large", "type": "long"},
  {"name": "single", "type": "float"},
  {"name": "double", "type": "double"},
  {"name": "raw", "type": "bytes"},
  {"name": "text", "type": "string"},
  {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
  {"name": "uuid_raw", "type": {"type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid"}},
  {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
  {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}},
  {"name": "day", "type": {"type": "int", "logicalType": "date"}},
  {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "at_us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
  {"name": "local_ms", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
  {"name": "local_us", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
  {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
  {"name": "rate", "type": {"type": "fixed", "name": "Rate", "size": 5, "logicalType": "decimal", "precision": 10, "scale": 4}},
  {"name": "maybe", "type": ["null", "string"]},
  {"name": "either", "type": ["string", "long"]},
  {"name": "either_or_null", "type": ["null", "string", {"type": "record", "name": "Other", "fields": [{"name": "n", "type": "int"}]}]},
  {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
  {"name": "scores", "type": ["null", {"type": "map", "values": ["null", "double"]}]},
  {"name": "customer", "type": ["null", {"type": "record", "name": "Customer", "fields": [
    {"name": "id", "type": "string"},
    {"name": "addresses", "type": {"type": "array", "items": {"type": "record", "name": "Address", "fields": [
      {"name": "city", "type": ["null", "string"]},
      {"name": "lines", "type": {"type": "array", "items": "string"}}]}}}]}]}
]}"#;

fn avro_schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::avro(text, &[]).unwrap())
}

fn avro_record(schema: &Arc<Schema>, event: &Value) -> Record {
    let mut bytes = Vec::new();
    avro::from_json(schema, event.to_string().as_bytes(), &mut bytes).unwrap();
    record(Payload::new(
        bytes,
        Encoding::Registered(Arc::clone(schema)),
    ))
}

fn record(payload: Payload) -> Record {
    Record::new("events".into(), Some(payload))
}

fn spec(compression: Compression, content: Content) -> FileSpec {
    FileSpec {
        compression,
        content,
        row_group_bytes: 16 << 10,
        ..FileSpec::new(Format::Parquet)
    }
}

/// The records as a file, as that reader sees it.
fn file(spec: &FileSpec, records: &[Record], reader: Reader) -> FileRead {
    let mut file = spec.begin(&records[0]).unwrap();
    for record in records {
        file.push(record).unwrap();
    }
    let mut bytes = Vec::new();
    file.finish(&mut bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.parquet"), bytes).unwrap();
    read(reader, folder.path()).pop().unwrap()
}

#[test]
fn every_type_of_avro_comes_back_as_what_it_was() {
    let schema = avro_schema(EVERY_TYPE);
    let full = json!({
        "flag": true, "small": i32::MIN, "large": i64::MAX, "single": 0.5, "double": -1.5, "raw": "AAE=",
        "text": "Öl 水", "uuid": "0fc4f1a6-7b7d-4bb4-8f7c-6f1b1a3f0d5e",
        "uuid_raw": "0fc4f1a6-7b7d-4bb4-8f7c-6f1b1a3f0d5e", "hash": "AQIDBA==", "colour": "BLUE", "day": 20000,
        "at_ms": 1_700_000_000_123_i64, "at_us": 1_700_000_000_123_456_i64, "local_ms": 1_700_000_000_123_i64,
        "local_us": -1, "price": "-1234567.89", "rate": "3.1416", "maybe": "there", "either": 9,
        "either_or_null": {"n": 1}, "tags": ["a", null], "scores": {"x": 1.0, "y": null},
        "customer": {"id": "c", "addresses": [{"city": null, "lines": []}, {"city": "Köln", "lines": ["1", "2"]}]},
    });
    let mut least = full.clone();
    for (name, value) in [
        ("maybe", Value::Null),
        ("either", json!("text")),
        ("either_or_null", Value::Null),
        ("tags", json!([])),
        ("scores", Value::Null),
        ("customer", Value::Null),
    ] {
        least[name] = value;
    }
    let records = [avro_record(&schema, &full), avro_record(&schema, &least)];

    let mut expected_full = full;
    for (name, value) in [
        ("day", json!("2024-10-04")),
        ("at_ms", json!("2023-11-14T22:13:20.123000+00:00")),
        ("at_us", json!("2023-11-14T22:13:20.123456+00:00")),
        ("local_ms", json!("2023-11-14T22:13:20.123000")),
        ("local_us", json!("1969-12-31T23:59:59.999999")),
        ("either", json!({"member0": null, "member1": 9})),
        (
            "either_or_null",
            json!({"member0": null, "member1": {"n": 1}}),
        ),
    ] {
        expected_full[name] = value;
    }
    let mut expected_least = expected_full.clone();
    for (name, value) in [
        ("maybe", Value::Null),
        ("either", json!({"member0": "text", "member1": null})),
        ("either_or_null", Value::Null),
        ("tags", json!([])),
        ("scores", Value::Null),
        ("customer", Value::Null),
    ] {
        expected_least[name] = value;
    }
    for reader in READERS {
        let file = file(&spec(Compression::Snappy, Content::Value), &records, reader);
        assert_eq!(
            file.rows,
            [expected_full.clone(), expected_least.clone()],
            "{reader:?}"
        );
        if reader == Reader::Parquet {
            assert_eq!(file.about["statistics"], json!(true));
            assert_eq!(
                file.about["metadata"]["parquet.avro.schema"],
                json!(EVERY_TYPE)
            );
        }
    }
}

#[test]
fn times_of_day_and_nanoseconds_come_back() {
    let schema = avro_schema(
        r#"{"type": "record", "name": "Times", "fields": [
          {"name": "time_ms", "type": {"type": "int", "logicalType": "time-millis"}},
          {"name": "time_us", "type": {"type": "long", "logicalType": "time-micros"}},
          {"name": "at_ns", "type": {"type": "long", "logicalType": "timestamp-nanos"}}]}"#,
    );
    let event =
        json!({"time_ms": 1, "time_us": 43_200_000_002_i64, "at_ns": 1_000_000_001_000_i64});
    let records = [avro_record(&schema, &event)];
    for (reader, zone) in [(Reader::Parquet, ""), (Reader::ParquetByDuckDb, "+00:00")] {
        let file = file(&spec(Compression::None, Content::Value), &records, reader);
        let expected = json!({
            "time_ms": format!("00:00:00.001000{zone}"),
            "time_us": format!("12:00:00.000002{zone}"),
            "at_ns": "1970-01-01T00:16:40.000001+00:00",
        });
        assert_eq!(file.rows, [expected], "{reader:?}");
    }
}

#[test]
fn many_row_groups_of_every_compression_hold_every_row_in_order() {
    let schema = avro_schema(
        r#"{"type": "record", "name": "Click", "fields": [
          {"name": "id", "type": "long"}, {"name": "session", "type": ["null", "string"]},
          {"name": "items", "type": {"type": "array", "items": "string"}}]}"#,
    );
    let events: Vec<Value> = (0..3_000)
        .map(|id| {
            let session = (id % 3 != 0).then(|| format!("session {}", id % 50));
            let items: Vec<String> = (0..id % 4).map(|item| format!("item {item}")).collect();
            json!({"id": id, "session": session, "items": items})
        })
        .collect();
    let records: Vec<Record> = events
        .iter()
        .map(|event| avro_record(&schema, event))
        .collect();
    for (compression, codec) in [
        (Compression::None, "UNCOMPRESSED"),
        (Compression::Snappy, "SNAPPY"),
        (Compression::Gzip, "GZIP"),
        (Compression::Zstd, "ZSTD"),
        (Compression::Lz4, "LZ4"),
    ] {
        for reader in READERS {
            let file = file(&spec(compression, Content::Value), &records, reader);
            assert!(file.rows == events, "{reader:?} {codec}");
            if reader == Reader::Parquet {
                assert_eq!(file.about["codecs"], json!([codec]));
                assert!(file.about["row_groups"].as_array().unwrap().len() > 5);
                assert_eq!(file.about["statistics"], json!(true));
            }
        }
    }
}

#[test]
fn an_envelope_with_a_value_of_a_json_schema_comes_back() {
    let text = r#"{"type": "object", "required": ["id"], "properties": {
      "id": {"type": "integer"}, "score": {"type": "number"}, "open": {}, "tags": {"type": "array", "items": {"type": "string"}}}}"#;
    let schema = Arc::new(Schema::json(text, &[]).unwrap());
    let mut full = record(Payload::new(
        r#"{"tags": ["ä"], "id": 1, "open": [null, "x"], "score": 2}"#,
        Encoding::Registered(schema),
    ));
    full.key = Some(Payload::new("k", Encoding::Text));
    full.timestamp = Some(1_700_000_000_123);
    full.headers = vec![
        Header {
            name: "h".into(),
            value: Some(Bytes::from_static(&[255])),
        },
        Header {
            name: "h".into(),
            value: None,
        },
    ];
    let mut tombstone = full.clone();
    (tombstone.value, tombstone.timestamp) = (None, None);
    tombstone.headers.clear();
    let content = Content::Envelope(vec![
        Member::Key,
        Member::Value,
        Member::Offset,
        Member::Timestamp,
        Member::Headers,
    ]);
    for reader in READERS {
        let file = file(
            &spec(Compression::Zstd, content.clone()),
            &[full.clone(), tombstone.clone()],
            reader,
        );
        let expected = [
            json!({
                "key": "k", "offset": -1, "timestamp": "2023-11-14T22:13:20.123000+00:00",
                "value": {"id": 1, "score": 2.0, "open": "[null, \"x\"]", "tags": ["ä"]},
                "headers": [{"key": "h", "value": "/w=="}, {"key": "h", "value": null}],
            }),
            json!({"key": "k", "value": null, "offset": -1, "timestamp": null, "headers": []}),
        ];
        assert_eq!(file.rows, expected, "{reader:?}");
    }
}
