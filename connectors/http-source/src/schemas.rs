//! Schemas that requests name, and events checked against them.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use penstock_formats::{
    Encoding, Fields, FormatError, Found, Limits, Payload, Schema, SchemaKind, avro,
};
use penstock_registry::{RegistryClient, RegistryError, Retry, SchemaRef};
use quick_cache::sync::Cache;

use crate::answer::Refusal;
use crate::body::BodyFormat;

/// Schemas whose compiled check is kept.
const KEPT: usize = 1_000;

/// What is the matter with a schema goes to the log once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Finds schemas by reference and checks events against them.
pub(crate) struct Schemas {
    registry: RegistryClient,
    /// By the schema's uid.
    checks: Cache<u64, Arc<Fields>>,
    /// When the log last said what is the matter with a schema.
    told: Cache<SchemaRef, Instant>,
}

impl Schemas {
    pub(crate) fn new(registry: RegistryClient) -> Self {
        Self {
            registry,
            checks: Cache::new(KEPT),
            told: Cache::new(KEPT),
        }
    }

    /// The schema behind a reference; waits for the registry only the first time.
    pub(crate) async fn find(&self, reference: &SchemaRef) -> Result<Arc<Schema>, Refusal> {
        if let Some(schema) = self.registry.cached_ref(reference) {
            return Ok(schema);
        }
        self.registry
            .by_ref(reference)
            .await
            .map_err(|error| self.refusal(reference, &error))
    }

    /// The event as a payload of the schema, once all of it is checked: well-formed to the last
    /// byte, UTF-8, no name twice, not too deep, and valid.
    pub(crate) fn payload(
        &self,
        reference: &SchemaRef,
        schema: &Arc<Schema>,
        format: BodyFormat,
        body: Bytes,
    ) -> Result<Payload, Refusal> {
        let encoding = Encoding::Registered(Arc::clone(schema));
        match (schema.kind(), format) {
            (SchemaKind::Avro, BodyFormat::AvroBinary) => {
                let fields = self
                    .check_of(schema)
                    .map_err(|error| self.unusable(reference, &error))?;
                fields
                    .find_checked(&body, &mut Found::new(), &Limits::default())
                    .map(|()| Payload::new(body, encoding))
            }
            (SchemaKind::Avro, BodyFormat::Json) => {
                let mut out = Vec::with_capacity(body.len());
                avro::from_json(schema, &body, &mut out).map(|()| Payload::new(out, encoding))
            }
            (SchemaKind::Json, BodyFormat::Json) => {
                let payload = Payload::new(body, encoding);
                payload
                    .check_json(&Limits::default())
                    .and_then(|()| schema.validate_json(payload.bytes()))
                    .map(|()| payload)
            }
            (SchemaKind::Json, BodyFormat::AvroBinary) => Err(FormatError::Unsupported(
                "it is a JSON Schema, and the event is not sent as application/json".to_owned(),
            )),
        }
        .map_err(|error| unfit(reference, &error))
    }

    /// The check of a whole Avro payload: the program that looks for no field in particular.
    fn check_of(&self, schema: &Schema) -> Result<Arc<Fields>, penstock_formats::PathError> {
        self.checks
            .get_or_insert_with(&schema.uid(), || Fields::compile(schema, &[]).map(Arc::new))
    }

    fn refusal(&self, reference: &SchemaRef, error: &RegistryError) -> Refusal {
        if error.is_not_found() {
            return Refusal::invalid(format!("Invalid schema: {reference}. Not known."));
        }
        match (error, error.retry()) {
            (RegistryError::Schema { .. } | RegistryError::Cycle { .. }, _) => {
                self.unusable(reference, error)
            }
            (_, retry) => {
                self.tell(reference, "a schema cannot be looked up", error);
                Refusal::unavailable(match retry {
                    Retry::Backoff => "The schema registry is not available. Send again later.",
                    Retry::Never => "The schema registry cannot be used. Send again later.",
                })
            }
        }
    }

    /// A schema that is there and cannot be used: its senders cannot help that. They are told which one
    /// it is, and the log says why.
    fn unusable(&self, reference: &SchemaRef, why: &dyn Display) -> Refusal {
        self.tell(reference, "events of an unusable schema are refused", why);
        Refusal::invalid(format!(
            "Invalid schema: {reference}. It is registered and cannot be used here; the operator of this gateway \
             finds the reason in its log."
        ))
    }

    /// Says in the log what is the matter with a schema, however many events name it.
    fn tell(&self, reference: &SchemaRef, what: &str, why: &dyn Display) {
        let told = self.told.get(reference);
        if told.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
            self.told.insert(reference.clone(), Instant::now());
            tracing::warn!(schema = %reference, "{what}: {why}");
        }
    }
}

fn unfit(reference: &SchemaRef, error: &dyn Display) -> Refusal {
    Refusal::invalid(format!("Invalid event for schema: '{reference}': {error}"))
}
