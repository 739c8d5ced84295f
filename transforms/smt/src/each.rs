//! What most transforms are: one record in, the same record out, changed or rejected.

use async_trait::async_trait;
use penstock_connect::{Outputs, Record, RecordError, Transform};
use penstock_formats::{EditError, FormatError};

/// Changes one record.
pub(crate) trait Change: Send {
    /// Whether it looks at the record's key or value.
    const READS_PAYLOADS: bool = true;

    /// Finds out whether it can first, and changes the record then: after an error it is as it was.
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError>;
}

/// A [`Change`] as a transform.
pub(crate) struct EachRecord<T>(pub(crate) T);

#[async_trait]
impl<T: Change> Transform for EachRecord<T> {
    fn apply(&mut self, _index: usize, mut record: Record, out: &mut Outputs) {
        match self.0.change(&mut record) {
            Ok(()) => out.pass(record),
            Err(error) => out.reject(record, error),
        }
    }

    fn reads_payloads(&self) -> bool {
        T::READS_PAYLOADS
    }
}

/// The record error for a payload that cannot be read.
pub(crate) fn unreadable(error: FormatError) -> RecordError {
    match error {
        FormatError::Malformed { .. } => RecordError::malformed(error),
        FormatError::Mismatch { .. } | FormatError::Unsupported(_) => RecordError::schema(error),
    }
}

/// The record error for a value that cannot stand where it should.
pub(crate) fn unfit(error: EditError) -> RecordError {
    RecordError::field(error)
}
