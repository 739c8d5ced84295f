//! The values of Confluent's keys: Java classes by the last part of their names, codecs, separators.

use penstock_connect::{ConfigValue, choice};
use penstock_files::{Compression, Format};

/// `io.confluent.connect.s3.format.json.JsonFormat`: the last part of the name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatClass(pub Format);

impl ConfigValue for FormatClass {
    const KIND: &'static str =
        "`AvroFormat`, `JsonFormat`, `ByteArrayFormat` or `ParquetFormat`, or the Java class";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(match text.rsplit('.').next().unwrap_or(text) {
            "AvroFormat" => Format::Avro,
            "JsonFormat" => Format::JsonLines,
            "ByteArrayFormat" => Format::Bytes,
            "ParquetFormat" => Format::Parquet,
            _ => {
                return Err(format!(
                    "must be AvroFormat, JsonFormat, ByteArrayFormat or ParquetFormat, not {text:?}"
                ));
            }
        }))
    }
}

/// Which path a record has; the last part of the Java class's name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// The Kafka partition.
    Default,
    /// Fields of the value.
    Field,
    /// A time, as `path.format` writes it.
    TimeBased,
    /// A time, a directory a day.
    Daily,
    /// A time, a directory an hour.
    Hourly,
    /// Fields, then a time.
    FieldAndTime,
}

impl ConfigValue for Partitioner {
    const KIND: &'static str = "`DefaultPartitioner`, `FieldPartitioner`, `TimeBasedPartitioner`, `DailyPartitioner`, `HourlyPartitioner`, `FieldAndTimeBasedPartitioner`, or the Java class";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.rsplit('.').next().unwrap_or(text) {
            "DefaultPartitioner" => Self::Default,
            "FieldPartitioner" => Self::Field,
            "TimeBasedPartitioner" => Self::TimeBased,
            "DailyPartitioner" => Self::Daily,
            "HourlyPartitioner" => Self::Hourly,
            "FieldAndTimeBasedPartitioner" => Self::FieldAndTime,
            _ => {
                return Err(format!(
                    "must be DefaultPartitioner, FieldPartitioner, TimeBasedPartitioner, \
                     DailyPartitioner, HourlyPartitioner or FieldAndTimeBasedPartitioner, not {text:?}; \
                     partitioners of one's own cannot be loaded"
                ));
            }
        })
    }
}

impl Partitioner {
    pub(super) fn has_fields(self) -> bool {
        matches!(self, Self::Field | Self::FieldAndTime)
    }

    pub(super) fn has_time(self) -> bool {
        !matches!(self, Self::Default | Self::Field)
    }
}

/// Where a record's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extractor {
    /// The clock.
    Wallclock,
    /// The record's timestamp.
    Record,
    /// A field of the value.
    RecordField,
}

impl ConfigValue for Extractor {
    const KIND: &'static str = "`Wallclock`, `Record` or `RecordField`, or the Java class";

    fn parse(text: &str) -> Result<Self, String> {
        let name = text.rsplit(['.', '$']).next().unwrap_or(text);
        Ok(
            match name.strip_suffix("TimestampExtractor").unwrap_or(name) {
                "Wallclock" => Self::Wallclock,
                "Record" => Self::Record,
                "RecordField" => Self::RecordField,
                _ => {
                    return Err(format!(
                        "must be Wallclock, Record or RecordField, not {text:?}; extractors of one's own \
                     cannot be loaded"
                    ));
                }
            },
        )
    }
}

choice! {
    /// Compression of the blocks of Avro files.
    pub enum AvroCodec {
        /// None.
        Null = "null",
        /// zlib's.
        Deflate = "deflate",
        /// Snappy.
        Snappy = "snappy",
        /// Zstandard.
        Zstandard = "zstandard",
    }
}

impl AvroCodec {
    /// The compression of the file's blocks.
    pub(super) fn compression(self) -> Compression {
        match self {
            Self::Null => Compression::None,
            Self::Deflate => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Zstandard => Compression::Zstd,
        }
    }
}

choice! {
    /// Compression of the pages of Parquet files.
    pub enum ParquetCodec {
        /// None.
        None = "none",
        /// None.
        Uncompressed = "uncompressed",
        /// gzip.
        Gzip = "gzip",
        /// Snappy.
        Snappy = "snappy",
        /// LZ4.
        Lz4 = "lz4",
        /// Zstandard.
        Zstd = "zstd",
    }
}

impl ParquetCodec {
    pub(super) fn compression(self) -> Compression {
        match self {
            Self::None | Self::Uncompressed => Compression::None,
            Self::Gzip => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        }
    }
}

/// What Hadoop's tools put before `.parquet`.
pub(super) fn parquet_ending(compression: Compression) -> &'static str {
    match compression {
        Compression::Zstd => ".zstd",
        other => other.extension(),
    }
}

/// A directory; nothing for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(pub String);

impl ConfigValue for Directory {
    const KIND: &'static str = "a directory, or nothing";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

/// What stands behind each value in files of raw bytes. `\n`, `\r` and `\t` may be written so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separator(pub String);

impl ConfigValue for Separator {
    const KIND: &'static str = "text; `\\n`, `\\r` and `\\t` may be written so";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text
            .replace("\\n", "\n")
            .replace("\\r", "\r")
            .replace("\\t", "\t");
        // The ends of values are trimmed, a line break among them.
        Ok(Self(if text.is_empty() {
            "\n".to_owned()
        } else {
            text
        }))
    }
}
