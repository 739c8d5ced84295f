//! What an encoder reads from: checked JSON text or a decoded tree, seen alike.

use std::borrow::Cow;

use crate::json::scan::Scanner;
use crate::json::text;
use crate::value::Value;

/// A value to be encoded. Cheap to copy; looking at it twice gives the same.
pub(crate) trait Input<'a>: Copy {
    /// Elements of an array.
    type Items: Iterator<Item = Self>;
    /// Members of an object.
    type Members: Iterator<Item = (Cow<'a, str>, Self)>;

    fn view(self) -> View<'a, Self>;
}

/// One level of an [`Input`].
pub(crate) enum View<'a, I: Input<'a>> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Str(Cow<'a, str>),
    Bytes(&'a [u8]),
    Array(I::Items),
    Object(I::Members),
}

/// A number as exactly as it was given.
#[derive(Clone, Copy)]
pub(crate) enum Number<'a> {
    Int(i64),
    Double(f64),
    /// As written in JSON.
    Text(&'a str),
}

impl<'a> Number<'a> {
    /// The number if it is a 64-bit integer. `1.0` and `1e3` are not written as integers.
    pub(crate) fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Double(_) => None,
            Self::Text(text) => text.parse().ok(),
        }
    }

    /// Written as an integer, of whatever size.
    pub(crate) fn is_integer(self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Double(_) => false,
            Self::Text(text) => !text.contains(['.', 'e', 'E']),
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    pub(crate) fn as_f32(self) -> f32 {
        match self {
            Self::Int(value) => value as f32,
            Self::Double(value) => value as f32,
            Self::Text(text) => text.parse().unwrap_or(f32::NAN),
        }
    }

    /// Its digits.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self {
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// JSON text that [`check`](crate::json::check) has passed.
#[derive(Clone, Copy)]
pub(crate) struct JsonText<'a> {
    json: &'a [u8],
}

impl<'a> JsonText<'a> {
    pub(crate) fn new(json: &'a [u8]) -> Self {
        Self { json }
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
pub(crate) struct Elements<'a>(Scanner<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = JsonText<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_item(b']')?;
        self.0.skip_value().ok().map(JsonText::new)
    }
}

/// Members of a JSON object.
pub(crate) struct Members<'a>(Scanner<'a>);

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
