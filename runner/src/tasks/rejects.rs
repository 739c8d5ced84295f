//! What happens to rejected records: the task stops at the first (`errors.tolerance=none`), or they
//! are written, with their cause, to the dead letter topic and the error stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_broker::{ErrorKind, Header, Message, OutRecord, Producer};
use penstock_connect::Error;
use penstock_formats::{Schema, SchemaKind};
use penstock_registry::SchemaRef;

use super::{TaskEnv, task_error};
use crate::chain::{Chain, Rejection};
use crate::config::{RawEvent, Seal, Tolerance};
use crate::dead_letters::{
    Cause, OMITTED_HEADER, SEALED_HEADER, Shown, context_headers, error_event, pack, readable,
};

/// How one task treats rejected records.
pub(super) struct Rejects<'a> {
    env: &'a TaskEnv,
    error_schema: Option<Arc<Schema>>,
    /// A transform handles personal data.
    personal: bool,
}

impl<'a> Rejects<'a> {
    pub(super) fn new(env: &'a TaskEnv, chain: &Chain) -> Result<Self, Error> {
        let common = &env.spec.common;
        let error_schema = match &common.error_stream_topic {
            None => None,
            Some(_) => Some(error_schema(env, &common.error_stream_schema)?),
        };
        Ok(Self {
            env,
            error_schema,
            personal: chain.handles_personal_data(),
        })
    }

    /// Whether a rejected record may hold personal data. Contracts may come at any time, over REST, and
    /// other workers say which topics hold any.
    fn is_personal(&self, topic: &str) -> Result<bool, Error> {
        let services = &self.env.services;
        Ok(self.personal || services.has_contracts() || services.is_personal(topic)?)
    }

    fn seals(&self, personal: bool) -> bool {
        match self.env.spec.common.dlq_seal {
            Seal::Auto => personal,
            Seal::Always => true,
            Seal::Never => false,
        }
    }

    fn shown(&self, personal: bool) -> Shown {
        match self.env.spec.common.error_stream_raw {
            RawEvent::Include => Shown::Event,
            RawEvent::Auto if !personal => Shown::Event,
            RawEvent::Auto | RawEvent::Omit => Shown::without_event(personal),
        }
    }

