//! What happens to rejected records: the task stops at the first (`errors.tolerance=none`), or they
//! are written, with their cause, to the dead letter topic and the error stream.

use std::sync::Arc;

use penstock_broker::{Header, Message, OutRecord, Producer};
use penstock_connect::Error;
use penstock_formats::{Schema, SchemaKind};
use penstock_registry::SchemaRef;

use super::{TaskEnv, task_error};
use crate::chain::{Chain, Rejection};
use crate::config::{RawEvent, Seal, Tolerance};
use crate::dead_letters::{Cause, SEALED_HEADER, error_event, headers};

/// How one task treats rejected records.
pub(super) struct Rejects<'a> {
    env: &'a TaskEnv,
    error_schema: Option<Arc<Schema>>,
    seal: bool,
    raw: bool,
}

impl<'a> Rejects<'a> {
    pub(super) fn new(env: &'a TaskEnv, chain: &Chain) -> Result<Self, Error> {
        let common = &env.spec.common;
        let personal = chain.handles_personal_data() || env.services.has_contracts();
        let error_schema = match &common.error_stream_topic {
            None => None,
            Some(_) => Some(error_schema(env, &common.error_stream_schema)?),
        };
        Ok(Self {
            env,
            error_schema,
            seal: match common.dlq_seal {
                Seal::Auto => personal,
                Seal::Always => true,
                Seal::Never => false,
            },
            raw: match common.error_stream_raw {
                RawEvent::Auto => !personal,
                RawEvent::Include => true,
                RawEvent::Omit => false,
            },
        })
    }

    /// The first rejection at which the task has to stop, if the operator wants that.
    pub(super) fn stop_at<'r>(&self, rejected: &'r [Rejection]) -> Option<&'r Rejection> {
        match self.env.spec.common.tolerance {
            Tolerance::All => None,
            Tolerance::None => rejected.iter().min_by_key(|rejection| rejection.origin),
        }
    }

    /// Hands dead letters and error events to the producer; they are durable with its next commit
    /// or flush. A record that was rejected more than once counts once.
    pub(super) fn settle(
        &self,
        producer: &mut dyn Producer,
        originals: &[Message],
        rejected: &[Rejection],
    ) -> Result<(), Error> {
        let mut settled: Vec<usize> = Vec::with_capacity(rejected.len());
        for rejection in rejected {
            if settled.contains(&rejection.origin) {
                continue;
            }
            settled.push(rejection.origin);
            if let Some(original) = originals.get(rejection.origin) {
                self.settle_one(producer, original, rejection)?;
            }
        }
        Ok(())
    }

    fn settle_one(
        &self,
        producer: &mut dyn Producer,
        original: &Message,
        rejection: &Rejection,
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
            self.dead_letter(producer, topic, &cause)?;
        }
        if let (Some(topic), Some(schema)) = (&common.error_stream_topic, &self.error_schema) {
            let event = error_event(&cause, topic, schema, self.raw);
            producer
                .send(OutRecord::new(topic, Some(&event)))
                .map_err(task_error)?;
        }
        Ok(())
    }

    /// A dead letter keeps the record's bytes, headers and timestamp. Where personal data may be in
    /// it, key and value are sealed together and the header says so.
    fn dead_letter(
        &self,
        producer: &mut dyn Producer,
        topic: &str,
        cause: &Cause<'_>,
    ) -> Result<(), Error> {
        let original = cause.original;
        let mut headers = headers(cause, self.env.spec.common.dlq_headers);
        let mut out = OutRecord::new(topic, original.value.as_deref());
        out.timestamp = Some(original.timestamp).filter(|timestamp| *timestamp >= 0);
        let sealed;
        if self.seal {
            sealed = self.seal(original)?;
            headers.retain(|header| header.name.starts_with("__connect.errors."));
            headers.push(Header {
                name: SEALED_HEADER.into(),
                value: None,
            });
            out.value = Some(&sealed);
        } else {
            out.key = original.key.as_deref();
        }
        out.headers = &headers;
        producer.send(out).map_err(task_error)
    }

    fn seal(&self, original: &Message) -> Result<Vec<u8>, Error> {
        let keys = self.env.handle.block_on(self.env.services.keys())?;
        Ok(keys.seal(&crate::dead_letters::pack(original)))
    }
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
