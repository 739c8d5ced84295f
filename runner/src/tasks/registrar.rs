//! Schemas that a transform derived have no id yet: they are registered under the subject that the
//! converter's strategy names, once for each schema and topic. Known ids are kept as they are.

use std::collections::HashMap;
use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::{Payload, Schema};
use penstock_registry::{RegistryClient, Retry};

use crate::chain::Rejection;
use crate::converters::Naming;

/// A schema's fingerprint in a topic, and whether it is the key's.
type Place = (u64, Arc<str>, bool);

/// Registers schemas without an id for one task.
pub(super) struct Registrar {
    registry: RegistryClient,
    key: Naming,
    value: Naming,
    known: HashMap<Place, Result<Arc<Schema>, RecordError>>,
}

impl Registrar {
    pub(super) fn new(registry: RegistryClient, key: Naming, value: Naming) -> Self {
        Self {
            registry,
            key,
            value,
            known: HashMap::new(),
        }
    }

    /// Gives every payload a schema with an id, or rejects its record where the registry refuses the
    /// schema. A registry that is away is an error of the whole batch.
    pub(super) async fn register(
        &mut self,
        records: &mut [Record],
    ) -> Result<Vec<Rejection>, Error> {
        let mut rejected = Vec::new();
        for record in records {
            for is_key in [true, false] {
                let payload = if is_key { &record.key } else { &record.value };
                let Some(schema) = payload
                    .as_ref()
                    .and_then(Payload::schema)
                    .filter(|schema| schema.id().is_none())
                else {
                    continue;
                };
                let known = self
                    .find(schema.clone(), record.topic.clone(), is_key)
                    .await?;
                let payload = if is_key {
                    &mut record.key
                } else {
                    &mut record.value
                };
                match known {
                    Ok(schema) => {
                        *payload = payload.take().map(|payload| payload.with_schema(schema))
                    }
                    Err(error) => rejected.push(Rejection {
                        origin: record.origin().index,
                        error,
                        stage: if is_key {
                            "key.converter"
                        } else {
                            "value.converter"
                        }
                        .to_owned(),
                    }),
                }
            }
        }
        Ok(rejected)
    }

    async fn find(
        &mut self,
        schema: Arc<Schema>,
        topic: Arc<str>,
        is_key: bool,
    ) -> Result<Result<Arc<Schema>, RecordError>, Error> {
        let place = (schema.uid(), topic.clone(), is_key);
        if let Some(known) = self.known.get(&place) {
            return Ok(known.clone());
        }
        let naming = if is_key { self.key } else { self.value };
        let subject = match naming.strategy.subject(&topic, is_key, schema.name()) {
            Ok(subject) => subject,
            Err(error) => return Ok(Err(RecordError::schema(error))),
        };
        let answer = if naming.auto_register {
            self.registry
                .register(&subject, schema.kind(), schema.text(), &[])
                .await
        } else {
            let found = self
                .registry
                .lookup(&subject, schema.kind(), schema.text(), &[])
                .await;
            found.map(|found| found.schema.clone())
        };
        let found = match answer {
            Err(error) if error.retry() == Retry::Backoff => {
                return Err(
                    Error::backoff(format!("cannot register a schema under {subject}"))
                        .with_source(error),
                );
            }
            Err(error) => Err(RecordError::schema(format!(
                "the schema of this record: {error}"
            ))),
            Ok(schema) => Ok(schema),
        };
        self.known.insert(place, found.clone());
        Ok(found)
    }
}
