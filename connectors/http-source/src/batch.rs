//! `POST /v1/events`: one JSON event or an array of them, each with its own result, answered as
//! EventGate answers (201, 202, 207, 400; <https://wikitech.wikimedia.org/wiki/Event_Platform/EventGate>).

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt};
use bytes::Bytes;
use penstock_connect::Outcome;
use penstock_formats::{Encoding, Limits, Payload};
use penstock_registry::SchemaRef;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::answer::{Refusal, add_headers};
use crate::body::{BodyFormat, schema_ref};
use crate::intake::Intake;
use crate::queue::Room;

/// Parameters of the request.
#[derive(Deserialize)]
struct Parameters {
    /// Answer as soon as the events are checked, without waiting until they are durable.
    #[serde(default)]
    hasty: Option<String>,
}

impl Parameters {
    fn is_hasty(&self) -> bool {
        self.hasty
            .as_deref()
            .is_some_and(|hasty| !matches!(hasty, "false" | "0"))
    }
}

/// What an event says of itself.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "$schema", borrow)]
    schema: Option<Cow<'a, str>>,
    /// Of any shape: what it has to be is for the event's schema to say.
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

/// What `meta` is in events of the Event Platform.
#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// The answer's body: what became of the events that were not accepted.
#[derive(Default, Serialize)]
struct Results {
    invalid: Vec<Failed>,
    error: Vec<Failed>,
}

/// One event that was not accepted. Events may hold personal data, so that only the place and the id
/// of an event stand here, not the event.
#[derive(Serialize)]
struct Failed {
    status: &'static str,
    index: usize,
    event: FailedEvent,
    context: Context,
}

#[derive(Serialize)]
struct FailedEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<FailedMeta>,
}

#[derive(Serialize)]
struct FailedMeta {
    id: String,
}

#[derive(Serialize)]
struct Context {
    message: String,
}

/// An event on its way.
struct Pending {
    id: Option<String>,
    result: Result<oneshot::Receiver<Outcome>, Refusal>,
}

pub(crate) async fn post(
    State(intake): State<Arc<Intake>>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let deadline = Instant::now() + intake.timeout;
    let parameters: Query<Parameters> = request
        .extract_parts()
        .await
        .map_err(|_| Refusal::invalid("The query of the request cannot be read."))?;
    BodyFormat::require_json(request.headers())?;
    let named = named_schema(&intake, request.headers())?;
    let (body, room) = intake.read_body(request, deadline).await?;
    process(&intake, deadline, named, body, room, parameters.is_hasty()).await
}

/// `GET /v1/_test/events`: sends the configured test events through, as if they had been posted.
pub(crate) async fn probe(
    State(intake): State<Arc<Intake>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Some(body) = intake.test_events.clone() else {
        return Ok((
            StatusCode::NOT_FOUND,
            "No test events are configured (http.test.events).",
        )
            .into_response());
    };
    let deadline = Instant::now() + intake.timeout;
    let named = named_schema(&intake, &headers)?;
    let room = intake.queue.reserve(body.len())?;
    process(&intake, deadline, named, body, room, false).await
}

fn named_schema(intake: &Intake, headers: &HeaderMap) -> Result<Option<SchemaRef>, Refusal> {
    Ok(schema_ref(headers)?.or_else(|| intake.schema.clone()))
}

async fn process(
    intake: &Intake,
    deadline: Instant,
    named: Option<SchemaRef>,
    body: Bytes,
    mut room: Room,
    hasty: bool,
) -> Result<Response, Refusal> {
    let events = split(&body, intake.max_events)?;
    let count = events.len();
    let mut pending = Vec::with_capacity(count);
    for event in events {
        let room = room.split(event.len());
        let (id, result) = match describe(&event) {
            Err(refusal) => (None, Err(refusal)),
            Ok((id, schema)) => {
                let taken = start(intake, schema, named.as_ref(), event, room);
                let taken = timeout_at(deadline, taken).await;
                (id, taken.unwrap_or_else(|_| Err(Refusal::late())))
            }
        };
        pending.push(Pending { id, result });
    }
    drop(room);
    let mut results = Results::default();
    for (index, Pending { id, result }) in pending.into_iter().enumerate() {
        let result = match result {
            Err(refusal) => Err(refusal),
            Ok(_) if hasty => Ok(()),
            Ok(outcome) => match timeout_at(deadline, outcome).await {
                Ok(outcome) => intake.queue.settle(outcome.ok()),
                Err(_) => Err(Refusal::unknown()),
            },
        };
        intake.count(&result);
        if let Err(refusal) = result {
            results.add(index, id, refusal);
        }
    }
    Ok(results.answer(count, hasty))
}

/// Checks one event and puts it into the queue. Its own `$schema` says which schema it has; for an
/// event without one, the request or the configuration.
async fn start(
    intake: &Intake,
    own: Option<SchemaRef>,
    named: Option<&SchemaRef>,
    event: Bytes,
    room: Room,
) -> Result<oneshot::Receiver<Outcome>, Refusal> {
    let reference = own.as_ref().or(named).ok_or_else(|| {
        Refusal::invalid("The event has no $schema, and the request names none (Strm-Schema-Ref).")
    })?;
    intake
        .take_in(reference, BodyFormat::Json, event, room)
        .await
}

