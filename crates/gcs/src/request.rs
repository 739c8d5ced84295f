//! One request: who asks, how often it is tried, and what its failure means.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use object_store::client::{HttpError, HttpRequestBody};
use object_store::{Error, PutPayload, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use crate::{Inner, STORE};

/// Names of objects are one segment of the path, their slashes included.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(crate) fn encode(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

pub(crate) fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: STORE,
        source: Box::new(source),
    }
}

/// Why a request failed, and whether the next one may not.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) passing: bool,
}

impl Inner {
    /// Sends a request until it is answered, or the tries are used up. `name` is the object that an
    /// error speaks of. Only for requests that may be sent twice.
    pub(crate) async fn send(
        &self,
        name: &str,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response> {
        let since = Instant::now();
        (|| self.send_once(name, request(&self.http)))
            .retry(self.patience())
            .when(|failure| failure.passing && self.has_patience(since))
            .await
            .map_err(|failure| failure.error)
    }

    /// Whether a request that was first sent then may be tried again.
    pub(crate) fn has_patience(&self, since: Instant) -> bool {
        since.elapsed() < self.access.retry_for
    }

    pub(crate) fn patience(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(self.access.longest_pause)
            .with_max_times(self.access.retries)
            .with_jitter()
    }

    /// Sends a request once. "Go on" (308) of a resumable upload is an answer.
    pub(crate) async fn send_once(
        &self,
        name: &str,
        request: RequestBuilder,
    ) -> Result<Response, Failure> {
        let request = match &self.access.credentials {
            None => request,
            Some(credentials) => {
                let credential = credentials
                    .get_credential()
                    .await
                    .map_err(|error| Failure {
                        error,
                        passing: false,
                    })?;
                request.bearer_auth(&credential.bearer)
            }
        };
        let response = self.exchange(request).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::PERMANENT_REDIRECT {
            return Ok(response);
        }
        let text = response.bytes().await.unwrap_or_default();
        Err(failure(name, status, &text))
    }

    /// Sends a request as it is, whatever its answer. The error does not hold its URL: that of a
    /// resumable upload is as good as a password.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.build().map_err(|error| Failure {
            error: generic(error.without_url()),
            passing: false,
        })?;
        let sent = penstock_transfer::send(&self.http, request, self.access.timeout).await;
        sent.map_err(|error| Failure {
            error: generic(HttpError::from(error)),
            passing: true,
        })
    }
}

/// The body of a request, as the pieces that it is in memory.
pub(crate) fn body(payload: PutPayload) -> Body {
    Body::wrap(HttpRequestBody::from(payload))
}

/// What the service says went wrong.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Debug, Deserialize)]
struct RefusalBody {
    message: String,
}

fn failure(name: &str, status: StatusCode, body: &[u8]) -> Failure {
    let message = serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| String::new(),
        |refusal| format!(": {}", refusal.error.message),
    );
    let source = format!("the service answered {status}{message}").into();
    let path = name.to_owned();
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { path, source },
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
        StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
        StatusCode::PRECONDITION_FAILED => Error::Precondition { path, source },
        StatusCode::NOT_MODIFIED => Error::NotModified { path, source },
        _ => Error::Generic {
            store: STORE,
            source,
        },
    };
    let passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    Failure { error, passing }
}
