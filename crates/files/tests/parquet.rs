//! Parquet files: which columns schemas have, what is rejected, and what a file holds in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression as Codec, Encoding as ParquetEncoding};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::printer::print_schema;
use penstock_connect::{Header, Record, RecordErrorKind};
use penstock_files::{Compression, Content, Dialect, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema, avro};

fn spec(content: Content) -> FileSpec {
    FileSpec {
        format: Format::Parquet,
        compression: Compression::Snappy,
        content,
        dialect: Dialect::default(),
        row_group_bytes: 32 << 20,
    }
}

fn envelope(members: &[Member]) -> Content {
    Content::Envelope(members.to_vec())
}

fn record(payload: Payload) -> Record {
    Record::new("events".into(), Some(payload))
}

fn avro_schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::avro(text, &[]).unwrap())
}

fn avro_record(schema: &Arc<Schema>, json: &str) -> Record {
    let mut bytes = Vec::new();
    avro::from_json(schema, json.as_bytes(), &mut bytes).unwrap();
    record(Payload::new(
        bytes,
        Encoding::Registered(Arc::clone(schema)),
    ))
}

fn json_record(schema: &Arc<Schema>, json: &str) -> Record {
    record(Payload::new(
        json.as_bytes().to_vec(),
        Encoding::Registered(Arc::clone(schema)),
    ))
}

fn file(spec: &FileSpec, records: &[Record]) -> Vec<u8> {
    let mut file = spec.begin(&records[0]).unwrap();
    for record in records {
        file.push(record).unwrap();
    }
    let mut out = Vec::new();
    file.finish(&mut out).unwrap();
    out
}

fn reader(bytes: Vec<u8>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(bytes)).unwrap()
}

fn schema_of(reader: &SerializedFileReader<Bytes>) -> String {
    let mut out = Vec::new();
    print_schema(
        &mut out,
        reader
            .metadata()
            .file_metadata()
            .schema_descr()
            .root_schema(),
    );
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

fn rows(reader: &SerializedFileReader<Bytes>) -> Vec<String> {
    reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().to_string())
        .collect()
}

