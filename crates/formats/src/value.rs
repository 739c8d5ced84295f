//! A payload decoded into a tree, for those who need all of it.

use crate::error::FormatError;
use crate::schema::Schema;

/// A decoded value. Avro unions are unwrapped; enums, UUIDs and decimals are text.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A JSON number that neither of the above holds exactly, as it was written.
    Number(String),
    /// Text.
    Str(String),
    /// Bytes (Avro `bytes` and `fixed`).
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// A record, map or JSON object, in order.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Appends the value as a payload of this schema.
    pub fn encode(&self, schema: &Schema, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let _ = (schema, out);
        unimplemented!()
    }

    /// Appends the value as JSON; bytes are base64.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        let _ = out;
        unimplemented!()
    }

    /// Parses JSON text.
    pub fn from_json(json: &[u8]) -> Result<Self, FormatError> {
        let _ = json;
        unimplemented!()
    }

    /// The member of an object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(member, _)| member == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value")
    }
}
