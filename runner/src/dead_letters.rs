//! What is kept of a rejected record: a dead letter with the standard headers, and an error event.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use penstock_broker::{Header, Message};
use penstock_connect::RecordError;
use penstock_formats::frame::SchemaRefId;
use penstock_formats::{Encoding, Payload, Schema, frame};
use penstock_registry::RegistryClient;
use serde_json::{Value, json};

/// Header on a dead letter whose value is sealed to the quarantine key.
pub(crate) const SEALED_HEADER: &str = "penstock.sealed";

/// Where a rejected record came from and what went wrong.
pub(crate) struct Cause<'a> {
    pub(crate) connector: &'a str,
    pub(crate) task: usize,
    /// Transform or converter that rejected it.
    pub(crate) stage: &'a str,
    pub(crate) error: &'a RecordError,
    /// The record as it was read: original bytes, headers, timestamp. For a source's records the
    /// offset is -1.
    pub(crate) original: &'a Message,
}

/// Header on a dead letter whose record was too large for the topic together with what is added.
pub(crate) const OMITTED_HEADER: &str = "penstock.omitted";

/// The headers by which Kafka Connect says where a dead letter came from and what went wrong.
pub(crate) fn context_headers(cause: &Cause<'_>) -> Vec<Header> {
    let class = cause.error.kind.java_class();
    let task = cause.task.to_string();
    let partition = cause.original.partition.to_string();
    let offset = cause.original.offset.to_string();
    [
        ("topic", &*cause.original.topic),
        ("partition", &partition),
        ("offset", &offset),
        ("connector.name", cause.connector),
        ("task.id", &task),
        ("stage", stage_name(cause.stage)),
        ("class.name", cause.stage),
        ("exception.class.name", class),
        ("exception.message", &cause.error.message),
        (
            "exception.stacktrace",
            &format!("{class}: {}", cause.error.message),
        ),
    ]
    .into_iter()
    .map(|(name, value)| Header {
        name: format!("__connect.errors.{name}").into(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    })
    .collect()
}

/// Kafka Connect's name for the stage that failed.
fn stage_name(stage: &str) -> &'static str {
    match stage {
        "key.converter" => "KEY_CONVERTER",
        "value.converter" => "VALUE_CONVERTER",
        "source" => "TASK_POLL",
        "sink" => "TASK_PUT",
        _ => "TRANSFORMATION",
    }
}

/// How much of a rejected record its error event shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The raw event, and what it says its schema and stream are.
    Event,
    /// Its schema and stream.
    Names,
    /// Nothing of it: whatever stands there in its place may be personal.
    Nothing,
}

impl Shown {
    /// What is shown of a record whose raw event is not.
    pub(crate) fn without_event(personal: bool) -> Self {
        match personal {
            true => Self::Nothing,
            false => Self::Names,
        }
    }
}

/// The error event of a rejected record, in the shape of `error/2.1.0`: framed bytes for the topic.
/// `raw` is the raw event, as [`readable`] gives it.
pub(crate) fn error_event(
    cause: &Cause<'_>,
    stream: &str,
    schema: &Arc<Schema>,
    raw: &str,
    shown: Shown,
) -> Vec<u8> {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let event: Option<Value> = match shown {
        Shown::Event | Shown::Names => serde_json::from_str(raw).ok(),
        Shown::Nothing => None,
    };
    let text = |pointer: &str| {
        event
            .as_ref()
            .and_then(|e| e.pointer(pointer))
            .and_then(Value::as_str)
    };
    let schema_uri = schema_uri(schema);
    let mut error = json!({
        "$schema": schema_uri,
        "dt": now,
        "emitter_id": cause.connector,
        "error_type": cause.error.kind.as_str(),
        "message": cause.error.message,
        "meta": {"stream": stream, "dt": now, "id": uuid::Uuid::new_v4().to_string()},
    });
    if let Some(uri) = text("/$schema") {
        error["errored_schema_uri"] = uri.into();
    }
    if let Some(name) = text("/meta/stream") {
        error["errored_stream_name"] = name.into();
    }
    if shown == Shown::Event {
        error["raw_event"] = raw.into();
    }
    let mut out = Vec::new();
    if let Some(id) = schema.id() {
        frame::write(SchemaRefId::Id(id), &mut out);
    }
    out.extend_from_slice(error.to_string().as_bytes());
    out
}

/// A record's value as text: JSON where its schema is known; what is no text in base64.
pub(crate) fn readable(original: &Message, registry: &RegistryClient) -> String {
    let Some(value) = &original.value else {
        return String::new();
    };
    let header = original
        .headers
        .iter()
        .rev()
        .find(|header| &*header.name == frame::VALUE_HEADER)
        .and_then(|header| header.value.as_deref());
    let Ok(frame) = frame::read_with_header(header, value) else {
        return text(value);
    };
    let schema = match frame.id {
        SchemaRefId::Id(id) => registry.cached(id),
        SchemaRefId::Guid(guid) => registry.cached_guid(guid),
    };
    let payload = value.slice(frame.offset..);
    let mut json = Vec::new();
    match schema.map(|schema| Payload::new(payload.clone(), Encoding::Registered(schema))) {
        Some(event) if event.to_json(&mut json).is_ok() => text(&json),
        _ => text(&payload),
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => BASE64.encode(bytes),
    }
}

