//! A set of field paths, compiled for one schema.

use crate::error::{FormatError, PathError};
use crate::found::Found;
use crate::path::FieldPath;
use crate::schema::Schema;

/// What the schema declares at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    /// Null may stand there.
    pub nullable: bool,
    /// The path runs through an array: there may be any number of values.
    pub list: bool,
    /// The kind of its non-null values.
    pub scalar: ScalarKind,
    /// Any base64 text may stand there: plain text without a rule on length, form or choice.
    pub takes_any_text: bool,
}

/// Kind of a field's non-null values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// Text, Avro enums and UUIDs included.
    String,
    /// Avro `bytes` and `fixed`.
    Bytes,
    /// Whole numbers, dates and times included.
    Integer,
    /// Numbers, decimals included.
    Number,
    /// Booleans.
    Boolean,
    /// Records, maps and JSON objects.
    Object,
    /// Several of these, or the schema does not say.
    Any,
}

/// Bounds for payloads from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values within values, the event itself being the first.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 100 }
    }
}

/// Paths compiled for one schema: finds their values in payloads written with it.
pub struct Fields {
    paths: Box<[FieldPath]>,
}

impl Fields {
    /// Compiles the paths for a schema. Names of Avro map keys and of JSON Schema's additional
    /// properties are accepted as they are; everything else must be declared.
    pub fn compile(schema: &Schema, paths: &[FieldPath]) -> Result<Self, PathError> {
        let _ = (schema, paths);
        unimplemented!()
    }

    /// Compiles the paths for JSON without a schema.
    pub fn schemaless_json(paths: &[FieldPath]) -> Self {
        let _ = paths;
        unimplemented!()
    }

    /// The paths, in the order given; a slot's `path()` is an index into them.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// What the schema declares at the path with this index.
    pub fn field_type(&self, path: usize) -> FieldType {
        let _ = path;
        unimplemented!()
    }

    /// Finds the fields and stops after the last one wanted (Avro) or at the end of the event (JSON,
    /// where a name may come again).
    pub fn find(&self, payload: &[u8], found: &mut Found) -> Result<(), FormatError> {
        let _ = (payload, found);
        unimplemented!()
    }

    /// Finds the fields and checks the whole payload: well-formed to the last byte, UTF-8, no name
    /// twice in a JSON object, nesting within `limits`.
    pub fn find_checked(
        &self,
        payload: &[u8],
        found: &mut Found,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        let _ = (payload, found, limits);
        unimplemented!()
    }
}
