//! Edits: byte ranges of a payload and the bytes that take their place.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// New bytes are cut from a buffer of this size, or from one of their own if they are larger.
const CHUNK_BYTES: usize = 64 << 10;

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

/// A change of one range.
#[derive(Clone)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    /// Where the new bytes lie among those of all edits.
    pub(crate) new: Range<usize>,
    pub(crate) kind: EditKind,
    /// Index + 1 of the innermost sized Avro block around the range; 0 for none.
    pub(crate) block: u32,
}

/// Where edits are gathered, payload after payload.
#[derive(Default)]
pub struct EditBuffer {
    list: Vec<Edit>,
    /// The new bytes of all edits, one after the other.
    bytes: Vec<u8>,
    chunk: BytesMut,
}

impl EditBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the edits of a payload. What was gathered for another one and not taken is dropped.
    pub fn begin(&mut self) -> Edits<'_> {
        self.list.clear();
        self.bytes.clear();
        Edits(self)
    }

    /// A copy of these bytes, which lies where new bytes of payloads do.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        cut(&mut self.chunk, bytes)
    }
}

fn cut(chunk: &mut BytesMut, bytes: &[u8]) -> Bytes {
    if chunk.capacity() < bytes.len() {
        *chunk = BytesMut::with_capacity(bytes.len().max(CHUNK_BYTES));
    }
    chunk.extend_from_slice(bytes);
    chunk.split().freeze()
}

/// Changes of one payload's fields: added by [`Slot`](crate::Slot)s, taken by
/// [`Payload::edit`](crate::Payload::edit).
pub struct Edits<'b>(&'b mut EditBuffer);

impl Edits<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.list.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.list.is_empty()
    }

    /// The edits, and the new bytes that they lie in.
    pub(crate) fn parts(&mut self) -> (&mut Vec<Edit>, &mut Vec<u8>) {
        (&mut self.0.list, &mut self.0.bytes)
    }

    /// Adds an edit of what `write` appends. Nothing is added if that fails.
    pub(crate) fn add<E>(
        &mut self,
        range: Range<usize>,
        kind: EditKind,
        block: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (list, bytes) = self.parts();
        let start = bytes.len();
        let written = write(bytes);
        if written.is_err() {
            bytes.truncate(start);
        } else {
            let new = start..bytes.len();
            list.push(Edit {
                range,
                new,
                kind,
                block,
            });
        }
        written
    }

    /// Takes them out: all edits, and the bytes that their new ones lie in.
    pub(crate) fn take(self) -> (Vec<Edit>, Bytes) {
        let EditBuffer { list, bytes, chunk } = self.0;
        (list.clone(), cut(chunk, bytes))
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
            self.new.len()
        )
    }
}
