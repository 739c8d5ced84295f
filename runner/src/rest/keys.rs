//! Keys and sealed dead letters in the clear: for those who may, and only when they say so.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use penstock_broker::{ReaderSpec, StartAt};
use penstock_keys::ExportedKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::admission::Caller;
use super::{Rest, RestError};
use crate::dead_letters::{SEALED_HEADER, pack};
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

/// The dead letters of a topic, sealed ones opened.
pub(super) async fn dead_letters(
    State(rest): State<Rest>,
    caller: Caller,
    Path(topic): Path<String>,
    Query(Reveal { reveal }): Query<Reveal>,
) -> Result<Json<Value>, RestError> {
    caller.may_see(&rest, reveal, "opening dead letters")?;
    /// The newest ones of each partition.
    const MOST: i64 = 1000;
    let name = topic.clone();
    let messages = blocking(&rest.services, move |services| {
        let mut messages = Vec::new();
        let Some(info) = services.broker.topic(&name)? else {
            return Ok(None);
        };
        let mut reader = services
            .broker
            .reader(ReaderSpec::new("penstock-dead-letters"))?;
        for partition in 0..info.partitions {
            let (low, high) = reader.watermarks(&name, partition)?;
            reader.assign(&name, partition, StartAt::Offset(low.max(high - MOST)))?;
            while reader.position(&name, partition)? < high {
                messages.extend(reader.poll(500, Duration::from_millis(500))?);
            }
            reader.unassign(&name, partition)?;
        }
        Ok(Some(messages))
    })
    .await?
    .ok_or_else(|| RestError::not_found(format!("there is no topic {topic}")))?;
    let mut letters = Vec::new();
    for message in messages {
        let mut cause = serde_json::Map::new();
        for header in &message.headers {
            if let (Some(name), Some(value)) =
                (header.name.strip_prefix("__connect.errors."), &header.value)
            {
                cause.insert(name.to_owned(), String::from_utf8_lossy(value).into());
            }
        }
        let sealed = message
            .headers
            .iter()
            .any(|header| &*header.name == SEALED_HEADER);
        let record = match (sealed, &message.value) {
            (true, Some(value)) => open(&rest, value).await?,
            _ => pack(&message),
        };
        letters.push(json!({
            "partition": message.partition,
            "offset": message.offset,
            "sealed": sealed,
            "cause": cause,
            "record": record,
        }));
    }
    Ok(Json(letters.into()))
}

async fn open(rest: &Rest, sealed: &[u8]) -> Result<Value, RestError> {
    let keys = rest.services.keys().await.map_err(unavailable)?;
    let plain = keys.unseal(sealed).map_err(unavailable)?;
    serde_json::from_slice(&plain).map_err(|_| {
        RestError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a sealed dead letter holds no record as this version writes them",
        )
    })
}