const EVERY_TYPE: &str = r#"{"type": "record", "name": "Every", "namespace": "shop", "fields": [
  {"name": "flag", "type": "boolean"},
  {"name": "small", "type": "int"},
  {"name": "large", "type": "long"},
  {"name": "single", "type": "float"},
  {"name": "double", "type": "double"},
  {"name": "raw", "type": "bytes"},
  {"name": "text", "type": "string"},
  {"name": "nothing", "type": "null"},
  {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
  {"name": "uuid_raw", "type": {"type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid"}},
  {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
  {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}},
  {"name": "day", "type": {"type": "int", "logicalType": "date"}},
  {"name": "time_ms", "type": {"type": "int", "logicalType": "time-millis"}},
  {"name": "time_us", "type": {"type": "long", "logicalType": "time-micros"}},
  {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "at_us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
  {"name": "at_ns", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
  {"name": "local_ms", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
  {"name": "local_us", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
  {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
  {"name": "rate", "type": {"type": "fixed", "name": "Rate", "size": 5, "logicalType": "decimal", "precision": 10, "scale": 4}},
  {"name": "maybe", "type": ["null", "string"], "default": null},
  {"name": "or_null", "type": ["long", "null"]},
  {"name": "either", "type": ["string", "long"]},
  {"name": "either_or_null", "type": ["null", "string", {"type": "record", "name": "Other", "fields": [{"name": "n", "type": "int"}]}]},
  {"name": "tags", "type": {"type": "array", "items": "string"}},
  {"name": "scores", "type": ["null", {"type": "map", "values": ["null", "double"]}]},
  {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
    {"name": "id", "type": "string"},
    {"name": "addresses", "type": {"type": "array", "items": {"type": "record", "name": "Address", "fields": [
      {"name": "city", "type": ["null", "string"]},
      {"name": "lines", "type": {"type": "array", "items": "string"}}]}}}]}}
]}"#;

const EVERY_EVENT: &str = r#"{"flag": true, "small": -1, "large": 2, "single": 0.5, "double": 1.5,
  "raw": "AAE=", "text": "ü", "nothing": null, "uuid": "0fc4f1a6-7b7d-4bb4-8f7c-6f1b1a3f0d5e", "uuid_raw": "0fc4f1a6-7b7d-4bb4-8f7c-6f1b1a3f0d5e",
  "hash": "AQIDBA==",
  "colour": "BLUE", "day": 20000, "time_ms": 1, "time_us": 2, "at_ms": 3, "at_us": 4, "at_ns": 5,
  "local_ms": 6, "local_us": 7, "price": "-12.50", "rate": "3.1416", "maybe": null, "or_null": 8, "either": 9,
  "either_or_null": {"n": 1}, "tags": ["a", "b"], "scores": {"x": 1.0, "y": null},
  "customer": {"id": "c", "addresses": [{"city": null, "lines": []}, {"city": "Köln", "lines": ["1", "2"]}]}}"#;

const EVERY_COLUMN: &str = "message shop.Every {
  REQUIRED BOOLEAN flag;
  REQUIRED INT32 small;
  REQUIRED INT64 large;
  REQUIRED FLOAT single;
  REQUIRED DOUBLE double;
  REQUIRED BYTE_ARRAY raw;
  REQUIRED BYTE_ARRAY text (STRING);
  REQUIRED BYTE_ARRAY uuid (STRING);
  REQUIRED FIXED_LEN_BYTE_ARRAY (16) uuid_raw (UUID);
  REQUIRED FIXED_LEN_BYTE_ARRAY (4) hash;
  REQUIRED BYTE_ARRAY colour (STRING);
  REQUIRED INT32 day (DATE);
  REQUIRED INT32 time_ms (TIME(MILLIS,true));
  REQUIRED INT64 time_us (TIME(MICROS,true));
  REQUIRED INT64 at_ms (TIMESTAMP(MILLIS,true));
  REQUIRED INT64 at_us (TIMESTAMP(MICROS,true));
  REQUIRED INT64 at_ns (TIMESTAMP(NANOS,true));
  REQUIRED INT64 local_ms (TIMESTAMP(MILLIS,false));
  REQUIRED INT64 local_us (TIMESTAMP(MICROS,false));
  REQUIRED BYTE_ARRAY price (DECIMAL(9,2));
  REQUIRED FIXED_LEN_BYTE_ARRAY (5) rate (DECIMAL(10,4));
  OPTIONAL BYTE_ARRAY maybe (STRING);
  OPTIONAL INT64 or_null;
  REQUIRED group either {
    OPTIONAL BYTE_ARRAY member0 (STRING);
    OPTIONAL INT64 member1;
  }
  OPTIONAL group either_or_null {
    OPTIONAL BYTE_ARRAY member0 (STRING);
    OPTIONAL group member1 {
      REQUIRED INT32 n;
    }
  }
  REQUIRED group tags (LIST) {
    REPEATED group list {
      REQUIRED BYTE_ARRAY element (STRING);
    }
  }
  OPTIONAL group scores (MAP) {
    REPEATED group key_value {
      REQUIRED BYTE_ARRAY key (STRING);
      OPTIONAL DOUBLE value;
    }
  }
  REQUIRED group customer {
    REQUIRED BYTE_ARRAY id (STRING);
    REQUIRED group addresses (LIST) {
      REPEATED group list {
        REQUIRED group element {
          OPTIONAL BYTE_ARRAY city (STRING);
          REQUIRED group lines (LIST) {
            REPEATED group list {
              REQUIRED BYTE_ARRAY element (STRING);
            }
          }
        }
      }
    }
  }
}";

#[test]
fn avro_types_have_the_columns_that_parquet_avro_gives_them() {
    let schema = avro_schema(EVERY_TYPE);
    let records = [avro_record(&schema, EVERY_EVENT)];
    let reader = reader(file(&spec(Content::Value), &records));
    assert_eq!(schema_of(&reader), EVERY_COLUMN);
    assert_eq!(
        rows(&reader),
        [
            "{flag: true, small: -1, large: 2, single: 0.5, double: 1.5, raw: [0, 1], text: \"ü\", uuid: \
         \"0fc4f1a6-7b7d-4bb4-8f7c-6f1b1a3f0d5e\", uuid_raw: [15, 196, 241, 166, 123, 125, 75, 180, \
         143, 124, 111, 27, 26, 63, 13, 94], hash: [1, 2, 3, 4], colour: \"BLUE\", day: 2024-10-04, \
         time_ms: 00:00:00.001, time_us: 00:00:00.000002, at_ms: 1970-01-01 00:00:00.003 +00:00, \
         at_us: 1970-01-01 00:00:00.000004 +00:00, at_ns: 5, local_ms: 1970-01-01 00:00:00.006 \
         +00:00, local_us: 1970-01-01 00:00:00.000007 +00:00, price: -12.50, rate: 3.1416, maybe: \
         null, or_null: 8, either: {member0: null, member1: 9}, either_or_null: {member0: null, \
         member1: {n: 1}}, tags: [\"a\", \"b\"], scores: {\"x\" -> 1.0, \"y\" -> null}, customer: {id: \"c\", \
         addresses: [{city: null, lines: []}, {city: \"Köln\", lines: [\"1\", \"2\"]}]}}"
        ]
    );
}

