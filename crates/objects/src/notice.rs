//! What is told of a finished file.

use std::sync::Arc;

use penstock_connect::{Error, Record, TopicPartition};
use penstock_formats::{Encoding, Payload};
use serde::Serialize;

use crate::entry::Announced;

/// The value of a notice.
#[derive(Serialize)]
struct Notice<'a> {
    connector: &'a str,
    topic: &'a str,
    partition: i32,
    name: &'a str,
    url: String,
    format: &'a str,
    rows: u64,
    bytes: u64,
    first_offset: i64,
    last_offset: i64,
    schema_id: Option<u32>,
    min_timestamp: Option<i64>,
    max_timestamp: Option<i64>,
}

/// A record for the topic of notices, with the object's name as key.
pub(crate) fn notice(
    topic: &Arc<str>,
    connector: &str,
    partition: &TopicPartition,
    bucket: &str,
    format: &str,
    file: &Announced,
) -> Result<Record, Error> {
    let notice = Notice {
        connector,
        topic: &partition.topic,
        partition: partition.partition,
        name: &file.name,
        url: format!("{bucket}/{}", file.name),
        format,
        rows: file.rows,
        bytes: file.contents.last().map_or(0, |content| content.bytes),
        first_offset: file.first,
        last_offset: file.last,
        schema_id: file.schema_id,
        min_timestamp: file.timestamps.map(|(least, _)| least),
        max_timestamp: file.timestamps.map(|(_, greatest)| greatest),
    };
    let value = serde_json::to_vec(&notice)
        .map_err(|error| Error::never("a notice cannot be encoded").with_source(error))?;
    let mut record = Record::new(topic.clone(), Some(Payload::new(value, Encoding::Json)));
    let key = Vec::from(file.name.as_bytes());
    record.key = Some(Payload::new(key, Encoding::Text));
    Ok(record)
}
