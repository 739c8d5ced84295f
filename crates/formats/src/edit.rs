//! An edit: a byte range of a payload and the bytes that take its place.

use std::ops::Range;

/// How an edit relates to what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EditKind {
    /// The range becomes the bytes.
    Replace,
    /// JSON: the bytes are a member that goes before the closing brace at the (empty) range.
    Insert,
    /// JSON: the range is a member or an element that goes, with its comma.
    Remove,
}

/// A change of one field, made by a [`Slot`](crate::Slot) and given to [`Payload::edit`](crate::Payload::edit).
#[derive(Clone)]
pub struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: EditKind,
    /// Index + 1 of the innermost sized Avro block around the range; 0 for none.
    pub(crate) block: u32,
}

impl Edit {
    /// The bytes of the payload that are replaced.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// Shows where and how long, not what: the new bytes may be personal.
impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Edit({:?}, {:?} -> {} bytes)",
            self.kind,
            self.range,
            self.bytes.len()
        )
    }
}