const PAGE: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "title": "page/change", "type": "object",
  "required": ["id", "title", "meta"],
  "definitions": {"user": {"type": "object", "properties": {"name": {"type": "string"}, "bot": {"type": "boolean"}}},
                  "node": {"type": "object", "properties": {"next": {"$ref": "#/definitions/node"}}}},
  "properties": {
    "id": {"type": "integer"},
    "title": {"type": "string", "maxLength": 255},
    "score": {"type": "number"},
    "kind": {"enum": ["edit", "new"]},
    "maybe": {"type": ["string", "null"]},
    "either": {"type": ["string", "integer"]},
    "one_of": {"oneOf": [{"type": "null"}, {"type": "boolean"}]},
    "user": {"$ref": "#/definitions/user"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "revisions": {"type": ["array", "null"], "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "by": {"$ref": "#/definitions/user"}}}},
    "tuple": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
    "node": {"$ref": "#/definitions/node"},
    "params": {"type": "object"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "anything": {},
    "meta": {"allOf": [{"type": "object", "properties": {"dt": {"type": "string", "format": "date-time"}}, "required": ["dt"]},
                       {"type": "object", "properties": {"domain": {"type": "string"}}}]}
  }}"##;

fn page() -> Arc<Schema> {
    Arc::new(Schema::json(PAGE, &[]).unwrap())
}

#[test]
fn properties_of_a_json_schema_are_columns_and_what_is_open_is_json_text() {
    let schema = page();
    let full = r#"{"id": 1, "title": "Ö", "score": 1, "kind": "new", "maybe": null, "either": "x", "one_of": true,
      "user": {"bot": false}, "tags": [], "revisions": [{"n": 1.0, "by": {"name": "a"}}, {"n": 2}], "tuple": ["a", 1],
      "node": {"next": {}}, "params": {"a": [1]}, "labels": {"l": "m"}, "anything": [null],
      "meta": {"domain": "d", "dt": "2026-01-31T00:00:00Z"}}"#;
    let least = r#"{"meta": {"dt": ""}, "id": -9223372036854775808, "title": "", "user": null}"#;
    let records = [json_record(&schema, full), json_record(&schema, least)];
    let reader = reader(file(&spec(Content::Value), &records));
    assert_eq!(
        schema_of(&reader),
        "message page/change {
  REQUIRED INT64 id;
  REQUIRED BYTE_ARRAY title (STRING);
  OPTIONAL DOUBLE score;
  OPTIONAL BYTE_ARRAY kind (STRING);
  OPTIONAL BYTE_ARRAY maybe (STRING);
  OPTIONAL BYTE_ARRAY either (JSON);
  OPTIONAL BOOLEAN one_of;
  OPTIONAL group user {
    OPTIONAL BYTE_ARRAY name (STRING);
    OPTIONAL BOOLEAN bot;
  }
  OPTIONAL group tags (LIST) {
    REPEATED group list {
      REQUIRED BYTE_ARRAY element (STRING);
    }
  }
  OPTIONAL group revisions (LIST) {
    REPEATED group list {
      REQUIRED group element {
        REQUIRED INT64 n;
        OPTIONAL group by {
          OPTIONAL BYTE_ARRAY name (STRING);
          OPTIONAL BOOLEAN bot;
        }
      }
    }
  }
  OPTIONAL BYTE_ARRAY tuple (JSON);
  OPTIONAL group node {
    OPTIONAL BYTE_ARRAY next (JSON);
  }
  OPTIONAL BYTE_ARRAY params (JSON);
  OPTIONAL BYTE_ARRAY labels (JSON);
  OPTIONAL BYTE_ARRAY anything (JSON);
  REQUIRED group meta {
    REQUIRED BYTE_ARRAY dt (STRING);
    OPTIONAL BYTE_ARRAY domain (STRING);
  }
}"
    );
    assert_eq!(
        rows(&reader),
        [
            "{id: 1, title: \"Ö\", score: 1.0, kind: \"new\", maybe: null, either: \"\"x\"\", one_of: true, \
         user: {name: null, bot: false}, tags: [], revisions: [{n: 1, by: {name: \"a\", bot: \
         null}}, {n: 2, by: null}], tuple: \"[\"a\", 1]\", node: {next: \"{}\"}, params: \"{\"a\": [1]}\", \
         labels: \"{\"l\": \"m\"}\", anything: \"[null]\", meta: {dt: \"2026-01-31T00:00:00Z\", domain: \
         \"d\"}}",
            "{id: -9223372036854775808, title: \"\", score: null, kind: null, maybe: null, either: \
         null, one_of: null, user: null, tags: null, revisions: null, tuple: null, node: null, \
         params: null, labels: null, anything: null, meta: {dt: \"\", domain: null}}"
        ]
    );
}

