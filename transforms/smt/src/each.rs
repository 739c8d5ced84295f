//! What most transforms are: one record in, the same record out, changed or rejected.

use async_trait::async_trait;
use penstock_connect::{Outputs, Placement, Record, RecordError, Transform};
use penstock_formats::{EditError, FormatError};

/// Changes one record.
pub(crate) trait Change: Send {
    /// Whether it looks at the record's key or value.
    const READS_PAYLOADS: bool = true;

    /// Finds out whether it can first, and changes the record then: after an error it is as it was.
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError>;
}

/// A [`Change`] as a transform.
pub(crate) struct EachRecord<T> {
    pub(crate) change: T,
    /// Records with other keys come out: the new key chooses the partition, whatever was chosen by the
    /// former one, since equal keys are to keep their order.
    pub(crate) rekeys: bool,
}

#[async_trait]
impl<T: Change> Transform for EachRecord<T> {
    fn apply(&mut self, _index: usize, mut record: Record, out: &mut Outputs) {
        match self.change.change(&mut record) {
            Ok(()) => {
                if self.rekeys && record.key.is_some() {
                    record.placement = Placement::Key;
                }
                out.pass(record);
            }
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