/// The events of a body, each as it was sent.
fn split(body: &Bytes, max_events: usize) -> Result<Vec<Bytes>, Refusal> {
    let not_json = |error: serde_json::Error| {
        Refusal::invalid(format!(
            "The body is not JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))
    };
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let events: Vec<&RawValue> = match first {
        Some(b'[') => serde_json::from_slice(body).map_err(not_json)?,
        Some(_) => vec![serde_json::from_slice(body).map_err(not_json)?],
        None => vec![],
    };
    if events.is_empty() {
        return Err(Refusal::invalid(
            "The body holds no event: send a JSON event or an array of them.",
        ));
    }
    if events.len() > max_events {
        return Err(Refusal::too_large(format!(
            "The request holds {} events; at most {max_events} are taken at once.",
            events.len()
        )));
    }
    Ok(events
        .into_iter()
        .map(|event| body.slice_ref(event.get().as_bytes()))
        .collect())
}

/// An event's id, where it is one that says nothing about a person, and its schema.
fn describe(event: &Bytes) -> Result<(Option<String>, Option<SchemaRef>), Refusal> {
    let checked = Payload::new(event.clone(), Encoding::Json).check_json(&Limits::default());
    checked.map_err(|error| Refusal::invalid(format!("Invalid event: {error}")))?;
    let envelope: Envelope<'_> = serde_json::from_slice(event).map_err(|_| {
        Refusal::invalid("Invalid event: it has to be an object, and $schema a string")
    })?;
    let meta = envelope.meta.map(|meta| serde_json::from_str(meta.get()));
    let id = meta.and_then(|meta: serde_json::Result<Meta<'_>>| meta.ok()?.id);
    let id = id.filter(|id| is_uuid(id)).map(Cow::into_owned);
    let schema = envelope.schema.map(|uri| parse_uri(&uri)).transpose()?;
    Ok((id, schema))
}

/// Ids are shown only in the form of a UUID: anything else might be somebody's name.
fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The reference in a `$schema`: a path such as `/mediawiki/page/change/1.1.0`, with or without a
/// host before it.
fn parse_uri(uri: &str) -> Result<SchemaRef, Refusal> {
    let path = match uri.split_once("://") {
        Some((_scheme, rest)) => rest.split_once('/').map_or("", |(_host, path)| path),
        None => uri,
    };
    // What is not a reference may be anything, and so is not repeated.
    SchemaRef::parse(path).map_err(|_| {
        Refusal::invalid("Invalid event: $schema is not a schema reference (expected /name/x.y.z)")
    })
}

impl Results {
    fn add(&mut self, index: usize, id: Option<String>, refusal: Refusal) {
        let (list, status) = if refusal.is_passing() {
            (&mut self.error, "error")
        } else {
            (&mut self.invalid, "invalid")
        };
        list.push(Failed {
            status,
            index,
            event: FailedEvent {
                meta: id.map(|id| FailedMeta { id }),
            },
            context: Context {
                message: refusal.text,
            },
        });
    }

    fn answer(self, events: usize, hasty: bool) -> Response {
        let failed = self.invalid.len() + self.error.len();
        let status = if failed == 0 {
            let accepted = if hasty {
                StatusCode::ACCEPTED
            } else {
                StatusCode::CREATED
            };
            return accepted.into_response();
        } else if self.invalid.len() == events {
            StatusCode::BAD_REQUEST
        } else if failed < events {
            StatusCode::MULTI_STATUS
        } else {
            // What failed for a passing reason may be sent again: EventGate's 500, said precisely.
            StatusCode::SERVICE_UNAVAILABLE
        };
        let mut response = (status, Json(self)).into_response();
        add_headers(status, &mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_body_is_one_event_or_an_array() {
        for (body, expected) in [
            (r#"{"a":1}"#, &[r#"{"a":1}"#][..]),
            (" [ {\"a\": 1} ,2]", &["{\"a\": 1}", "2"]),
        ] {
            let events = split(&Bytes::from(body), 10).unwrap();
            assert_eq!(events, expected);
        }
        for (body, status) in [
            ("", 400),
            ("[]", 400),
            ("[1,", 400),
            ("[1] x", 400),
            ("[1,2,3]", 413),
        ] {
            assert_eq!(
                split(&Bytes::from(body), 2).unwrap_err().status,
                status,
                "{body}"
            );
        }
    }

    #[test]
    fn a_schema_uri_is_a_reference_with_or_without_a_host() {
        for uri in [
            "/mediawiki/page/change/1.1.0",
            "mediawiki/page/change/1.1.0",
            "https://schema.wikimedia.org/mediawiki/page/change/1.1.0",
        ] {
            assert_eq!(
                parse_uri(uri).unwrap().as_str(),
                "mediawiki/page/change/1.1.0"
            );
        }
        for uri in ["", "https://host", "someone@example.org"] {
            let refusal = parse_uri(uri).unwrap_err();
            assert!(uri.is_empty() || !refusal.text.contains(uri), "{uri}");
        }
    }

    #[test]
    fn only_ids_that_are_uuids_are_repeated() {
        let id = |event: &str| describe(&Bytes::from(event.to_owned())).unwrap().0;
        let uuid = "5e1dd101-641c-11ea-ab6c-b083fecf1287";
        assert_eq!(
            id(&format!(r#"{{"meta":{{"id":"{uuid}"}}}}"#)).as_deref(),
            Some(uuid)
        );
        assert_eq!(id(r#"{"meta":{"id":"ann@example.org"}}"#), None);
        assert_eq!(id("{}"), None);
    }
}