    /// The first rejection at which the task has to stop, if the operator wants that.
    pub(super) fn stop_at<'r>(&self, rejected: &'r [Rejection]) -> Option<&'r Rejection> {
        match self.env.spec.common.tolerance {
            Tolerance::All => None,
            Tolerance::None => rejected.iter().min_by_key(|rejection| rejection.origin),
        }
    }

    /// Hands dead letters and error events to the producer; they are durable with its next commit
    /// or flush. They keep the records' order; a record that was rejected more than once counts once.
    pub(super) fn settle<'r>(
        &self,
        producer: &mut dyn Producer,
        originals: &[Message],
        rejected: impl IntoIterator<Item = &'r Rejection>,
    ) -> Result<(), Error> {
        let mut in_order: Vec<&Rejection> = rejected.into_iter().collect();
        in_order.sort_by_key(|rejection| rejection.origin);
        in_order.dedup_by_key(|rejection| rejection.origin);
        // Each topic is asked about once.
        let mut personal: BTreeMap<&str, bool> = BTreeMap::new();
        for rejection in in_order {
            let Some(original) = originals.get(rejection.origin) else {
                continue;
            };
            let personal = match personal.get(&*original.topic) {
                Some(personal) => *personal,
                None => {
                    let asked = self.is_personal(&original.topic)?;
                    personal.insert(&original.topic, asked);
                    asked
                }
            };
            self.settle_one(producer, original, rejection, personal)?;
        }
        Ok(())
    }

    fn settle_one(
        &self,
        producer: &mut dyn Producer,
        original: &Message,
        rejection: &Rejection,
        personal: bool,
    ) -> Result<(), Error> {
        let env = self.env;
        let common = &env.spec.common;
        let cause = Cause {
            connector: &env.context.connector,
            task: env.context.task,
            stage: &rejection.stage,
            error: &rejection.error,
            original,
        };
        env.metrics.rejected();
        if common.log_errors {
            env.metrics.logged();
            tracing::warn!(
                connector = cause.connector,
                task = cause.task,
                stage = cause.stage,
                "rejected {}-{} at offset {}: {}",
                original.topic,
                original.partition,
                original.offset,
                cause.error
            );
        }
        if common.dlq_topic.is_none() && common.error_stream_topic.is_none() {
            env.metrics.skipped();
        }
        if let Some(topic) = &common.dlq_topic {
            env.metrics.dead_letter();
            self.dead_letter(producer, topic, &cause, personal)
                .inspect_err(|_| env.metrics.dead_letter_failed())?;
        }
        if let (Some(topic), Some(schema)) = (&common.error_stream_topic, &self.error_schema) {
            let raw = readable(original, &env.services.registry);
            let shown = self.shown(personal);
            let event = error_event(&cause, topic, schema, &raw, shown);
            let sent = producer.send(OutRecord::new(topic, Some(&event)));
            if is_too_large(&sent) {
                let shown = Shown::without_event(personal);
                let event = error_event(&cause, topic, schema, &raw, shown);
                let sent = producer.send(OutRecord::new(topic, Some(&event)));
                return sent.map_err(task_error);
            }
            sent.map_err(task_error)?;
        }
        Ok(())
    }

    /// A dead letter keeps the record's bytes, headers and timestamp. Where personal data may be in
    /// it, key, value and headers are sealed together and a header says so. What is too large for the
    /// topic that way is left where it lies: the dead letter says where, and that it has no payload.
    fn dead_letter(
        &self,
        producer: &mut dyn Producer,
        topic: &str,
        cause: &Cause<'_>,
        personal: bool,
    ) -> Result<(), Error> {
        let original = cause.original;
        let context = if self.env.spec.common.dlq_headers {
            context_headers(cause)
        } else {
            Vec::new()
        };
        let mut out = OutRecord::new(topic, None);
        out.timestamp = Some(original.timestamp).filter(|timestamp| *timestamp >= 0);
        let sealed;
        let mut headers;
        if self.seals(personal) {
            sealed = self.seal(original)?;
            out.value = Some(&sealed);
            headers = context;
            headers.push(mark(SEALED_HEADER));
        } else {
            if personal {
                self.env.services.note_personal(topic)?;
            }
            out.key = original.key.as_deref();
            out.value = original.value.as_deref();
            headers = original.headers.clone();
            headers.extend(context);
        }
        out.headers = &headers;
        let sent = producer.send(out);
        if is_too_large(&sent) {
            let mut headers = context_headers(cause);
            headers.push(mark(OMITTED_HEADER));
            out.key = None;
            out.value = None;
            out.headers = &headers;
            return producer.send(out).map_err(task_error);
        }
        sent.map_err(task_error)
    }

    fn seal(&self, original: &Message) -> Result<Vec<u8>, Error> {
        let opened = self.env.handle.block_on(self.env.services.keys());
        let keys = opened.map_err(|error| {
            let message = format!(
                "a dead letter of topic {} may hold personal data and cannot be sealed \
                 (errors.deadletterqueue.seal=never leaves such open)",
                original.topic
            );
            Error {
                retry: error.retry,
                message,
                source: Some(Box::new(error)),
            }
        })?;
        Ok(keys.seal(pack(original).to_string().as_bytes()))
    }
}

fn mark(name: &str) -> Header {
    Header {
        name: name.into(),
        value: None,
    }
}

fn is_too_large(sent: &penstock_broker::Result<()>) -> bool {
    matches!(sent, Err(error) if error.kind == ErrorKind::TooLarge)
}

fn error_schema(env: &TaskEnv, reference: &str) -> Result<Arc<Schema>, Error> {
    let reference = SchemaRef::parse(reference)
        .map_err(|error| Error::never(format!("errors.stream.schema: {error}")))?;
    let schema = env
        .handle
        .block_on(env.services.registry.by_ref(&reference))
        .map_err(|error| {
            crate::services::registry_error(&format!("errors.stream.schema={reference}"), error)
        })?;
    if schema.kind() != SchemaKind::Json {
        return Err(Error::never(format!(
            "errors.stream.schema={reference} is not a JSON Schema"
        )));
    }
    Ok(schema)
}
