//! A folder of files, and a source that reads from it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use flate2::write::GzEncoder;
use penstock_connect::{
    Budget, Config, Error, Metrics, Settings, Source, SourceBatch, SourceRecord, TaskContext,
};
use penstock_file_source::{FileSource, FileSourceConfig};
use penstock_formats::SchemaKind;
use penstock_registry::{RegistryClient, RegistryConfig, Store, serve};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

const ROW: &str = r#"{"type":"record","name":"Row","fields":[
    {"name":"id","type":"int"},{"name":"note","type":["null","string"],"default":null}]}"#;

/// A folder that goes with the test.
pub(crate) struct Files {
    dir: TempDir,
    registry: OnceCell<RegistryClient>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            registry: OnceCell::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file in one step, as whoever hands a batch over should.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let part = self.path().join(".part");
        std::fs::write(&part, bytes).unwrap();
        std::fs::rename(part, path).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
    }

    /// The whole folder as a place.
    pub(crate) fn place(&self) -> String {
        self.path().display().to_string()
    }

    /// A source of everything in the folder, of the schema `a/row/1.0.0`.
    pub(crate) async fn source(&self, lines: &str) -> Reading {
        self.resume(lines, None).await.unwrap()
    }

    /// The same, from a stored position.
    pub(crate) async fn resume(
        &self,
        lines: &str,
        position: Option<Value>,
    ) -> Result<Reading, Error> {
        let place = self.place();
        let text = format!("file={place}\ntopic=t\nschema=a/row/1.0.0\n{lines}");
        self.open(&text, position).await
    }

    /// A source of the connector "batch" with these properties.
    pub(crate) async fn open(&self, text: &str, position: Option<Value>) -> Result<Reading, Error> {
        let settings = Settings::parse("f.properties", text).unwrap();
        let config = FileSourceConfig::read_all(settings).unwrap();
        let context = TaskContext {
            connector: "batch".into(),
            task: 0,
            tasks: 1,
            metrics: Metrics::new(),
            budget: Budget::unlimited(),
        };
        let registry = self.registry.get_or_init(registry).await.clone();
        let mut source = FileSource::new(config, &context, registry).unwrap();
        assert!(source.replayable());
        source.open(position.clone()).await?;
        Ok(Reading {
            source,
            metrics: context.metrics,
            position,
        })
    }

    /// What a text says of the files' places, without the folder's own.
    pub(crate) fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.place()), "")
    }
}

pub(crate) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(text: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(text.as_ref(), 1).unwrap()
}

/// The embedded registry with the schema; it stops with the test's runtime.
async fn registry() -> RegistryClient {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("registry.redb")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let _dir = dir;
        serve(store, listener, std::future::pending())
            .await
            .unwrap();
    });
    let client = RegistryClient::new(RegistryConfig::new([url])).unwrap();
    client
        .register("a.row.1.0.0", SchemaKind::Avro, ROW, &[])
        .await
        .unwrap();
    client
}

/// An open source, polled as the worker polls it.
pub(crate) struct Reading {
    pub(crate) source: FileSource,
    pub(crate) metrics: Metrics,
    /// Of the last batch.
    pub(crate) position: Option<Value>,
}

impl Reading {
    /// The next batch; empty at the end.
    pub(crate) async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        let SourceBatch { records, position } = self.source.poll().await?;
        if position.is_some() {
            self.position = position;
        }
        Ok(records)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.source.is_finished()
    }

    /// All rows up to the end.
    pub(crate) async fn rest(&mut self) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        while !self.is_finished() {
            records.extend(self.poll().await.unwrap());
        }
        records
    }

    /// All rows up to the end, as [`shown`].
    pub(crate) async fn rows(&mut self) -> Vec<String> {
        self.rest().await.iter().map(shown).collect()
    }

    /// The next rows, at least so many.
    pub(crate) async fn next(&mut self, count: usize) -> Vec<String> {
        let mut rows = Vec::new();
        while rows.len() < count {
            rows.extend(self.poll().await.unwrap().iter().map(shown));
        }
        rows
    }

    /// Polls until there is an error.
    pub(crate) async fn error(&mut self) -> Error {
        loop {
            match self.poll().await {
                Ok(_) => assert!(!self.is_finished(), "there was no error"),
                Err(error) => return error,
            }
        }
    }

    /// The value of a counter or gauge.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.metrics.registry().gather();
        families
            .iter()
            .filter(|family| family.name() == format!("penstock_file_source_{name}"))
            .flat_map(|family| family.get_metric())
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

/// A record as `id note`, or what is wrong with it.
pub(crate) fn shown(record: &SourceRecord) -> String {
    if let Some(fault) = &record.fault {
        return format!("! {fault}");
    }
    let mut json = Vec::new();
    record
        .record
        .value
        .as_ref()
        .unwrap()
        .to_json(&mut json)
        .unwrap();
    let event: Value = serde_json::from_slice(&json).unwrap();
    match &event["note"] {
        Value::Null => event["id"].to_string(),
        note => format!("{} {}", event["id"], note.as_str().unwrap()),
    }
}
