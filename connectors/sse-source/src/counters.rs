//! The source's own metrics.

use penstock_connect::TaskContext;
use penstock_connect::prometheus::{IntCounter, IntCounterVec, IntGauge};

/// Metrics of one task.
pub(crate) struct Counters {
    connector: Box<str>,
    reconnects: IntCounterVec,
    /// Canary events that were dropped.
    pub(crate) canaries: IntCounter,
    /// Events that were dropped because they came before.
    pub(crate) repeated: IntCounter,
    /// Seconds since the epoch at which the last event came: for alerts on silence.
    pub(crate) last_event: IntGauge,
}

impl Counters {
    pub(crate) fn new(context: &TaskContext) -> Self {
        let metrics = &context.metrics;
        let connector = &*context.connector;
        let dropped = metrics.counter(
            "penstock_sse_source_events_dropped_total",
            "Events that were dropped on purpose, by reason",
            &["connector", "reason"],
        );
        Self {
            connector: connector.into(),
            reconnects: metrics.counter(
                "penstock_sse_source_reconnects_total",
                "Connections that ended and were made anew, by reason",
                &["connector", "reason"],
            ),
            canaries: dropped.with_label_values(&[connector, "canary"]),
            repeated: dropped.with_label_values(&[connector, "sent again"]),
            last_event: metrics
                .gauge(
                    "penstock_sse_source_last_event_timestamp_seconds",
                    "When the last event came, canary events included",
                    &["connector"],
                )
                .with_label_values(&[connector]),
        }
    }

    pub(crate) fn reconnect(&self, reason: &str) {
        self.reconnects
            .with_label_values(&[&*self.connector, reason])
            .inc();
    }
}
