//! Where the wanted fields lie in one payload, and what may be done with them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::avro::cursor::{Cursor, MAX_DEPTH};
use crate::avro::encode::Encoder;
use crate::avro::types::{NodeId, Types};
use crate::avro::{scalar as avro_scalar, to_json};
use crate::edit::{EditKind, Edits};
use crate::error::{EditError, FormatError};
use crate::fields::{Fields, Limits};
use crate::input::JsonText;
use crate::json::{check, scalar as json_scalar, text};
use crate::scalar::Scalar;

/// The fields found in one payload. Reused from payload to payload to save allocations.
#[derive(Debug, Default)]
pub struct Found {
    pub(crate) slots: Vec<Slot>,
    /// Sized Avro blocks on the way to the slots; outer ones come before inner ones.
    pub(crate) blocks: Vec<SizedBlock>,
    /// Length of the payload that was walked.
    pub(crate) length: usize,
    /// The fields that it was walked for.
    by: u64,
}

/// An Avro array or map block that says how many bytes it has.
#[derive(Debug)]
pub(crate) struct SizedBlock {
    /// Index + 1 of the sized block around it; 0 for none.
    pub(crate) around: u32,
    /// Where its size stands.
    pub(crate) size_at: Range<usize>,
    pub(crate) size: usize,
}

impl Found {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// All fields found, in the order of the payload.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The occurrences of the path with this index.
    pub fn at(&self, path: usize) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.path() == path)
    }

    /// The first occurrence of the path with this index.
    pub fn first(&self, path: usize) -> Option<&Slot> {
        self.at(path).next()
    }

    /// Whether these fields found it.
    pub fn is_by(&self, fields: &Fields) -> bool {
        self.by == fields.uid
    }

    pub(crate) fn reset(&mut self, by: u64, payload: &[u8]) -> Result<(), FormatError> {
        self.by = by;
        self.slots.clear();
        self.blocks.clear();
        self.length = payload.len();
        match u32::try_from(payload.len()) {
            Ok(_) => Ok(()),
            Err(_) => Err(FormatError::Unsupported(
                "the payload has 4 GiB or more".to_owned(),
            )),
        }
    }
}

/// One occurrence of a field in a payload. Of an Avro union it covers the branch index as well.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(crate) path: u32,
    pub(crate) start: u32,
    /// Avro: where the value of a union's branch begins. JSON: where the member's name begins.
    pub(crate) value: u32,
    pub(crate) end: u32,
    /// Index + 1 of the innermost sized block around it; 0 for none.
    pub(crate) block: u32,
    pub(crate) form: Form,
}

#[derive(Clone, Debug)]
pub(crate) enum Form {
    Avro(AvroForm),
    Json(JsonShape),
}

#[derive(Clone, Debug)]
pub(crate) struct AvroForm {
    /// The declared type: the union where there is one.
    pub(crate) declared: NodeId,
    /// The type that is there: the union's branch.
    pub(crate) actual: NodeId,
    pub(crate) shape: AvroShape,
    /// With [`AvroShape::Other`] only.
    pub(crate) types: Option<Arc<Types>>,
}

/// How to read a value without its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AvroShape {
    Null,
    Boolean,
    Integer,
    Float,
    Double,
    String,
    Bytes,
    /// Not without it.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonShape {
    Null,
    Bool,
    Number,
    Str,
    Object,
    Absent,
}

impl Slot {
    /// Index of the path it was found by.
    pub fn path(&self) -> usize {
        self.path as usize
    }

    /// The bytes it takes up in the payload; empty for an absent field.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Null stands there.
    pub fn is_null(&self) -> bool {
        match &self.form {
            Form::Avro(avro) => avro.shape == AvroShape::Null,
            Form::Json(shape) => *shape == JsonShape::Null,
        }
    }

    /// JSON only: the object is there, the field is not. [`Slot::replace`] puts it in.
    pub fn is_absent(&self) -> bool {
        matches!(self.form, Form::Json(JsonShape::Absent))
    }

    fn stale(&self) -> FormatError {
        FormatError::Unsupported("the slot was found in another payload".to_owned())
    }

