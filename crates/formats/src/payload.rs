//! A payload: wire bytes without their frame, their encoding, and edits not yet written.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::avro::cursor::write_long;
use crate::avro::{decode, to_json};
use crate::edit::{Edit, EditKind, Edits};
use crate::error::{EditError, FormatError};
use crate::fields::{Fields, Limits};
use crate::found::Found;
use crate::json::splice::settle_commas;
use crate::json::{check, text};
use crate::schema::Schema;
use crate::value::Value;

/// How a payload's bytes are to be read.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// Avro or JSON of a registered schema.
    Registered(Arc<Schema>),
    /// JSON without a schema.
    Json,
    /// UTF-8 text.
    Text,
    /// Anything.
    Bytes,
}

/// Key or value of a record: wire bytes (without frame), their encoding, and pending edits.
pub struct Payload {
    bytes: Bytes,
    encoding: Encoding,
    /// Sorted, apart, all replacements.
    edits: Vec<Edit>,
    /// What the edits put in.
    new: Bytes,
    /// Where fields lie in the bytes, while there are no edits.
    found: Option<Box<Found>>,
}

/// What was found is not cloned along: a walk is as cheap.
impl Clone for Payload {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            encoding: self.encoding.clone(),
            edits: self.edits.clone(),
            new: self.new.clone(),
            found: None,
        }
    }
}

impl Payload {
    /// A payload of these bytes.
    pub fn new(bytes: impl Into<Bytes>, encoding: Encoding) -> Self {
        Self {
            bytes: bytes.into(),
            encoding,
            edits: Vec::new(),
            new: Bytes::new(),
            found: None,
        }
    }

