//! The readers that judge our files, on files that are not ours.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::python;
use penstock_tests::readers::{FileRead, Reader, read, rows};
use serde_json::{Value, json};

/// Writes `name` with a script's help: the script has `path`, `rows`, and everything that it imports.
fn write(reader: Reader, script: &str) -> Vec<FileRead> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let _ = python(script, &[], dir.path());
    read(reader, dir.path())
}

fn only(mut files: Vec<FileRead>) -> FileRead {
    assert_eq!(files.len(), 1);
    files.pop().unwrap()
}

#[test]
fn rows_come_file_by_file_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("b")).unwrap();
    std::fs::write(dir.path().join("b/1.jsonl"), "{\"n\":3}\n").unwrap();
    std::fs::write(
        dir.path().join("a.jsonl"),
        "{\"n\":1}\n{\"n\":\"\u{2028}\"}\n",
    )
    .unwrap();
    let files = read(Reader::JsonLines, dir.path());
    let names: Vec<_> = files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["a.jsonl", "b/1.jsonl"]);
    let expected = [json!({"n": 1}), json!({"n": "\u{2028}"}), json!({"n": 3})];
    assert_eq!(rows(Reader::JsonLines, dir.path()), expected);
}

#[test]
fn compression_of_whole_files_is_seen() {
    let cases = [
        (
            "gzip",
            "import gzip; data = gzip.compress(a) + gzip.compress(b)",
        ),
        (
            "zstd",
            "from backports.zstd import compress; data = compress(a) + compress(b)",
        ),
        (
            "lz4",
            "import cramjam; data = bytes(cramjam.lz4.compress(a + b))",
        ),
        (
            "snappy",
            "import cramjam; data = bytes(cramjam.snappy.compress(a + b))",
        ),
    ];
    for (name, make) in cases {
        let script = format!("a, b = b'[1,', b'2]'\n{make}\nopen('file', 'wb').write(data)");
        let file = only(write(Reader::Json, &script));
        assert_eq!(file.compression.as_deref(), Some(name));
        assert_eq!(file.rows, [1, 2], "{name}");
    }
}

#[test]
fn both_readers_of_parquet_agree() {
    const SCRIPT: &str = r#"
import datetime, decimal, pyarrow, pyarrow.parquet
schema = pyarrow.schema([
    ("text", pyarrow.string()), ("bytes", pyarrow.binary()), ("decimal", pyarrow.decimal128(9, 2)),
    ("at", pyarrow.timestamp("ms", tz="UTC")), ("day", pyarrow.date32()), ("nan", pyarrow.float64()),
    ("list", pyarrow.list_(pyarrow.int64())), ("map", pyarrow.map_(pyarrow.string(), pyarrow.int32())),
    ("nested", pyarrow.struct([("inner", pyarrow.bool_())])),
])
row = ["a", b"\x00\xff", decimal.Decimal("1.50"),
       datetime.datetime(2020, 1, 2, 3, 4, 5, 6000, datetime.timezone.utc), datetime.date(2020, 1, 2),
       float("nan"), [1, None], [("k", 1)], {"inner": True}]
rows = [dict(zip(schema.names, row)), {name: None for name in schema.names}]
table = pyarrow.Table.from_pylist(rows, schema)
pyarrow.parquet.write_table(table, "file.parquet", compression="zstd", row_group_size=1)
"#;
    let full = json!({
        "text": "a", "bytes": "AP8=", "decimal": "1.50", "at": "2020-01-02T03:04:05.006000+00:00",
        "day": "2020-01-02", "nan": "nan", "list": [1, null], "map": {"k": 1},
        "nested": {"inner": true},
    });
    let nulls: Value = full
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), Value::Null))
        .collect();
    for reader in [Reader::Parquet, Reader::ParquetByDuckDb] {
        let file = only(write(reader, SCRIPT));
        assert_eq!(file.rows, [full.clone(), nulls.clone()], "{reader:?}");
    }
    let about = only(write(Reader::Parquet, SCRIPT)).about;
    assert_eq!(about["codecs"], json!(["ZSTD"]));
    assert_eq!(about["row_groups"], json!([1, 1]));
    assert_eq!(about["statistics"], json!(true));
}

#[test]
fn avro_and_csv_are_read_with_what_the_file_says_of_itself() {
    for codec in ["null", "deflate", "zstandard", "snappy"] {
        let script = format!(
            "import fastavro\n\
             schema = {{'type': 'record', 'name': 'R', 'fields': [\n\
               {{'name': 'b', 'type': ['null', 'bytes']}},\n\
               {{'name': 'u', 'type': {{'type': 'string', 'logicalType': 'uuid'}}}}]}}\n\
             rows = [{{'b': b'\\xff', 'u': '2b1ff0f4-2e55-4e0b-8d5c-2c7f0d6f0a01'}}]\n\
             fastavro.writer(open('file.avro', 'wb'), schema, rows, codec='{codec}')"
        );
        let file = only(write(Reader::Avro, &script));
        assert_eq!(
            file.rows,
            [json!({"b": "/w==", "u": "2b1ff0f4-2e55-4e0b-8d5c-2c7f0d6f0a01"})]
        );
        assert_eq!(file.about["codec"], codec);
        assert_eq!(file.about["schema"]["name"], "R");
    }
    let script = "open('f.csv', 'w', newline='').write('a,b\\r\\n\"x, \"\"y\"\"\\n\",1\\r\\n')";
    let file = only(write(Reader::Csv, script));
    assert_eq!(file.rows, [json!({"a": "x, \"y\"\n", "b": "1"})]);
}

#[test]
#[should_panic(expected = "cut.parquet: ArrowInvalid")]
fn a_file_that_its_reader_refuses_fails_the_test() {
    let _ = write(
        Reader::Parquet,
        "open('sub/cut.parquet', 'wb').write(b'PAR1')",
    );
}
