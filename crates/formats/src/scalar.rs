//! One field's value, borrowed from the payload where it can be.

use std::borrow::Cow;

/// A scalar value. Avro enums, UUIDs and decimals are text; dates and times are integers in the
/// unit of their logical type.
#[derive(Clone, PartialEq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number, or a JSON number that is no 64-bit integer.
    Double(f64),
    /// Text.
    Str(Cow<'a, str>),
    /// Bytes (Avro `bytes` and `fixed`).
    Bytes(Cow<'a, [u8]>),
}

impl Scalar<'_> {
    /// The kind in words: `null`, `a boolean`, `an integer`, `a number`, `a string`, `bytes`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Double(_) => "a number",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Scalar<'static> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(value),
            Self::Int(value) => Scalar::Int(value),
            Self::Double(value) => Scalar::Double(value),
            Self::Str(value) => Scalar::Str(Cow::Owned(value.into_owned())),
            Self::Bytes(value) => Scalar::Bytes(Cow::Owned(value.into_owned())),
        }
    }
}

/// Shows the kind only: a scalar may be personal.
impl std::fmt::Debug for Scalar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scalar({})", self.kind())
    }
}