    /// The bytes, without pending edits.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How the bytes are to be read.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The registered schema, if it has one.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        match &self.encoding {
            Encoding::Registered(schema) => Some(schema),
            _ => None,
        }
    }

    /// The same bytes and edits under another schema (one derived from it).
    #[must_use]
    pub fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        self.set_schema(schema);
        self
    }

    /// Puts the same bytes and edits under another schema (one derived from it).
    pub fn set_schema(&mut self, schema: Arc<Schema>) {
        self.found = None;
        self.encoding = Encoding::Registered(schema);
    }

    /// Keeps what was found in the bytes as they are, for the next one that wants the same fields: it is
    /// spared a walk. Kept until the payload is edited.
    pub fn keep_found(&mut self, found: Box<Found>) {
        if !self.is_edited() && found.length == self.bytes.len() {
            self.found = Some(found);
        }
    }

    /// What was kept; [`Found::is_by`] says whether it is what is wanted.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_deref()
    }

    /// Takes out what was kept.
    pub fn take_found(&mut self) -> Option<Box<Found>> {
        self.found.take()
    }

    /// Writes pending edits into the bytes, then finds fields in them.
    pub fn find(&mut self, fields: &Fields, found: &mut Found) -> Result<(), FormatError> {
        self.flatten();
        fields.find(&self.bytes, found)
    }

    /// As [`Payload::find`], checking the whole payload.
    pub fn find_checked(
        &mut self,
        fields: &Fields,
        found: &mut Found,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        self.flatten();
        fields.find_checked(&self.bytes, found, limits)
    }

    /// Takes edits of slots that were found in the bytes as they are: sorts them, settles commas (JSON)
    /// and adds the size edits of the sized blocks around them (Avro), at all levels. Once per walk:
    /// flatten and find again for more.
    pub fn edit(&mut self, found: &Found, mut edits: Edits<'_>) -> Result<(), EditError> {
        self.settle(found, &mut edits)?;
        if !edits.is_empty() {
            (self.edits, self.new) = edits.take();
            self.found = None;
        }
        Ok(())
    }

    fn settle(&self, found: &Found, edits: &mut Edits<'_>) -> Result<(), EditError> {
        if self.is_edited() || found.length != self.bytes.len() {
            return Err(EditError::Stale);
        }
        let (list, _) = edits.parts();
        list.retain(|edit| !edit.range.is_empty() || !edit.new.is_empty());
        // An insertion comes after what ends where it stands.
        list.sort_by_key(|edit| (edit.range.start, edit.range.end));
        for pair in list.windows(2) {
            let twice = pair[0].range == pair[1].range && pair[0].kind != EditKind::Insert;
            if pair[0].range.end > pair[1].range.start || twice {
                return Err(EditError::Overlap {
                    offset: pair[1].range.start,
                });
            }
        }
        if list
            .last()
            .is_some_and(|last| last.range.end > self.bytes.len())
        {
            return Err(EditError::Stale);
        }
        settle_commas(&self.bytes, edits);
        resize_blocks(found, edits)
    }

    /// There are edits that the bytes do not show yet.
    pub fn is_edited(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Writes pending edits into the bytes.
    pub fn flatten(&mut self) {
        if self.is_edited() {
            let mut out = Vec::with_capacity(self.len());
            self.write_to(&mut out);
            self.bytes = out.into();
            self.edits = Vec::new();
            self.new = Bytes::new();
        }
    }

    /// Length in bytes with pending edits.
    #[allow(clippy::len_without_is_empty)] // An empty payload is nothing special.
    pub fn len(&self) -> usize {
        let removed: usize = self.edits.iter().map(|edit| edit.range.len()).sum();
        let added: usize = self.edits.iter().map(|edit| edit.new.len()).sum();
        self.bytes.len() - removed + added
    }

    /// Appends the bytes with pending edits.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        let mut copied = 0;
        for edit in &self.edits {
            out.extend_from_slice(&self.bytes[copied..edit.range.start]);
            out.extend_from_slice(&self.new[edit.new.clone()]);
            copied = edit.range.end;
        }
        out.extend_from_slice(&self.bytes[copied..]);
    }

    fn flattened(&self) -> Cow<'_, [u8]> {
        if self.is_edited() {
            let mut out = Vec::with_capacity(self.len());
            self.write_to(&mut out);
            Cow::Owned(out)
        } else {
            Cow::Borrowed(&self.bytes)
        }
    }

    /// Appends the payload, pending edits included, as one line of plain JSON.
    ///
    /// Avro as [`avro`](crate::avro) says; JSON as it is, but without line breaks; text as a string;
    /// bytes as base64.
    pub fn to_json(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let start = out.len();
        let types = self.schema().and_then(|schema| schema.types());
        match (&self.encoding, types) {
            (Encoding::Registered(_), Some(types)) => {
                to_json::to_json(types, types.root(), &self.flattened(), out)
                    .inspect_err(|_| out.truncate(start))?;
            }
            (Encoding::Registered(_) | Encoding::Json, _) => {
                self.write_to(out);
                if memchr::memchr2(b'\n', b'\r', &out[start..]).is_some() {
                    let lines = out.split_off(start);
                    text::write_compact(&lines, out).inspect_err(|_| out.truncate(start))?;
                }
            }
            (Encoding::Text, _) => text::write_string(utf8(&self.flattened())?, out),
            (Encoding::Bytes, _) => text::write_base64(&self.flattened(), out),
        }
        Ok(())
    }

    /// The payload, pending edits included, as a tree.
    pub fn decode(&self) -> Result<Value, FormatError> {
        let bytes = self.flattened();
        match &self.encoding {
            Encoding::Registered(schema) => match schema.types() {
                Some(types) => decode::decode(types, &bytes),
                None => Value::from_json(&bytes),
            },
            Encoding::Json => Value::from_json(&bytes),
            Encoding::Text => Ok(Value::Str(utf8(&bytes)?.to_owned())),
            Encoding::Bytes => Ok(Value::Bytes(bytes.into_owned())),
        }
    }

    /// Checks that JSON bytes, pending edits included, are well-formed: for those who hand them on to
    /// readers that trust them.
    pub fn check_json(&self, limits: &Limits) -> Result<(), FormatError> {
        check::check(&self.flattened(), limits)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(bytes).map_err(|error| FormatError::Malformed {
        format: "text",
        offset: error.valid_up_to(),
        problem: "not UTF-8".to_owned(),
    })
}

/// Adds the edits of the byte sizes of all sized blocks around the edits.
fn resize_blocks(found: &Found, edits: &mut Edits<'_>) -> Result<(), EditError> {
    let (list, bytes) = edits.parts();
    if list.iter().all(|edit| edit.block == 0) {
        return Ok(());
    }
    let mut growth = vec![0_i64; found.blocks.len() + 1];
    for edit in list.iter() {
        let index = edit.block as usize;
        *growth.get_mut(index).ok_or(EditError::Stale)? +=
            edit.new.len() as i64 - edit.range.len() as i64;
    }
    // Inner blocks come last: when it is a block's turn, all within it has been counted.
    for (index, block) in found.blocks.iter().enumerate().rev() {
        let grown = growth[index + 1];
        if grown == 0 {
            continue;
        }
        let start = bytes.len();
        write_long(block.size as i64 + grown, bytes);
        let length = bytes.len() - start;
        growth[block.around as usize] += grown + length as i64 - block.size_at.len() as i64;
        list.push(Edit {
            range: block.size_at.clone(),
            new: start..bytes.len(),
            kind: EditKind::Replace,
            block: block.around,
        });
    }
    list.sort_by_key(|edit| edit.range.start);
    Ok(())
}

/// Shows encoding and length, never the bytes.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("encoding", &self.encoding)
            .field("bytes", &self.bytes.len())
            .field("edits", &self.edits)
            .finish()
    }
}
