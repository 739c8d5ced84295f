//! JSON payloads: walking and editing.

use crate::error::FormatError;
use crate::schema::Schema;

/// Checks a plain JSON event against the schema and appends it as a JSON payload.
pub fn from_json(schema: &Schema, json: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let _ = (schema, json, out);
    unimplemented!()
}
