//! The privacy platform's batch exporter: the events of a stream every so many seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use penstock_connect::config::ByteSize;
use penstock_connect::{
    Error, FlushReason, Journal, Need, Position, Record, RecordError, Sink, StartAt, TaskContext,
    TopicPartition, config,
};
use penstock_files::{FileSpec, Format};
use penstock_objects::layout::{Batches, Zone, check_prefix};
use penstock_objects::vocabulary::{EngineKeys, part_bytes, schedule};
use penstock_objects::{NullValues, ObjectSink, Plan, Rotation};

use crate::place::PlaceKeys;

config! {
    /// Exports a stream as files of JSON lines, one for each interval and Kafka partition that has events,
    /// each event once. Names are `2021-03-26T09:56:30-stream-<uuid>---<partition>.jsonl`; the time is
    /// that at which the interval began (UTC), and the UUID follows from what is in the file.
    #[check(check)]
    pub struct BatchExporterConfig {
        /// Seconds from one export to the next, from 30 to 3600, counted from midnight (UTC).
        "interval.seconds" => interval: u32 = "60",
        /// What names begin with, behind the prefix of `url`.
        "path.prefix" => path_prefix: Option<String>,
        /// Whether to begin with the first event that the stream still has, and not with the next.
        "include.existing.events" => include_existing: bool = "false";
        flatten place: PlaceKeys, engine: EngineKeys,
    }
}

fn check(config: &BatchExporterConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if !(30..=3600).contains(&config.interval) {
        problems.push(("interval.seconds", "must be from 30 to 3600".to_owned()));
    }
    if let Err(message) = config.path_prefix.as_deref().map_or(Ok(()), check_prefix) {
        problems.push(("path.prefix", message));
    }
    problems
}

impl BatchExporterConfig {
    fn prefix(&self) -> String {
        let own = self.path_prefix.as_deref().unwrap_or_default();
        let slash = if own.is_empty() || own.ends_with('/') {
            ""
        } else {
            "/"
        };
        format!("{}{own}{slash}", self.place.prefix())
    }

    fn plan(&self, connector: &Arc<str>) -> Result<Plan, Error> {
        let files = FileSpec::new(Format::JsonLines);
        let interval = Duration::from_secs(self.interval.into());
        let schedule = schedule(interval, Zone::UTC)
            .map_err(|message| Error::never(format!("interval.seconds {message}")))?;
        Ok(Plan {
            store: self.place.store()?,
            prefix: self.prefix(),
            layout: Arc::new(Batches {
                prefix: self.prefix(),
                connector: connector.clone(),
                interval: i64::from(self.interval) * 1000,
                extension: files.extension(),
            }),
            files,
            rotation: self.engine.rotation(Rotation {
                schedule: Some(schedule),
                ..Rotation::default()
            }),
            nulls: NullValues::Ignore,
            part_bytes: part_bytes(ByteSize(5 << 20)),
            notices: self.engine.notices(),
            max_open: self.engine.max_open,
        })
    }
}

/// Exports a stream in batches.
pub struct BatchExporter {
    sink: ObjectSink,
    start: StartAt,
}

impl BatchExporter {
    /// An exporter for one task.
    pub fn new(config: &BatchExporterConfig, context: &TaskContext) -> Result<Self, Error> {
        Ok(Self {
            sink: ObjectSink::new(config.plan(&context.connector)?, context)?,
            start: if config.include_existing {
                StartAt::Earliest
            } else {
                StartAt::Latest
            },
        })
    }
}

#[async_trait]
impl Sink for BatchExporter {
    fn start_at(&self) -> StartAt {
        self.start
    }

    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        self.sink.open(partitions, journal).await
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        self.sink.write(records).await
    }

    fn need(&self) -> Need {
        self.sink.need()
    }

    async fn flush(
        &mut self,
        reason: FlushReason,
        journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        self.sink.flush(reason, journal).await
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.sink.close(partitions).await
    }
}
