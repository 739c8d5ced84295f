//! Varints, lengths and nulls of the stored form.

use crate::{Error, ErrorKind, Result, Retry};

/// The stored bytes are not what they should be.
pub(super) fn corrupt(what: &str) -> Error {
    Error::new(
        Retry::Never,
        ErrorKind::Corrupt,
        format!("the embedded log cannot be read: {what}; restore the data directory from a copy"),
    )
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put_varint(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

/// Reads forward and never past the end.
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Scan<'_> {
    pub(super) fn take(&mut self, length: usize) -> Result<(usize, usize)> {
        let from = self.at;
        let to = from
            .checked_add(length)
            .filter(|to| *to <= self.bytes.len());
        self.at = to.ok_or_else(|| corrupt("a batch ends early"))?;
        Ok((from, self.at))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (from, to) = self.take(N)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[from..to]);
        Ok(array)
    }

    pub(super) fn varint(&mut self) -> Result<usize> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or_else(|| corrupt("a batch ends early"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).map_err(|_| corrupt("a length is too large"));
            }
        }
        Err(corrupt("a length is too long"))
    }

    pub(super) fn delta(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| corrupt("an offset delta is too large"))
    }

    pub(super) fn nullable(&mut self) -> Result<Option<(usize, usize)>> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }
}
