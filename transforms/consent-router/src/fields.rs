//! The personal fields of one event: decrypted once, however many streams get them, and turned into
//! the edits that each stream asks for.

use std::borrow::Cow;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use penstock_connect::{RecordError, RecordErrorKind};
use penstock_contracts::Program;
use penstock_formats::{Edits, Found, Scalar, SchemaKind, Slot};
use penstock_keys::{DataKey, is_ciphertext};
use sha2::Sha256;

use crate::stream::{DerivedStream, Treatment};

/// One event whose fields are being treated.
pub(crate) struct Event<'a> {
    pub(crate) program: &'a Program,
    pub(crate) found: &'a Found,
    pub(crate) bytes: &'a [u8],
    /// `None`: a payload without a schema, which is JSON.
    pub(crate) schema: Option<SchemaKind>,
    /// `None` when the key was erased, or no stream needs it.
    pub(crate) key: Option<&'a DataKey>,
}

/// Treats fields; keeps its buffers from event to event.
pub(crate) struct FieldTreatment {
    mask: Option<Hmac<Sha256>>,
    /// The plaintexts of the event at hand, one after the other.
    plaintext: Vec<u8>,
    /// By slot: where its plaintext lies.
    decrypted: Vec<Option<Range<usize>>>,
}

impl FieldTreatment {
    /// `seed` is the key of the hash that stands for masked values.
    pub(crate) fn new(seed: Option<&str>) -> Self {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mask = seed.map(|seed| {
            Hmac::new_from_slice(seed.as_bytes()).expect("HMAC takes keys of any length")
        });
        Self {
            mask,
            plaintext: Vec::new(),
            decrypted: Vec::new(),
        }
    }

    /// Forgets the event before.
    pub(crate) fn begin(&mut self, event: &Event<'_>) {
        self.plaintext.clear();
        self.decrypted.clear();
        self.decrypted.resize(event.found.slots().len(), None);
    }

    /// Adds the edits that make the event one of the stream's.
    pub(crate) fn treat(
        &mut self,
        event: &Event<'_>,
        stream: &DerivedStream,
        edits: &mut Edits<'_>,
    ) -> Result<(), RecordError> {
        for (index, slot) in event.found.slots().iter().enumerate() {
            let Some(level) = event.program.level(slot) else {
                continue;
            };
            if slot.is_null() || slot.is_absent() {
                continue;
            }
            match stream.treatment(level) {
                Treatment::Keep => {
                    check_kept(event, slot, stream)?;
                }
                Treatment::Decrypt | Treatment::Mask if event.key.is_none() => {
                    check_kept(event, slot, stream)?;
                }
                Treatment::Decrypt => {
                    let text = self.decrypt(event, index, slot)?;
                    put(event, slot, text, edits)?;
                }
                Treatment::Mask => {
                    let mask = self.mask(event, index, slot)?;
                    put(event, slot, &mask, edits)?;
                }
                Treatment::Null => null(event, slot, edits)?,
                Treatment::Drop => remove(event, slot, edits)?,
            }
        }
        Ok(())
    }

    fn decrypt(
        &mut self,
        event: &Event<'_>,
        index: usize,
        slot: &Slot,
    ) -> Result<&str, RecordError> {
        let range = match self.decrypted.get(index).cloned().flatten() {
            Some(range) => range,
            None => {
                let range = self.decrypt_once(event, slot)?;
                self.decrypted[index] = Some(range.clone());
                range
            }
        };
        std::str::from_utf8(&self.plaintext[range])
            .map_err(|_| unreadable(event, slot, "its plaintext is not text"))
    }

    fn decrypt_once(
        &mut self,
        event: &Event<'_>,
        slot: &Slot,
    ) -> Result<Range<usize>, RecordError> {
        let value = slot.scalar(event.bytes).map_err(RecordError::field)?;
        let Scalar::Str(text) = &value else {
            return Err(unreadable(event, slot, "it is not text"));
        };
        let start = self.plaintext.len();
        let Some(key) = event.key else {
            unreachable!("fields are decrypted only with a key")
        };
        key.decrypt_base64(text.as_bytes(), &mut self.plaintext)
            .map_err(|error| unreadable(event, slot, &error.to_string()))?;
        Ok(start..self.plaintext.len())
    }

    fn mask(
        &mut self,
        event: &Event<'_>,
        index: usize,
        slot: &Slot,
    ) -> Result<String, RecordError> {
        let Some(mut mac) = self.mask.clone() else {
            unreachable!("the configuration asks for a seed when a stream masks")
        };
        mac.update(self.decrypt(event, index, slot)?.as_bytes());
        let mut hex = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        Ok(hex)
    }
}

/// What stays encrypted has to be so: plaintext beside a valid key name was never encrypted, and would
/// go on to those who may not have it.
fn check_kept(event: &Event<'_>, slot: &Slot, stream: &DerivedStream) -> Result<(), RecordError> {
    let value = slot.scalar(event.bytes).map_err(RecordError::field)?;
    let is_encrypted = match (&value, event.key) {
        (Scalar::Str(text), Some(key)) => key.has_encrypted(text),
        (Scalar::Str(text), None) => is_ciphertext(text),
        _ => false,
    };
    if is_encrypted {
        return Ok(());
    }
    Err(RecordError::new(
        RecordErrorKind::Key,
        format!(
            "field '{}' is personal and stays encrypted in {}, but what it holds is no ciphertext of the event's key: was the event encrypted under this contract?",
            event.program.fields.paths()[slot.path()],
            stream.topic
        ),
    ))
}

fn put(
    event: &Event<'_>,
    slot: &Slot,
    text: &str,
    edits: &mut Edits<'_>,
) -> Result<(), RecordError> {
    let text = Scalar::Str(Cow::Borrowed(text));
    slot.replace(&event.program.fields, &text, edits)
        .map_err(RecordError::field)
}

/// Null, or the empty string where the schema knows no null.
fn null(event: &Event<'_>, slot: &Slot, edits: &mut Edits<'_>) -> Result<(), RecordError> {
    if event.program.fields.field_type(slot.path()).nullable {
        slot.null(&event.program.fields, edits)
            .map_err(RecordError::field)
    } else {
        put(event, slot, "", edits)
    }
}

/// Out of JSON it goes, unless the schema requires it; everything else is nulled.
fn remove(event: &Event<'_>, slot: &Slot, edits: &mut Edits<'_>) -> Result<(), RecordError> {
    let is_avro = event.schema == Some(SchemaKind::Avro);
    if !is_avro && slot.remove(&event.program.fields, edits).is_ok() {
        return Ok(());
    }
    null(event, slot, edits)
}

fn unreadable(event: &Event<'_>, slot: &Slot, why: &str) -> RecordError {
    RecordError::new(
        RecordErrorKind::Key,
        format!(
            "field '{}' cannot be decrypted: {why}",
            event.program.fields.paths()[slot.path()]
        ),
    )
}
