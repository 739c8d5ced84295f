//! JSON payloads: walking and editing them, and checking events against JSON Schemas.
//!
//! Who lays events out in another shape (columns, say) takes the schema's [`Outline`] once and then
//! looks at each event as [`JsonText`].

pub(crate) mod check;
pub(crate) mod find;
mod grammar;
mod outline;
pub(crate) mod scalar;
pub(crate) mod scan;
pub(crate) mod shape;
pub(crate) mod splice;
pub(crate) mod text;
pub(crate) mod word;

pub use grammar::check_grammar;
pub use outline::{Kind, Outline, Property};

pub use crate::input::{Elements, Input, JsonText, Members, Number, View};

use crate::error::FormatError;
use crate::fields::Limits;
use crate::schema::Schema;

/// Appends a JSON event as a payload of the schema, byte for byte, once it is well-formed (no name
/// twice in an object, nesting within [`Limits`]' default) and valid against the schema.
pub fn from_json(schema: &Schema, json: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    check::check(json, &Limits::default())?;
    schema.validate_json(json)?;
    out.extend_from_slice(json);
    Ok(())
}
