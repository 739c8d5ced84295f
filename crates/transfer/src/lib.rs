//! Requests to object stores: given up when they stand still, not when they are slow.
//!
//! A limit on a whole request is either too short for a large object on a thin line, where each try
//! fails for ever, or too long for a store that is gone. Here a request fails once nothing of it has
//! moved for a while: neither a byte of its body, nor its answer, nor a byte of the answer's body.

mod body;
mod connector;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};
use reqwest::{Body, Client, ClientBuilder, Request, Response};
use tokio::time::{Instant, timeout_at};

use body::{Download, Upload};
pub use connector::Connector;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing of it moved for so long.
    #[error("nothing moved for {0:?}")]
    Stalled(Duration),
    /// The connection failed, or could not be made. Without the URL, which may hold a signature.
    #[error(transparent)]
    Http(reqwest::Error),
}

impl From<SendError> for HttpError {
    fn from(error: SendError) -> Self {
        let kind = match &error {
            SendError::Stalled(_) => HttpErrorKind::Timeout,
            SendError::Http(error) if error.is_connect() => HttpErrorKind::Connect,
            SendError::Http(error) if error.is_timeout() => HttpErrorKind::Timeout,
            SendError::Http(error) if error.is_builder() => HttpErrorKind::Unknown,
            // What was sent may have arrived.
            SendError::Http(_) => HttpErrorKind::Interrupted,
        };
        HttpError::new(kind, error)
    }
}

/// A client as [`send`] wants it: without timeouts but for connections, and bodies as they are.
pub fn client(connect: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        // Lengths of objects are those of their bytes.
        .no_gzip()
}

/// Sends a request and returns the head of its answer. It fails once nothing has moved for `silence`,
/// and so does reading the answer's body.
pub async fn send(
    client: &Client,
    mut request: Request,
    silence: Duration,
) -> Result<Response, SendError> {
    let moved = Moved::now();
    if let Some(body) = request.body_mut().take() {
        let body = Upload::new(body, moved.clone());
        *request.body_mut() = Some(Body::wrap(body));
    }
    let mut answer = pin!(client.execute(request));
    let response = loop {
        let due = moved.last() + silence;
        match timeout_at(due, answer.as_mut()).await {
            Ok(answer) => break answer.map_err(|error| SendError::Http(error.without_url()))?,
            Err(_) if moved.last() + silence > due => {}
            Err(_) => return Err(SendError::Stalled(silence)),
        }
    };
    let response = http::Response::from(response);
    Ok(response
        .map(|body| Body::wrap(Download::new(body, silence)))
        .into())
}

/// When a byte of a request last moved.
#[derive(Clone)]
struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
