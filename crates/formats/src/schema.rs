//! A schema as the registry holds it: Avro or JSON Schema, parsed, with its references.

use std::sync::Arc;
use uuid::Uuid;

use crate::error::{FormatError, SchemaError};

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
    kind: SchemaKind,
    text: String,
    id: Option<u32>,
    guid: Option<Uuid>,
    uid: u64,
}

impl Schema {
    /// Parses an Avro schema. References are (full name, schema), as the registry resolves them.
    pub fn avro(text: &str, references: &[(String, Arc<Schema>)]) -> Result<Self, SchemaError> {
        let _ = (text, references);
        unimplemented!()
    }

    /// Parses a JSON Schema. References are (`$ref` URI, schema). Nothing is ever fetched.
    pub fn json(text: &str, references: &[(String, Arc<Schema>)]) -> Result<Self, SchemaError> {
        let _ = (text, references);
        unimplemented!()
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
        self.kind
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Id in the registry.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// GUID in the registry.
    pub fn guid(&self) -> Option<Uuid> {
        self.guid
    }

    /// A number that no other schema of this process has: the key for caches of what is compiled from it.
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// Avro full name; JSON `title`, else `$id`.
    pub fn name(&self) -> Option<&str> {
        unimplemented!()
    }

    /// The Avro schema, references inlined.
    pub fn avro_schema(&self) -> Option<&apache_avro::Schema> {
        unimplemented!()
    }

    /// Checks a JSON text against this JSON Schema. The error names place and rule, never the value.
    pub fn validate_json(&self, json: &[u8]) -> Result<(), FormatError> {
        let _ = json;
        unimplemented!()
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish()
    }
}
