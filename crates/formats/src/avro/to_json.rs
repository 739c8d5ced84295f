//! Avro payloads as plain JSON.

use super::cursor::{Cursor, MAX_DEPTH, blocks};
use super::scalar;
use super::types::{Kind, NodeId, Record, Types};
use crate::error::FormatError;
use crate::json::text;
use crate::scalar::Scalar;

/// Appends the value that the bytes hold.
pub(crate) fn to_json(
    types: &Types,
    id: NodeId,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let mut cursor = Cursor::new(bytes, MAX_DEPTH);
    value(types, id, &mut cursor, out)?;
    cursor.end()
}

fn value(
    types: &Types,
    id: NodeId,
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let mut id = id;
    // A union's value is that of its branch.
    while let Kind::Union(branches) = types.kind(id) {
        id = branches[cursor.index(branches.len(), "union branch")?];
    }
    match types.kind(id) {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Int => text::write_int(cursor.int()?.into(), out),
        Kind::Long => text::write_int(cursor.long()?, out),
        Kind::String => text::write_string(cursor.string()?, out),
        Kind::Float => text::write_float(cursor.float()?, out),
        Kind::Enum { symbols, .. } => {
            let index = cursor.index(symbols.len(), "enum symbol")?;
            text::write_string(&symbols[index], out);
        }
        Kind::Record(fields) => record(types, fields, cursor, out)?,
        Kind::Array(item) => {
            out.push(b'[');
            blocks(cursor, types.node(*item).min_size, |position, cursor| {
                if position > 0 {
                    out.push(b',');
                }
                value(types, *item, cursor, out)
            })?;
            out.push(b']');
        }
        Kind::Map(item) => {
            out.push(b'{');
            let least = types.node(*item).min_size.saturating_add(1);
            blocks(cursor, least, |position, cursor| {
                if position > 0 {
                    out.push(b',');
                }
                text::write_string(cursor.string()?, out);
                out.push(b':');
                value(types, *item, cursor, out)
            })?;
            out.push(b'}');
        }
        _ => write_scalar(&scalar::read(types, id, cursor)?, out),
    }
    Ok(())
}

fn record(
    types: &Types,
    record: &Record,
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    cursor.enter()?;
    out.push(b'{');
    for (position, field) in record.fields.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&field.label);
        value(types, field.node, cursor, out)?;
    }
    out.push(b'}');
    cursor.leave();
    Ok(())
}

/// Appends a scalar as Avro's plain JSON has it.
pub(crate) fn write_scalar(scalar: &Scalar<'_>, out: &mut Vec<u8>) {
    match scalar {
        Scalar::Null => out.extend_from_slice(b"null"),
        Scalar::Bool(value) => text::write_bool(*value, out),
        Scalar::Int(value) => text::write_int(*value, out),
        Scalar::Double(value) => text::write_double(*value, out),
        Scalar::Str(value) => text::write_string(value, out),
        Scalar::Bytes(value) => text::write_base64(value, out),
    }
}
