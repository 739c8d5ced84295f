//! Passes over values that nobody asked for, with or without checking them.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::scalar;
use super::types::{Kind, Logical, NodeId, Types};
use crate::error::FormatError;
use crate::names::Names;

/// Moves past one value. With `CHECK` every byte of it is held to the schema, so that it can be read
/// later; without, sized blocks are jumped over and texts are not looked at.
pub(crate) fn skip<const CHECK: bool>(
    types: &Types,
    id: NodeId,
    cursor: &mut Cursor<'_>,
) -> Result<(), FormatError> {
    let node = types.node(id);
    if CHECK
        && matches!(
            node.logical,
            Logical::Decimal { .. } | Logical::BigDecimal | Logical::Uuid
        )
    {
        return scalar::check(types, id, cursor);
    }
    match &node.kind {
        Kind::Null => {}
        Kind::Boolean => {
            cursor.boolean()?;
        }
        Kind::Int => {
            cursor.int()?;
        }
        Kind::Long => {
            cursor.long()?;
        }
        Kind::Float => {
            cursor.take(4)?;
        }
        Kind::Double => {
            cursor.take(8)?;
        }
        Kind::Bytes => {
            cursor.bytes()?;
        }
        Kind::String => {
            if CHECK {
                cursor.string()?;
            } else {
                cursor.bytes()?;
            }
        }
        Kind::Fixed { size, .. } => {
            cursor.take(*size)?;
        }
        Kind::Enum { symbols, .. } => {
            cursor.index(symbols.len(), "enum symbol")?;
        }
        Kind::Union(branches) => {
            let index = cursor.index(branches.len(), "union branch")?;
            skip::<CHECK>(types, branches[index], cursor)?;
        }
        Kind::Record(record) => {
            cursor.enter()?;
            for field in &record.fields {
                skip::<CHECK>(types, field.node, cursor)?;
            }
            cursor.leave();
        }
        Kind::Array(item) => skip_blocks::<CHECK, false>(types, *item, cursor)?,
        Kind::Map(value) => skip_blocks::<CHECK, true>(types, *value, cursor)?,
    }
    Ok(())
}

fn skip_blocks<const CHECK: bool, const MAP: bool>(
    types: &Types,
    item: NodeId,
    cursor: &mut Cursor<'_>,
) -> Result<(), FormatError> {
    cursor.enter()?;
    let min_size = types.node(item).min_size;
    let mut names = (MAP && CHECK).then(Names::default);
    loop {
        let block = cursor.block(if MAP {
            min_size.saturating_add(1)
        } else {
            min_size
        })?;
        if block.count == 0 {
            // A sized block of no items ends the array as well, and has no bytes.
            if let Some((_, size)) = block.size {
                cursor.end_block(cursor.pos(), size)?;
            }
            break;
        }
        match block.size {
            Some((_, size)) if !CHECK => {
                cursor.take(size)?;
            }
            size => {
                let start = cursor.pos();
                if MAP || min_size > 0 {
                    for _ in 0..block.count {
                        if let Some(names) = &mut names {
                            checked_key(cursor, names)?;
                        } else if MAP {
                            cursor.bytes()?;
                        }
                        skip::<CHECK>(types, item, cursor)?;
                    }
                }
                if let Some((_, size)) = size {
                    cursor.end_block(start, size)?;
                }
            }
        }
    }
    cursor.leave();
    Ok(())
}

/// The next key of a map, which has to be one that the map has not had.
pub(super) fn checked_key<'a>(
    cursor: &mut Cursor<'a>,
    names: &mut Names<'a>,
) -> Result<&'a [u8], FormatError> {
    let key = cursor.string()?.as_bytes();
    if names.insert(Cow::Borrowed(key)) {
        Ok(key)
    } else {
        Err(cursor.error("a key that the map has already"))
    }
}
