//! The gateway's own metrics.

use std::time::Duration;

use axum::http::StatusCode;
use penstock_connect::TaskContext;
use penstock_connect::prometheus::{HistogramVec, IntCounter, IntCounterVec};

/// Upper bounds of the answer times in seconds: p99 below 10 ms is what a gateway promises.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Metrics of one task.
pub(crate) struct Counters {
    connector: Box<str>,
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Events that senders were told are accepted.
    pub(crate) accepted: IntCounter,
    /// Events that cannot be accepted as they are.
    pub(crate) invalid: IntCounter,
    /// Events that may be sent again later.
    pub(crate) deferred: IntCounter,
}

impl Counters {
    pub(crate) fn new(context: &TaskContext) -> Self {
        let events = context.metrics.counter(
            "penstock_http_source_events_total",
            "Events that came in, by outcome",
            &["connector", "outcome"],
        );
        let of = |outcome| events.with_label_values(&[&*context.connector, outcome]);
        Self {
            connector: (*context.connector).into(),
            requests: context.metrics.counter(
                "penstock_http_source_requests_total",
                "Requests that were answered, by path and status",
                &["connector", "path", "status"],
            ),
            seconds: context.metrics.histogram(
                "penstock_http_source_request_seconds",
                "Time from a request's head to its answer, by path",
                &["connector", "path"],
                &BOUNDS,
            ),
            accepted: of("accepted"),
            invalid: of("invalid"),
            deferred: of("deferred"),
        }
    }

    /// Counts a request. `path` is one of the gateway's own or `other`.
    pub(crate) fn answered(&self, path: &str, status: StatusCode, took: Duration) {
        self.requests
            .with_label_values(&[&*self.connector, path, status.as_str()])
            .inc();
        self.seconds
            .with_label_values(&[&*self.connector, path])
            .observe(took.as_secs_f64());
    }
}
