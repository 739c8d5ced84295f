//! Sources: where records enter.

use async_trait::async_trait;

use crate::{Error, Record, RecordError, Reply};

/// A record from a source.
#[derive(Debug)]
pub struct SourceRecord {
    /// The record; with a `fault`, its value holds the raw bytes as received.
    pub record: Record,
    /// Set when the source itself found the record unfit: the runner rejects it (error stream,
    /// dead letter, or a stop at this record) without running transforms.
    pub fault: Option<RecordError>,
    /// For push sources: the way back to the sender.
    pub reply: Option<Reply>,
}

impl SourceRecord {
    /// A good record without anybody waiting for its outcome.
    pub fn new(record: Record) -> Self {
        Self {
            record,
            fault: None,
            reply: None,
        }
    }

    /// A record that the source found unfit.
    pub fn faulty(record: Record, fault: RecordError) -> Self {
        Self {
            record,
            fault: Some(fault),
            reply: None,
        }
    }
}

/// What one poll of a source gives.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// Records in order.
    pub records: Vec<SourceRecord>,
    /// Where to go on after all of them; stored in one transaction with them. `None`: unchanged
    /// (push sources never have one).
    pub position: Option<serde_json::Value>,
}

/// A place that records come from. One instance per task; the runner calls `open`, then `poll` until
/// it stops, then `close`.
#[async_trait]
pub trait Source: Send {
    /// Whether it has a position to resume from. A push source (an intake) has none: nobody can ask
    /// the sender again, so its records are produced without a transaction and answered one by one.
    fn replayable(&self) -> bool;

    /// Gets ready to deliver from after `position` (the last one stored, `None` at the first start).
    /// Called again after an error with [`Retry::Reconnect`](crate::Retry::Reconnect).
    async fn open(&mut self, position: Option<serde_json::Value>) -> Result<(), Error>;

    /// Gives at most so many records with each batch from now on; `None`: as many as it likes. When the
    /// task has to stop at a record (`errors.tolerance=none`), the runner takes those before it one by
    /// one. A source that cannot bound its batches keeps this default, and then stops before the batch.
    fn limit(&mut self, records: Option<usize>) {
        let _ = records;
    }

    /// Waits for records. Cancel-safe: the runner may drop the future and poll again without loss.
    async fn poll(&mut self) -> Result<SourceBatch, Error>;

    /// Where the record with this index in the last batch came from (`in/a.csv:17`), for messages about
    /// it that others make.
    fn place(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// Asked when a batch is settled: nothing will ever come again. The task has then completed.
    fn is_finished(&self) -> bool {
        false
    }

    /// Stops taking in. Records that were polled are already settled.
    async fn close(&mut self);
}
