//! What worker, connectors and tasks count, under the names that a Kafka Connect dashboard uses: the
//! JMX names as the usual exporter rules write them.

mod task;
mod window;
mod worker;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use task::{Side, TaskMetrics};
pub(crate) use worker::{Start, WorkerMetrics};

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
