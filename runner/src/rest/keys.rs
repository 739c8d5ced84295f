//! Keys and sealed dead letters in the clear: for those who may, and only when they say so.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use penstock_broker::{Message, ReaderSpec, StartAt};
use penstock_keys::{ExportedKey, KeyStore};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::admission::Caller;
use super::{Rest, RestError};
use crate::dead_letters::{SEALED_HEADER, pack};
use crate::services::Services;
use crate::worker::blocking;

#[derive(Deserialize)]
pub(super) struct Reveal {
    #[serde(default)]
    reveal: bool,
}

/// The keys of a stream, one JSON object a line, as they are unwrapped. When a key cannot be had after the
/// first ones are on their way, the body breaks off, which clients of HTTP/1.1 and HTTP/2 notice.
pub(super) async fn export(
    State(rest): State<Rest>,
    caller: Caller,
    Path(stream): Path<String>,
    Query(Reveal { reveal }): Query<Reveal>,
) -> Result<Response, RestError> {
    caller.may_see(&rest, reveal, "exporting keys")?;
    let keys = rest.services.keys().await.map_err(unavailable)?;
    let mut exported = keys.export(&stream).await.map_err(unavailable)?;
    let first = match exported.recv().await {
        Some(first) => Some(line(&first.map_err(unavailable)?).map_err(unavailable)?),
        None => None,
    };
    let others = futures::stream::poll_fn(move |context| exported.poll_recv(context));
    let lines = futures::stream::iter(first.map(Ok)).chain(others.map(|key| {
        key.map_err(|error| error.to_string())
            .and_then(|key| line(&key).map_err(|error| error.to_string()))
            .inspect_err(|error| tracing::error!("an export of keys broke off: {error}"))
    }));
    Ok((
        [
            (header::CONTENT_TYPE, "application/jsonl"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(lines),
    )
        .into_response())
}

fn unavailable(error: impl std::fmt::Display) -> RestError {
    RestError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn line(key: &ExportedKey) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'k> {
        key_link: &'k str,
        encryption_key: &'k RawValue,
        expires_at: i64,
    }
    let mut line = serde_json::to_string(&Line {
        key_link: &key.key_link,
        encryption_key: serde_json::from_str(&key.encryption_key)?,
        expires_at: key.expires_at,
    })?;
    line.push('\n');
    Ok(line)
}

/// The dead letters of a topic, sealed ones opened. One that cannot be opened says why, and holds up no other.
pub(super) async fn dead_letters(
    State(rest): State<Rest>,
    caller: Caller,
    Path(topic): Path<String>,
    Query(Reveal { reveal }): Query<Reveal>,
) -> Result<Json<Value>, RestError> {
    caller.may_see(&rest, reveal, "opening dead letters")?;
    let name = topic.clone();
    let messages = blocking(&rest.services, move |services| newest(services, &name))
        .await?
        .ok_or_else(|| RestError::not_found(format!("there is no topic {topic}")))?;
    let keys = if messages.iter().any(is_sealed) {
        Some(rest.services.keys().await.map_err(unavailable)?)
    } else {
        None
    };
    let letters = messages
        .iter()
        .map(|message| letter(message, keys.as_deref()));
    Ok(Json(letters.collect()))
}

/// The newest messages of each partition; `None` where there is no such topic. Blocks.
fn newest(services: &Services, topic: &str) -> penstock_broker::Result<Option<Vec<Message>>> {
    const MOST: i64 = 1000;
    let Some(info) = services.broker.topic(topic)? else {
        return Ok(None);
    };
    let mut messages = Vec::new();
    let mut reader = services
        .broker
        .reader(ReaderSpec::new("penstock-dead-letters"))?;
    for partition in 0..info.partitions {
        let (low, high) = reader.watermarks(topic, partition)?;
        reader.assign(topic, partition, StartAt::Offset(low.max(high - MOST)))?;
        while reader.position(topic, partition)? < high {
            messages.extend(reader.poll(500, Duration::from_millis(500))?);
        }
        reader.unassign(topic, partition)?;
    }
    Ok(Some(messages))
}

fn is_sealed(message: &Message) -> bool {
    let mut headers = message.headers.iter();
    headers.any(|header| &*header.name == SEALED_HEADER)
}

/// A dead letter as it is shown: with its record, or with why that cannot be had.
fn letter(message: &Message, keys: Option<&KeyStore>) -> Value {
    let mut cause = serde_json::Map::new();
    for header in &message.headers {
        if let (Some(name), Some(value)) =
            (header.name.strip_prefix("__connect.errors."), &header.value)
        {
            cause.insert(name.to_owned(), String::from_utf8_lossy(value).into());
        }
    }
    let sealed = is_sealed(message);
    let mut letter = json!({
        "partition": message.partition,
        "offset": message.offset,
        "sealed": sealed,
        "cause": cause,
    });
    let opened = match (keys, &message.value) {
        (Some(keys), Some(value)) if sealed => open(keys, value),
        _ => Ok(pack(message)),
    };
    match opened {
        Ok(record) => letter["record"] = record,
        Err(why) => {
            letter["record"] = Value::Null;
            letter["unopened"] = why.into();
        }
    }
    letter
}

fn open(keys: &KeyStore, sealed: &[u8]) -> Result<Value, String> {
    let plain = keys.unseal(sealed).map_err(|error| error.to_string())?;
    serde_json::from_slice(&plain)
        .map_err(|_| "it holds no record as this version writes them".to_owned())
}