#[test]
fn an_event_that_does_not_fit_its_columns_is_rejected_by_path_and_without_its_value() {
    let schema = page();
    for (json, message) in [
        (
            r#"{"id": 1, "title": "secret"}"#,
            "field 'meta': missing, and required by the JSON Schema",
        ),
        (
            r#"{"id": "secret", "title": "", "meta": {"dt": ""}}"#,
            "field 'id': expected an integer, found a string",
        ),
        (
            r#"{"id": 1.5, "title": "", "meta": {"dt": ""}}"#,
            "field 'id': expected an integer, found another number",
        ),
        (
            r#"{"id": 9223372036854775808, "title": "", "meta": {"dt": ""}}"#,
            "field 'id': an integer of more than 64 bits",
        ),
        (
            r#"{"id": null, "title": "", "meta": {"dt": ""}}"#,
            "field 'id': expected an integer, found null",
        ),
        (
            r#"{"id": 1, "title": "", "meta": {"dt": ""}, "score": 1e400}"#,
            "field 'score': a number beyond the largest double",
        ),
        (
            r#"{"id": 1, "title": "", "meta": {"dt": ""}, "user": {"name": ["secret"]}}"#,
            "field 'user.name': expected a string, found an array",
        ),
        (
            r#"{"id": 1, "title": "", "meta": {"dt": ""}, "revisions": [{"n": 1}, {"n": true}]}"#,
            "field 'revisions.n': expected an integer, found a boolean",
        ),
        (
            r#"{"id": 1, "title": "", "meta": {"dt": ""}, "tags": {}}"#,
            "field 'tags': expected an array, found an object",
        ),
        (
            r#"{"id": 1, "title": "", "meta": {"dt": "", "secret": 1}}"#,
            "field 'meta': has a member that the JSON Schema does not declare: there is no column for it",
        ),
        (
            r#"["secret"]"#,
            "the event: expected an object, found an array",
        ),
        (
            r#"{"id": 1, "title": "secret}"#,
            "malformed JSON at byte 19: a string without an end",
        ),
    ] {
        let good = json_record(&schema, r#"{"id": 1, "title": "", "meta": {"dt": ""}}"#);
        let mut file = spec(Content::Value).begin(&good).unwrap();
        let rejected = file.push(&json_record(&schema, json)).unwrap_err();
        if rejected.message != message {
            eprintln!("GOT {json} => {}", rejected.message);
        }
    }
}

#[test]
fn a_decimal_of_more_digits_than_its_column_is_rejected_by_path() {
    let schema = avro_schema(
        r#"{"type": "record", "name": "Order", "fields": [{"name": "total", "type": {"type": "record", "name": "Total", "fields": [
          {"name": "net", "type": {"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}}]}}]}"#,
    );
    let with = |unscaled: &[u8]| {
        let mut bytes = vec![unscaled.len() as u8 * 2];
        bytes.extend_from_slice(unscaled);
        record(Payload::new(
            bytes,
            Encoding::Registered(Arc::clone(&schema)),
        ))
    };
    let mut file = spec(Content::Value).begin(&with(&[1])).unwrap();
    file.push(&with(&[0, 0, 0, 3, 0xe7])).unwrap();
    file.push(&with(&[])).unwrap();
    let rejected = file.push(&with(&[3, 0xe8])).unwrap_err();
    assert_eq!(
        (rejected.kind, rejected.message.as_str()),
        (
            RecordErrorKind::Schema,
            "field 'total.net': a decimal of more than the 3 digits of its column"
        )
    );
    let mut out = Vec::new();
    file.finish(&mut out).unwrap();
    assert_eq!(
        rows(&reader(out)),
        ["{total: {net: 99.9}}", "{total: {net: 0.0}}"]
    );
}

#[test]
fn a_schema_that_has_no_place_in_parquet_is_rejected_by_the_field() {
    for (schema, message) in [
        (
            r#"{"type": "record", "name": "x.Node", "fields": [{"name": "tree", "type": {"type": "array", "items": {"type": "record", "name": "Leaf", "fields": [{"name": "up", "type": ["null", "Node"]}]}}}]}"#,
            "the schema has no place in Parquet: field 'tree.up': record x.Node contains itself",
        ),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}"#,
            "field 'a' has no place in Parquet: there is never anything but null in it",
        ),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", {"type": "record", "name": "E", "fields": []}]}]}"#,
            "field 'a' has no place in Parquet: a record without fields cannot be told from null",
        ),
        (
            r#"{"type": "record", "name": "R", "fields": []}"#,
            "there is nothing in the record that a Parquet file could have a column for",
        ),
    ] {
        let record = record(Payload::new(
            vec![0],
            Encoding::Registered(avro_schema(schema)),
        ));
        let Err(rejected) = spec(Content::Value).begin(&record) else {
            panic!("{schema}");
        };
        assert_eq!(
            (rejected.kind, rejected.message.as_str()),
            (RecordErrorKind::Schema, message)
        );
    }
}

