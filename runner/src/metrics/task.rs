//! The metrics of one task.

use std::time::{Duration, Instant};

use penstock_connect::TaskContext;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::now_ms;
use super::window::Window;
use crate::status::State;

/// Which half of Kafka Connect's metric groups a task belongs to. Pipelines count as sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Sink,
}

/// Counters that the task moves, and windows from which gauges are set when somebody looks.
pub(crate) struct TaskMetrics {
    read: Counted,
    written: Counted,
    active: IntGauge,
    batch: Window,
    put: Window,
    commit: Window,
    commits: Counted,
    failed_commits: IntCounter,
    /// Commits that came too late, since the group had gone on without the task.
    late_commits: Option<Counted>,
    transactions: Window,
    errors: IntCounter,
    failures: IntCounter,
    skipped: IntCounter,
    retries: IntCounter,
    logged: IntCounter,
    dlq_requests: IntCounter,
    dlq_failures: IntCounter,
    last_error: IntGauge,
    restarts: IntCounter,
    filtered: IntCounterVec,
    reading: Option<Reading>,
    shown: Shown,
    labels: [String; 2],
    started: Instant,
}

/// A total, and what moved it lately.
struct Counted {
    total: IntCounter,
    lately: Window,
    rate: Gauge,
}

impl Counted {
    fn add(&self, count: usize) {
        self.total.inc_by(count as u64);
        self.lately.observe(count as f64);
    }

    fn show(&self) {
        self.rate.set(self.lately.rate());
    }
}

/// What only tasks have that read topics.
struct Reading {
    partitions: IntGauge,
    /// Without a sample while nobody knows.
    lag: IntGaugeVec,
}

/// Gauges that are set from windows.
struct Shown {
    batch_max: Gauge,
    batch_avg: Gauge,
    put_max: Gauge,
    put_avg: Gauge,
    commit_max: Gauge,
    commit_avg: Gauge,
    commit_success: Gauge,
    commit_failure: Gauge,
    transaction: Option<[Gauge; 3]>,
    running: Gauge,
    paused: Gauge,
}

