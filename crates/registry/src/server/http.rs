//! The HTTP side that all paths share: media types, query parameters, subjects and versions in
//! paths, bodies with a limit.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::{Deleted, State};

/// Schemas are kilobytes; a body beyond this is refused with 413.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

const PREFERRED: &str = "application/vnd.schemaregistry.v1+json";
const PRODUCED: [&str; 3] = [
    PREFERRED,
    "application/vnd.schemaregistry+json",
    "application/json",
];

/// Refuses pages of other origins and bodies of foreign types, and answers in the first type of ours that
/// is accepted.
pub(super) async fn media_types(request: Request, next: Next) -> Response {
    if penstock_listen::origin::is_foreign(request.headers(), request.uri()) {
        let refused = ApiError::plain(
            StatusCode::FORBIDDEN,
            "pages of other origins may not use this registry",
        );
        return answer_as(PREFERRED, refused.into_response());
    }
    let has_body = matches!(*request.method(), Method::POST | Method::PUT);
    if has_body && !consumed(request.headers()) {
        return answer_as(
            PREFERRED,
            ApiError::plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "HTTP 415 Unsupported Media Type",
            )
            .into_response(),
        );
    }
    let Some(produced) = produced(request.headers()) else {
        let refused = ApiError::plain(StatusCode::NOT_ACCEPTABLE, "HTTP 406 Not Acceptable");
        return answer_as(PREFERRED, refused.into_response());
    };
    answer_as(produced, next.run(request).await)
}

fn answer_as(media_type: &'static str, mut response: Response) -> Response {
    if response.headers().contains_key(header::CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response
}

/// A page of another origin can send form types without being asked, but none of these: they are
/// the only ones taken.
fn consumed(headers: &HeaderMap) -> bool {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = text.map(essence).unwrap_or_default();
    PRODUCED.contains(&essence.as_str()) || essence == "application/octet-stream"
}

fn produced(headers: &HeaderMap) -> Option<&'static str> {
    let mut accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(essence)
        .filter(|one| !one.is_empty())
        .peekable();
    if accepted.peek().is_none() {
        return Some(PREFERRED);
    }
    accepted.find_map(|one| match one.as_str() {
        "*/*" | "application/*" => Some(PREFERRED),
        other => PRODUCED.into_iter().find(|ours| *ours == other),
    })
}

fn essence(media_type: &str) -> String {
    let bare = media_type.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// Query parameters, read as Java's JAX-RS does: `True` is true, what is not true is false.
pub(super) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(map) = Query::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::plain(StatusCode::BAD_REQUEST, "the query cannot be read"))?;
        Ok(Self(map))
    }
}

impl Params {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// `deletedOnly` and `deleted`.
    pub(super) fn deleted(&self) -> Deleted {
        match (self.flag("deletedOnly"), self.flag("deleted")) {
            (true, _) => Deleted::Only,
            (_, true) => Deleted::With,
            _ => Deleted::Without,
        }
    }

    /// `offset` and `limit` (all if negative or absent) of a list.
    pub(super) fn page<T>(&self, items: Vec<T>) -> Result<Vec<T>, ApiError> {
        let number = |name: &str, default: i64| match self.text(name) {
            None | Some("") => Ok(default),
            Some(text) => text.parse::<i64>().map_err(|_| {
                ApiError::plain(
                    StatusCode::BAD_REQUEST,
                    format!("{name} must be a whole number"),
                )
            }),
        };
        let offset = usize::try_from(number("offset", 0)?).unwrap_or(0);
        let limit = usize::try_from(number("limit", -1)?).unwrap_or(usize::MAX);
        Ok(items.into_iter().skip(offset).take(limit).collect())
    }
}

/// A JSON body of limited size.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|e| unread(&e))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| {
            // Where, not what: the body is a stranger's.
            let text = format!(
                "The body is not the JSON expected here: line {} column {}",
                e.line(),
                e.column()
            );
            ApiError::plain(StatusCode::BAD_REQUEST, text)
        })
    }
}

fn unread(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is longer than {MAX_BODY} bytes"),
        ),
        status => ApiError::plain(status, "The body could not be read"),
    }
}

/// Checks a subject name.
pub(super) fn valid_subject(subject: &str) -> Result<(), ApiError> {
    if subject.starts_with(":.") {
        return Err(ApiError::contexts_unsupported());
    }
    let reserved = matches!(subject, "" | "__GLOBAL" | "__EMPTY");
    if reserved || subject.chars().any(char::is_control) || subject.len() > 1024 {
        let shown: String = subject.escape_debug().take(100).collect();
        return Err(ApiError::invalid_subject(&shown));
    }
    Ok(())
}

/// A version as it stands in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionId {
    Latest,
    Number(u32),
}

impl VersionId {
    /// `latest`, `-1`, or a number from 1 to 2^31-1.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        if text == "-1" || text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        text.parse::<i32>()
            .ok()
            .filter(|number| *number > 0)
            .map(|number| Self::Number(number.unsigned_abs()))
            .ok_or_else(|| {
                let shown: String = text.escape_debug().take(40).collect();
                ApiError::invalid_version(&shown)
            })
    }

    /// The version of a subject among those that `deleted` lets through.
    pub(super) fn resolve(
        self,
        state: &State,
        subject: &str,
        deleted: Deleted,
    ) -> Result<(u32, super::state::Version), ApiError> {
        let mut versions = state.versions(subject, deleted);
        let found = match self {
            Self::Latest => versions.next_back(),
            Self::Number(wanted) => versions.find(|(number, _)| *number == wanted),
        };
        found.ok_or_else(|| match self {
            Self::Number(wanted) if state.versions(subject, deleted).next().is_some() => {
                ApiError::version_not_found(wanted)
            }
            _ => ApiError::subject_not_found(subject),
        })
    }
}

/// Runs what parses schemas or syncs files where it may take its time.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(ApiError::store(error)),
    }
}
