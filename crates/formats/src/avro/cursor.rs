//! Reads the primitive encodings of Avro, never past the end and never more than the bytes can hold.

use crate::error::FormatError;

/// Containers within containers that a walk goes down into when nobody set a limit.
pub const MAX_DEPTH: usize = 512;

/// Items that take no bytes (null, empty records) in one payload: their number costs nothing to
/// claim and time to walk.
const MAX_EMPTY_ITEMS: usize = 65_536;

/// A position in a payload, for those who walk it themselves by an [`Outline`](super::Outline). Each
/// error says at which byte.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    depth_left: usize,
    empty_items_left: usize,
}

/// The head of an array or map block.
pub(crate) struct Block {
    /// Items in it; 0 ends the array or map.
    pub(crate) count: usize,
    /// Where its byte size stands, and how many bytes the items take, if the writer said so.
    pub(crate) size: Option<(std::ops::Range<usize>, usize)>,
}

impl<'a> Cursor<'a> {
    /// At the start of a payload; at most `depth` containers within containers.
    pub fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self {
            bytes,
            pos: 0,
            depth_left: depth,
            empty_items_left: MAX_EMPTY_ITEMS,
        }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.pos
    }

    /// Goes down into a record, array or map.
    pub(crate) fn enter(&mut self) -> Result<(), FormatError> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(self.error("nested too deeply")),
        }
    }

    /// Comes back up from what [`Cursor::enter`] went into.
    pub(crate) fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// An error at this position.
    #[cold]
    pub fn error(&self, problem: impl Into<String>) -> FormatError {
        FormatError::avro(self.pos, problem)
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        match self
            .bytes
            .get(self.pos..)
            .and_then(|rest| rest.get(..count))
        {
            Some(taken) => {
                self.pos += count;
                Ok(taken)
            }
            None => Err(self.error(format!("{count} bytes expected, {} left", self.remaining()))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// An Avro `long`.
    #[inline]
    pub fn long(&mut self) -> Result<i64, FormatError> {
        // Most are lengths, branches and counts.
        match self.bytes.get(self.pos) {
            Some(byte) if *byte < 0x80 => {
                self.pos += 1;
                Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1))
            }
            _ => self.long_of_bytes(),
        }
    }

    fn long_of_bytes(&mut self) -> Result<i64, FormatError> {
        let start = self.pos;
        let mut value = 0_u64;
        for (position, byte) in self.bytes[start..].iter().take(10).enumerate() {
            if position == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.pos = start + position + 1;
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(self.error(if self.remaining() < 10 {
            "ends within an integer"
        } else {
            "an integer of more than 64 bits"
        }))
    }

    /// An Avro `int`.
    pub fn int(&mut self) -> Result<i32, FormatError> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| self.error("an int of more than 32 bits"))
    }

    /// An Avro `float`.
    pub fn float(&mut self) -> Result<f32, FormatError> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// An Avro `double`.
    pub fn double(&mut self) -> Result<f64, FormatError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// An Avro `boolean`.
    pub fn boolean(&mut self) -> Result<bool, FormatError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.error("a boolean that is neither 0 nor 1")),
        }
    }

    /// A length-prefixed run of bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.error("a negative length")),
        }
    }

    /// An Avro `string`, which must be UTF-8.
    pub fn string(&mut self) -> Result<&'a str, FormatError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a string that is not UTF-8"))
    }

    /// An index below `count`, as unions and enums have.
    #[inline]
    pub fn index(&mut self, count: usize, what: &str) -> Result<usize, FormatError> {
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(index) if index < count => Ok(index),
            _ => Err(self.error(format!("{what} index {index}, there are {count}"))),
        }
    }

    /// The head of the next block of an array or map whose items take at least `item_size` bytes.
    pub(crate) fn block(&mut self, item_size: usize) -> Result<Block, FormatError> {
        let count = self.long()?;
        let size = if count < 0 {
            let start = self.pos;
            let size = self.long()?;
            match usize::try_from(size) {
                Ok(size) if size <= self.remaining() => Some((start..self.pos, size)),
                _ => {
                    return Err(self.error(format!(
                        "a block of {size} bytes, {} left",
                        self.remaining()
                    )));
                }
            }
        } else {
            None
        };
        let room = size.as_ref().map_or(self.remaining(), |(_, size)| *size);
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        let fits = match room.checked_div(item_size) {
            Some(most) => count <= most,
            None => match self.empty_items_left.checked_sub(count) {
                Some(left) => {
                    self.empty_items_left = left;
                    true
                }
                None => false,
            },
        };
        if fits {
            Ok(Block { count, size })
        } else {
            Err(self.error(format!("a block of {count} items in {room} bytes")))
        }
    }

    /// Checks that a sized block ended where its size says.
    pub(crate) fn end_block(&self, start: usize, size: usize) -> Result<(), FormatError> {
        if self.pos == start + size {
            Ok(())
        } else {
            Err(self.error(format!(
                "a block of {} bytes that says it has {size}",
                self.pos - start
            )))
        }
    }

    /// Errs if bytes are left.
    pub fn end(&self) -> Result<(), FormatError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(self.error(format!("{count} bytes after the end of the event"))),
        }
    }
}

/// Calls `item` for each item of an array or map; the first argument counts them. An item takes at
/// least `item_size` bytes ([`Outline::min_size`](super::Outline::min_size), and one more for a map's
/// key), so that a block cannot claim more than there is room for.
pub fn blocks<'a>(
    cursor: &mut Cursor<'a>,
    item_size: usize,
    mut item: impl FnMut(usize, &mut Cursor<'a>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    cursor.enter()?;
    let mut position = 0;
    loop {
        let block = cursor.block(item_size)?;
        let start = cursor.pos();
        for _ in 0..block.count {
            item(position, cursor)?;
            position += 1;
        }
        if let Some((_, size)) = block.size {
            cursor.end_block(start, size)?;
        }
        if block.count == 0 {
            break;
        }
    }
    cursor.leave();
    Ok(())
}

/// Appends an Avro `int` or `long`.
pub(crate) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7f {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a length-prefixed run of bytes.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}