impl TaskMetrics {
    pub(crate) fn new(context: &TaskContext, side: Side) -> Self {
        let labels = [context.connector.to_string(), context.task.to_string()];
        let values = [labels[0].as_str(), labels[1].as_str()];
        let names = ["connector", "task"];
        let metrics = &context.metrics;
        let counter = |name: String, help: &str| {
            metrics
                .counter(&name, help, &names)
                .with_label_values(&values)
        };
        let gauge = |name: String, help: &str| {
            metrics
                .gauge(&name, help, &names)
                .with_label_values(&values)
        };
        let real = |name: String, help: &str| {
            metrics
                .real_gauge(&name, help, &names)
                .with_label_values(&values)
        };
        let counted = |name: String, help: &str| Counted {
            total: counter(format!("{name}_total"), help),
            lately: Window::default(),
            rate: real(
                format!("{name}_rate"),
                &format!("{help} Per second, over the last half minute or more."),
            ),
        };
        let (group, read, written) = match side {
            Side::Source => (
                "kafka_connect_source_task_metrics",
                "source_record_poll",
                "source_record_write",
            ),
            Side::Sink => (
                "kafka_connect_sink_task_metrics",
                "sink_record_read",
                "sink_record_send",
            ),
        };
        let (active, batch_time, commits) = match side {
            Side::Source => (
                "source_record_active_count",
                "poll_batch",
                "transaction_commit",
            ),
            Side::Sink => (
                "sink_record_active_count",
                "put_batch",
                "offset_commit_completion",
            ),
        };
        let task = "kafka_connect_connector_task_metrics";
        let error = "kafka_connect_task_error_metrics";
        Self {
            read: counted(format!("{group}_{read}"), "Records that came in."),
            written: counted(
                format!("{group}_{written}"),
                "Records that left the transforms.",
            ),
            active: gauge(
                format!("{group}_{active}"),
                "Records that came in and have not ended.",
            ),
            batch: Window::default(),
            put: Window::default(),
            commit: Window::default(),
            commits: counted(format!("{group}_{commits}"), "Commits."),
            late_commits: (side == Side::Sink).then(|| {
                counted(
                    format!("{group}_offset_commit_skip"),
                    "Commits that came too late: the group had gone on without the task.",
                )
            }),
            failed_commits: counter(
                "penstock_task_failed_commits_total".into(),
                "Commits that failed.",
            ),
            transactions: Window::default(),
            errors: counter(
                format!("{error}_total_record_errors"),
                "Records that could not be processed.",
            ),
            failures: counter(
                format!("{error}_total_record_failures"),
                "Failures of record processing.",
            ),
            skipped: counter(
                format!("{error}_total_records_skipped"),
                "Records skipped because of errors.",
            ),
            retries: counter(
                format!("{error}_total_retries"),
                "Operations that were tried again.",
            ),
            logged: counter(
                format!("{error}_total_errors_logged"),
                "Errors written to the log.",
            ),
            dlq_requests: counter(
                format!("{error}_deadletterqueue_produce_requests"),
                "Dead letters written.",
            ),
            dlq_failures: counter(
                format!("{error}_deadletterqueue_produce_failures"),
                "Dead letters that could not be written; their records come again.",
            ),
            last_error: gauge(
                format!("{error}_last_error_timestamp"),
                "When the last error was met, in ms.",
            ),
            restarts: counter(
                "penstock_task_restarts_total".into(),
                "Restarts under supervision.",
            ),
            filtered: metrics.counter(
                "penstock_records_filtered_total",
                "Records dropped on purpose, by reason.",
                &["connector", "task", "reason"],
            ),
            reading: (side == Side::Sink).then(|| Reading {
                partitions: gauge(
                    format!("{group}_partition_count"),
                    "Partitions of the task.",
                ),
                lag: metrics.gauge(
                    &format!("{group}_sink_record_lag_max"),
                    "Largest lag over the partitions, in records; absent until it is known.",
                    &names,
                ),
            }),
            shown: Shown {
                batch_max: real(format!("{task}_batch_size_max"), "Largest batch lately."),
                batch_avg: real(format!("{task}_batch_size_avg"), "Average batch lately."),
                put_max: real(
                    format!("{group}_{batch_time}_max_time_ms"),
                    "Longest batch lately, in ms.",
                ),
                put_avg: real(
                    format!("{group}_{batch_time}_avg_time_ms"),
                    "Average batch lately, in ms.",
                ),
                commit_max: real(
                    format!("{task}_offset_commit_max_time_ms"),
                    "Longest commit lately, in ms.",
                ),
                commit_avg: real(
                    format!("{task}_offset_commit_avg_time_ms"),
                    "Average commit lately, in ms.",
                ),
                commit_success: real(
                    format!("{task}_offset_commit_success_percentage"),
                    "Share that succeeded.",
                ),
                commit_failure: real(
                    format!("{task}_offset_commit_failure_percentage"),
                    "Share that failed.",
                ),
                transaction: (side == Side::Source).then(|| {
                    ["min", "max", "avg"].map(|which| {
                        real(
                            format!("{group}_transaction_size_{which}"),
                            "Records of a transaction lately.",
                        )
                    })
                }),
                running: real(
                    format!("{task}_running_ratio"),
                    "Share of time in state RUNNING, since the task was resumed or paused.",
                ),
                paused: real(
                    format!("{task}_pause_ratio"),
                    "Share of time in state PAUSED, since the task was resumed or paused.",
                ),
            },
            labels,
            started: Instant::now(),
        }
    }

    /// Records came in.
    pub(crate) fn read(&self, count: usize) {
        // First, so that nobody sees records that have come in and neither are under way nor ended.
        self.active.add(as_i64(count));
        self.read.add(count);
        self.batch.observe(count as f64);
    }

    /// Records left the transforms.
    pub(crate) fn wrote(&self, count: usize) {
        self.written.add(count);
    }

