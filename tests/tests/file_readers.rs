//! fastavro and Python's csv and json read the files, in every compression: rows, nulls, envelopes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use penstock_connect::{Header, Origin, Record, TopicPartition};
use penstock_files::{Compression, Content, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema, avro};
use penstock_tests::readers::{FileRead, Reader, read};
use serde_json::{Value, json};

const COMPRESSIONS: [(Compression, Option<&str>); 5] = [
    (Compression::None, None),
    (Compression::Gzip, Some("gzip")),
    (Compression::Zstd, Some("zstd")),
    (Compression::Snappy, Some("snappy")),
    (Compression::Lz4, Some("lz4")),
];

/// Enough for several chunks and blocks.
const RECORDS: i64 = 3000;

const SCHEMA: &str = r#"{"type": "record", "name": "Visit", "namespace": "shop", "fields": [
  {"name": "id", "type": "long"},
  {"name": "text", "type": ["null", "string"]},
  {"name": "first", "type": "ids.Id"},
  {"name": "person", "type": ["null", {"type": "record", "name": "Person", "fields": [
    {"name": "id", "type": "ids.Id"}, {"name": "mails", "type": {"type": "array", "items": "string"}}]}]},
  {"name": "raw", "type": "bytes"},
  {"name": "paid", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
]}"#;

const ID: &str = r#"{"type": "record", "name": "Id", "namespace": "ids", "fields": [{"name": "n", "type": "int"}]}"#;

/// A schema that refers to another, as the registry has it.
fn schema() -> Arc<Schema> {
    let id = Arc::new(Schema::avro(ID, &[]).unwrap());
    Arc::new(Schema::avro(SCHEMA, &[("ids.Id".to_owned(), id)]).unwrap())
}

fn value(id: i64) -> Value {
    let text = match id % 4 {
        0 => Value::Null,
        1 => json!(""),
        2 => json!("a,\"b\"\nc"),
        _ => json!("Öl 水"),
    };
    let person = match id % 2 {
        0 => Value::Null,
        _ => json!({"id": {"n": 7}, "mails": ["x", "y"]}),
    };
    json!({
        "id": id, "text": text, "first": {"n": 1}, "person": person, "raw": "AP8=",
        "paid": format!("{id}.25"), "at": 1_700_000_000_123_i64,
    })
}

fn records() -> Vec<Record> {
    let schema = schema();
    (0..RECORDS)
        .map(|id| {
            let mut bytes = Vec::new();
            avro::from_json(&schema, value(id).to_string().as_bytes(), &mut bytes).unwrap();
            let payload = Payload::new(bytes, Encoding::Registered(Arc::clone(&schema)));
            let mut record = Record::new("visits".into(), Some(payload));
            record.key = Some(Payload::new(format!("k{id}").into_bytes(), Encoding::Text));
            record.timestamp = Some(1_700_000_000_000 + id);
            record.headers = vec![Header {
                name: "via".into(),
                value: Some("web".into()),
            }];
            record.set_origin(Origin {
                index: 0,
                partition: Some(TopicPartition {
                    topic: "visits".into(),
                    partition: 0,
                }),
                offset: id,
            });
            record
        })
        .collect()
}

fn envelope() -> Content {
    Content::Envelope(vec![
        Member::Key,
        Member::Value,
        Member::Offset,
        Member::Timestamp,
        Member::Headers,
    ])
}

/// The records in a file of each compression, as that reader sees them.
fn files(format: Format, content: &Content, reader: Reader) -> Vec<FileRead> {
    let records = records();
    let folder = tempfile::tempdir().unwrap();
    for (number, (compression, _)) in COMPRESSIONS.into_iter().enumerate() {
        let spec = FileSpec {
            compression,
            content: content.clone(),
            ..FileSpec::new(format)
        };
        if spec.check().is_err() {
            continue;
        }
        let mut file = spec.begin(&records[0]).unwrap();
        let mut bytes = Vec::new();
        for record in &records {
            file.push(record).unwrap();
            file.drain(&mut bytes);
        }
        file.finish(&mut bytes).unwrap();
        let name = format!("{number}{}", spec.extension());
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    read(reader, folder.path())
}

/// Files of each compression, as a whole.
fn compressed(format: Format, content: &Content, reader: Reader) -> Vec<FileRead> {
    let files = files(format, content, reader);
    let seen: Vec<Option<&str>> = files
        .iter()
        .map(|file| file.compression.as_deref())
        .collect();
    assert_eq!(seen, COMPRESSIONS.map(|(_, name)| name));
    files
}

#[test]
fn python_reads_json_of_every_compression() {
    for (format, reader) in [
        (Format::JsonLines, Reader::JsonLines),
        (Format::Json, Reader::Json),
    ] {
        let values: Vec<Value> = (0..RECORDS).map(value).collect();
        for file in compressed(format, &Content::Value, reader) {
            assert!(file.rows == values, "{}", file.name);
        }
        for file in compressed(format, &envelope(), reader) {
            assert_eq!(file.rows.len(), values.len());
            assert_eq!(
                file.rows[5],
                json!({
                    "key": "k5", "value": value(5), "offset": 5, "timestamp": 1_700_000_000_005_i64,
                    "headers": [{"key": "via", "value": "web"}],
                })
            );
        }
    }
}

#[test]
fn python_reads_tables_of_every_compression() {
    for file in compressed(Format::Csv, &Content::Value, Reader::Csv) {
        assert_eq!(file.rows.len(), RECORDS as usize, "{}", file.name);
        for (id, row) in file.rows.iter().enumerate() {
            let value = value(id as i64);
            let person = match id % 2 {
                0 => ["", ""],
                _ => ["7", r#"["x","y"]"#],
            };
            let expected = json!({
                "id": id.to_string(), "text": value["text"].as_str().unwrap_or_default(), "first.n": "1",
                "person.id.n": person[0], "person.mails": person[1], "raw": "AP8=", "paid": value["paid"],
                "at": "1700000000123",
            });
            assert_eq!(*row, expected);
        }
    }
}

#[test]
fn fastavro_reads_containers_of_every_codec() {
    let row = |id: i64| {
        let mut value = value(id);
        value["at"] = json!("2023-11-14T22:13:20.123000+00:00");
        value
    };
    let rows: Vec<Value> = (0..RECORDS).map(row).collect();
    let values = files(Format::Avro, &Content::Value, Reader::Avro);
    let codecs: Vec<&str> = values
        .iter()
        .map(|file| file.about["codec"].as_str().unwrap())
        .collect();
    assert_eq!(codecs, ["null", "deflate", "zstandard", "snappy"]);
    for file in values {
        assert!(file.rows == rows, "{}", file.name);
    }
    for file in files(Format::Avro, &envelope(), Reader::Avro) {
        assert_eq!(file.rows.len(), rows.len());
        assert_eq!(
            file.rows[5],
            json!({
                "key": "k5", "value": row(5), "offset": 5,
                "timestamp": "2023-11-14T22:13:20.005000+00:00",
                "headers": [{"key": "via", "value": "d2Vi"}],
            })
        );
    }
}
