//! A payload: wire bytes without their frame, their encoding, and edits not yet written.

use std::sync::Arc;

use bytes::Bytes;

use crate::edit::Edit;
use crate::error::{EditError, FormatError};
use crate::fields::{Fields, Limits};
use crate::found::Found;
use crate::schema::Schema;
use crate::value::Value;

/// How a payload's bytes are to be read.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// Avro or JSON of a registered schema.
    Registered(Arc<Schema>),
    /// JSON without a schema.
    Json,
    /// UTF-8 text.
    Text,
    /// Anything.
    Bytes,
}

/// Key or value of a record: wire bytes (without frame), their encoding, and pending edits.
#[derive(Clone)]
pub struct Payload {
    bytes: Bytes,
    encoding: Encoding,
    edits: Vec<Edit>,
}

impl Payload {
    /// A payload of these bytes.
    pub fn new(bytes: impl Into<Bytes>, encoding: Encoding) -> Self {
        Self {
            bytes: bytes.into(),
            encoding,
            edits: Vec::new(),
        }
    }

    /// The bytes, without pending edits.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How the bytes are to be read.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The registered schema, if it has one.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        match &self.encoding {
            Encoding::Registered(schema) => Some(schema),
            _ => None,
        }
    }

    /// The same bytes and edits under another schema (one derived from it).
    #[must_use]
    pub fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        self.encoding = Encoding::Registered(schema);
        self
    }

    /// Writes pending edits into the bytes, then finds fields in them.
    pub fn find(&mut self, fields: &Fields, found: &mut Found) -> Result<(), FormatError> {
        self.flatten();
        fields.find(&self.bytes, found)
    }

    /// As [`Payload::find`], checking the whole payload.
    pub fn find_checked(
        &mut self,
        fields: &Fields,
        found: &mut Found,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        self.flatten();
        fields.find_checked(&self.bytes, found, limits)
    }

    /// Takes edits of slots that were found in the bytes as they are: sorts them and adds the size
    /// edits of the sized Avro blocks around them. Once per walk: flatten and find again for more.
    pub fn edit(&mut self, found: &Found, edits: Vec<Edit>) -> Result<(), EditError> {
        let _ = (found, edits);
        unimplemented!()
    }

    /// There are edits that the bytes do not show yet.
    pub fn is_edited(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Writes pending edits into the bytes.
    pub fn flatten(&mut self) {
        unimplemented!()
    }

    /// Length in bytes with pending edits.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Appends the bytes with pending edits.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = out;
        unimplemented!()
    }

    /// Appends the payload, pending edits included, as one line of plain JSON.
    pub fn to_json(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let _ = out;
        unimplemented!()
    }

    /// The payload, pending edits included, as a tree.
    pub fn decode(&self) -> Result<Value, FormatError> {
        unimplemented!()
    }
}

/// Shows encoding and length, never the bytes.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("encoding", &self.encoding)
            .field("bytes", &self.bytes.len())
            .field("edits", &self.edits)
            .finish()
    }
}
