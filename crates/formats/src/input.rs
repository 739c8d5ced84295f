//! What an encoder reads from: checked JSON text or a decoded tree, seen alike.

use std::borrow::Cow;

use crate::error::FormatError;
use crate::fields::Limits;
use crate::json::check;
use crate::json::scan::Scanner;
use crate::json::text;
use crate::value::Value;

/// A value to be encoded. Cheap to copy; looking at it twice gives the same.
pub trait Input<'a>: Copy {
    /// Elements of an array.
    type Items: Iterator<Item = Self>;
    /// Members of an object.
    type Members: Iterator<Item = (Cow<'a, str>, Self)>;

    /// Looks at its outermost level.
    fn view(self) -> View<'a, Self>;
}

/// One level of an [`Input`].
pub enum View<'a, I: Input<'a>> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// Text.
    Str(Cow<'a, str>),
    /// Bytes, of a decoded tree.
    Bytes(&'a [u8]),
    /// The elements of an array.
    Array(I::Items),
    /// The members of an object, in order.
    Object(I::Members),
}

/// A number as exactly as it was given.
#[derive(Clone, Copy)]
pub enum Number<'a> {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// As written in JSON.
    Text(&'a str),
}

impl<'a> Number<'a> {
    /// The number if it is a 64-bit integer. `1.0` and `1e3` are not written as integers.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Double(_) => None,
            Self::Text(text) => text.parse().ok(),
        }
    }

    /// Written as an integer, of whatever size.
    pub fn is_integer(self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Double(_) => false,
            Self::Text(text) => !text.contains(['.', 'e', 'E']),
        }
    }

    /// The nearest double; infinite beyond the largest.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The nearest float; infinite beyond the largest.
    pub fn as_f32(self) -> f32 {
        match self {
            Self::Int(value) => value as f32,
            Self::Double(value) => value as f32,
            Self::Text(text) => text.parse().unwrap_or(f32::NAN),
        }
    }

    /// Its digits.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// JSON text that is well-formed.
#[derive(Clone, Copy)]
pub struct JsonText<'a> {
    json: &'a [u8],
}

impl<'a> JsonText<'a> {
    /// Text that [`check`](crate::json::check) has passed.
    pub(crate) fn new(json: &'a [u8]) -> Self {
        Self { json }
    }

    /// Checks a whole text: well-formed, UTF-8, no name twice in an object, nesting within `limits`.
    pub fn checked(json: &'a [u8], limits: &Limits) -> Result<Self, FormatError> {
        check::check(json, limits)?;
        Ok(Self { json })
    }

    /// The text itself.
    pub fn text(self) -> &'a [u8] {
        self.json
    }
}

impl<'a> Input<'a> for JsonText<'a> {
    type Items = Elements<'a>;
    type Members = Members<'a>;

    fn view(self) -> View<'a, Self> {
        let mut scanner = Scanner::new(self.json);
        scanner.skip_space();
        let start = scanner.pos();
        match scanner.peek() {
            Some(b'{') => {
                scanner.advance();
                View::Object(Members(scanner))
            }
            Some(b'[') => {
                scanner.advance();
                View::Array(Elements(scanner))
            }
            Some(b'"') => match scanner.string() {
                Ok(string) => View::Str(text::unescaped(string)),
                Err(_) => View::Null,
            },
            Some(b't') => View::Bool(true),
            Some(b'f') => View::Bool(false),
            Some(b'-' | b'0'..=b'9') => {
                let number = scanner
                    .skip_scalar()
                    .ok()
                    .map(|()| &self.json[start..scanner.pos()]);
                let text = number.and_then(|number| std::str::from_utf8(number).ok());
                View::Number(Number::Text(text.unwrap_or_default()))
            }
            _ => View::Null,
        }
    }
}

/// Elements of a JSON array.
pub struct Elements<'a>(Scanner<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = JsonText<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_item(b']')?;
        self.0.skip_value().ok().map(JsonText::new)
    }
}

/// Members of a JSON object.
pub struct Members<'a>(Scanner<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, JsonText<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_item(b'}')?;
        let name = text::unescaped(self.0.string().ok()?);
        self.0.colon().ok()?;
        Some((name, JsonText::new(self.0.skip_value().ok()?)))
    }
}

impl<'a> Input<'a> for &'a Value {
    type Items = std::slice::Iter<'a, Value>;
    type Members = std::iter::Map<
        std::slice::Iter<'a, (String, Value)>,
        fn(&'a (String, Value)) -> (Cow<'a, str>, &'a Value),
    >;

    fn view(self) -> View<'a, Self> {
        match self {
            Value::Null => View::Null,
            Value::Bool(value) => View::Bool(*value),
            Value::Int(value) => View::Number(Number::Int(*value)),
            Value::Double(value) => View::Number(Number::Double(*value)),
            Value::Number(text) => View::Number(Number::Text(text)),
            Value::Str(text) => View::Str(Cow::Borrowed(text)),
            Value::Bytes(bytes) => View::Bytes(bytes),
            Value::Array(items) => View::Array(items.iter()),
            Value::Object(members) => {
                let borrowed: fn(&'a (String, Value)) -> _ =
                    |(name, value)| (Cow::Borrowed(name.as_str()), value);
                View::Object(members.iter().map(borrowed))
            }
        }
    }
}
