//! The engine's own metrics.

use penstock_connect::TaskContext;
use penstock_connect::prometheus::{Histogram, IntCounter, IntGauge};

/// Metrics of one task.
pub(crate) struct Counters {
    /// Files whose objects are there.
    pub(crate) files: IntCounter,
    /// Their bytes.
    pub(crate) bytes: IntCounter,
    /// Their records.
    pub(crate) rows: IntCounter,
    /// Records left out: their value is null.
    pub(crate) tombstones: IntCounter,
    /// Records left out: an object has them already.
    pub(crate) durable_before: IntCounter,
    /// Records left out: they were taken already and given again.
    pub(crate) taken_before: IntCounter,
    /// Files that were ended before their time because memory was short or too many were open.
    pub(crate) cut_short: IntCounter,
    /// Files that take records.
    pub(crate) open: IntGauge,
    /// Bytes in memory.
    pub(crate) held: IntGauge,
    /// Requests under way.
    pub(crate) requests: IntGauge,
    /// Seconds that requests took.
    pub(crate) upload_seconds: Histogram,
    /// Requests that failed for good.
    pub(crate) upload_failures: IntCounter,
}

impl Counters {
    pub(crate) fn new(context: &TaskContext) -> Self {
        let metrics = &context.metrics;
        let connector: &str = &context.connector;
        let task = context.task.to_string();
        let labels = [connector, &task];
        let left_out = metrics.counter(
            "penstock_object_sink_records_left_out_total",
            "Records that were not written to a file, by reason",
            &["connector", "task", "reason"],
        );
        let left_out = |reason| left_out.with_label_values(&[connector, &task, reason]);
        let counter = |name, help| {
            metrics
                .counter(name, help, &["connector", "task"])
                .with_label_values(&labels)
        };
        let gauge = |name, help| {
            metrics
                .gauge(name, help, &["connector", "task"])
                .with_label_values(&labels)
        };
        Self {
            files: counter(
                "penstock_object_sink_files_total",
                "Files that were finished",
            ),
            bytes: counter(
                "penstock_object_sink_bytes_total",
                "Bytes of finished files",
            ),
            rows: counter(
                "penstock_object_sink_rows_total",
                "Records in finished files",
            ),
            tombstones: left_out("tombstone"),
            durable_before: left_out("in an object already"),
            taken_before: left_out("taken before"),
            cut_short: counter(
                "penstock_object_sink_files_cut_short_total",
                "Files ended before their time: memory was short or too many were open",
            ),
            open: gauge("penstock_object_sink_open_files", "Files that take records"),
            held: gauge(
                "penstock_object_sink_held_bytes",
                "Bytes of files in memory",
            ),
            requests: gauge(
                "penstock_object_sink_requests",
                "Requests to the object store that wait for its answer",
            ),
            upload_seconds: metrics
                .histogram(
                    "penstock_object_sink_request_seconds",
                    "Time that requests to the object store took",
                    &["connector", "task"],
                    &[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
                )
                .with_label_values(&labels),
            upload_failures: counter(
                "penstock_object_sink_request_failures_total",
                "Requests to the object store that failed",
            ),
        }
    }
}
