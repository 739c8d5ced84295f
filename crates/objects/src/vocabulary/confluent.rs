//! Confluent's words: what its connectors for S3 and GCS share.

use std::sync::Arc;
use std::time::Duration;

use penstock_connect::config::{ByteSize, Names};
use penstock_connect::{ConfigValue, Error, config};
use penstock_files::{Compression, Dialect, FileSpec, Format};
use penstock_formats::FieldPath;

use super::classes::{
    AvroCodec, Directory, Extractor, FormatClass, ParquetCodec, Partitioner, Separator,
    parquet_ending,
};
use super::contents::Contents;
use super::engine::{EngineKeys, part_bytes, schedule};
use crate::layout::{self, EventTime, Partitioned, Pattern, TimePath, Zone, check_prefix};
use crate::{NullValues, Plan, Rotation, Schedule, Store};

const HOUR: i64 = 3_600_000;

config! {
    /// What Confluent's connectors for object stores share.
    #[check(check)]
    pub struct ConfluentKeys {
        /// Accepted for Kafka Connect: the connector's class says which store it is.
        "storage.class" => storage_class: Option<String>,
        /// Top directory. Names are `<topics.dir>/<topic>/<path>/<topic>+<partition>+<first offset><extension>`.
        "topics.dir" => topics_dir: Directory = "topics",
        /// Stands between the parts of paths.
        "directory.delim" => directory_delimiter: String = "/",
        /// Stands between the parts of files' names.
        "file.delim" => file_delimiter: String = "+",
        /// Least digits of offsets in names.
        "filename.offset.zero.pad.width" => offset_digits: u32 = "10",
        /// What files are. `JsonFormat` is JSON lines.
        "format.class" => format: FormatClass,
        /// A file ends after so many records. May be left out when files end for another reason.
        "flush.size" => flush_size: Option<u32>,
        /// A file ends when a record's time is this far past that of its first record; -1: never. With the `Wallclock` extractor it ends at even moments of the day, this far apart.
        "rotate.interval.ms" => rotate_interval: i64 = "-1",
        /// A file ends at even moments of the day in `timezone`, this far apart; -1: never.
        "rotate.schedule.interval.ms" => rotate_schedule: i64 = "-1",
        /// Which path a record has.
        "partitioner.class" => partitioner: Partitioner = "DefaultPartitioner",
        /// Fields whose values make the path, with dots for fields within fields. Values stand in names: no field that holds personal data in clear belongs here.
        "partition.field.name" => partition_fields: Names,
        /// Whether `<field>=` stands before a field's value in paths.
        "partition.field.format.path" => partition_labels: bool = "true",
        /// Times in paths are cut down to multiples of this.
        "partition.duration.ms" => partition_duration: i64 = "-1",
        /// How a time is written into paths (Joda-Time's letters).
        "path.format" => path_format: Option<Pattern>,
        /// Accepted for Kafka Connect: names of months and days are English.
        "locale" => locale: Option<String>,
        /// The time zone of times in paths and of `rotate.schedule.interval.ms`.
        "timezone" => zone: Option<Zone>,
        /// Where a record's time comes from.
        "timestamp.extractor" => extractor: Extractor = "Wallclock",
        /// The field for `RecordField`: milliseconds, one of Avro's dates and timestamps, or ISO 8601 text.
        "timestamp.field" => timestamp_field: FieldPath = "timestamp",
        /// What happens to records whose value is null. `write` puts them under `tombstone.encoded.partition`.
        "behavior.on.null.values" => nulls: NullValues = "fail",
        /// Path of records whose value is null.
        "tombstone.encoded.partition" => tombstones: String = "tombstone",
        /// Compression of the blocks of Avro files.
        "avro.codec" => avro_codec: AvroCodec = "null",
        /// Compression of the pages of Parquet files.
        "parquet.codec" => parquet_codec: ParquetCodec = "snappy",
        /// How Kafka Connect writes decimals into JSON: that is not supported, they are text (`"12.50"`).
        "json.decimal.format" => json_decimals: Option<String>,
        /// What stands behind each value in files of raw bytes; a line break unless given.
        "format.bytearray.separator" => separator: Option<Separator>,
        /// What names of files of raw bytes end with.
        "format.bytearray.extension" => bytes_extension: String = ".bin",
        /// Whether to write files of keys beside the files: that is not supported, see `fields`.
        "store.kafka.keys" => store_keys: bool = "false",
        /// Whether to write files of headers beside the files: that is not supported, see `fields`.
        "store.kafka.headers" => store_headers: bool = "false",
        /// What stands in files: `value` alone is the value itself; more are the members of an object or row.
        "fields" => fields: Contents = "value";
        ignored {
            "schema.compatibility" => "a file holds records of one writer schema, and schemas that alternate do not end files",
            "schema.cache.size" => "schemas are kept as they are needed",
            "schemas.cache.config" => "schemas are kept as they are needed",
            "enhanced.avro.schema.support" => "files have the writer's schema as it is",
            "connect.meta.data" => "files have the writer's schema as it is",
            "allow.optional.map.keys" => "files have the writer's schema as it is",
            "schema.generator.class" => "files have the writer's schema as it is",
            "keys.format.class" => "keys stand in the file (fields=key,value)",
            "headers.format.class" => "headers stand in the file (fields=value,headers)",
            "append.late.data" => "late records have open files of their own",
            "max.open.files.per.partition" => "the memory budget and max.open.files bound open files",
            "retry.backoff.ms" => "the worker tries again by itself",
            "shutdown.timeout.ms" => "the worker's task.shutdown.graceful.timeout.ms says it",
            "report.null.records.to.dlq" => "rejected records go where errors.* says",
            "hive." => "there is no Hive metastore here",
        }
    }
}

