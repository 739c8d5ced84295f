//! What files look like.

use std::sync::Arc;

use penstock_connect::config::{ConfigValue, Names};
use penstock_connect::{Error, Record, RecordError, choice};
use penstock_formats::{Encoding, Payload};

use crate::csv::{Plain, Table};
use crate::text::{JsonArray, JsonLines, RawValues, TextFile};
use crate::{FileWriter, avro, parquet};

choice! {
    /// What a file's bytes are.
    pub enum Format {
        /// One JSON value a line.
        JsonLines = "jsonl",
        /// One JSON array.
        Json = "json",
        /// Comma-separated values.
        Csv = "csv",
        /// Avro object container file.
        Avro = "avro",
        /// Apache Parquet.
        Parquet = "parquet",
        /// The values' bytes, with a separator behind each.
        Bytes = "bytes",
    }
}

impl Format {
    /// The ending of names, with its dot: `.jsonl`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::JsonLines => ".jsonl",
            Self::Json => ".json",
            Self::Csv => ".csv",
            Self::Avro => ".avro",
            Self::Parquet => ".parquet",
            Self::Bytes => ".bin",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "JSON lines",
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Avro => "Avro",
            Self::Parquet => "Parquet",
            Self::Bytes => "raw bytes",
        }
    }

    /// The compressions that there are for it.
    fn compressions(self) -> &'static [Compression] {
        use Compression::{Gzip, Lz4, None, Snappy, Zstd};
        match self {
            // What the Avro specification names and its readers have; gzip stands for `deflate`.
            Self::Avro => &[None, Gzip, Zstd, Snappy],
            Self::JsonLines | Self::Json | Self::Csv | Self::Parquet | Self::Bytes => {
                &[None, Gzip, Zstd, Snappy, Lz4]
            }
        }
    }

    /// Blocks within the file are compressed, not the file.
    fn compresses_blocks(self) -> bool {
        matches!(self, Self::Avro | Self::Parquet)
    }
}

choice! {
    /// How a file is compressed: as a whole, or its blocks (Avro, Parquet).
    pub enum Compression {
        /// Not at all.
        None = "none",
        /// gzip; `deflate` in Avro.
        Gzip = "gzip",
        /// Zstandard.
        Zstd = "zstd",
        /// Snappy: the framing format for whole files, the raw one for blocks.
        Snappy = "snappy",
        /// LZ4: the frame format for whole files, raw blocks in Parquet.
        Lz4 = "lz4",
    }
}

impl Compression {
    /// The ending of names of files compressed as a whole, with its dot: `.gz`; empty for none.
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Snappy => ".snappy",
            Self::Lz4 => ".lz4",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
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

impl Content {
    pub(crate) fn has(&self, member: Member) -> bool {
        match self {
            Self::Value => member == Member::Value,
            Self::Envelope(members) => members.contains(&member),
        }
    }
}

impl ConfigValue for Content {
    const KIND: &'static str = Members::KIND;

    /// `value` alone is the value itself, anything else an envelope.
    fn parse(text: &str) -> Result<Self, String> {
        let Members(members) = Members::parse(text)?;
        Ok(match members.as_slice() {
            [Member::Value] => Self::Value,
            _ => Self::Envelope(members),
        })
    }
}

/// Members of an envelope in order, none twice, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members(pub Vec<Member>);

impl ConfigValue for Members {
    const KIND: &'static str = "a list of key, value, offset, timestamp, headers";

