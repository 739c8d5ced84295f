//! Errors as Kafka Connect answers them: `{"error_code":…,"message":…}`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::connectors::ConnectorError;

/// An error answer.
#[derive(Debug)]
pub(crate) struct RestError {
    status: StatusCode,
    message: String,
}

impl RestError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.status.as_u16(), "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

/// Largest refusal of the framework that is shown.
const REFUSAL: usize = 4096;

/// Gives the framework's own refusals (a query, path or body that cannot be read), which are plain text,
/// the shape of all others.
pub(super) async fn in_one_shape(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !is_text {
        return response;
    }
    let body = axum::body::to_bytes(response.into_body(), REFUSAL).await;
    let message = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    RestError::new(status, message).into_response()
}

impl From<ConnectorError> for RestError {
    fn from(error: ConnectorError) -> Self {
        let status = match &error {
            ConnectorError::NotFound(_) => StatusCode::NOT_FOUND,
            ConnectorError::Conflict(_) => StatusCode::CONFLICT,
            ConnectorError::Invalid(_) | ConnectorError::Refused(_) => StatusCode::BAD_REQUEST,
            ConnectorError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryRejection> for RestError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<penstock_broker::Error> for RestError {
    fn from(error: penstock_broker::Error) -> Self {
        let status = match error.kind {
            penstock_broker::ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<penstock_registry::RegistryError> for RestError {
    fn from(error: penstock_registry::RegistryError) -> Self {
        let status = match error.retry() {
            penstock_registry::Retry::Never => StatusCode::BAD_REQUEST,
            penstock_registry::Retry::Backoff => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
