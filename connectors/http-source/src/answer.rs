//! What senders are told when an event is not accepted: a status, plain text, and when to come again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use penstock_connect::{RecordError, RecordErrorKind};

/// Seconds after which a sender may come again.
const COME_AGAIN: &str = "1";

/// Why an event, or a whole request, is not accepted. The text never holds a value of an event,
/// beyond what the rules of contracts allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// 400: the request or its event is wrong.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 401: no token, or an unknown one.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Not authorised. Send Authorization: Bearer with a token that this gateway knows.",
        )
    }

    /// 408: the body does not come.
    pub(crate) fn slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "The body of the request took too long.",
        )
    }

    /// 413.
    pub(crate) fn too_large(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// 415.
    pub(crate) fn unsupported(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    }

    /// 429: as many events wait as may.
    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many events are waiting to be written. Send again later.",
        )
    }

    /// 503: something behind the gateway is away; the event was not accepted.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// 503: the gateway is going down.
    pub(crate) fn stopping() -> Self {
        Self::unavailable("The gateway is stopping. Send again later.")
    }

    /// 503: nobody knows what became of the event.
    pub(crate) fn unknown() -> Self {
        Self::unavailable(
            "Whether the event was accepted is not known. Send again; it may then be there twice.",
        )
    }

    /// 503: what has to be asked before an event can be taken in did not answer.
    pub(crate) fn late() -> Self {
        Self::unavailable("The event took too long and was not accepted. Send again later.")
    }

    /// Whether the sender may send the same again.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        match error.kind {
            RecordErrorKind::TooLarge => Self::too_large(error.message),
            _ => Self::invalid(error.message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        add_headers(self.status, &mut response);
        response
    }
}

/// Adds what a status asks for beside its body.
pub(crate) fn add_headers(status: StatusCode, response: &mut Response) {
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(COME_AGAIN));
        }
        _ => {}
    }
}
