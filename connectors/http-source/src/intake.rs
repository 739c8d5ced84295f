//! What all requests of a gateway share, and the way of one event from bytes to the queue.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use penstock_connect::{Outcome, Record};
use penstock_registry::SchemaRef;
use tokio::sync::oneshot;

use crate::answer::Refusal;
use crate::auth::Tokens;
use crate::body::{BodyFormat, content_length};
use crate::counters::Counters;
use crate::queue::{Queue, Room};
use crate::schemas::Schemas;

/// The state behind the gateway's paths.
pub(crate) struct Intake {
    pub(crate) topic: Arc<str>,
    /// Schema of events that name none.
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) schemas: Schemas,
    pub(crate) queue: Queue,
    pub(crate) tokens: Tokens,
    pub(crate) max_body: usize,
    pub(crate) max_events: usize,
    pub(crate) timeout: Duration,
    /// Body of the probe: one JSON event or an array of them.
    pub(crate) test_events: Option<Bytes>,
    pub(crate) counters: Counters,
}

impl Intake {
    /// Reads a body within the bounds of the gateway, with the room that its events will take.
    pub(crate) async fn read_body(&self, request: Request<Body>) -> Result<(Bytes, Room), Refusal> {
        let announced = content_length(request.headers());
        if announced.is_some_and(|length| length > self.max_body as u64) {
            return Err(self.too_large());
        }
        let expected = announced.map_or(self.max_body, |length| {
            usize::try_from(length).unwrap_or(self.max_body)
        });
        let mut room = self.queue.reserve(expected)?;
        // The router's body limit makes this fail at `max_body`.
        let body = Bytes::from_request(request, &())
            .await
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => self.too_large(),
                _ => Refusal::invalid("The body of the request ended early."),
            })?;
        room.shrink(body.len());
        Ok((body, room))
    }

    fn too_large(&self) -> Refusal {
        Refusal::too_large(format!(
            "The body of the request is larger than {} bytes.",
            self.max_body
        ))
    }

    /// Checks an event and puts it into the queue; the receiver gets its outcome.
    pub(crate) async fn take_in(
        &self,
        reference: &SchemaRef,
        format: BodyFormat,
        event: Bytes,
        room: Room,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let schema = self.schemas.find(reference).await?;
        let value = self.schemas.payload(reference, &schema, format, event)?;
        let record = Record::new(Arc::clone(&self.topic), Some(value));
        self.queue.offer(record, room)
    }

    /// Counts what became of an event.
    pub(crate) fn count(&self, result: &Result<(), Refusal>) {
        match result {
            Ok(()) => self.counters.accepted.inc(),
            Err(refusal) if refusal.is_passing() => self.counters.deferred.inc(),
            Err(_) => self.counters.invalid.inc(),
        }
    }
}
