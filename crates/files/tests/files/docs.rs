//! The examples of docs/formats.md are what the code writes.

use penstock_connect::{ConfigValue, Header};
use penstock_files::{Content, Csv, Dialect, FileSpec, Format, Timestamps, ValueEncoding};

use crate::support::*;

const GUIDE: &str = include_str!("../../../../docs/formats.md");

/// The fenced blocks of the guide: what stands behind the fence, and the text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    GUIDE
        .split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| {
            let (fence, text) = block.split_once('\n').unwrap();
            (fence, text)
        })
        .collect()
}

#[test]
fn the_examples_of_the_guide_are_what_is_written() {
    let blocks = blocks();
    let schema = schema(blocks[0].1);
    let value = |json: &str| of_schema(&schema, json);
    let mut one = record(
        41,
        value(
            r#"{"id":1,"person":{"name":"Ann, \"the\" first","mail":null},"pages":["/","/buy"],"paid":"12.50"}"#,
        ),
    );
    one.key = Some(text("a"));
    one.timestamp = Some(1_767_225_600_000);
    one.headers = vec![Header {
        name: "via".into(),
        value: Some("web".into()),
    }];
    let mut two = record(
        42,
        value(r#"{"id":2,"person":null,"pages":[],"paid":"0.00"}"#),
    );
    two.timestamp = Some(1_767_225_600_250);

    for (fence, expected) in &blocks[1..] {
        let (format, members) = fence.split_once(' ').unwrap();
        let (format, dialect) = match format {
            "jsonl-iso" => (
                Format::JsonLines,
                Dialect {
                    timestamps: Timestamps::Iso8601,
                    ..Dialect::default()
                },
            ),
            "csv-plain" => (
                Format::Csv,
                Dialect {
                    csv: Csv::Plain(ValueEncoding::Base64),
                    ..Dialect::default()
                },
            ),
            format => (Format::parse(format).unwrap(), Dialect::default()),
        };
        let spec = FileSpec {
            content: Content::parse(members).unwrap(),
            dialect,
            ..FileSpec::new(format)
        };
        let written = text_file(&spec, &[one.clone(), two.clone()]);
        assert_eq!(written.trim_end(), *expected, "{fence}");
    }
    assert_eq!(blocks.len(), 8);
}

#[test]
fn the_table_of_the_guide_has_the_combinations_that_there_are() {
    let rows: Vec<Vec<&str>> = GUIDE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let format = Format::parse(row[0].trim_matches('`')).unwrap();
        for (cell, compression) in row[3..].iter().zip(COMPRESSIONS) {
            let spec = FileSpec {
                compression,
                ..FileSpec::new(format)
            };
            assert_eq!(spec.check().is_ok(), *cell != "no", "{row:?}");
            let ending = row[1].trim_matches('`').to_owned();
            let whole = *cell == "file";
            let ending = ending + if whole { compression.extension() } else { "" };
            assert_eq!(spec.extension(), ending);
        }
    }
}
