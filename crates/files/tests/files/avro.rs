//! Avro container files, read by apache-avro.

use std::io::Read;
use std::sync::Arc;

use apache_avro::types::Value;
use penstock_connect::Header;
use penstock_files::{Compression, Content, FileSpec, Format, Member};
use penstock_formats::{EditBuffer, Encoding, FieldPath, Fields, Found, Payload, Scalar, Schema};

use crate::support::*;

const EVENT: &str = r#"{"type":"record","name":"Event","namespace":"com.x","doc":"One.","fields":[
    {"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null}]}"#;

/// A container taken apart.
pub(crate) struct Container<'a> {
    header: &'a [u8],
    pub(crate) codec: String,
    sync: &'a [u8],
    /// Number of records and bytes of each block.
    pub(crate) blocks: Vec<(i64, Vec<u8>)>,
}

fn long(bytes: &mut &[u8]) -> i64 {
    let mut value = 0_u64;
    for position in 0.. {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

impl<'a> Container<'a> {
    pub(crate) fn read(file: &'a [u8]) -> Self {
        let mut rest = file;
        assert_eq!(take(&mut rest, 4), b"Obj\x01");
        let mut codec = String::new();
        for _ in 0..long(&mut rest) {
            let length = long(&mut rest) as usize;
            let name = take(&mut rest, length);
            let length = long(&mut rest) as usize;
            let value = take(&mut rest, length);
            if name == b"avro.codec" {
                codec = String::from_utf8(value.to_vec()).unwrap();
            }
        }
        assert_eq!(long(&mut rest), 0);
        let sync = take(&mut rest, 16);
        let header = &file[..file.len() - rest.len()];
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let count = long(&mut rest);
            let length = long(&mut rest) as usize;
            let block = take(&mut rest, length);
            let mut plain = Vec::new();
            match codec.as_str() {
                "null" => plain.extend_from_slice(block),
                "deflate" => {
                    flate2::read::DeflateDecoder::new(block)
                        .read_to_end(&mut plain)
                        .unwrap();
                }
                "snappy" => {
                    let (block, crc) = block.split_at(block.len() - 4);
                    plain = snap::raw::Decoder::new().decompress_vec(block).unwrap();
                    assert_eq!(crc, crc32fast::hash(&plain).to_be_bytes());
                }
                "zstandard" => plain = zstd::decode_all(block).unwrap(),
                other => panic!("codec {other}"),
            }
            blocks.push((count, plain));
            assert_eq!(take(&mut rest, 16), sync);
        }
        Self {
            header,
            codec,
            sync,
            blocks,
        }
    }

    /// The same without compression, for a reader that knows no other codec.
    fn plain(&self) -> Vec<u8> {
        let at = self
            .header
            .windows(self.codec.len())
            .position(|part| part == self.codec.as_bytes())
            .unwrap();
        let mut out = self.header[..at - 1].to_vec();
        out.extend_from_slice(b"\x08null");
        out.extend_from_slice(&self.header[at + self.codec.len()..]);
        let long = |value: usize, out: &mut Vec<u8>| {
            let mut rest = value << 1;
            while rest > 0x7f {
                out.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        };
        for (count, block) in &self.blocks {
            long(*count as usize, &mut out);
            long(block.len(), &mut out);
            out.extend_from_slice(block);
            out.extend_from_slice(self.sync);
        }
        out
    }
}

/// Reads a container of any codec.
pub(crate) fn read(file: &[u8]) -> (apache_avro::Schema, Vec<Value>) {
    let plain = Container::read(file).plain();
    let reader = apache_avro::Reader::new(plain.as_slice()).unwrap();
    let schema = reader.writer_schema().clone();
    (schema, reader.map(Result::unwrap).collect())
}

fn event(schema: &Arc<Schema>, id: i64) -> Payload {
    of_schema(schema, &format!(r#"{{"id":{id},"name":"n{id}"}}"#))
}

#[test]
fn values_come_back_in_every_codec_with_the_registry_schema_word_for_word() {
    let schema = schema(EVENT);
    let records: Vec<_> = (0..20_000)
        .map(|id| record(id, event(&schema, id)))
        .collect();
    for (compression, codec) in [
        (Compression::None, "null"),
        (Compression::Gzip, "deflate"),
        (Compression::Snappy, "snappy"),
        (Compression::Zstd, "zstandard"),
    ] {
        let spec = FileSpec {
            compression,
            ..FileSpec::new(Format::Avro)
        };
        let file = file(&spec, &records);
        let container = Container::read(&file);
        assert_eq!(container.codec, codec);
        assert!(container.blocks.len() > 2, "blocks are bounded");
        assert!(String::from_utf8_lossy(container.header).contains(EVENT));
        let (_, values) = read(&file);
        assert_eq!(values.len(), records.len());
        assert_eq!(
            values[19_999],
            Value::Record(vec![
                ("id".into(), Value::Long(19_999)),
                (
                    "name".into(),
                    Value::Union(1, Box::new(Value::String("n19999".into())))
                ),
            ])
        );
    }
}

#[test]
fn the_envelope_is_a_record_around_key_and_value() {
    let key = schema(r#"{"type":"record","name":"Key","fields":[{"name":"k","type":"int"}]}"#);
    let value = schema(EVENT);
    let spec = with_content(Format::Avro, envelope(&ALL_MEMBERS));
    let mut one = full_record(event(&value, 5));
    one.key = Some(of_schema(&key, r#"{"k":9}"#));
    one.headers.pop();
    let mut two = one.clone();
    two.timestamp = None;
    two.headers.clear();
    two.headers.push(Header {
        name: "n".into(),
        value: None,
    });
    let (schema, values) = read(&file(&spec, &[one, two]));
    assert_eq!(schema.name().unwrap().fullname(None), "KafkaRecord");
    let field = |value: &Value, name: &str| match value {
        Value::Record(fields) => fields
            .iter()
            .find(|(own, _)| own == name)
            .unwrap()
            .1
            .clone(),
        _ => panic!("a record"),
    };
    assert_eq!(field(&field(&values[0], "key"), "k"), Value::Int(9));
    assert_eq!(field(&field(&values[0], "value"), "id"), Value::Long(5));
    assert_eq!(field(&values[0], "offset"), Value::Long(12));
    assert_eq!(
        field(&values[0], "timestamp"),
        Value::Union(1, Box::new(Value::TimestampMillis(1_611_923_730_250)))
    );
    assert_eq!(
        field(&values[1], "timestamp"),
        Value::Union(0, Box::new(Value::Null))
    );
    let header = |name: &str, value: Option<&[u8]>| {
        let value = match value {
            None => Value::Union(0, Box::new(Value::Null)),
            Some(bytes) => Value::Union(1, Box::new(Value::Bytes(bytes.to_vec()))),
        };
        Value::Record(vec![
            ("key".into(), Value::String(name.to_owned())),
            ("value".into(), value),
        ])
    };
    assert_eq!(
        field(&values[0], "headers"),
        Value::Array(vec![header("h\n", Some(b"v")), header("b", Some(&[0xff]))])
    );
    assert_eq!(
        field(&values[1], "headers"),
        Value::Array(vec![header("n", None)])
    );
}

#[test]
fn text_bytes_and_nothing_have_types_of_their_own() {
    let spec = with_content(Format::Avro, envelope(&[Member::Key, Member::Value]));
    let mut one = record(0, bytes(&[0, 255]));
    one.key = Some(text("ü"));
    let (_, values) = read(&file(&spec, &[one]));
    let fields = |key, value| Value::Record(vec![("key".into(), key), ("value".into(), value)]);
    assert_eq!(
        values,
        [fields(
            Value::String("ü".into()),
            Value::Bytes(vec![0, 255])
        )]
    );
    let (_, values) = read(&file(&spec, &[record(0, None), record(1, None)]));
    assert_eq!(
        values,
        [
            fields(Value::Null, Value::Null),
            fields(Value::Null, Value::Null)
        ]
    );
    let (_, values) = read(&file(
        &FileSpec::new(Format::Avro),
        &[record(0, text("a")), record(1, text("b"))],
    ));
    assert_eq!(
        values,
        [Value::String("a".into()), Value::String("b".into())]
    );
}

#[test]
fn what_has_no_avro_schema_is_rejected_with_what_to_do() {
    let json_schema = Arc::new(Schema::json(r#"{"type":"object"}"#, &[]).unwrap());
    let values = FileSpec::new(Format::Avro);
    let keys = with_content(Format::Avro, envelope(&[Member::Key]));
    let mut keyed = record(0, None);
    keyed.key = Some(json("{}"));
    for (spec, record, problem) in [
        (
            &values,
            record(0, json("{}")),
            "the value is JSON without an Avro schema, and an Avro file needs one: read the topic with an \
             Avro value converter, or write another format",
        ),
        (
            &values,
            record(
                0,
                Payload::new(&b"{}"[..], Encoding::Registered(json_schema)),
            ),
            "the value is JSON without an Avro schema, and an Avro file needs one: read the topic with an \
             Avro value converter, or write another format",
        ),
        (
            &keys,
            keyed,
            "the key is JSON without an Avro schema, and an Avro file needs one: read the topic with an \
             Avro key converter, or write another format",
        ),
        (
            &values,
            record(0, None),
            "a record without a value has no place in an Avro file of values",
        ),
    ] {
        assert_eq!(rejection(spec, &record).message, problem);
    }
}

#[test]
fn a_malformed_value_is_rejected_and_the_block_stays_readable() {
    let schema = schema(EVENT);
    let spec = FileSpec::new(Format::Avro);
    let good = record(0, event(&schema, 1));
    let mut file = spec.begin(&good).unwrap();
    file.push(&good).unwrap();
    let raw = |bytes: &[u8]| {
        let encoding = Encoding::Registered(Arc::clone(&schema));
        record(1, Payload::new(bytes.to_vec(), encoding))
    };
    for (bytes, problem) in [
        (&[2][..], "ends within an integer"),
        (&[2, 4], "union branch index 2, there are 2"),
        (&[2, 2, 2, 0xff], "a string that is not UTF-8"),
        (&[2, 0, 0], "1 bytes after the end of the event"),
    ] {
        let error = file.push(&raw(bytes)).unwrap_err();
        assert!(error.message.ends_with(problem), "{error}");
    }
    let other = Arc::new(Schema::avro("\"string\"", &[]).unwrap());
    assert_eq!(
        file.push(&record(1, of_schema(&other, "\"x\"")))
            .unwrap_err()
            .message,
        "the value has another schema than the file"
    );
    file.push(&good).unwrap();
    let mut out = Vec::new();
    file.finish(&mut out).unwrap();
    assert_eq!(read(&out).1.len(), 2);
}

#[test]
fn edits_that_wait_are_in_the_file() {
    let schema = schema(EVENT);
    let fields = Fields::compile(&schema, &[FieldPath::parse("name").unwrap()]).unwrap();
    let mut payload = event(&schema, 1);
    let mut found = Found::new();
    payload.find(&fields, &mut found).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    let ciphertext = Scalar::Str("ciphertext, longer".into());
    let slot = found.first(0).unwrap();
    slot.replace(&fields, &ciphertext, &mut edits).unwrap();
    payload.edit(&found, edits).unwrap();
    let (_, values) = read(&file(&FileSpec::new(Format::Avro), &[record(0, payload)]));
    let shown = format!("{values:?}");
    assert!(shown.contains("ciphertext, longer"), "{shown}");
}

#[test]
fn schemas_of_references_are_inlined() {
    let meta = schema(
        r#"{"type":"record","name":"Meta","namespace":"com.y","fields":[{"name":"n","type":"int"}]}"#,
    );
    let event = Arc::new(
        Schema::avro(
            r#"{"type":"record","name":"Event","namespace":"com.x","doc":"Kept.","fields":[
                {"name":"a","type":"com.y.Meta"},{"name":"b","type":["null","com.y.Meta"]},
                {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
            &[("com.y.Meta".to_owned(), meta)],
        )
        .unwrap(),
    );
    let value = of_schema(&event, r#"{"a":{"n":1},"b":{"n":2},"at":3}"#);
    for content in [Content::Value, envelope(&[Member::Value, Member::Offset])] {
        let file = file(
            &with_content(Format::Avro, content),
            &[record(0, value.clone())],
        );
        let (schema, values) = read(&file);
        let text = serde_json::to_string(&schema).unwrap();
        for kept in ["com.y", "Kept.", "timestamp-millis"] {
            assert!(text.contains(kept), "{text}");
        }
        assert!(format!("{values:?}").contains("TimestampMillis(3)"));
    }
}

#[test]
fn a_type_that_key_and_value_share_is_defined_once() {
    let id =
        r#"{"type":"record","name":"Id","namespace":"com.x","fields":[{"name":"n","type":"int"}]}"#;
    let key = schema(id);
    let value = schema(&format!(
        r#"{{"type":"record","name":"Event","namespace":"com.y","fields":[
            {{"name":"first","type":["null",{id}]}},{{"name":"rest","type":{{"type":"array","items":"com.x.Id"}}}}]}}"#
    ));
    let mut record = record(
        0,
        of_schema(&value, r#"{"first":{"n":1},"rest":[{"n":2}]}"#),
    );
    record.key = Some(of_schema(&key, r#"{"n":3}"#));
    let spec = with_content(Format::Avro, envelope(&[Member::Key, Member::Value]));
    let file = file(&spec, &[record]);
    let header = String::from_utf8_lossy(Container::read(&file).header).into_owned();
    assert_eq!(header.matches(r#""name":"Id""#).count(), 1, "{header}");
    let shown = format!("{:?}", read(&file).1);
    for n in 1..=3 {
        assert!(shown.contains(&format!("Int({n})")), "{shown}");
    }
}

#[test]
fn key_and_value_that_use_one_name_for_two_types_are_rejected() {
    let one = schema(r#"{"type":"record","name":"T","fields":[{"name":"a","type":"int"}]}"#);
    let other = schema(
        r#"{"type":"record","name":"R","namespace":"x","fields":[{"name":"r","type":
            {"type":"record","name":"T","namespace":"","fields":[{"name":"b","type":"int"}]}}]}"#,
    );
    let mut record = record(0, of_schema(&one, r#"{"a":1}"#));
    record.key = Some(of_schema(&other, r#"{"r":{"b":1}}"#));
    let spec = with_content(Format::Avro, envelope(&[Member::Key, Member::Value]));
    assert_eq!(
        rejection(&spec, &record).message,
        "key and value both define the type T, each in its own way, and cannot stand in one Avro file"
    );
}

#[test]
fn the_marker_between_blocks_follows_from_where_the_file_begins() {
    let schema = schema(EVENT);
    let spec = FileSpec::new(Format::Avro);
    let sync = |offset, id| {
        let file = file(&spec, &[record(offset, event(&schema, id))]);
        Container::read(&file).sync.to_vec()
    };
    assert_eq!(sync(1, 1), sync(1, 1));
    assert_ne!(sync(1, 1), sync(2, 1));
    assert_ne!(sync(1, 1), sync(1, 2));
}
