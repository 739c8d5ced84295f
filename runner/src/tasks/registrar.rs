//! Schemas that a transform derived have no id yet: they are registered under the subject that the
//! converter's strategy names, once for each schema and topic. Known ids are kept as they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::{Payload, Schema};
use penstock_registry::RegistryClient;

use crate::chain::Rejection;
use crate::converters::Naming;

/// A schema's fingerprint in a topic, and whether it is the key's.
type Place = (u64, Arc<str>, bool);

/// Registers schemas without an id for one task.
pub(super) struct Registrar {
    registry: RegistryClient,
    key: Naming,
    value: Naming,
    known: HashMap<Place, Arc<Schema>>,
    /// What the registry did not take, and when it said so.
    refused: HashMap<Place, (Instant, RecordError)>,
}

/// A schema that does not fit its subject is registered again after this time: whoever looks after the
/// registry may have made room for it.
const REFUSED_FOR: Duration = Duration::from_secs(10);

impl Registrar {
    pub(super) fn new(registry: RegistryClient, key: Naming, value: Naming) -> Self {
        Self {
            registry,
            key,
            value,
            known: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// Gives every payload a schema with an id, or rejects its record where the schema does not fit its
    /// subject. A registry that is away, or does not let us in, is an error of the whole batch.
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
            return Ok(Ok(known.clone()));
        }
        if let Some((when, error)) = self.refused.get(&place)
            && when.elapsed() < REFUSED_FOR
        {
            return Ok(Err(error.clone()));
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
        match answer {
            Ok(found) => {
                self.refused.remove(&place);
                self.known.insert(place, found.clone());
                Ok(Ok(found))
            }
            Err(error) if error.is_about_schema() => {
                // The record's sender may read this; the registry's words are for the log.
                let why = match error.code() {
                    _ if error.is_not_found() => "is not registered".to_owned(),
                    Some(code) => format!("is refused by the registry (error code {code})"),
                    None => "cannot be used".to_owned(),
                };
                tracing::warn!("the schema of records for topic {topic}: {error}");
                let error = RecordError::schema(format!(
                    "the schema of this record {why} under subject {subject}"
                ));
                self.refused.insert(place, (Instant::now(), error.clone()));
                Ok(Err(error))
            }
            Err(error) => Err(
                Error::backoff(format!("cannot register a schema under {subject}"))
                    .with_source(error),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use axum::Json;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use penstock_connect::{Origin, Retry};
    use penstock_formats::Encoding;
    use penstock_registry::RegistryConfig;
    use serde_json::json;

    use super::*;

    /// What a registry answers to a registration: an error code, or a schema's id.
    type Answer = Arc<Mutex<Result<u32, u16>>>;

    async fn registry(answer: Answer) -> RegistryClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(move || {
            let answer = *answer.lock().unwrap();
            async move { respond(answer) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        RegistryClient::new(RegistryConfig::new([url])).unwrap()
    }

    fn respond(answer: Result<u32, u16>) -> Response {
        match answer {
            Ok(id) => Json(json!({"id": id, "schema": "\"string\""})).into_response(),
            Err(status) => {
                let body = Json(json!({"error_code": status, "message": "internal words"}));
                (StatusCode::from_u16(status).unwrap(), body).into_response()
            }
        }
    }

    fn records() -> Vec<Record> {
        let schema = Arc::new(Schema::avro("\"string\"", &[]).unwrap());
        let payload = Payload::new(vec![2, b'v'], Encoding::Registered(schema));
        let mut record = Record::new("out".into(), Some(payload));
        record.set_origin(Origin {
            index: 0,
            partition: None,
            offset: -1,
        });
        vec![record]
    }

    #[tokio::test]
    async fn who_is_not_let_in_waits_and_goes_on_once_the_registry_is_mended() {
        let answer = Answer::new(Mutex::new(Err(401)));
        let registry = registry(answer.clone()).await;
        let mut registrar = Registrar::new(registry, Naming::default(), Naming::default());
        for _ in 0..2 {
            let error = registrar.register(&mut records()).await.err().unwrap();
            assert_eq!(error.retry, Retry::Backoff);
            let trace = error.trace();
            assert!(
                trace.contains("out-value") && trace.contains("basic.auth.user.info"),
                "{trace}"
            );
        }
        *answer.lock().unwrap() = Ok(7);
        let mut records = records();
        assert!(registrar.register(&mut records).await.unwrap().is_empty());
        let schema = records[0].value.as_ref().unwrap().schema().unwrap();
        assert_eq!(schema.id(), Some(7));
    }

    #[tokio::test]
    async fn a_schema_that_does_not_fit_rejects_its_records_until_there_is_room_for_it() {
        let answer = Answer::new(Mutex::new(Err(409)));
        let registry = registry(answer.clone()).await;
        let mut registrar = Registrar::new(registry, Naming::default(), Naming::default());
        let schema = records();
        let refused = registrar.register(&mut schema.clone()).await.unwrap();
        assert_eq!(
            refused[0].error.message,
            "the schema of this record is refused by the registry (error code 409) under subject out-value"
        );
        *answer.lock().unwrap() = Ok(7);
        let refused = registrar.register(&mut schema.clone()).await.unwrap();
        assert_eq!(refused.len(), 1, "not asked for each record");
        for (when, _) in registrar.refused.values_mut() {
            *when -= REFUSED_FOR;
        }
        assert!(
            registrar
                .register(&mut schema.clone())
                .await
                .unwrap()
                .is_empty()
        );
    }
}
