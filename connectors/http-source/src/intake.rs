//! What all requests of a gateway share, and the way of one event from bytes to the queue.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use penstock_connect::{Outcome, Record};
use penstock_listen::Tokens;
use penstock_registry::SchemaRef;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::answer::Refusal;
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
    /// Reads a body within the bounds of the gateway. Room is taken as bytes come, so that somebody
    /// who announces much and sends little holds little.
    pub(crate) async fn read_body(
        &self,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<(Bytes, Room), Refusal> {
        if content_length(request.headers()).is_some_and(|length| length > self.max_body as u64) {
            return Err(self.too_large());
        }
        timeout_at(deadline, self.collect(request.into_body()))
            .await
            .unwrap_or_else(|_| Err(Refusal::slow()))
    }

    async fn collect(&self, body: Body) -> Result<(Bytes, Room), Refusal> {
        let mut chunks = body.into_data_stream();
        let mut room = self.queue.reserve(0)?;
        let mut whole = Bytes::new();
        let mut parts = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_| Refusal::invalid("The body of the request ended early."))?;
            if whole.len() + parts.len() + chunk.len() > self.max_body {
                return Err(self.too_large());
            }
            room.merge(self.queue.reserve(chunk.len())?);
            // Most bodies come in one piece, which need not be copied.
            if whole.is_empty() && parts.is_empty() {
                whole = chunk;
            } else {
                parts.extend_from_slice(&std::mem::take(&mut whole));
                parts.extend_from_slice(&chunk);
            }
        }
        if !parts.is_empty() {
            whole = parts.freeze();
        }
        Ok((whole, room))
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
