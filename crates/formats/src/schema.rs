//! A schema as the registry holds it: Avro or JSON Schema, parsed, with its references.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::avro::types::Types;
use crate::error::{FormatError, PathError, SchemaError};
use crate::json::shape::Leaf;
use crate::path::FieldPath;

mod avro;
mod json;

/// The two kinds of schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaKind {
    /// Apache Avro.
    Avro,
    /// JSON Schema.
    Json,
}

/// An immutable schema, shared as `Arc<Schema>`.
pub struct Schema {
    body: Body,
    text: String,
    references: Vec<(String, Arc<Schema>)>,
    id: Option<u32>,
    guid: Option<Uuid>,
    uid: u64,
}

enum Body {
    Avro(avro::AvroSchema),
    Json(json::JsonSchema),
}

impl Schema {
    /// Parses an Avro schema. References are (full name, schema), as the registry resolves them.
    pub fn avro(text: &str, references: &[(String, Arc<Schema>)]) -> Result<Self, SchemaError> {
        Ok(Self::new(
            Body::Avro(avro::AvroSchema::parse(text, references)?),
            text,
            references,
        ))
    }

    /// Parses a JSON Schema (draft-07 unless `$schema` says another). References are (`$ref` URI,
    /// schema). Nothing is ever fetched: a `$ref` that leads elsewhere is an error.
    pub fn json(text: &str, references: &[(String, Arc<Schema>)]) -> Result<Self, SchemaError> {
        Ok(Self::new(
            Body::Json(json::JsonSchema::parse(text, references)?),
            text,
            references,
        ))
    }

    fn new(body: Body, text: &str, references: &[(String, Arc<Schema>)]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            body,
            text: text.to_owned(),
            references: references.to_vec(),
            id: None,
            guid: None,
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The schema with the id and GUID that a registry gave it.
    #[must_use]
    pub fn with_id(mut self, id: u32, guid: Option<Uuid>) -> Self {
        self.id = Some(id);
        self.guid = guid;
        self
    }

    /// Avro or JSON.
    pub fn kind(&self) -> SchemaKind {
        match self.body {
            Body::Avro(_) => SchemaKind::Avro,
            Body::Json(_) => SchemaKind::Json,
        }
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The references it was parsed with.
    pub fn references(&self) -> &[(String, Arc<Schema>)] {
        &self.references
    }

    /// Id in the registry.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// GUID in the registry.
    pub fn guid(&self) -> Option<Uuid> {
        self.guid
    }

    /// A number that no other schema of this process has: the key for caches of what is compiled from
    /// it.
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// Avro full name; JSON `title`, else `$id`.
    pub fn name(&self) -> Option<&str> {
        match &self.body {
            Body::Avro(avro) => avro.name.as_deref(),
            Body::Json(json) => json.name(),
        }
    }

    /// The Avro schema, references inlined.
    pub fn avro_schema(&self) -> Option<&apache_avro::Schema> {
        match &self.body {
            Body::Avro(avro) => Some(&avro.schema),
            Body::Json(_) => None,
        }
    }

    /// Checks a JSON text against this JSON Schema. The error names place and rule, never the value.
    pub fn validate_json(&self, json: &[u8]) -> Result<(), FormatError> {
        match &self.body {
            Body::Json(schema) => schema.validate(json),
            Body::Avro(_) => Err(FormatError::Unsupported(
                "the schema is an Avro schema, not a JSON Schema".to_owned(),
            )),
        }
    }

    pub(crate) fn types(&self) -> Option<&Arc<Types>> {
        match &self.body {
            Body::Avro(avro) => Some(&avro.types),
            Body::Json(_) => None,
        }
    }

    /// What a JSON Schema says of its events' structure; `None` for an Avro schema.
    pub fn json_outline(&self) -> Option<crate::json::Outline> {
        match &self.body {
            Body::Json(json) => json.outline(&self.references),
            Body::Avro(_) => None,
        }
    }

    /// What a JSON Schema declares at the paths. An Avro schema has none.
    pub(crate) fn json_leaves(&self, paths: &[FieldPath]) -> Result<Box<[Leaf]>, PathError> {
        match &self.body {
            Body::Json(json) => json.leaves(paths, &self.references),
            Body::Avro(_) => Ok(Box::default()),
        }
    }
}

/// All references, and theirs, each once; what is referred to comes first.
fn all_references(references: &[(String, Arc<Schema>)]) -> Vec<(&str, &Arc<Schema>)> {
    fn collect<'a>(
        references: &'a [(String, Arc<Schema>)],
        all: &mut Vec<(&'a str, &'a Arc<Schema>)>,
    ) {
        for (name, schema) in references {
            if all
                .iter()
                .any(|(known, other)| known == name && other.text == schema.text)
            {
                continue;
            }
            collect(&schema.references, all);
            all.push((name, schema));
        }
    }
    let mut all = Vec::new();
    collect(references, &mut all);
    all
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema")
            .field("kind", &self.kind())
            .field("name", &self.name())
            .field("id", &self.id)
            .finish()
    }
}
