//! Which requests are answered at all, and who is shown secrets.
//!
//! The listener is on the operator's own machine by default, where every page in a browser can send
//! requests to it. Pages of other origins are refused, and bodies are taken as JSON only, which no page
//! can send to another origin without asking first.

use std::net::SocketAddr;

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use penstock_listen::{bearer, origin};

use super::{Rest, RestError};

/// Middleware: refuses pages of other origins, and bodies that are not said to be JSON.
pub(super) async fn admit(request: Request, next: Next) -> Response {
    if origin::is_foreign(request.headers(), request.uri()) {
        let message = "pages of other origins may not use this worker";
        return RestError::new(StatusCode::FORBIDDEN, message).into_response();
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !request.body().is_end_stream() && !is_json(request.headers()) {
        let message = "HTTP 415 Unsupported Media Type: send Content-Type: application/json";
        return RestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    next.run(request).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE);
    let text = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = text.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Who asks for secrets.
#[derive(Debug)]
pub(super) struct Caller {
    /// The request comes from a program on this machine, as far as can be told.
    is_here: bool,
    bearer: Option<Vec<u8>>,
}

impl FromRequestParts<Rest> for Caller {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, RestError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let is_near = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let headers = &parts.headers;
        // The peer alone says little: a proxy on this machine passes on what others ask, and a name may
        // have been made to point here.
        let is_here =
            is_near && origin::asks_loopback(headers, &parts.uri) && !origin::is_forwarded(headers);
        let bearer = bearer(headers).map(<[u8]>::to_vec);
        Ok(Self { is_here, bearer })
    }
}

impl Caller {
    /// With `rest.reveal.token` set, the request has to carry it; without, it has to come from this
    /// machine.
    pub(super) fn may_see(&self, rest: &Rest, reveal: bool, what: &str) -> Result<(), RestError> {
        if !reveal {
            return Err(RestError::bad_request(format!(
                "{what} shows secrets: say reveal=true if that is what you want"
            )));
        }
        let (status, message) = match (&rest.services.worker.reveal_token, &self.bearer) {
            (None, _) if self.is_here => return Ok(()),
            (None, _) => (
                StatusCode::FORBIDDEN,
                format!(
                    "{what} is answered to http://localhost or http://127.0.0.1 on the worker's own machine only, and \
                     not through a proxy, unless rest.reveal.token is set"
                ),
            ),
            (Some(token), Some(given)) if same(given, token.reveal().as_bytes()) => return Ok(()),
            (Some(_), _) => (
                StatusCode::UNAUTHORIZED,
                format!("{what} needs the bearer token of rest.reveal.token"),
            ),
        };
        Err(RestError::new(status, message))
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