    /// The value, which must be a scalar. `payload` is what it was found in. An absent field is null.
    pub fn scalar<'a>(&self, payload: &'a [u8]) -> Result<Scalar<'a>, FormatError> {
        let start = self.start as usize;
        match &self.form {
            Form::Json(shape) => {
                let value = payload.get(self.range()).ok_or_else(|| self.stale())?;
                json_scalar::read(*shape, value, start)
            }
            Form::Avro(avro) => {
                let value = payload
                    .get(self.value as usize..self.end as usize)
                    .ok_or_else(|| self.stale())?;
                let mut cursor = Cursor::new(value, MAX_DEPTH);
                let scalar = match avro.shape {
                    AvroShape::Null => Ok(Scalar::Null),
                    AvroShape::Boolean => cursor.boolean().map(Scalar::Bool),
                    AvroShape::Integer => cursor.long().map(Scalar::Int),
                    AvroShape::Float => cursor.float().map(|value| Scalar::Double(value.into())),
                    AvroShape::Double => cursor.double().map(Scalar::Double),
                    AvroShape::String => cursor.string().map(|s| Scalar::Str(Cow::Borrowed(s))),
                    AvroShape::Bytes => cursor.bytes().map(|b| Scalar::Bytes(Cow::Borrowed(b))),
                    AvroShape::Other => match &avro.types {
                        Some(types) => avro_scalar::read(types, avro.actual, &mut cursor),
                        None => Err(self.stale()),
                    },
                };
                scalar.map_err(|error| moved(error, self.value as usize))
            }
        }
    }

    /// Whether this very text stands there, without escapes: a comparison of bytes, for those who mostly
    /// expect that.
    pub fn is_plainly(&self, payload: &[u8], text: &str) -> bool {
        let value = payload.get(self.value as usize..self.end as usize);
        match (&self.form, value) {
            (Form::Avro(avro), Some(value)) if avro.shape == AvroShape::String => {
                Cursor::new(value, MAX_DEPTH).bytes() == Ok(text.as_bytes())
            }
            (Form::Json(JsonShape::Str), _) => match payload.get(self.range()) {
                Some([b'"', value @ .., b'"']) => {
                    value == text.as_bytes() && memchr::memchr(b'\\', value).is_none()
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// The value as plain JSON text, whatever its type; `null` for an absent field.
    pub fn json<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, FormatError> {
        match &self.form {
            Form::Json(JsonShape::Absent) => Ok(Cow::Borrowed(b"null")),
            Form::Json(_) => payload
                .get(self.range())
                .map(Cow::Borrowed)
                .ok_or_else(|| self.stale()),
            Form::Avro(avro) => {
                let value = self.value as usize;
                let mut out = Vec::new();
                if let (AvroShape::Float, Some(bytes)) = (
                    avro.shape,
                    payload
                        .get(value..self.end as usize)
                        .and_then(|v| v.try_into().ok()),
                ) {
                    text::write_float(f32::from_le_bytes(bytes), &mut out);
                } else if let Some(types) = &avro.types {
                    let bytes = payload
                        .get(value..self.end as usize)
                        .ok_or_else(|| self.stale())?;
                    to_json::to_json(types, avro.actual, bytes, &mut out)
                        .map_err(|error| moved(error, value))?;
                } else {
                    to_json::write_scalar(&self.scalar(payload)?, &mut out);
                }
                Ok(Cow::Owned(out))
            }
        }
    }

    /// Adds an edit with what `write` appends; nothing is added if that fails.
    fn add(
        &self,
        edits: &mut Edits<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        let kind = if self.is_absent() {
            EditKind::Insert
        } else {
            EditKind::Replace
        };
        edits.add(self.range(), kind, self.block, write)
    }

    /// What stands before a JSON literal in an edit: nothing, or its name if the field is absent.
    fn write_json_name(&self, fields: &Fields, out: &mut Vec<u8>) {
        if self.is_absent() {
            if let Some(path) = fields.paths().get(self.path()) {
                text::write_string(path.name(), out);
            }
            out.push(b':');
        }
    }

    /// Puts a value in its place, if the declared type takes it; picks the union's branch.
    ///
    /// In JSON, bytes become a base64 string. Rules of a JSON Schema beyond the type (length, pattern)
    /// are not looked at: see [`FieldType::takes_any_text`](crate::FieldType).
    pub fn replace(
        &self,
        fields: &Fields,
        value: &Scalar<'_>,
        edits: &mut Edits<'_>,
    ) -> Result<(), EditError> {
        let refuse = |expected: String| {
            Err(EditError::Type {
                path: fields.path_name(self.path()),
                expected,
                given: value.kind(),
            })
        };
        match &self.form {
            Form::Avro(avro) => {
                let types = fields.types().ok_or(EditError::Stale)?;
                self.add(edits, |out| {
                    if avro_scalar::write(types, avro.declared, avro.actual, value, out) {
                        Ok(())
                    } else {
                        refuse(types.describe(avro.declared))
                    }
                })
            }
            Form::Json(_) => {
                let declared = fields.json_types(self.path());
                self.add(edits, |out| {
                    self.write_json_name(fields, out);
                    match json_scalar::literal(value, out) {
                        Some(given) if declared.includes(given) => Ok(()),
                        _ => refuse(declared.describe()),
                    }
                })
            }
        }
    }

    /// Puts a plain JSON literal of any type in its place, if the declared type takes it.
    pub fn replace_json(
        &self,
        fields: &Fields,
        literal: &[u8],
        edits: &mut Edits<'_>,
    ) -> Result<(), EditError> {
        let refuse = |error: FormatError| EditError::Literal {
            path: fields.path_name(self.path()),
            problem: match error {
                FormatError::Mismatch { problem, .. } => problem,
                other => other.to_string(),
            },
        };
        check::check(literal, &Limits::default()).map_err(refuse)?;
        let literal = json_scalar::trim(literal);
        match &self.form {
            Form::Avro(avro) => {
                let types = fields.types().ok_or(EditError::Stale)?;
                self.add(edits, |out| {
                    Encoder::new(types)
                        .value(avro.declared, JsonText::new(literal), out)
                        .map_err(refuse)
                })
            }
            Form::Json(_) => {
                let declared = fields.json_types(self.path());
                if declared.includes(json_scalar::type_of(literal)) {
                    self.add(edits, |out| {
                        self.write_json_name(fields, out);
                        out.extend_from_slice(literal);
                        Ok(())
                    })
                } else {
                    Err(EditError::Literal {
                        path: fields.path_name(self.path()),
                        problem: format!("expected {}", declared.describe()),
                    })
                }
            }
        }
    }

    /// Puts null in its place, if the schema allows it.
    pub fn null(&self, fields: &Fields, edits: &mut Edits<'_>) -> Result<(), EditError> {
        self.replace(fields, &Scalar::Null, edits)
    }

    /// Takes the member or array element out. JSON only, and not what the schema requires. What is
    /// absent stays so.
    pub fn remove(&self, fields: &Fields, edits: &mut Edits<'_>) -> Result<(), EditError> {
        let refuse = |reason| {
            Err(EditError::NotRemovable {
                path: fields.path_name(self.path()),
                reason,
            })
        };
        match &self.form {
            Form::Avro(_) => refuse("every event of an Avro schema has all its fields"),
            Form::Json(_) if fields.json_required(self.path()) && self.value != self.start => {
                refuse("the schema requires it")
            }
            Form::Json(JsonShape::Absent) => Ok(()),
            Form::Json(_) => {
                let range = self.value as usize..self.end as usize;
                edits.add(range, EditKind::Remove, 0, |_| Ok(()))
            }
        }
    }
}

/// The error with its offset counted from the beginning of the payload.
fn moved(error: FormatError, by: usize) -> FormatError {
    match error {
        FormatError::Malformed {
            format,
            offset,
            problem,
        } => FormatError::Malformed {
            format,
            offset: offset + by,
            problem,
        },
        other => other,
    }
}
