//! Avro payloads as a tree.

use super::cursor::{Cursor, MAX_DEPTH, blocks};
use super::scalar;
use super::types::{Kind, NodeId, Types};
use crate::error::FormatError;
use crate::scalar::Scalar;
use crate::value::Value;

/// Decodes a whole payload.
pub(crate) fn decode(types: &Types, payload: &[u8]) -> Result<Value, FormatError> {
    let mut cursor = Cursor::new(payload, MAX_DEPTH);
    let decoded = value(types, types.root(), &mut cursor)?;
    cursor.end()?;
    Ok(decoded)
}

fn value(types: &Types, id: NodeId, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    Ok(match types.kind(id) {
        Kind::Union(branches) => {
            let index = cursor.index(branches.len(), "union branch")?;
            value(types, branches[index], cursor)?
        }
        Kind::Record(record) => {
            cursor.enter()?;
            let mut members = Vec::with_capacity(record.fields.len());
            for field in &record.fields {
                members.push((field.name.to_string(), value(types, field.node, cursor)?));
            }
            cursor.leave();
            Value::Object(members)
        }
        Kind::Array(item) => {
            let mut items = Vec::new();
            blocks(cursor, types.node(*item).min_size, |_, cursor| {
                items.push(value(types, *item, cursor)?);
                Ok(())
            })?;
            Value::Array(items)
        }
        Kind::Map(item) => {
            let mut members = Vec::new();
            blocks(
                cursor,
                types.node(*item).min_size.saturating_add(1),
                |_, cursor| {
                    let key = cursor.string()?.to_owned();
                    members.push((key, value(types, *item, cursor)?));
                    Ok(())
                },
            )?;
            Value::Object(members)
        }
        _ => match scalar::read(types, id, cursor)? {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            Scalar::Double(value) => Value::Double(value),
            Scalar::Str(value) => Value::Str(value.into_owned()),
            Scalar::Bytes(value) => Value::Bytes(value.into_owned()),
        },
    })
}
