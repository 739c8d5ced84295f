//! The sink's own counters.

use penstock_connect::TaskContext;
use prometheus::IntCounter;

/// Counters of one task.
pub(crate) struct Counters {
    /// Bytes written to files.
    pub(crate) bytes: IntCounter,
    /// Files that were complete and got their final name.
    pub(crate) rotations: IntCounter,
    /// Records left out: their value is null.
    pub(crate) tombstones: IntCounter,
    /// Records left out: they were taken already and given again.
    pub(crate) taken_before: IntCounter,
}

impl Counters {
    pub(crate) fn new(context: &TaskContext) -> Self {
        let metrics = &context.metrics;
        let connector: &str = &context.connector;
        let task = context.task.to_string();
        let left_out = metrics.counter(
            "penstock_file_sink_records_left_out_total",
            "Records that were not written to a file, by reason",
            &["connector", "task", "reason"],
        );
        let plain = |name, help| {
            metrics
                .counter(name, help, &["connector", "task"])
                .with_label_values(&[connector, &task])
        };
        Self {
            bytes: plain("penstock_file_sink_bytes_total", "Bytes written to files"),
            rotations: plain(
                "penstock_file_sink_rotations_total",
                "Files completed by size or age",
            ),
            tombstones: left_out.with_label_values(&[connector, &task, "tombstone"]),
            taken_before: left_out.with_label_values(&[connector, &task, "taken before"]),
        }
    }
}
