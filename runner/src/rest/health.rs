//! `GET /`, `GET /health`, `GET /metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};
use serde_json::{Value, json};

use super::Rest;
use crate::status::State as TaskState;
use crate::worker::blocking;

pub(super) async fn root(State(rest): State<Rest>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("PENSTOCK_COMMIT").unwrap_or("unknown"),
        "kafka_cluster_id": rest.services.worker_id(),
    }))
}

/// 200 while the broker answers and all tasks have started; 503 otherwise, with the reason.
///
/// As Kafka Connect's, this speaks of the worker: a task that failed for good is named, but is no reason
/// for a probe to restart all the others.
pub(super) async fn health(State(rest): State<Rest>) -> Response {
    if let Some(waits_for) = rest.services.startup.waits_for() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "starting", &waits_for);
    }
    let reachable = blocking(&rest.services, |services| {
        services.broker.reachable(std::time::Duration::from_secs(5))
    })
    .await;
    if let Err(error) = reachable {
        return answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "unhealthy",
            &error.to_string(),
        );
    }
    let (mut failed, mut starting) = (Vec::new(), Vec::new());
    for (name, connector) in rest.connectors.list() {
        for (task, (state, _)) in connector.tasks.iter().enumerate() {
            match state {
                TaskState::Failed => failed.push(format!("{name} task {task}")),
                TaskState::Unassigned => starting.push(format!("{name} task {task}")),
                _ => {}
            }
        }
    }
    if !starting.is_empty() {
        let message = format!("starting: {}", starting.join(", "));
        return answer(StatusCode::SERVICE_UNAVAILABLE, "starting", &message);
    }
    let mut message = "Worker has completed startup and is ready to handle requests.".to_owned();
    if !failed.is_empty() {
        message = format!("{message} FAILED: {}", failed.join(", "));
    }
    answer(StatusCode::OK, "healthy", &message)
}

fn answer(status: StatusCode, word: &str, message: &str) -> Response {
    (status, Json(json!({"status": word, "message": message}))).into_response()
}

/// Prometheus text format.
pub(super) async fn metrics(State(rest): State<Rest>) -> Response {
    rest.connectors.show_metrics();
    let mut body = Vec::new();
    match TextEncoder::new().encode(&rest.services.metrics.registry().gather(), &mut body) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
