//! One field's value out of Avro and into it.

use std::borrow::Cow;

use uuid::Uuid;

use super::cursor::{Cursor, MAX_DEPTH, write_bytes, write_long};
use super::decimal;
use super::types::{Kind, Logical, NodeId, Types};
use crate::error::FormatError;
use crate::scalar::Scalar;

/// Reads the value at the cursor, unwrapping unions. Records, maps and arrays are errors.
pub(crate) fn read<'a>(
    types: &Types,
    id: NodeId,
    cursor: &mut Cursor<'a>,
) -> Result<Scalar<'a>, FormatError> {
    let node = types.node(id);
    Ok(match (&node.kind, node.logical) {
        (_, Logical::Decimal { scale, .. }) => {
            let bytes = raw(&node.kind, cursor)?;
            text_of_decimal(decimal::to_text(bytes, scale as i64), cursor)?
        }
        (_, Logical::BigDecimal) => {
            let mut inner = Cursor::new(raw(&node.kind, cursor)?, MAX_DEPTH);
            let unscaled = inner.bytes()?;
            let scale = inner.long()?;
            text_of_decimal(decimal::to_text(unscaled, scale), cursor)?
        }
        (Kind::Fixed { .. } | Kind::Bytes, Logical::Uuid) => {
            let uuid = Uuid::from_slice(raw(&node.kind, cursor)?)
                .map_err(|_| cursor.error("a uuid that has not 16 bytes"))?;
            Scalar::Str(Cow::Owned(uuid.to_string()))
        }
        (Kind::Null, _) => Scalar::Null,
        (Kind::Boolean, _) => Scalar::Bool(cursor.boolean()?),
        (Kind::Int, _) => Scalar::Int(cursor.int()?.into()),
        (Kind::Long, _) => Scalar::Int(cursor.long()?),
        (Kind::Float, _) => Scalar::Double(cursor.float()?.into()),
        (Kind::Double, _) => Scalar::Double(cursor.double()?),
        (Kind::String, _) => Scalar::Str(Cow::Borrowed(cursor.string()?)),
        (Kind::Bytes | Kind::Fixed { .. }, _) => {
            Scalar::Bytes(Cow::Borrowed(raw(&node.kind, cursor)?))
        }
        (Kind::Enum { symbols, .. }, _) => {
            let index = cursor.index(symbols.len(), "enum symbol")?;
            Scalar::Str(Cow::Owned(symbols[index].clone()))
        }
        (Kind::Union(branches), _) => {
            let index = cursor.index(branches.len(), "union branch")?;
            read(types, branches[index], cursor)?
        }
        (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => {
            let problem = format!("{} is no single value", types.describe(id));
            return Err(FormatError::Unsupported(problem));
        }
    })
}

/// Moves past the value of a logical type, whose bytes may be of no use to it: a decimal of more digits
/// than it may have, a UUID that is none.
pub(crate) fn check(types: &Types, id: NodeId, cursor: &mut Cursor<'_>) -> Result<(), FormatError> {
    let value = read(types, id, cursor)?;
    match (types.node(id).logical, value.as_str()) {
        (Logical::Uuid, Some(text)) if Uuid::try_parse(text).is_err() => {
            Err(cursor.error("a uuid that is none"))
        }
        (Logical::Decimal { precision, .. }, Some(text)) if decimal::digits(text) > precision => {
            Err(cursor.error(format!("a decimal of more than {precision} digits")))
        }
        _ => Ok(()),
    }
}

fn text_of_decimal<'a>(
    text: Option<String>,
    cursor: &Cursor<'_>,
) -> Result<Scalar<'a>, FormatError> {
    match text {
        Some(text) => Ok(Scalar::Str(Cow::Owned(text))),
        None => Err(cursor.error("a decimal of thousands of digits")),
    }
}

/// The bytes of a `bytes` or `fixed`.
fn raw<'a>(kind: &Kind, cursor: &mut Cursor<'a>) -> Result<&'a [u8], FormatError> {
    match kind {
        Kind::Fixed { size, .. } => cursor.take(*size),
        _ => cursor.bytes(),
    }
}

/// Appends a value of the declared type; `false`, and nothing appended, if the type does not take it.
/// In a union the `current` branch is tried first.
pub(crate) fn write(
    types: &Types,
    id: NodeId,
    current: NodeId,
    value: &Scalar<'_>,
    out: &mut Vec<u8>,
) -> bool {
    let Kind::Union(branches) = types.kind(id) else {
        return write_plain(types, id, value, out);
    };
    let first = branches.iter().position(|branch| *branch == current);
    let start = out.len();
    for index in first.into_iter().chain(0..branches.len()) {
        write_long(index as i64, out);
        if write_plain(types, branches[index], value, out) {
            return true;
        }
        out.truncate(start);
    }
    false
}

