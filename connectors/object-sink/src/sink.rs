//! Penstock's own words.

use std::sync::Arc;
use std::time::Duration;

use penstock_connect::config::{ByteSize, Millis, Names};
use penstock_connect::{Error, choice, config};
use penstock_files::{Compression, FileSpec, Format};
use penstock_formats::FieldPath;
use penstock_objects::layout::{self, EventTime, Partitioned, Pattern, TimePath, Zone};
use penstock_objects::vocabulary::{Contents, EngineKeys, check_part, part_bytes, schedule};
use penstock_objects::{NullValues, Plan, Rotation};

use crate::place::PlaceKeys;

choice! {
    /// Where a record's time comes from.
    pub enum TimeFrom {
        /// The record's timestamp.
        Record = "record",
        /// A field of the value.
        Field = "field",
        /// The clock, when the file is begun.
        Clock = "clock",
    }
}

/// The word that stands for a time among the fields of `partition.by`.
const TIME: &str = "time";

/// Size and age at which files end where no key says when they do.
const USUAL_BYTES: u64 = 128 << 20;
const USUAL_INTERVAL: Duration = Duration::from_secs(600);

config! {
    /// Writes records as files into a bucket of S3, GCS or Azure or into a directory, each record once.
    /// Names are `<prefix>/<topic>/<path>/<topic>+<partition>+<first offset>.<ending>`. Without
    /// any of the `rotate.*` keys files end at 128 MB and every ten minutes.
    #[check(check)]
    pub struct ObjectSinkConfig {
        /// What files are.
        "format" => format: Format = "jsonl",
        /// How files are compressed; the codec inside the file with Avro and Parquet.
        "compression" => compression: Compression = "none",
        /// What stands in files: `value` alone is the value itself; more are the members of an object or row.
        "fields" => fields: Contents = "value",
        /// What makes the path: fields of the value (with dots for fields within fields) and, last, `time`. Without it: the Kafka partition. Values stand in names: no field that holds personal data in clear belongs here.
        "partition.by" => partition_by: Names,
        /// How the time is written into paths (Joda-Time's letters).
        "path.format" => path_format: Pattern = "'year'=yyyy/'month'=MM/'day'=dd/'hour'=HH",
        /// The time zone of times in paths and of `rotate.schedule.interval.ms`.
        "timezone" => zone: Zone = "UTC",
        /// Where a record's time comes from, for paths and `rotate.interval.ms`.
        "time.from" => time_from: TimeFrom = "record",
        /// The field, for `time.from=field`: milliseconds, one of Avro's dates and timestamps, or ISO 8601 text.
        "time.field" => time_field: Option<FieldPath>,
        /// A file ends after so many records.
        "rotate.records" => rotate_records: Option<u64>,
        /// A file ends when a record's time is this far past that of its first record.
        "rotate.interval.ms" => rotate_interval: Option<Millis>,
        /// Files end at even moments of the day, this far apart.
        "rotate.schedule.interval.ms" => rotate_schedule: Option<Millis>,
        /// What happens to records whose value is null. `write` puts them under `tombstone`.
        "behavior.on.null.values" => nulls: NullValues = "write",
        /// Size of the parts of large uploads. A file that is smaller is one put.
        "part.size" => part_size: ByteSize = "5mb";
        flatten place: PlaceKeys, engine: EngineKeys,
    }
}

