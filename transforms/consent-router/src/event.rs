//! What an encrypted event says about itself: its key.

use std::borrow::Cow;

use penstock_connect::{Record, RecordError, RecordErrorKind};
use penstock_contracts::Program;
use penstock_formats::{Encoding, Found, Scalar};

/// An event that is being planned for.
pub(crate) struct PlannedEvent<'a> {
    pub(crate) program: &'a Program,
    pub(crate) found: &'a Found,
    pub(crate) bytes: &'a [u8],
    pub(crate) record: &'a Record,
}

impl<'a> PlannedEvent<'a> {
    /// The name of the key: in the event, or in the record key where the schema has no field for it.
    pub(crate) fn key_link(&self) -> Result<Cow<'a, str>, RecordError> {
        let missing = |what: &str| {
            RecordError::new(
                RecordErrorKind::Key,
                format!(
                    "{what} names no key, though the event has personal fields that are not null: was it encrypted?"
                ),
            )
        };
        if let Some(path) = self.program.key_link
            && let Some(slot) = self.found.first(path)
        {
            return match slot.scalar(self.bytes).map_err(RecordError::field)? {
                Scalar::Str(link) if !link.is_empty() => Ok(link),
                _ => Err(missing(&format!(
                    "field '{}'",
                    self.program.fields.paths()[path]
                ))),
            };
        }
        match &self.record.key {
            Some(key) if matches!(key.encoding(), Encoding::Text | Encoding::Bytes) => {
                match std::str::from_utf8(key.bytes()) {
                    Ok(link) if !link.is_empty() => Ok(Cow::Borrowed(link)),
                    _ => Err(missing("the record key")),
                }
            }
            _ => Err(missing("the record key")),
        }
    }
}
