//! What the tests of the sink share: sinks from properties, numbered records, and reading files back.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use penstock_connect::{
    Config, Error, FlushReason, Metrics, Origin, Position, Record, RecordError, Settings, Sink,
    TaskContext, TopicPartition,
};
use penstock_file_sink::{FileSink, FileSinkConfig};
use penstock_formats::{Encoding, Payload};

/// A sink that writes below `dir`; `keys` are further settings, `{topic}-{partition}.jsonl` the default file.
pub fn sink(dir: &Path, keys: &str) -> FileSink {
    sink_with_metrics(dir, keys, &Metrics::new())
}

pub fn sink_with_metrics(dir: &Path, keys: &str, metrics: &Metrics) -> FileSink {
    let file = if keys.contains("file=") {
        ""
    } else {
        "file={topic}-{partition}.jsonl\n"
    };
    let text = format!("{file}{keys}").replace("file=", &format!("file={}/", dir.display()));
    let config =
        FileSinkConfig::read_all(Settings::parse("sink.properties", &text).unwrap()).unwrap();
    let context = TaskContext {
        connector: "files".into(),
        task: 0,
        tasks: 1,
        metrics: metrics.clone(),
        budget: penstock_connect::Budget::unlimited(),
    };
    FileSink::new(config, &context).unwrap()
}

pub fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

/// The record `{"n":<offset>,…}` of a partition; the padding differs from record to record.
pub fn record(partition: &TopicPartition, offset: i64) -> Record {
    let padding = "x".repeat(usize::try_from(offset % 97).unwrap());
    with_value(
        partition,
        offset,
        Some(format!(r#"{{"n":{offset},"pad":"{padding}"}}"#)),
    )
}

pub fn with_value(partition: &TopicPartition, offset: i64, value: Option<String>) -> Record {
    let value = value.map(|json| Payload::new(json.into_bytes(), Encoding::Json));
    let mut record = Record::new(partition.topic.clone(), value);
    record.set_origin(Origin {
        index: 0,
        partition: Some(partition.clone()),
        offset,
    });
    record
}

pub fn records(partition: &TopicPartition, offsets: std::ops::Range<i64>) -> Vec<Record> {
    offsets.map(|offset| record(partition, offset)).collect()
}

pub fn open(sink: &mut FileSink, partitions: &[TopicPartition]) -> Result<Vec<Position>, Error> {
    block_on(sink.open(partitions, &mut penstock_connect::MemoryJournal::default()))
}

pub fn write(
    sink: &mut FileSink,
    records: Vec<Record>,
) -> Result<Vec<(usize, RecordError)>, Error> {
    block_on(sink.write(records))
}

pub fn flush(sink: &mut FileSink) -> Result<Vec<Position>, Error> {
    block_on(sink.flush(
        FlushReason::Tick,
        &mut penstock_connect::MemoryJournal::default(),
    ))
}

/// Files of a partition in the order of their records: complete ones, then the active one.
pub fn files(dir: &Path, prefix: &str, extension: &str) -> Vec<PathBuf> {
    let mut complete: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{prefix}-")) && name.ends_with(extension)
        })
        .collect();
    complete.sort();
    let active = dir.join(format!("{prefix}{extension}"));
    if active.exists() {
        complete.push(active);
    }
    complete
}

/// The text of a file, decompressed as its name says.
pub fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let mut out = String::new();
    if bytes.is_empty() {
        // A file that was cut back to before its first commit: decoders take it for a broken frame.
        return out;
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut out),
        Some("zst") => zstd::Decoder::new(&bytes[..])
            .unwrap()
            .read_to_string(&mut out),
        _ => (&bytes[..]).read_to_string(&mut out),
    }
    .unwrap();
    out
}

/// The numbers in the lines of files written with [`record`], in order.
pub fn numbers(paths: &[PathBuf]) -> Vec<i64> {
    let mut numbers = Vec::new();
    for path in paths {
        let text = text(path);
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "{} ends within a line",
            path.display()
        );
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            numbers.push(value["n"].as_i64().unwrap());
        }
    }
    numbers
}

pub fn position(partition: &TopicPartition, offset: i64) -> Position {
    Position {
        partition: partition.clone(),
        offset,
    }
}