/// The schema's `$id` (`/error/2.1.0`), by which events name their schema.
fn schema_uri(schema: &Schema) -> String {
    serde_json::from_str::<Value>(schema.text())
        .ok()
        .and_then(|schema| schema.get("$id").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_default()
}

/// Key, value and headers of a record as one JSON value: bytes in base64, so that what is empty is told
/// from what is not there. Its text is what is sealed.
pub(crate) fn pack(original: &Message) -> Value {
    let base64 = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| BASE64.encode(bytes));
    json!({
        "topic": &*original.topic,
        "partition": original.partition,
        "offset": original.offset,
        "timestamp": original.timestamp,
        "key": base64(&original.key),
        "value": base64(&original.value),
        "headers": original.headers.iter()
            .map(|header| json!([&*header.name, base64(&header.value)]))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::Json;
    use penstock_registry::RegistryConfig;

    use super::*;

    fn original(value: &[u8], header: Option<&[u8]>) -> Message {
        let headers = header.map(|value| Header {
            name: frame::VALUE_HEADER.into(),
            value: Some(value.to_vec().into()),
        });
        Message {
            topic: "in".into(),
            partition: 0,
            offset: 0,
            timestamp: -1,
            key: None,
            value: Some(value.to_vec().into()),
            headers: headers.into_iter().collect(),
        }
    }

    #[test]
    fn what_is_empty_is_packed_as_empty_and_what_is_not_there_as_null() {
        let mut letter = original(b"", Some(b""));
        let packed = pack(&letter);
        assert_eq!(
            (&packed["key"], &packed["value"]),
            (&Value::Null, &json!(""))
        );
        assert_eq!(packed["headers"], json!([[frame::VALUE_HEADER, ""]]));
        letter.key = Some(Bytes::new());
        letter.value = None;
        letter.headers[0].value = None;
        let packed = pack(&letter);
        assert_eq!(
            (&packed["key"], &packed["value"]),
            (&json!(""), &Value::Null)
        );
        assert_eq!(packed["headers"], json!([[frame::VALUE_HEADER, null]]));
    }

    #[test]
    fn an_error_event_shows_of_a_record_what_it_may() {
        let raw = r#"{"$schema":"/page/1.0.0","meta":{"stream":"pages"},"name":"Erika"}"#;
        let schema = Arc::new(Schema::json(r#"{"$id":"/error/2.1.0"}"#, &[]).unwrap());
        let original = original(raw.as_bytes(), None);
        let error = RecordError::field("a field is missing");
        let cause = Cause {
            connector: "sink",
            task: 0,
            stage: "sink",
            error: &error,
            original: &original,
        };
        for (shown, names, event) in [
            (Shown::Event, true, true),
            (Shown::Names, true, false),
            (Shown::Nothing, false, false),
        ] {
            let made = error_event(&cause, "errors", &schema, raw, shown);
            let made: Value = serde_json::from_slice(&made).unwrap();
            let has = |member: &str| made.get(member).is_some();
            assert_eq!(has("errored_schema_uri"), names, "{made}");
            assert_eq!(has("errored_stream_name"), names, "{made}");
            assert_eq!(has("raw_event"), event, "{made}");
            assert_eq!(made["message"], "a field is missing");
        }
    }

    #[tokio::test]
    async fn a_raw_event_is_text_also_where_the_record_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}"#;
        let answer = Json(json!({"schema": schema}));
        let app = axum::Router::new().fallback(move || async move { answer });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let registry = RegistryClient::new(RegistryConfig::new([url])).unwrap();
        registry.by_id(1).await.unwrap();
        let id: &[u8] = b"\0\0\0\0\x01";
        for (value, header, expected) in [
            (&b"\0\0\0\0\x01\x02v"[..], None, r#"{"a":"v"}"#),
            (b"\x02v", Some(id), r#"{"a":"v"}"#),
            // Avro that breaks off, of an unknown schema, bytes of no kind; JSON and text as they are.
            (b"\0\0\0\0\x01\x08v\xff", None, "CHb/"),
            (b"\0\0\0\0\x02\xff\xfe", None, "//4="),
            (b"\xff\xfe", None, "//4="),
            (b"{\"a\": 1", None, "{\"a\": 1"),
        ] {
            let readable = readable(&original(value, header), &registry);
            assert_eq!(readable, expected, "{value:?}");
        }
    }
}