    /// A batch was handled from its first to its last step.
    pub(crate) fn handled(&self, took: Duration) {
        self.put.observe(took.as_secs_f64() * 1000.0);
    }

    /// Records have ended.
    pub(crate) fn ended(&self, count: usize) {
        self.active.sub(as_i64(count).min(self.active.get()));
    }

    /// Nothing is on its way any more.
    pub(crate) fn none_active(&self) {
        self.active.set(0);
    }

    /// A commit of this many records went through.
    pub(crate) fn committed(&self, took: Duration, records: usize) {
        self.commits.add(1);
        self.commit.observe(took.as_secs_f64() * 1000.0);
        self.transactions.observe(records as f64);
    }

    pub(crate) fn commit_failed(&self, error: &penstock_broker::Error) {
        self.failed_commits.inc();
        if let Some(late) = &self.late_commits
            && error.retry == penstock_broker::Retry::Fenced
        {
            late.add(1);
        }
    }

    pub(crate) fn filtered(&self, reason: &str) {
        self.filtered
            .with_label_values(&[self.labels[0].as_str(), self.labels[1].as_str(), reason])
            .inc();
    }

    /// A record could not be processed.
    pub(crate) fn rejected(&self) {
        self.errors.inc();
        self.failed();
    }

    /// An operation failed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
        self.last_error.set(now_ms());
    }

    pub(crate) fn skipped(&self) {
        self.skipped.inc();
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn restarted(&self) {
        self.restarts.inc();
        self.retries.inc();
    }

    pub(crate) fn logged(&self) {
        self.logged.inc();
    }

    pub(crate) fn dead_letter(&self) {
        self.dlq_requests.inc();
    }

    pub(crate) fn dead_letter_failed(&self) {
        self.dlq_failures.inc();
    }

    pub(crate) fn partitions(&self, count: usize) {
        if let Some(reading) = &self.reading {
            reading.partitions.set(as_i64(count));
        }
    }

    /// Says how many records lie ahead of the task; `None`: nobody knows.
    pub(crate) fn lag(&self, records: Option<i64>) {
        let Some(reading) = &self.reading else { return };
        let labels = [self.labels[0].as_str(), self.labels[1].as_str()];
        match records {
            Some(records) => reading.lag.with_label_values(&labels).set(records),
            // It has no sample already.
            None => drop(reading.lag.remove_label_values(&labels)),
        }
    }

    /// Sets the gauges that are made from windows; called when somebody looks.
    pub(crate) fn show(&self, state: State, running: Duration) {
        let late = self.late_commits.iter();
        for counted in [&self.read, &self.written, &self.commits]
            .into_iter()
            .chain(late)
        {
            counted.show();
        }
        let shown = &self.shown;
        let batch = self.batch.summary();
        shown.batch_max.set(batch.max);
        shown.batch_avg.set(batch.average());
        let put = self.put.summary();
        shown.put_max.set(put.max);
        shown.put_avg.set(put.average());
        let commit = self.commit.summary();
        shown.commit_max.set(commit.max);
        shown.commit_avg.set(commit.average());
        let (good, bad) = (
            self.commits.total.get() as f64,
            self.failed_commits.get() as f64,
        );
        let all = (good + bad).max(1.0);
        shown.commit_success.set(good / all);
        shown.commit_failure.set(bad / all);
        if let Some([min, max, avg]) = &shown.transaction {
            let sizes = self.transactions.summary();
            min.set(sizes.min);
            max.set(sizes.max);
            avg.set(sizes.average());
        }
        let total = self.started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        shown.running.set((running.as_secs_f64() / total).min(1.0));
        shown
            .paused
            .set(if state == State::Paused { 1.0 } else { 0.0 });
    }

    /// Sets the gauges of a task that is paused: it reads nothing, and holds no partitions.
    pub(crate) fn show_paused(&self) {
        self.none_active();
        self.partitions(0);
        self.lag(None);
        self.show(State::Paused, Duration::ZERO);
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
