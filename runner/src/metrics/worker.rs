//! The metrics of the worker as a whole.

use penstock_connect::Metrics;
use prometheus::{IntCounter, IntGauge, IntGaugeVec};

use crate::status::State;

/// Counts of connectors and tasks, and how their starts went.
pub(crate) struct WorkerMetrics {
    connectors: IntGauge,
    tasks: IntGauge,
    by_state: IntGaugeVec,
    status: IntGaugeVec,
    connector_starts: Starts,
    task_starts: Starts,
}

struct Starts {
    attempts: IntCounter,
    success: IntCounter,
    failure: IntCounter,
}

impl Starts {
    fn new(metrics: &Metrics, what: &str) -> Self {
        let counter = |which: &str| {
            let name = format!("kafka_connect_worker_metrics_{what}_startup_{which}_total");
            metrics
                .counter(&name, &format!("Starts of a {what}: {which}."), &[])
                .with_label_values::<&str>(&[])
        };
        Self {
            attempts: counter("attempts"),
            success: counter("success"),
            failure: counter("failure"),
        }
    }

    fn count(&self, started: bool) {
        self.attempts.inc();
        if started {
            self.success.inc()
        } else {
            self.failure.inc()
        }
    }
}

/// States in which a connector's tasks are counted, by Kafka Connect's words.
const STATES: [(&str, Option<State>); 7] = [
    ("total", None),
    ("running", Some(State::Running)),
    ("paused", Some(State::Paused)),
    ("failed", Some(State::Failed)),
    ("unassigned", Some(State::Unassigned)),
    ("restarting", Some(State::Restarting)),
    ("completed", Some(State::Completed)),
];

impl WorkerMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| {
            metrics
                .gauge(name, help, &[])
                .with_label_values::<&str>(&[])
        };
        Self {
            connectors: gauge(
                "kafka_connect_worker_metrics_connector_count",
                "Connectors of the worker.",
            ),
            tasks: gauge(
                "kafka_connect_worker_metrics_task_count",
                "Tasks of the worker.",
            ),
            by_state: metrics.gauge(
                "kafka_connect_connect_worker_metrics_connector_task_count",
                "Tasks of a connector, in all and by state.",
                &["connector", "state"],
            ),
            status: metrics.gauge(
                "kafka_connect_connector_task_metrics_status",
                "1 for the state that the task is in.",
                &["connector", "task", "status"],
            ),
            connector_starts: Starts::new(metrics, "connector"),
            task_starts: Starts::new(metrics, "task"),
        }
    }

    pub(crate) fn connector_started(&self, started: bool) {
        self.connector_starts.count(started);
    }

    pub(crate) fn task_started(&self, started: bool) {
        self.task_starts.count(started);
    }

    /// Sets the gauges from the states of each connector's tasks.
    pub(crate) fn show<'a>(&self, connectors: impl Iterator<Item = (&'a str, Vec<State>)>) {
        self.status.reset();
        self.by_state.reset();
        let (mut count, mut tasks) = (0, 0);
        for (name, states) in connectors {
            count += 1;
            tasks += states.len();
            for (word, wanted) in STATES {
                let number = states
                    .iter()
                    .filter(|state| wanted.is_none_or(|wanted| **state == wanted))
                    .count();
                self.by_state
                    .with_label_values(&[name, word])
                    .set(i64::try_from(number).unwrap_or(i64::MAX));
            }
            for (task, state) in states.iter().enumerate() {
                let state = state.as_str().to_ascii_lowercase();
                self.status
                    .with_label_values(&[name, &task.to_string(), &state])
                    .set(1);
            }
        }
        self.connectors.set(count);
        self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }
}