fn write_plain(types: &Types, id: NodeId, value: &Scalar<'_>, out: &mut Vec<u8>) -> bool {
    let node = types.node(id);
    match (&node.kind, node.logical, value) {
        (Kind::Null, _, Scalar::Null) => true,
        (Kind::Boolean, _, Scalar::Bool(value)) => {
            out.push((*value).into());
            true
        }
        (Kind::Int, _, Scalar::Int(value)) => match i32::try_from(*value) {
            Ok(value) => {
                write_long(value.into(), out);
                true
            }
            Err(_) => false,
        },
        (Kind::Long, _, Scalar::Int(value)) => {
            write_long(*value, out);
            true
        }
        (Kind::Float, _, Scalar::Int(value)) => write_float(*value as f64, out),
        (Kind::Float, _, Scalar::Double(value)) => write_float(*value, out),
        (Kind::Double, _, Scalar::Int(value)) => {
            out.extend_from_slice(&(*value as f64).to_le_bytes());
            true
        }
        (Kind::Double, _, Scalar::Double(value)) => {
            out.extend_from_slice(&value.to_le_bytes());
            true
        }
        (Kind::Bytes, Logical::None, Scalar::Bytes(bytes)) => {
            write_bytes(bytes, out);
            true
        }
        (Kind::Fixed { size, .. }, Logical::None | Logical::Duration, Scalar::Bytes(bytes)) => {
            let fits = bytes.len() == *size;
            if fits {
                out.extend_from_slice(bytes);
            }
            fits
        }
        (Kind::Enum { symbols, .. }, _, Scalar::Str(text)) => {
            match symbols.iter().position(|symbol| symbol == text) {
                Some(index) => {
                    write_long(index as i64, out);
                    true
                }
                None => false,
            }
        }
        (_, _, Scalar::Str(text)) => write_text(&node.kind, node.logical, text, out),
        _ => false,
    }
}

fn write_float(value: f64, out: &mut Vec<u8>) -> bool {
    let narrow = value as f32;
    let fits = narrow.is_finite() || !value.is_finite();
    if fits {
        out.extend_from_slice(&narrow.to_le_bytes());
    }
    fits
}

/// Appends a text to a type that is written as text in JSON without being base64: strings, UUIDs and
/// decimals. `false`, and nothing appended, if it is none of these or the text is not of its form.
pub(crate) fn write_text(kind: &Kind, logical: Logical, text: &str, out: &mut Vec<u8>) -> bool {
    match (kind, logical) {
        (Kind::String, Logical::Uuid) => {
            let fits = Uuid::try_parse(text).is_ok();
            if fits {
                write_bytes(text.as_bytes(), out);
            }
            fits
        }
        (Kind::String, _) => {
            write_bytes(text.as_bytes(), out);
            true
        }
        (_, Logical::Uuid) => match Uuid::try_parse(text) {
            Ok(uuid) => write_raw(kind, uuid.as_bytes(), out),
            Err(_) => false,
        },
        (Kind::Fixed { size, .. }, Logical::Decimal { precision, scale }) => {
            decimal::to_unscaled(text, precision, scale)
                .and_then(|unscaled| decimal::stretch(&unscaled, *size))
                .is_some_and(|bytes| write_raw(kind, &bytes, out))
        }
        (_, Logical::Decimal { precision, scale }) => decimal::to_unscaled(text, precision, scale)
            .is_some_and(|bytes| write_raw(kind, &bytes, out)),
        (_, Logical::BigDecimal) => match decimal::to_big(text) {
            Some((unscaled, scale)) => {
                let mut inner = Vec::with_capacity(unscaled.len() + 4);
                write_bytes(&unscaled, &mut inner);
                write_long(scale, &mut inner);
                write_raw(kind, &inner, out)
            }
            None => false,
        },
        _ => false,
    }
}

/// Appends the bytes of a `bytes` or `fixed`; `false` if a `fixed` has another size.
pub(crate) fn write_raw(kind: &Kind, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::Fixed { size, .. } if *size == bytes.len() => {
            out.extend_from_slice(bytes);
            true
        }
        Kind::Bytes => {
            write_bytes(bytes, out);
            true
        }
        _ => false,
    }
}
