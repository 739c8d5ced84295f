//! One field's value out of JSON and into it, and the types a JSON Schema allows for it.

use super::scan::{RawStr, Scanner};
use super::text;
use crate::error::FormatError;
use crate::found::JsonShape;
use crate::scalar::Scalar;

/// A set of JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonTypes(u8);

impl JsonTypes {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    /// Numbers, integers among them.
    pub(crate) const NUMBER: Self = Self(4 | 8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    pub(crate) const ALL: Self = Self(127);

    pub(crate) fn of_name(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The types in words.
    pub(crate) fn describe(self) -> String {
        if self == Self::NONE {
            return "nothing (no value is valid)".to_owned();
        }
        let mut names = Vec::new();
        for (types, name) in [
            (Self::NULL, "null"),
            (Self::BOOLEAN, "boolean"),
            (Self::NUMBER, "number"),
            (Self::STRING, "string"),
            (Self::ARRAY, "array"),
            (Self::OBJECT, "object"),
        ] {
            if self.includes(types) {
                names.push(name);
            } else if types == Self::NUMBER && self.includes(Self::INTEGER) {
                names.push("integer");
            }
        }
        names.join(" or ")
    }
}

/// Reads a slot's value. Objects are errors.
pub(crate) fn read<'a>(
    shape: JsonShape,
    value: &'a [u8],
    offset: usize,
) -> Result<Scalar<'a>, FormatError> {
    Ok(match shape {
        JsonShape::Null | JsonShape::Absent => Scalar::Null,
        JsonShape::Bool => Scalar::Bool(value == b"true"),
        JsonShape::Number => {
            let number = std::str::from_utf8(value).ok();
            match number.and_then(|number| number.parse::<i64>().ok()) {
                Some(integer) => Scalar::Int(integer),
                None => match number.and_then(|number| number.parse::<f64>().ok()) {
                    Some(double) if double.is_finite() => Scalar::Double(double),
                    _ => return Err(FormatError::json(offset, "a number out of range")),
                },
            }
        }
        JsonShape::Str => {
            let inside = value
                .get(1..value.len().saturating_sub(1))
                .unwrap_or_default();
            let raw = RawStr {
                inside,
                escaped: memchr::memchr(b'\\', inside).is_some(),
            };
            match text::unescape(raw) {
                Some(text) => Scalar::Str(text),
                None => {
                    return Err(FormatError::json(
                        offset,
                        "a string that is not UTF-8 or has a malformed escape",
                    ));
                }
            }
        }
        JsonShape::Object => {
            return Err(FormatError::Unsupported(
                "an object is no single value".to_owned(),
            ));
        }
    })
}

/// The JSON literal of a scalar, and its type; `None` for numbers that JSON does not have.
pub(crate) fn literal(value: &Scalar<'_>, out: &mut Vec<u8>) -> Option<JsonTypes> {
    Some(match value {
        Scalar::Null => {
            out.extend_from_slice(b"null");
            JsonTypes::NULL
        }
        Scalar::Bool(value) => {
            text::write_bool(*value, out);
            JsonTypes::BOOLEAN
        }
        Scalar::Int(value) => {
            text::write_int(*value, out);
            JsonTypes::INTEGER
        }
        Scalar::Double(value) if !value.is_finite() => return None,
        Scalar::Double(value) => {
            text::write_double(*value, out);
            if value.fract() == 0.0 {
                JsonTypes::INTEGER
            } else {
                JsonTypes::NUMBER
            }
        }
        Scalar::Str(value) => {
            text::write_string(value, out);
            JsonTypes::STRING
        }
        Scalar::Bytes(value) => {
            text::write_base64(value, out);
            JsonTypes::STRING
        }
    })
}

/// The type of a well-formed JSON literal without space around it.
pub(crate) fn type_of(literal: &[u8]) -> JsonTypes {
    match literal.first() {
        Some(b'n') => JsonTypes::NULL,
        Some(b't' | b'f') => JsonTypes::BOOLEAN,
        Some(b'"') => JsonTypes::STRING,
        Some(b'[') => JsonTypes::ARRAY,
        Some(b'{') => JsonTypes::OBJECT,
        _ => {
            let number = std::str::from_utf8(literal)
                .ok()
                .and_then(|n| n.parse::<f64>().ok());
            match number {
                Some(number) if number.fract() != 0.0 => JsonTypes::NUMBER,
                _ => JsonTypes::INTEGER,
            }
        }
    }
}

/// The value within a literal that may have space around it.
pub(crate) fn trim(literal: &[u8]) -> &[u8] {
    let mut scanner = Scanner::new(literal);
    scanner.skip_space();
    literal[scanner.pos()..].trim_ascii_end()
}