fn check(config: &ConfluentKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut push = |key, message: &str| problems.push((key, message.to_owned()));
    if let Err(message) = check_prefix(&config.prefix()) {
        push("topics.dir", &message);
    }
    if config.flush_size == Some(0) {
        push("flush.size", "must be at least 1");
    }
    if config
        .file_delimiter
        .bytes()
        .all(|byte| byte.is_ascii_digit())
    {
        push(
            "file.delim",
            "must be more than digits, or two files could get the same name",
        );
    }
    let json = matches!(config.format.0, Format::Json | Format::JsonLines);
    if json && config.json_decimals.is_some() {
        push(
            "json.decimal.format",
            "is not supported: decimals are written as text (\"12.50\"); take the key away if readers can do with that",
        );
    }
    if config.offset_digits > 20 {
        push("filename.offset.zero.pad.width", "must be at most 20");
    }
    for (key, interval) in [
        ("rotate.interval.ms", config.rotate_interval),
        ("rotate.schedule.interval.ms", config.rotate_schedule),
    ] {
        if interval != -1 && interval < 1 {
            push(key, "must be at least 1, or -1 for never");
        }
    }
    if config.rotate_schedule > 0 && config.zone.is_none() {
        push("timezone", "is required with rotate.schedule.interval.ms");
    }
    let partitioner = config.partitioner;
    if partitioner.has_fields() && config.partition_fields.0.is_empty() {
        push("partition.field.name", "is required with this partitioner");
    }
    for field in &config.partition_fields.0 {
        if let Err(error) = FieldPath::parse(field) {
            push("partition.field.name", &error.to_string());
        }
    }
    if partitioner.has_time() && config.zone.is_none() {
        push("timezone", "is required with this partitioner");
    }
    if matches!(
        partitioner,
        Partitioner::TimeBased | Partitioner::FieldAndTime
    ) {
        if config.path_format.is_none() {
            push("path.format", "is required with this partitioner");
        }
        if config.partition_duration < 1 {
            push(
                "partition.duration.ms",
                "is required with this partitioner, and at least 1",
            );
        }
    }
    if let Some(Err(message)) = config.time_path().map(|path| path.check()) {
        push("path.format", &message);
    }
    let english = config.locale.as_deref().is_none_or(|locale| {
        locale.to_ascii_lowercase().starts_with("en") || matches!(locale, "US" | "UK" | "GB")
    });
    if !english && config.path_format.as_ref().is_some_and(Pattern::has_names) {
        push(
            "locale",
            "is not English, and path.format has names, which are written in English only; use numbers (MM, dd)",
        );
    }
    if let Err(message) = check_prefix(&config.tombstones) {
        push("tombstone.encoded.partition", &message);
    }
    for (key, given, instead) in [
        ("store.kafka.keys", config.store_keys, "fields=key,value"),
        (
            "store.kafka.headers",
            config.store_headers,
            "fields=value,headers",
        ),
    ] {
        if given {
            push(
                key,
                &format!(
                    "is not supported: no files of their own are written; {instead} puts them into each row"
                ),
            );
        }
    }
    for (key, result) in config.schedules() {
        if let Err(message) = result {
            push(key, &message);
        }
    }
    problems
}

impl ConfluentKeys {
    fn prefix(&self) -> String {
        let dir = self
            .topics_dir
            .0
            .trim_end_matches(&self.directory_delimiter);
        if dir.is_empty() {
            return String::new();
        }
        format!("{dir}{}", self.directory_delimiter)
    }

    fn zone(&self) -> Zone {
        self.zone.unwrap_or(Zone::UTC)
    }