fn check(config: &ObjectSinkConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut push = |key, message: String| problems.push((key, message));
    if let Err(error) = config.files().check() {
        push("compression", error.message);
    }
    let (last, fields) = match config.partition_by.0.split_last() {
        Some((last, fields)) => (Some(last), fields),
        None => (None, &[][..]),
    };
    if fields.iter().any(|field| field == TIME) {
        push(
            "partition.by",
            "has time before a field; it comes last".to_owned(),
        );
    }
    for field in fields.iter().chain(last).filter(|field| *field != TIME) {
        if let Err(error) = FieldPath::parse(field) {
            push("partition.by", error.to_string());
        }
    }
    if let Some(Err(message)) = config.time_path().map(|path| path.check()) {
        push("path.format", message);
    }
    match (config.time_from, &config.time_field) {
        (TimeFrom::Field, None) => {
            push("time.field", "is required with time.from=field".to_owned())
        }
        (TimeFrom::Record | TimeFrom::Clock, Some(_)) => {
            push(
                "time.field",
                "means nothing without time.from=field".to_owned(),
            );
        }
        _ => {}
    }
    let zero = |millis: Option<Millis>| millis.is_some_and(|millis| millis.0.is_zero());
    if config.rotate_records == Some(0) {
        push("rotate.records", "must be at least 1".to_owned());
    }
    if zero(config.rotate_interval) {
        push("rotate.interval.ms", "must be at least 1".to_owned());
    }
    if config.rotate_interval.is_some() && config.time_from == TimeFrom::Clock {
        push(
            "rotate.interval.ms",
            "means nothing with time.from=clock; write rotate.schedule.interval.ms".to_owned(),
        );
    }
    if let Some(Err(message)) = config.rotate_schedule.map(|at| schedule(at.0, config.zone)) {
        push("rotate.schedule.interval.ms", message);
    }
    if let Err(message) = check_part(config.part_size) {
        push("part.size", message);
    }
    problems
}

impl ObjectSinkConfig {
    fn files(&self) -> FileSpec {
        FileSpec {
            compression: self.compression,
            content: self.fields.plain(),
            ..FileSpec::new(self.format)
        }
    }

    fn time_path(&self) -> Option<TimePath> {
        self.partition_by
            .0
            .iter()
            .any(|part| part == TIME)
            .then(|| TimePath {
                pattern: self.path_format.clone(),
                step: 1,
                zone: self.zone,
            })
    }

    fn rotation(&self) -> Result<Rotation, Error> {
        let mut rotation = self.engine.rotation(Rotation {
            records: self.rotate_records,
            event_time: self.rotate_interval.map(|interval| interval.0),
            ..Rotation::default()
        });
        let ends = rotation.records.is_some()
            || rotation.event_time.is_some()
            || self.rotate_schedule.is_some()
            || self.engine.ends_files();
        if !ends {
            rotation.bytes = Some(USUAL_BYTES);
        }
        let interval = self.rotate_schedule.map(|at| at.0);
        if let Some(interval) = interval.or((!ends).then_some(USUAL_INTERVAL)) {
            rotation.schedule = Some(schedule(interval, self.zone).map_err(|message| {
                Error::never(format!("rotate.schedule.interval.ms {message}"))
            })?);
        }
        Ok(rotation)
    }

    /// What the engine does.
    pub fn plan(&self) -> Result<Plan, Error> {
        let files = self.files();
        let prefix = self.place.prefix().to_owned();
        let fields = self.partition_by.0.iter().filter(|part| *part != TIME);
        let fields = fields
            .map(|field| FieldPath::parse(field))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::never(format!("partition.by: {error}")))?;
        let names = layout::Names {
            prefix: prefix.clone(),
            delimiter: "/".to_owned(),
            file_delimiter: "+".to_owned(),
            digits: 10,
            extension: files.extension(),
            fields,
            labels: true,
            time: self.time_path(),
            event_time: match (self.time_from, &self.time_field) {
                (TimeFrom::Field, Some(field)) => EventTime::Field(field.clone()),
                (TimeFrom::Clock, _) => EventTime::Wallclock,
                _ => EventTime::Record,
            },
            tombstones: "tombstone".to_owned(),
        };
        Ok(Plan {
            store: self.place.store()?,
            prefix,
            layout: Arc::new(Partitioned::new(names)),
            files,
            rotation: self.rotation()?,
            nulls: self.nulls,
            part_bytes: part_bytes(self.part_size),
            notices: self.engine.notices(),
            max_open: self.engine.max_open,
        })
    }
}
