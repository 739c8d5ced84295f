//! What tasks count, under the names that a Kafka Connect dashboard uses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_connect::{Metrics, TaskContext};
use prometheus::{IntCounter, IntCounterVec, IntGauge};

/// Labels of every task metric.
const TASK: [&str; 2] = ["connector", "task"];

/// The counters of one task.
pub(crate) struct TaskMetrics {
    /// Records read: from a source's poll, or from topics.
    pub(crate) read: IntCounter,
    /// Records that left the transforms: written to topics, or given to a sink.
    pub(crate) written: IntCounter,
    /// Records read and not yet ended.
    pub(crate) active: IntGauge,
    /// Partitions that the task has, and the largest lag over them; a source reads none.
    reading: Option<(IntGauge, IntGauge)>,
    pub(crate) commits: IntCounter,
    pub(crate) commit_ms_max: IntGauge,
    pub(crate) errors: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) skipped: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) logged: IntCounter,
    pub(crate) dlq_requests: IntCounter,
    pub(crate) last_error: IntGauge,
    pub(crate) restarts: IntCounter,
    filtered: IntCounterVec,
    labels: [String; 2],
}

/// Which half of Kafka Connect's metric groups a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Sink,
}

impl TaskMetrics {
    pub(crate) fn new(context: &TaskContext, side: Side) -> Self {
        let labels = [context.connector.to_string(), context.task.to_string()];
        let values = [labels[0].as_str(), labels[1].as_str()];
        let metrics = &context.metrics;
        let counter = |name: &str, help: &str| {
            metrics
                .counter(name, help, &TASK)
                .with_label_values(&values)
        };
        let gauge =
            |name: &str, help: &str| metrics.gauge(name, help, &TASK).with_label_values(&values);
        let (read, written, active, commits) = match side {
            Side::Source => (
                counter(
                    "kafka_connect_source_task_metrics_source_record_poll_total",
                    "Records polled from the source.",
                ),
                counter(
                    "kafka_connect_source_task_metrics_source_record_write_total",
                    "Records written to topics.",
                ),
                gauge(
                    "kafka_connect_source_task_metrics_source_record_active_count",
                    "Records polled and not yet written.",
                ),
                counter(
                    "kafka_connect_source_task_metrics_transaction_commit_total",
                    "Transactions committed.",
                ),
            ),
            Side::Sink => (
                counter(
                    "kafka_connect_sink_task_metrics_sink_record_read_total",
                    "Records read from topics.",
                ),
                counter(
                    "kafka_connect_sink_task_metrics_sink_record_send_total",
                    "Records that left the transforms.",
                ),
                gauge(
                    "kafka_connect_sink_task_metrics_sink_record_active_count",
                    "Records read and not yet durable.",
                ),
                counter(
                    "kafka_connect_sink_task_metrics_offset_commit_completion_total",
                    "Offset commits.",
                ),
            ),
        };
        Self {
            read,
            written,
            active,
            commits,
            reading: (side == Side::Sink).then(|| {
                (
                    gauge(
                        "kafka_connect_sink_task_metrics_partition_count",
                        "Partitions of the task.",
                    ),
                    gauge(
                        "kafka_connect_sink_task_metrics_sink_record_lag_max",
                        "Largest lag over the task's partitions, in records.",
                    ),
                )
            }),
            commit_ms_max: gauge(
                "kafka_connect_connector_task_metrics_offset_commit_max_time_ms",
                "Longest commit, in milliseconds.",
            ),
            errors: counter(
                "kafka_connect_task_error_metrics_total_record_errors",
                "Records that could not be processed.",
            ),
            failures: counter(
                "kafka_connect_task_error_metrics_total_record_failures",
                "Failures of record processing, retries included.",
            ),
            skipped: counter(
                "kafka_connect_task_error_metrics_total_records_skipped",
                "Records skipped because of errors.",
            ),
            retries: counter(
                "kafka_connect_task_error_metrics_total_retries",
                "Operations that were tried again.",
            ),
            logged: counter(
                "kafka_connect_task_error_metrics_total_errors_logged",
                "Errors written to the log.",
            ),
            dlq_requests: counter(
                "kafka_connect_task_error_metrics_deadletterqueue_produce_requests",
                "Dead letters written.",
            ),
            last_error: gauge(
                "kafka_connect_task_error_metrics_last_error_timestamp",
                "When the last error was met, milliseconds since the epoch.",
            ),
            restarts: counter(
                "penstock_task_restarts_total",
                "Restarts of the task under supervision.",
            ),
            filtered: metrics.counter(
                "penstock_records_filtered_total",
                "Records dropped on purpose, by reason.",
                &["connector", "task", "reason"],
            ),
            labels,
        }
    }

    pub(crate) fn partitions(&self, count: usize) {
        if let Some((partitions, _)) = &self.reading {
            partitions.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn lag(&self, records: i64) {
        if let Some((_, lag)) = &self.reading {
            lag.set(records);
        }
    }

    pub(crate) fn filtered(&self, reason: &str) {
        self.filtered
            .with_label_values(&[self.labels[0].as_str(), self.labels[1].as_str(), reason])
            .inc();
    }

    pub(crate) fn rejected(&self) {
        self.errors.inc();
        self.failures.inc();
        self.last_error.set(now_ms());
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.commits.inc();
        let ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        if ms > self.commit_ms_max.get() {
            self.commit_ms_max.set(ms);
        }
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// The worker's own gauges, set when scraped.
pub(crate) fn worker_gauges(metrics: &Metrics) -> (IntGauge, IntGauge) {
    let gauge = |name: &str, help: &str| {
        metrics
            .gauge(name, help, &[])
            .with_label_values::<&str>(&[])
    };
    (
        gauge(
            "kafka_connect_worker_metrics_connector_count",
            "Connectors of the worker.",
        ),
        gauge(
            "kafka_connect_worker_metrics_task_count",
            "Tasks of the worker.",
        ),
    )
}
