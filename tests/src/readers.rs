//! Other people's readers of files: pyarrow, DuckDB, fastavro, Python's csv and json.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::events::demo_schema;
use crate::python;

const SCRIPT: &str = include_str!("../readers/rows.py");

/// What a file is, and who reads it. A file that is compressed as a whole is seen by its first bytes:
/// gzip, Zstandard, LZ4 frames, Snappy's framing format and that of its Java library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// An Avro object container file, by fastavro.
    Avro,
    /// Raw bytes: Avro values of the demo's schema as they lie in topics, in the registry's framing, with
    /// a line break behind each, by fastavro.
    AvroValues,
    /// Comma-separated values with a line of names, by Python's csv; every value is a text.
    Csv,
    /// A JSON array, by Python's json.
    Json,
    /// JSON lines, by Python's json.
    JsonLines,
    /// Lines of any text.
    Lines,
    /// Parquet, by pyarrow.
    Parquet,
    /// Parquet, by DuckDB.
    ParquetByDuckDb,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::AvroValues => "avro-values",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Lines => "lines",
            Self::Parquet => "parquet",
            Self::ParquetByDuckDb => "parquet-duckdb",
        }
    }
}

/// A file as its reader sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct FileRead {
    /// Its path in the folder.
    pub name: String,
    /// How it is compressed as a whole: `gzip`, `zstd`, `lz4`, `snappy`, `snappy-java`, or not.
    pub compression: Option<String>,
    /// Its rows. Bytes are base64 texts, times are ISO 8601 in UTC with microseconds, decimals, UUIDs
    /// and numbers that JSON lacks are texts, maps are objects.
    pub rows: Vec<Value>,
    /// What the file says of itself. Avro: `codec`, `schema`. Parquet (pyarrow): `schema` as text,
    /// `codecs`, `row_groups` (rows of each), `statistics` (whether every column chunk has them), and
    /// the file's own `metadata`.
    pub about: Value,
}

/// Reads all files in a folder and below, by name.
///
/// # Panics
/// When a file is not what the reader expects; with its opinion.
#[must_use]
pub fn read(reader: Reader, folder: &Path) -> Vec<FileRead> {
    let schema = demo_schema();
    let arguments: &[&str] = match reader {
        Reader::AvroValues => &[reader.name(), &schema],
        _ => &[reader.name()],
    };
    let printed = python(SCRIPT, arguments, folder);
    let files = printed.lines().map(serde_json::from_str);
    files
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("what {reader:?} printed: {error}"))
}

/// The rows of all files in a folder and below, file by file.
///
/// # Panics
/// As [`read`].
#[must_use]
pub fn rows(reader: Reader, folder: &Path) -> Vec<Value> {
    let files = read(reader, folder).into_iter();
    files.flat_map(|file| file.rows).collect()
}
