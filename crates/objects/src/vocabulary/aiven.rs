//! Aiven's words: what its connectors for S3 and GCS share.

use std::sync::Arc;
use std::time::Duration;

use penstock_connect::config::ByteSize;
use penstock_connect::{Error, choice, config};
use penstock_files::{
    Compression, Csv, Dialect, FileSpec, Format, Member, Timestamps, ValueEncoding,
};

use super::classes::AvroCodec;
use super::contents::Contents;
use super::engine::{EngineKeys, part_bytes, schedule};
use crate::layout::{NameTemplate, Templated, Zone, check_prefix};
use crate::{NullValues, Plan, Rotation, Store};

choice! {
    /// What files are.
    pub enum OutputType {
        /// Lines of comma-separated values, without a header.
        Csv = "csv",
        /// One JSON array.
        Json = "json",
        /// One JSON value a line.
        JsonLines = "jsonl",
        /// Apache Parquet.
        Parquet = "parquet",
        /// Avro object container file.
        Avro = "avro",
    }
}

impl OutputType {
    fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::JsonLines => Format::JsonLines,
            Self::Parquet => Format::Parquet,
            Self::Avro => Format::Avro,
        }
    }
}

choice! {
    /// Whose time stands in names.
    pub enum TimestampSource {
        /// The clock's, when the file is begun.
        Wallclock = "wallclock",
        /// The record's timestamp.
        Event = "event",
    }
}

config! {
    /// What Aiven's connectors for object stores share.
    #[check(check)]
    pub struct AivenKeys {
        /// Stands before each name.
        "file.name.prefix" => prefix: Option<String>,
        /// The name of files: `{{topic}}`, `{{partition}}`, `{{start_offset}}` (`{{partition:padding=true}}` for leading zeros), `{{timestamp:unit=yyyy}}` (`MM`, `dd`, `HH`), and `{{key}}` for files of one key each (keys then stand in names). Without one: `{{topic}}-{{partition}}-{{start_offset}}` and the compression's ending.
        "file.name.template" => template: Option<NameTemplate>,
        /// The time zone of times in names, and of the moments at which files end.
        "file.name.timestamp.timezone" => zone: Zone = "UTC",
        /// Whose time stands in names.
        "file.name.timestamp.source" => source: TimestampSource = "wallclock",
        /// How files are compressed; the codec inside the file with Parquet.
        "file.compression.type" => compression: Option<Compression>,
        /// A file ends after so many records; 0: no such bound.
        "file.max.records" => max_records: u32 = "0",
        /// What files are.
        "format.output.type" => output: OutputType = "csv",
        /// What stands in files.
        "format.output.fields" => fields: Contents = "value",
        /// How the value stands in CSV.
        "format.output.fields.value.encoding" => value_encoding: ValueEncoding = "base64",
        /// Whether an object stands around a single field. `false` needs `format.output.fields=value`.
        "format.output.envelope" => envelope: bool = "true",
        /// Compression of the blocks of Avro files.
        "avro.codec" => avro_codec: Option<AvroCodec>,
        /// Files end at even moments of the day, this far apart: what Kafka Connect's `offset.flush.interval.ms` does there.
        "rotate.schedule.interval.ms" => rotate_schedule: u64 = "60000",
        /// What happens to records whose value is null.
        "behavior.on.null.values" => nulls: NullValues = "write";
        ignored {
            "kafka.retry.backoff.ms" => "the worker tries again by itself",
            "schema.registry.url" => "value.converter.schema.registry.url or the worker's file says it",
        };
        refused {
            "file.prefix.template" => "write the directories into file.name.template",
            "custom.record.grouper.builder" => "groupers of one's own cannot be loaded; file.name.template says how records are grouped",
        }
    }
}

fn check(config: &AivenKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let prefix = config.prefix();
    let mut push = |key, message: String| problems.push((key, message));
    if let Err(message) = check_prefix(prefix) {
        push("file.name.prefix", message);
    }
    if let Some(template) = &config.template
        && let Err(message) = template.check_behind(prefix)
    {
        push("file.name.template", message);
    }
    if let Err(message) = schedule(Duration::from_millis(config.rotate_schedule), config.zone) {
        push("rotate.schedule.interval.ms", message);
    }
    if !config.envelope && config.fields.0.len() != 1 {
        push(
            "format.output.envelope",
            "false needs a single field in format.output.fields".to_owned(),
        );
    } else if !config.envelope && config.fields.0 != [Member::Value] {
        push(
            "format.output.envelope",
            "false is supported for format.output.fields=value only".to_owned(),
        );
    }
    let avro = config.output == OutputType::Avro;
    if avro
        && config
            .compression
            .is_some_and(|compression| compression != Compression::None)
    {
        push(
            "file.compression.type",
            "Avro files are compressed inside: write avro.codec=deflate, snappy or zstandard"
                .to_owned(),
        );
    }
    if !avro
        && config
            .avro_codec
            .is_some_and(|codec| codec != AvroCodec::Null)
    {
        push(
            "avro.codec",
            "has a meaning for format.output.type=avro only; write file.compression.type"
                .to_owned(),
        );
    }
    problems
}

impl AivenKeys {
    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn files(&self, default: Compression) -> FileSpec {
        let format = self.output.format();
        let compression = match format {
            Format::Avro => self
                .avro_codec
                .map_or(Compression::None, AvroCodec::compression),
            _ => self.compression.unwrap_or(default),
        };
        FileSpec {
            compression,
            content: if self.envelope || format == Format::Csv {
                self.fields.envelope()
            } else {
                self.fields.plain()
            },
            dialect: Dialect {
                timestamps: Timestamps::Iso8601,
                csv: Csv::Plain(self.value_encoding),
                ..Dialect::default()
            },
            ..FileSpec::new(format)
        }
    }

    /// The plan. `compression` holds where the keys name none.
    pub fn plan(
        &self,
        store: Store,
        engine: &EngineKeys,
        part_size: ByteSize,
        compression: Compression,
    ) -> Result<Plan, Error> {
        let files = self.files(compression);
        let template = self.template.clone().unwrap_or_else(|| {
            NameTemplate::default_with(match files.format {
                Format::Avro => ".avro",
                _ => files.compression.extension(),
            })
        });
        let schedule = schedule(Duration::from_millis(self.rotate_schedule), self.zone)
            .map_err(|message| Error::never(format!("rotate.schedule.interval.ms: {message}")))?;
        let rotation = Rotation {
            records: Some(u64::from(self.max_records)).filter(|records| *records > 0),
            schedule: Some(schedule),
            ..Rotation::default()
        };
        Ok(Plan {
            store,
            prefix: self.prefix().to_owned(),
            layout: Arc::new(Templated {
                prefix: self.prefix().to_owned(),
                template,
                of_records: self.source == TimestampSource::Event,
                zone: self.zone,
            }),
            files,
            rotation: engine.rotation(rotation),
            nulls: self.nulls,
            part_bytes: part_bytes(part_size),
            notices: engine.notices(),
            max_open: engine.max_open,
        })
    }
}
