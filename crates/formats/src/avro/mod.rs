//! Avro payloads: walking, editing, to JSON and from it.

use crate::error::FormatError;
use crate::schema::Schema;

/// Appends a plain JSON event as an Avro payload of the schema.
pub fn from_json(schema: &Schema, json: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let _ = (schema, json, out);
    unimplemented!()
}
