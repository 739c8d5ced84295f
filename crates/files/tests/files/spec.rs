//! What a spec says: combinations, names, groups.

use std::sync::Arc;

use penstock_connect::{ConfigValue, Record};
use penstock_files::{Compression, Content, Csv, FileSpec, Format, Member, Members, ValueEncoding};
use penstock_formats::{Encoding, Payload, Schema};

use crate::support::*;

const FORMATS: [Format; 6] = [
    Format::JsonLines,
    Format::Json,
    Format::Csv,
    Format::Avro,
    Format::Parquet,
    Format::Bytes,
];

#[test]
fn every_combination_exists_but_those_that_are_refused_with_what_is_possible() {
    let mut refused = Vec::new();
    for format in FORMATS {
        for compression in COMPRESSIONS {
            for content in [Content::Value, envelope(&[Member::Value])] {
                let spec = FileSpec {
                    compression,
                    content,
                    ..FileSpec::new(format)
                };
                if let Err(error) = spec.check() {
                    refused.push(error.message);
                }
            }
        }
    }
    refused.dedup();
    assert_eq!(
        refused,
        [
            "Avro files cannot be compressed with lz4; possible are none, gzip, zstd, snappy",
            "files of raw bytes hold values alone; members around them need another format",
        ]
    );
}

#[test]
fn names_end_as_the_format_and_a_compression_of_the_whole_file_say() {
    for (format, compression, extension) in [
        (Format::JsonLines, Compression::None, ".jsonl"),
        (Format::JsonLines, Compression::Gzip, ".jsonl.gz"),
        (Format::Json, Compression::Zstd, ".json.zst"),
        (Format::Csv, Compression::Lz4, ".csv.lz4"),
        (Format::Bytes, Compression::Snappy, ".bin.snappy"),
        (Format::Avro, Compression::Snappy, ".avro"),
        (Format::Parquet, Compression::Zstd, ".parquet"),
    ] {
        let spec = FileSpec {
            compression,
            ..FileSpec::new(format)
        };
        assert_eq!(spec.extension(), extension);
    }
}

#[test]
fn contents_are_read_from_lists_of_members() {
    for (text, expected) in [
        ("value", Content::Value),
        (
            "key, value",
            Content::Envelope(vec![Member::Key, Member::Value]),
        ),
        ("offset", Content::Envelope(vec![Member::Offset])),
    ] {
        assert_eq!(Content::parse(text).unwrap(), expected);
    }
    for (text, problem) in [
        (
            "value,partition",
            "\"partition\" is not known; use key, value, offset, timestamp, headers",
        ),
        ("", "is empty"),
        ("key,key", "names \"key\" twice (item 2)"),
    ] {
        assert_eq!(Content::parse(text).unwrap_err(), problem);
        assert_eq!(Members::parse(text).unwrap_err(), problem);
    }
}

fn registered(schema: &Arc<Schema>) -> Payload {
    Payload::new(&b""[..], Encoding::Registered(Arc::clone(schema)))
}

fn group(spec: &FileSpec, record: &Record) -> String {
    let mut out = String::new();
    spec.group(record, &mut out);
    out
}

#[test]
fn records_of_one_schema_share_files_in_every_run() {
    let parse = |text| Schema::avro(text, &[]).unwrap();
    let seven = Arc::new(parse("\"string\"").with_id(7, None));
    let guid = "8b2a7a4e-6d4d-4a85-8d0f-0e3c6a1b9f10".parse().unwrap();
    let eight = Arc::new(parse("\"bytes\"").with_id(8, Some(guid)));
    let derived = || Arc::new(parse("\"long\""));
    let mut keyed = record(0, registered(&seven));
    keyed.key = Some(registered(&eight));

    let lines = FileSpec::new(Format::JsonLines);
    let avro = FileSpec::new(Format::Avro);
    let enveloped = with_content(Format::Avro, envelope(&[Member::Key, Member::Value]));
    let mut plain_csv = FileSpec::new(Format::Csv);
    plain_csv.dialect.csv = Csv::Plain(ValueEncoding::None);
    let table = FileSpec::new(Format::Csv);
    for (spec, record, expected) in [
        (&lines, keyed.clone(), "7"),
        (&lines, record(0, None), ""),
        (&lines, record(0, json("1")), ""),
        (&plain_csv, record(0, text("1")), ""),
        (&table, record(0, None), "n"),
        (&table, record(0, json("1")), "j"),
        (&avro, keyed.clone(), "7"),
        (&avro, record(0, text("1")), "t"),
        (&avro, record(0, bytes(b"1")), "b"),
        (&enveloped, keyed, "7/8"),
        (&enveloped, record(0, registered(&seven)), "7/n"),
    ] {
        assert_eq!(group(spec, &record), expected);
    }
    let one = group(&lines, &record(0, registered(&derived())));
    assert_eq!(one, "~79b422296", "the same in the next run");
    assert_eq!(one, group(&lines, &record(0, registered(&derived()))));
}
