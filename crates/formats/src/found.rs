//! Where the wanted fields lie in one payload.

use std::borrow::Cow;
use std::ops::Range;

use crate::edit::Edit;
use crate::error::{EditError, FormatError};
use crate::fields::Fields;
use crate::scalar::Scalar;

/// The fields found in one payload. Reused from payload to payload to save allocations.
#[derive(Debug, Default)]
pub struct Found {
    slots: Vec<Slot>,
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
}

/// One occurrence of a field in a payload.
#[derive(Clone, Debug)]
pub struct Slot {
    path: u16,
    start: u32,
    end: u32,
}

impl Slot {
    /// Index of the path it was found by.
    pub fn path(&self) -> usize {
        usize::from(self.path)
    }

    /// The bytes it takes up in the payload.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Null stands there.
    pub fn is_null(&self) -> bool {
        unimplemented!()
    }

    /// JSON only: the object is there, the field is not. [`Slot::replace`] puts it in.
    pub fn is_absent(&self) -> bool {
        unimplemented!()
    }

    /// The value, which must be a scalar. `payload` is what it was found in. An absent field is null.
    pub fn scalar<'a>(&self, payload: &'a [u8]) -> Result<Scalar<'a>, FormatError> {
        let _ = payload;
        unimplemented!()
    }

    /// The value as plain JSON text, whatever its type; `null` for an absent field.
    pub fn json<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, FormatError> {
        let _ = payload;
        unimplemented!()
    }

    /// Puts a value in its place, if the declared type takes it; picks the union's branch.
    pub fn replace(&self, fields: &Fields, value: &Scalar<'_>) -> Result<Edit, EditError> {
        let _ = (fields, value);
        unimplemented!()
    }

    /// Puts a JSON literal of any type in its place, if the declared type takes it.
    pub fn replace_json(&self, fields: &Fields, literal: &[u8]) -> Result<Edit, EditError> {
        let _ = (fields, literal);
        unimplemented!()
    }

    /// Puts null in its place, if the schema allows it.
    pub fn null(&self, fields: &Fields) -> Result<Edit, EditError> {
        self.replace(fields, &Scalar::Null)
    }

    /// Takes the field out. JSON only, and not what the schema requires.
    pub fn remove(&self, fields: &Fields) -> Result<Edit, EditError> {
        let _ = fields;
        unimplemented!()
    }
}