    fn time_path(&self) -> Option<TimePath> {
        let fixed = |pattern: &str, step| Some((Pattern::parse(pattern).ok()?, step));
        let (pattern, step) = match self.partitioner {
            Partitioner::Default | Partitioner::Field => return None,
            Partitioner::Daily => fixed("'year'=YYYY/'month'=MM/'day'=dd", 24 * HOUR)?,
            Partitioner::Hourly => fixed("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", HOUR)?,
            Partitioner::TimeBased | Partitioner::FieldAndTime => {
                let pattern = self
                    .path_format
                    .as_ref()?
                    .without_end(&self.directory_delimiter);
                (pattern, self.partition_duration)
            }
        };
        Some(TimePath {
            pattern,
            step,
            zone: self.zone(),
        })
    }

    fn event_time(&self) -> EventTime {
        match self.extractor {
            Extractor::Wallclock => EventTime::Wallclock,
            Extractor::Record => EventTime::Record,
            Extractor::RecordField => EventTime::Field(self.timestamp_field.clone()),
        }
    }

    /// The keys that say that files end at moments of the day.
    fn schedules(&self) -> Vec<(&'static str, Result<Schedule, String>)> {
        let millis = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        let mut schedules = Vec::new();
        if self.rotate_schedule > 0 {
            let result = schedule(millis(self.rotate_schedule), self.zone());
            schedules.push(("rotate.schedule.interval.ms", result));
        }
        if self.rotate_interval > 0 && self.extractor == Extractor::Wallclock {
            let result = schedule(millis(self.rotate_interval), self.zone());
            schedules.push(("rotate.interval.ms", result));
        }
        schedules
    }

    fn rotation(&self) -> Rotation {
        let schedules = self.schedules().into_iter();
        let mut schedules = schedules.filter_map(|(_, schedule)| schedule.ok());
        let event_time = (self.rotate_interval > 0 && self.extractor != Extractor::Wallclock)
            .then(|| Duration::from_millis(self.rotate_interval.unsigned_abs()));
        Rotation {
            records: self.flush_size.map(u64::from),
            event_time,
            schedule: schedules.next(),
            second_schedule: schedules.next(),
            ..Rotation::default()
        }
    }

    /// Files as the format and compression (of JSON and raw bytes) say.
    fn files(&self, compression: Compression) -> FileSpec {
        let format = self.format.0;
        let separator = self
            .separator
            .as_ref()
            .map_or("\n", |separator| &separator.0);
        FileSpec {
            compression: match format {
                Format::Avro => self.avro_codec.compression(),
                Format::Parquet => self.parquet_codec.compression(),
                _ => compression,
            },
            content: self.fields.plain(),
            dialect: Dialect {
                separator: Arc::from(separator.as_bytes()),
                ..Dialect::default()
            },
            ..FileSpec::new(format)
        }
    }

    /// `.json.gz`, `.avro`, `.snappy.parquet`.
    fn extension(&self, files: &FileSpec) -> String {
        match files.format {
            Format::Parquet => format!("{}.parquet", parquet_ending(files.compression)),
            Format::Avro => ".avro".to_owned(),
            Format::Bytes => format!("{}{}", self.bytes_extension, files.compression.extension()),
            _ => format!(".json{}", files.compression.extension()),
        }
    }

    /// What is wrong between these keys and those of the engine.
    pub fn check_with(&self, engine: &EngineKeys) -> Vec<(&'static str, String)> {
        let rotation = self.rotation();
        let ends = rotation.records.is_some()
            || rotation.event_time.is_some()
            || rotation.schedule.is_some()
            || engine.ends_files();
        if ends {
            return Vec::new();
        }
        vec![(
            "flush.size",
            "is required, unless files end by rotate.bytes, rotate.idle.ms, rotate.interval.ms or \
             rotate.schedule.interval.ms"
                .to_owned(),
        )]
    }

    /// The plan. `compression` is that of JSON and raw bytes.
    pub fn plan(
        &self,
        store: Store,
        engine: &EngineKeys,
        part_size: ByteSize,
        compression: Compression,
    ) -> Result<Plan, Error> {
        let files = self.files(compression);
        let mut fields = Vec::new();
        if self.partitioner.has_fields() {
            for field in &self.partition_fields.0 {
                fields.push(
                    FieldPath::parse(field)
                        .map_err(|error| Error::never(format!("partition.field.name: {error}")))?,
                );
            }
        }
        let names = layout::Names {
            prefix: self.prefix(),
            delimiter: self.directory_delimiter.clone(),
            file_delimiter: self.file_delimiter.clone(),
            digits: self.offset_digits as usize,
            extension: self.extension(&files),
            fields,
            labels: self.partition_labels,
            time: self.time_path(),
            event_time: self.event_time(),
            tombstones: self.tombstones.clone(),
        };
        Ok(Plan {
            store,
            prefix: self.prefix(),
            layout: Arc::new(Partitioned::new(names)),
            files,
            rotation: engine.rotation(self.rotation()),
            nulls: self.nulls,
            part_bytes: part_bytes(part_size),
            notices: engine.notices(),
            max_open: engine.max_open,
        })
    }
}
