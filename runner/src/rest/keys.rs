//! Keys and sealed dead letters in the clear: for those who may, and only when they say so.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use penstock_broker::{ReaderSpec, StartAt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Rest, RestError};
use crate::dead_letters::SEALED_HEADER;
use crate::worker::blocking;

#[derive(Deserialize)]
pub(super) struct Reveal {
    #[serde(default)]
    reveal: bool,
}

/// With `rest.reveal.token` set, the request has to carry it; without, it has to come from this
/// machine.
fn allowed(
    rest: &Rest,
    peer: SocketAddr,
    headers: &HeaderMap,
    reveal: bool,
    what: &str,
) -> Result<(), RestError> {
    if !reveal {
        return Err(RestError::bad_request(format!(
            "{what} shows secrets: say reveal=true if that is what you want"
        )));
    }
    let Some(token) = &rest.services.worker.reveal_token else {
        if peer.ip().is_loopback() {
            return Ok(());
        }
        return Err(RestError::new(
            StatusCode::FORBIDDEN,
            format!(
                "{what} is answered on the worker's own machine only, unless rest.reveal.token is set"
            ),
        ));
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given
        .and_then(|given| given.strip_prefix("Bearer "))
        .is_some_and(|given| same(given, token.reveal()))
    {
        return Ok(());
    }
    Err(RestError::new(
        StatusCode::UNAUTHORIZED,
        format!("{what} needs the bearer token of rest.reveal.token"),
    ))
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
}

/// The keys of a stream, one JSON object a line.
pub(super) async fn export(
    State(rest): State<Rest>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(stream): Path<String>,
    Query(Reveal { reveal }): Query<Reveal>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    allowed(&rest, peer, &headers, reveal, "exporting keys")?;
    let unavailable = |message: String| RestError::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let keys = rest
        .services
        .keys()
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let mut exported = keys
        .export(&stream)
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let mut body = String::new();
    while let Some(key) = exported.recv().await {
        let key = key.map_err(|error| unavailable(error.to_string()))?;
        let keyset: Value = serde_json::from_str(&key.encryption_key).unwrap_or(Value::Null);
        let line =
            json!({"keyLink": key.key_link, "encryptionKey": keyset, "expiresAt": key.expires_at});
        body.push_str(&line.to_string());
        body.push('\n');
    }
    Ok((
        [
            (header::CONTENT_TYPE, "application/jsonl"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body,
    )
        .into_response())
}

/// The dead letters of a topic, sealed ones opened.
pub(super) async fn dead_letters(
    State(rest): State<Rest>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(topic): Path<String>,
    Query(Reveal { reveal }): Query<Reveal>,
    headers: HeaderMap,
) -> Result<Json<Value>, RestError> {
    allowed(&rest, peer, &headers, reveal, "opening dead letters")?;
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
        let record: Value = match (sealed, &message.value) {
            (true, Some(value)) => open(&rest, value).await?,
            _ => {
                serde_json::from_slice(&crate::dead_letters::pack(&message)).unwrap_or(Value::Null)
            }
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
    let unavailable = |message: String| RestError::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let keys = rest
        .services
        .keys()
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let plain = keys
        .unseal(sealed)
        .map_err(|error| unavailable(error.to_string()))?;
    Ok(serde_json::from_slice(&plain).unwrap_or(Value::Null))
}