    fn parse(text: &str) -> Result<Self, String> {
        let names = Names::parse(text)?.0;
        if names.is_empty() {
            return Err("is empty".into());
        }
        names
            .iter()
            .map(|name| {
                Member::parse(name).map_err(|_| {
                    format!("{name:?} is not known; use key, value, offset, timestamp, headers")
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
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

impl Member {
    /// The name that it has in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Headers => "headers",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Where connectors of one format differ from one another.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// How JSON shows a record's timestamp.
    pub timestamps: Timestamps,
    /// What the lines of a CSV file are.
    pub csv: Csv,
    /// What stands behind each value in files of raw bytes.
    pub separator: Arc<[u8]>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            timestamps: Timestamps::Millis,
            csv: Csv::Table,
            separator: Arc::from(&b"\n"[..]),
        }
    }
}

/// How JSON shows a record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Milliseconds since the epoch, a number.
    Millis,
    /// `2026-01-31T09:30:00Z`, with three digits of milliseconds where there are any.
    Iso8601,
}

/// What the lines of a CSV file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Csv {
    /// A header line, and a column for each field of the value; RFC 4180's quotes, lines that end in
    /// `\n`.
    Table,
    /// No header line and no quotes, the members of the envelope between commas, keys and headers as
    /// base64: what Aiven's connectors write.
    Plain(ValueEncoding),
}

choice! {
    /// How the value stands in [`Csv::Plain`].
    pub enum ValueEncoding {
        /// As base64.
        Base64 = "base64",
        /// As it is: commas and line breaks in it are the reader's business.
        None = "none",
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
    /// Where connectors differ.
    pub dialect: Dialect,
    /// Bytes of values, uncompressed, at which a Parquet row group ends.
    pub row_group_bytes: usize,
}

impl FileSpec {
    /// Files of this format, not compressed, of values alone.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            compression: Compression::None,
            content: Content::Value,
            dialect: Dialect::default(),
            row_group_bytes: 32 << 20,
        }
    }

    /// The ending of files' names, with its dot: `.jsonl.gz`, `.parquet`. Vocabularies with other habits
    /// put theirs together from [`Format::extension`] and [`Compression::extension`].
    pub fn extension(&self) -> String {
        let mut extension = self.format.extension().to_owned();
        if !self.format.compresses_blocks() {
            extension.push_str(self.compression.extension());
        }
        extension
    }

    /// Says which records may share a file: appends a short text that is equal for them and the same in
    /// every run. Records of one writer schema share files, and so do those without one. In formats that
    /// fix a type for the value (CSV tables, Avro, Parquet) text, bytes, JSON and records without a value
    /// have files of their own; so have, in Avro and Parquet, kinds and schemas of the key, if the
    /// envelope holds it.
    pub fn group(&self, record: &Record, out: &mut String) {
        let fixed = match self.format {
            Format::Avro | Format::Parquet => true,
            Format::Csv => self.dialect.csv == Csv::Table,
            Format::JsonLines | Format::Json | Format::Bytes => false,
        };
        append_group(record.value.as_ref(), fixed, out);
        if matches!(self.format, Format::Avro | Format::Parquet) && self.content.has(Member::Key) {
            out.push('/');
            append_group(record.key.as_ref(), true, out);
        }
    }

    /// Begins a file for records like this one, which is not written yet. What is fixed for the file
    /// (columns, schema, Avro's sync marker) follows from this record alone.
    pub fn begin(&self, first: &Record) -> Result<Box<dyn FileWriter>, RecordError> {
        let content = self.content.clone();
        let timestamps = self.dialect.timestamps;
        Ok(match self.format {
            Format::JsonLines => TextFile::begin(
                JsonLines {
                    content,
                    timestamps,
                },
                self,
            ),
            Format::Json => TextFile::begin(
                JsonArray {
                    content,
                    timestamps,
                    items: false,
                },
                self,
            ),
            Format::Csv => match self.dialect.csv {
                Csv::Table => TextFile::begin(Table::begin(self, first)?, self),
                Csv::Plain(encoding) => TextFile::begin(Plain::begin(self, encoding), self),
            },
            Format::Bytes => TextFile::begin(
                RawValues {
                    separator: Arc::clone(&self.dialect.separator),
                },
                self,
            ),
            Format::Avro => avro::begin(self, first)?,
            Format::Parquet => parquet::begin(self, first)?,
        })
    }

    /// Whether the combination is one that there is. The message says what is possible.
    pub fn check(&self) -> Result<(), Error> {
        let possible = self.format.compressions();
        if !possible.contains(&self.compression) {
            let names: Vec<&str> = possible.iter().map(|one| one.name()).collect();
            return Err(Error::never(format!(
                "{} files cannot be compressed with {}; possible are {}",
                self.format.name(),
                self.compression.name(),
                names.join(", ")
            )));
        }
        if let (Format::Bytes, Content::Envelope(_)) = (self.format, &self.content) {
            return Err(Error::never(
                "files of raw bytes hold values alone; members around them need another format",
            ));
        }
        Ok(())
    }
}

/// Appends what tells payloads of one schema, or one kind, from others.
fn append_group(payload: Option<&Payload>, kinds: bool, out: &mut String) {
    let kind = match payload.map(Payload::encoding) {
        Some(Encoding::Registered(schema)) => {
            match (schema.id(), schema.guid()) {
                (Some(id), _) => out.push_str(&id.to_string()),
                (None, Some(guid)) => out.push_str(&guid.to_string()),
                // What a transform derived for itself: its text says which.
                (None, None) => out.push_str(&format!(
                    "~{:08x}{:x}",
                    crc32fast::hash(schema.text().as_bytes()),
                    schema.text().len()
                )),
            }
            return;
        }
        None => "n",
        Some(Encoding::Json) => "j",
        Some(Encoding::Text) => "t",
        Some(Encoding::Bytes) => "b",
    };
    if kinds {
        out.push_str(kind);
    }
}
