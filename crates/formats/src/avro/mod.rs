//! Avro payloads: walking and editing them, JSON to Avro and back.
//!
//! Who lays payloads out in another shape (columns, say) takes the schema's [`Outline`] once and then
//! walks each payload with a [`Cursor`].
//!
//! Plain JSON for Avro: unions are unwrapped, enums and UUIDs are strings, `bytes` and `fixed` are
//! base64 (standard alphabet, padded), decimals are strings (`"12.50"`), dates and times are integers in
//! their own unit, floats that are no number are `"NaN"`, `"Infinity"` and `"-Infinity"`.

pub(crate) mod cursor;
pub(crate) mod decimal;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod find;
mod outline;
pub(crate) mod program;
pub(crate) mod scalar;
mod skip;
pub(crate) mod to_json;
pub(crate) mod types;

pub use cursor::{Cursor, MAX_DEPTH, blocks};
pub use outline::{Outline, OutlineError, Time, TimeUnit};

use crate::error::FormatError;
use crate::fields::Limits;
use crate::input::JsonText;
use crate::json::check;
use crate::schema::Schema;

/// Appends a plain JSON event as an Avro payload of the schema.
///
/// Fields that are missing get their default. A nullable union takes the bare value, and also Avro's
/// tagged form (`{"string": "x"}`). Unknown fields, names that come twice, numbers out of range and
/// nesting beyond [`Limits`]' default are errors that name the field, never its value. On an error
/// `out` is as it was.
pub fn from_json(schema: &Schema, json: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let types = schema.types().ok_or_else(|| {
        FormatError::Unsupported("the schema is a JSON Schema, not an Avro schema".to_owned())
    })?;
    check::check(json, &Limits::default())?;
    let start = out.len();
    let mut encoder = encode::Encoder::new(types);
    encoder
        .value(types.root(), JsonText::new(json), out)
        .inspect_err(|_| out.truncate(start))
}
