//! Building a schema from a registry's answer: its references first, each once, cycles refused.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use penstock_formats::{Schema, SchemaKind};

use super::http::Request;
use super::{Registration, Shared};
use crate::error::RegistryError;
use crate::wire::{Reference, SchemaBody, kind_of};

/// Deeper chains of references than this are taken for a mistake.
const MAX_DEPTH: usize = 32;

impl Shared {
    /// Builds the schema of an answer and puts it into the caches.
    pub(super) async fn build(
        &self,
        what: String,
        body: SchemaBody,
        id: Option<u32>,
    ) -> Result<Arc<Schema>, RegistryError> {
        if let Some(known) = id.and_then(|id| self.by_id.get(&id))
            && (known.guid().is_some() || body.guid.is_none())
        {
            return Ok(known);
        }
        let schema = self.assemble(what, body, id, Vec::new()).await?;
        Ok(self.remember(schema))
    }

    /// `path` holds the references on the way here.
    fn assemble(
        &self,
        what: String,
        body: SchemaBody,
        id: Option<u32>,
        path: Vec<(String, i32)>,
    ) -> BoxFuture<'_, Result<Arc<Schema>, RegistryError>> {
        async move {
            let mut references = Vec::new();
            for reference in body.references.into_iter().flatten() {
                let schema = self.referred(&what, &reference, &path).await?;
                references.push((reference.name, schema));
            }
            let unusable = |cause: String| RegistryError::Schema {
                what: what.clone(),
                cause,
            };
            let Some(text) = body.schema else {
                return Err(RegistryError::BadAnswer {
                    request: what,
                    cause: "it has no schema".into(),
                });
            };
            let kind = kind_of(body.schema_type.as_deref()).ok_or_else(|| {
                let name: String = body
                    .schema_type
                    .iter()
                    .flat_map(|s| s.chars())
                    .take(40)
                    .collect();
                unusable(format!(
                    "its type is {name}; Avro and JSON Schema are supported"
                ))
            })?;
            let schema = match kind {
                SchemaKind::Avro => Schema::avro(&text, &references),
                SchemaKind::Json => Schema::json(&text, &references),
            }
            .map_err(|e| unusable(e.to_string()))?;
            Ok(Arc::new(match id {
                Some(id) => schema.with_id(id, body.guid),
                None => schema,
            }))
        }
        .boxed()
    }

    async fn referred(
        &self,
        what: &str,
        reference: &Reference,
        path: &[(String, i32)],
    ) -> Result<Arc<Schema>, RegistryError> {
        let key = (reference.subject.clone(), reference.version);
        if let Some(known) = self.by_version.get(&key) {
            return Ok(Arc::clone(&known.schema));
        }
        if path.contains(&key) || path.len() >= MAX_DEPTH {
            let steps = path.iter().chain([&key]);
            let steps: Vec<_> = steps.map(|(s, v)| format!("{s} version {v}")).collect();
            return Err(RegistryError::Cycle {
                what: what.to_owned(),
                path: steps.join(" -> "),
            });
        }
        let number = key.1.to_string();
        let segments = ["subjects", key.0.as_str(), "versions", &number];
        // A reference holds its target in place even if the target's version was softly deleted.
        let request = Request {
            query: &[("deleted", "true")],
            ..Request::get(&segments)
        };
        let mut body: SchemaBody = self.http.call(request).await?;
        let what = format!("subject '{}' version {}", key.0, key.1);
        let id = positive_id(&what, body.id)?;
        let (metadata, rule_set) = (body.metadata.take(), body.rule_set.take());
        let path: Vec<_> = path.iter().cloned().chain([key.clone()]).collect();
        let schema = self.assemble(what, body, Some(id), path).await?;
        let registration = Arc::new(Registration {
            subject: key.0.clone(),
            version: key.1,
            schema: self.remember(schema),
            metadata,
            rule_set,
        });
        self.by_version.insert(key, Arc::clone(&registration));
        Ok(Arc::clone(&registration.schema))
    }
}

/// The id of an answer; ids are positive.
pub(super) fn positive_id(what: &str, id: Option<i64>) -> Result<u32, RegistryError> {
    id.and_then(|id| u32::try_from(id).ok())
        .filter(|id| *id > 0)
        .ok_or_else(|| RegistryError::BadAnswer {
            request: what.to_owned(),
            cause: "it has no positive id".into(),
        })
}
