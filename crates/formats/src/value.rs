//! A payload decoded into a tree, for those who need all of it.

use crate::avro::encode::Encoder;
use crate::error::FormatError;
use crate::fields::Limits;
use crate::input::{Input, JsonText, Number, View};
use crate::json::{check, text};
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

/// Digits that every double holds exactly.
const EXACT_DIGITS: usize = 15;

impl Value {
    /// Appends the value as a payload of this schema. Fields that an Avro record misses get their
    /// default; JSON must be valid against its schema. On an error `out` is as it was.
    pub fn encode(&self, schema: &Schema, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let start = out.len();
        match schema.types() {
            Some(types) => Encoder::new(types).value(types.root(), self, out),
            None => {
                self.to_json(out);
                schema.validate_json(&out[start..])
            }
        }
        .inspect_err(|_| out.truncate(start))
    }

    /// Appends the value as JSON; bytes are base64.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => text::write_bool(*value, out),
            Self::Int(value) => text::write_int(*value, out),
            Self::Double(value) => text::write_double(*value, out),
            Self::Number(number) => out.extend_from_slice(number.as_bytes()),
            Self::Str(value) => text::write_string(value, out),
            Self::Bytes(value) => text::write_base64(value, out),
            Self::Array(items) => {
                out.push(b'[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    item.to_json(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (position, (name, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    text::write_string(name, out);
                    out.push(b':');
                    value.to_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Parses JSON text. Names that come twice and nesting beyond [`Limits`]' default are errors.
    pub fn from_json(json: &[u8]) -> Result<Self, FormatError> {
        check::check(json, &Limits::default())?;
        Ok(Self::from_input(JsonText::new(json)))
    }

    fn from_input<'a, I: Input<'a>>(input: I) -> Self {
        match input.view() {
            View::Null => Self::Null,
            View::Bool(value) => Self::Bool(value),
            View::Number(number) => Self::from_number(number),
            View::Str(text) => Self::Str(text.into_owned()),
            View::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            View::Array(items) => Self::Array(items.map(Self::from_input).collect()),
            View::Object(members) => Self::Object(
                members
                    .map(|(name, value)| (name.into_owned(), Self::from_input(value)))
                    .collect(),
            ),
        }
    }

    fn from_number(number: Number<'_>) -> Self {
        if let Some(integer) = number.as_i64() {
            return Self::Int(integer);
        }
        let written = number.text();
        let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        let double = number.as_f64();
        let mut printed = Vec::new();
        text::write_double(double, &mut printed);
        let exact = digits <= EXACT_DIGITS || printed == written.as_bytes();
        if exact && double.is_finite() && !number.is_integer() {
            Self::Double(double)
        } else {
            Self::Number(written.into_owned())
        }
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

    /// The kind in words: `null`, `a boolean`, `an integer`, `a number`, `a string`, `bytes`, `an array`,
    /// `an object`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Double(_) | Self::Number(_) => "a number",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Shows the kind only: a value may be personal.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({})", self.kind())
    }
}