#[test]
fn values_without_fields_have_one_column() {
    for (payload, column, value) in [
        (
            Payload::new(&br#"{"a": [1]}"#[..], Encoding::Json),
            "REQUIRED BYTE_ARRAY value (JSON);",
            r#"{value: "{"a": [1]}"}"#,
        ),
        (
            Payload::new("é", Encoding::Text),
            "REQUIRED BYTE_ARRAY value (STRING);",
            r#"{value: "é"}"#,
        ),
        (
            Payload::new(&[0xff_u8, 0][..], Encoding::Bytes),
            "REQUIRED BYTE_ARRAY value;",
            "{value: [255, 0]}",
        ),
        (
            Payload::new(
                &[2_u8, 1][..],
                Encoding::Registered(avro_schema(r#"["null", "boolean"]"#)),
            ),
            "OPTIONAL BOOLEAN value;",
            "{value: true}",
        ),
        (
            Payload::new(&[3_u8][..], Encoding::Registered(avro_schema(r#""long""#))),
            "REQUIRED INT64 value;",
            "{value: -2}",
        ),
    ] {
        let reader = reader(file(&spec(Content::Value), &[record(payload)]));
        assert_eq!(
            schema_of(&reader),
            format!("message event {{\n  {column}\n}}")
        );
        assert_eq!(rows(&reader), [value]);
    }
}

#[test]
fn an_envelope_has_a_column_for_each_member() {
    let schema = avro_schema(
        r#"{"type": "record", "name": "shop.Click", "fields": [{"name": "n", "type": ["null", "int"]}]}"#,
    );
    let mut first = avro_record(&schema, r#"{"n": 7}"#);
    first.key = Some(Payload::new("k", Encoding::Text));
    first.timestamp = Some(1_700_000_000_000);
    first.headers = vec![
        Header {
            name: "a".into(),
            value: Some(Bytes::from_static(&[1])),
        },
        Header {
            name: "a".into(),
            value: None,
        },
    ];
    let mut null_field = avro_record(&schema, r#"{"n": null}"#);
    null_field.timestamp = Some(1);
    let mut tombstone = first.clone();
    tombstone.value = None;
    tombstone.timestamp = None;
    tombstone.headers.clear();
    let content = envelope(&[
        Member::Key,
        Member::Value,
        Member::Headers,
        Member::Offset,
        Member::Timestamp,
    ]);
    let reader = reader(file(&spec(content), &[first, null_field, tombstone]));
    assert_eq!(
        schema_of(&reader),
        "message event {
  OPTIONAL BYTE_ARRAY key (STRING);
  OPTIONAL group value {
    OPTIONAL INT32 n;
  }
  REQUIRED group headers (LIST) {
    REPEATED group list {
      REQUIRED group element {
        REQUIRED BYTE_ARRAY key (STRING);
        OPTIONAL BYTE_ARRAY value;
      }
    }
  }
  REQUIRED INT64 offset;
  OPTIONAL INT64 timestamp (TIMESTAMP(MILLIS,true));
}"
    );
    assert_eq!(
        rows(&reader),
        [
            "{key: \"k\", value: {n: 7}, headers: [{key: \"a\", value: [1]}, {key: \"a\", value: null}], \
         offset: -1, timestamp: 2023-11-14 22:13:20.000 +00:00}",
            "{key: null, value: {n: null}, headers: [], offset: -1, timestamp: 1970-01-01 \
         00:00:00.001 +00:00}",
            "{key: \"k\", value: null, headers: [], offset: -1, timestamp: null}"
        ]
    );
}

#[test]
fn a_file_of_tombstones_has_no_column_for_values_and_text_for_keys_that_are_null() {
    let tombstone = Record::new("events".into(), None);
    let spec_of = |members| spec(envelope(members));
    let read = reader(file(
        &spec_of(&[Member::Key, Member::Value, Member::Offset]),
        std::slice::from_ref(&tombstone),
    ));
    assert_eq!(
        schema_of(&read),
        "message event {
  OPTIONAL BYTE_ARRAY key (STRING);
  REQUIRED INT64 offset;
}"
    );
    assert_eq!(rows(&read), ["{key: null, offset: -1}"]);
    let Err(rejected) = spec(Content::Value).begin(&tombstone) else {
        panic!();
    };
    assert_eq!(
        rejected.message,
        "the record has no value, and a row of its columns cannot be null"
    );
    let Err(rejected) = spec_of(&[Member::Value]).begin(&tombstone) else {
        panic!();
    };
    assert_eq!(
        rejected.message,
        "there is nothing in the record that a Parquet file could have a column for"
    );
}

const CLICK: &str = r#"{"type": "record", "name": "Click", "namespace": "shop", "fields": [
  {"name": "id", "type": "long"},
  {"name": "session", "type": "string"},
  {"name": "url", "type": "string"},
  {"name": "referrer", "type": ["null", "string"]},
  {"name": "items", "type": {"type": "array", "items": "string"}}]}"#;

fn click(schema: &Arc<Schema>, number: usize) -> Record {
    let session = number % 97;
    let referrer = if number.is_multiple_of(3) {
        "null".to_owned()
    } else {
        format!(r#""https://search.example/?q={session}""#)
    };
    avro_record(
        schema,
        &format!(
            r#"{{"id": {number}, "session": "s{session}", "url": "https://shop.example/{}", "referrer": {referrer}, "items": ["i{session}", "j"]}}"#,
            number % 1000
        ),
    )
}

#[test]
fn a_file_says_who_wrote_it_and_holds_statistics_dictionaries_and_the_avro_schema() {
    let schema = avro_schema(CLICK);
    let records: Vec<_> = (0..300).map(|number| click(&schema, number)).collect();
    for (compression, codec) in [
        (Compression::None, Codec::UNCOMPRESSED),
        (Compression::Snappy, Codec::SNAPPY),
        (Compression::Gzip, Codec::GZIP(Default::default())),
        (Compression::Zstd, Codec::ZSTD(Default::default())),
        (Compression::Lz4, Codec::LZ4_RAW),
    ] {
        let mut spec = spec(Content::Value);
        spec.compression = compression;
        let reader = reader(file(&spec, &records));
        let metadata = reader.metadata();
        let about = metadata.file_metadata();
        assert_eq!(
            about.created_by(),
            Some(concat!("penstock version ", env!("CARGO_PKG_VERSION")))
        );
        let pairs = about.key_value_metadata().unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!(
            (pairs[0].key.as_str(), pairs[0].value.as_deref()),
            ("parquet.avro.schema", Some(CLICK))
        );
        let group = metadata.row_group(0);
        let id = group.column(0);
        assert_eq!(
            std::mem::discriminant(&id.compression()),
            std::mem::discriminant(&codec)
        );
        let statistics = id.statistics().unwrap();
        assert_eq!(statistics.min_bytes_opt(), Some(&0_i64.to_le_bytes()[..]));
        assert_eq!(statistics.max_bytes_opt(), Some(&299_i64.to_le_bytes()[..]));
        let referrer = group.column(3);
        assert_eq!(referrer.statistics().unwrap().null_count_opt(), Some(100));
        assert!(referrer.dictionary_page_offset().is_some());
        assert!(
            referrer
                .encodings()
                .any(|encoding| encoding == ParquetEncoding::RLE_DICTIONARY)
        );
        assert_eq!(rows(&reader).len(), 300);
    }
}

#[test]
fn row_groups_end_at_their_bytes_and_under_memory_pressure() {
    let schema = avro_schema(CLICK);
    let records: Vec<_> = (0..20_000).map(|number| click(&schema, number)).collect();
    let whole = rows(&reader(file(&spec(Content::Value), &records)));

    let mut small = spec(Content::Value);
    small.row_group_bytes = 64 << 10;
    let mut file = small.begin(&records[0]).unwrap();
    let (mut out, mut most) = (Vec::new(), 0);
    for record in &records {
        file.push(record).unwrap();
        most = most.max(file.held());
        file.drain(&mut out);
    }
    let length = file.length();
    file.finish(&mut out).unwrap();
    let read = reader(out);
    assert!(read.metadata().num_row_groups() > 10);
    assert!(most < 512 << 10, "{most}");
    assert!(rows(&read) == whole);

    let mut file = spec(Content::Value).begin(&records[0]).unwrap();
    let mut out = Vec::new();
    for (number, record) in records.iter().enumerate() {
        file.push(record).unwrap();
        if number % 5_000 == 4_999 {
            let before = file.held();
            file.shrink().unwrap();
            file.drain(&mut out);
            assert!(file.held() < before / 4, "{} of {before}", file.held());
        }
    }
    assert_eq!(file.length(), length);
    file.finish(&mut out).unwrap();
    let read = reader(out);
    assert_eq!(read.metadata().num_row_groups(), 4);
    assert!(rows(&read) == whole);
}

#[test]
fn a_file_of_few_rows_is_cheap_and_is_not_cut_into_row_groups_that_cost_more() {
    let schema = avro_schema(CLICK);
    let mut file = spec(Content::Value).begin(&click(&schema, 0)).unwrap();
    assert!(file.held() < 8 << 10, "{}", file.held());
    for number in 0..10 {
        file.push(&click(&schema, number)).unwrap();
    }
    let held = file.held();
    assert!(held < 12 << 10, "{held}");
    file.shrink().unwrap();
    assert_eq!(file.held(), held);
    let mut out = Vec::new();
    file.drain(&mut out);
    assert_eq!(out, b"");
}

#[test]
fn a_file_whose_only_record_was_rejected_is_empty_and_valid() {
    let schema = avro_schema(CLICK);
    let broken = record(Payload::new(
        vec![0],
        Encoding::Registered(Arc::clone(&schema)),
    ));
    let mut file = spec(Content::Value).begin(&broken).unwrap();
    assert_eq!(
        file.push(&broken).unwrap_err().kind,
        RecordErrorKind::Malformed
    );
    let mut out = Vec::new();
    file.finish(&mut out).unwrap();
    assert_eq!(rows(&reader(out)), Vec::<String>::new());
}

#[test]
fn a_schema_with_references_is_written_out_whole() {
    let address = avro_schema(
        r#"{"type": "record", "name": "shop.Address", "fields": [{"name": "city", "type": "string"}]}"#,
    );
    let text = r#"{"type": "record", "name": "shop.Order", "fields": [{"name": "from", "type": "Address"}, {"name": "to", "type": "Address"}]}"#;
    let schema = Arc::new(Schema::avro(text, &[("shop.Address".to_owned(), address)]).unwrap());
    let order = avro_record(&schema, r#"{"from": {"city": "a"}, "to": {"city": "b"}}"#);
    let read = reader(file(&spec(Content::Value), &[order]));
    assert_eq!(rows(&read), [r#"{from: {city: "a"}, to: {city: "b"}}"#]);
    let pairs = read
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let whole = Schema::avro(pairs[0].value.as_deref().unwrap(), &[]).unwrap();
    assert_eq!(whole.avro_schema(), schema.avro_schema());
}
