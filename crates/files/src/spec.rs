//! What files look like.

use penstock_connect::{Error, Record, RecordError, choice};

use crate::FileWriter;

choice! {
    /// What a file's bytes are.
    pub enum Format {
        /// One JSON value a line.
        JsonLines = "jsonl",
        /// One JSON array.
        Json = "json",
        /// Comma-separated values with a header line (RFC 4180).
        Csv = "csv",
        /// Avro object container file.
        Avro = "avro",
        /// Apache Parquet.
        Parquet = "parquet",
        /// The values' bytes, with a separator between them.
        Bytes = "bytes",
    }
}

choice! {
    /// How a file is compressed: as a whole, or its blocks (Avro, Parquet).
    pub enum Compression {
        /// Not at all.
        None = "none",
        /// gzip.
        Gzip = "gzip",
        /// Zstandard.
        Zstd = "zstd",
        /// Snappy.
        Snappy = "snappy",
        /// LZ4.
        Lz4 = "lz4",
    }
}

/// What of a record stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The value itself.
    Value,
    /// An object or row with these members, in this order.
    Envelope(Vec<Member>),
}

choice! {
    /// A member of an envelope.
    pub enum Member {
        /// The record's key.
        Key = "key",
        /// The record's value.
        Value = "value",
        /// The record's headers.
        Headers = "headers",
        /// The record's offset.
        Offset = "offset",
        /// The record's timestamp.
        Timestamp = "timestamp",
    }
}

/// What files look like.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// What a file's bytes are.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
    /// What of a record stands in it.
    pub content: Content,
}

impl FileSpec {
    /// The ending of files' names, with its dot: `.jsonl.gz`.
    pub fn extension(&self) -> String {
        String::new()
    }

    /// Says which records may share a file (those of one writer schema): appends a short text that is
    /// equal for them.
    pub fn group(&self, record: &Record, out: &mut String) -> Result<(), RecordError> {
        let _ = (record, out);
        Ok(())
    }

    /// Begins a file for records like this one, which is not written yet.
    pub fn begin(&self, first: &Record) -> Result<Box<dyn FileWriter>, RecordError> {
        let _ = first;
        Err(RecordError::malformed("no writer of this format yet"))
    }

    /// Whether the combination is one that there is.
    pub fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
