//! The source's own metrics.

use penstock_connect::TaskContext;
use penstock_connect::prometheus::{IntCounter, IntGauge};

/// Metrics of one task.
pub(crate) struct Counters {
    /// Files that were read to their end.
    pub(crate) files: IntCounter,
    /// Files that changed after they had been read.
    pub(crate) changed: IntCounter,
    /// Rows, rejected ones included.
    pub(crate) rows: IntCounter,
    /// Rows that do not fit.
    pub(crate) rejected: IntCounter,
    /// Bytes of finished files, as they are stored.
    pub(crate) bytes: IntCounter,
    /// Files that are known and not begun.
    pub(crate) waiting_files: IntGauge,
    /// Their bytes.
    pub(crate) waiting_bytes: IntGauge,
}

impl Counters {
    pub(crate) fn new(context: &TaskContext) -> Self {
        let metrics = &context.metrics;
        let connector = &[&*context.connector];
        let counter = |name: &str, help: &str| {
            let name = format!("penstock_file_source_{name}_total");
            metrics
                .counter(&name, help, &["connector"])
                .with_label_values(connector)
        };
        let gauge = |name: &str, help: &str| {
            let name = format!("penstock_file_source_{name}");
            metrics
                .gauge(&name, help, &["connector"])
                .with_label_values(connector)
        };
        Self {
            files: counter("files", "Files that were read to their end"),
            changed: counter(
                "files_changed",
                "Files that changed after they had been read, and are not read again",
            ),
            rows: counter("rows", "Rows that were read, rejected ones included"),
            rejected: counter("rows_rejected", "Rows that do not fit"),
            bytes: counter(
                "bytes",
                "Bytes of files that were read to their end, as they are stored",
            ),
            waiting_files: gauge("waiting_files", "Files that are known and not begun"),
            waiting_bytes: gauge(
                "waiting_bytes",
                "Bytes of files that are known and not begun",
            ),
        }
    }
}
