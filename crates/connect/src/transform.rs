//! Transforms: what happens to records on the way.

use async_trait::async_trait;

use crate::{Error, Record, RecordError};

/// What became of the records that went through a transform. Every record that went in ends in here
/// at least once: passed (possibly as several), filtered, or rejected.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Records that go on, in order.
    pub passed: Vec<Record>,
    /// Records that ended here on purpose, with the reason.
    pub filtered: Vec<(Record, &'static str)>,
    /// Records that ended here because something is wrong with them.
    pub rejected: Vec<(Record, RecordError)>,
}

impl Outputs {
    /// The record goes on.
    pub fn pass(&mut self, record: Record) {
        self.passed.push(record);
    }

    /// The record ends here on purpose; `reason` is a few fixed words, used as a metric label.
    pub fn filter(&mut self, record: Record, reason: &'static str) {
        self.filtered.push((record, reason));
    }

    /// The record ends here because something is wrong with it. `record` is what arrived: an edit
    /// that was made before the error is not kept.
    pub fn reject(&mut self, record: Record, error: RecordError) {
        self.rejected.push((record, error));
    }
}

/// A single-message transform. For each batch the runner calls `prepare` once, then `apply` for each
/// of the same records in the same order. Payloads come flattened (see
/// [`Transform::reads_payloads`]): reads see the edits of earlier transforms.
///
/// ```
/// use penstock_connect::{Outputs, Record, Transform};
///
/// /// Sends everything to one topic.
/// struct Redirect(std::sync::Arc<str>);
///
/// #[async_trait::async_trait]
/// impl Transform for Redirect {
///     fn apply(&mut self, _index: usize, mut record: Record, out: &mut Outputs) {
///         record.topic = self.0.clone();
///         out.pass(record);
///     }
/// }
/// ```
#[async_trait]
pub trait Transform: Send {
    /// Fetches what the batch needs from elsewhere (keys, schemas). An error is about the whole
    /// batch, and the runner gives the same batch again; what is wrong with one record is for `apply` to say.
    async fn prepare(&mut self, records: &[Record]) -> Result<(), Error> {
        let _ = records;
        Ok(())
    }

    /// Handles one record; `index` is its place in the slice that `prepare` saw.
    fn apply(&mut self, index: usize, record: Record, out: &mut Outputs);

    /// Whether it looks at keys or values. For one that only sees topics, headers and timestamps, the
    /// runner leaves pending edits of payloads pending, which saves writing them out once.
    fn reads_payloads(&self) -> bool {
        true
    }

    /// Whether records that reach this transform may hold plaintext personal data, so that their
    /// dead letters must be sealed.
    fn handles_personal_data(&self) -> bool {
        false
    }
}
