//! The metrics of the worker as a whole.

use penstock_connect::Metrics;
use prometheus::{IntCounter, IntGauge, IntGaugeVec};

use crate::status::State;

/// Kafka Connect's group of these metrics, `connect-worker-metrics`, as the exporter rules write it.
const GROUP: &str = "kafka_connect_connect_worker_metrics";

/// Counts of connectors and tasks, and how their starts went.
pub(crate) struct WorkerMetrics {
    connectors: IntGauge,
    tasks: IntGauge,
    by_state: [(IntGaugeVec, Option<State>); STATES.len()],
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
            let name = format!("{GROUP}_{what}_startup_{which}_total");
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

    fn begin(&self) -> Start {
        self.attempts.inc();
        Start {
            success: self.success.clone(),
            failure: self.failure.clone(),
        }
    }
}

/// A start that was attempted; one that nobody waits for any more counts as neither.
#[derive(Debug)]
pub(crate) struct Start {
    success: IntCounter,
    failure: IntCounter,
}

impl Start {
    /// It has come to its end.
    pub(crate) fn ended(self, well: bool) {
        if well {
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
                .gauge(&format!("{GROUP}_{name}"), help, &[])
                .with_label_values::<&str>(&[])
        };
        Self {
            connectors: gauge("connector_count", "Connectors of the worker."),
            tasks: gauge("task_count", "Tasks of the worker."),
            by_state: STATES.map(|(word, state)| {
                let name = format!("{GROUP}_connector_{word}_task_count");
                let help = format!("Tasks of a connector: {word}.");
                (metrics.gauge(&name, &help, &["connector"]), state)
            }),
            status: metrics.gauge(
                "kafka_connect_connector_task_metrics_status",
                "1 for the state that the task is in.",
                &["connector", "task", "status"],
            ),
            connector_starts: Starts::new(metrics, "connector"),
            task_starts: Starts::new(metrics, "task"),
        }
    }

    pub(crate) fn connector_starts(&self) -> Start {
        self.connector_starts.begin()
    }

    pub(crate) fn task_starts(&self) -> Start {
        self.task_starts.begin()
    }

    /// Sets the gauges from the states of each connector's tasks.
    pub(crate) fn show<'a>(&self, connectors: impl Iterator<Item = (&'a str, Vec<State>)>) {
        self.status.reset();
        for (gauge, _) in &self.by_state {
            gauge.reset();
        }
        let (mut count, mut tasks) = (0, 0);
        for (name, states) in connectors {
            count += 1;
            tasks += states.len();
            for (gauge, wanted) in &self.by_state {
                let number = states
                    .iter()
                    .filter(|state| wanted.is_none_or(|wanted| **state == wanted))
                    .count();
                gauge
                    .with_label_values(&[name])
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
