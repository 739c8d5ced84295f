//! The request, and what the server's answer means.

use std::time::Duration;

use futures::future::BoxFuture;
use penstock_connect::Error;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Client, Response, StatusCode, Url};

use crate::config::SseSourceConfig;

/// How long a server may take until it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a refusal's text is shown.
const SHOWN: usize = 200;

/// Connects to one stream.
pub(crate) struct Connector {
    client: Client,
    uri: Url,
    since: Option<String>,
}

impl Connector {
    pub(crate) fn new(config: &SseSourceConfig) -> Result<Self, Error> {
        let client = Client::builder()
            .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(config)?)
            .connect_timeout(ANSWER_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .gzip(true)
            .build()
            .map_err(|error| Error::never("no HTTP client can be made").with_source(error))?;
        Ok(Self {
            client,
            uri: config.uri.0.clone(),
            since: config.since.as_ref().map(|since| since.0.clone()),
        })
    }

    /// Asks for the stream from after `last_id`; without one, from `since` or from now. The result is
    /// a connection that delivers events.
    pub(crate) fn connect(&self, last_id: &str) -> BoxFuture<'static, Result<Response, Error>> {
        let mut uri = self.uri.clone();
        let mut resume = HeaderMap::new();
        if !last_id.is_empty() {
            match HeaderValue::from_bytes(last_id.as_bytes()) {
                Ok(value) => {
                    resume.insert("last-event-id", value);
                }
                Err(error) => {
                    let message =
                        "the id of the last event holds control characters and cannot be sent back";
                    let error = Error::never(message).with_source(error);
                    return Box::pin(async { Err(error) });
                }
            }
        } else if let Some(since) = &self.since {
            uri.query_pairs_mut().append_pair("since", since);
        }
        let request = self.client.get(uri.clone()).headers(resume);
        Box::pin(async move {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, request.send())
                .await
                .map_err(|_| {
                    let seconds = ANSWER_TIMEOUT.as_secs();
                    Error::reconnect(format!("{uri}: no answer within {seconds} s"))
                })?
                .map_err(|error| {
                    let what = if error.is_connect() {
                        "cannot connect"
                    } else {
                        "no usable answer"
                    };
                    Error::reconnect(format!("{uri}: {what}")).with_source(error.without_url())
                })?;
            accept(&uri, answer).await
        })
    }
}

fn headers(config: &SseSourceConfig) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(token) = &config.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
            .map_err(|_| Error::never("sse.auth.token: cannot stand in a header"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let more = config.headers.as_ref().map_or("", |secret| secret.reveal());
    for (index, field) in more.split('|').map(str::trim).enumerate() {
        if field.is_empty() {
            continue;
        }
        // A field may be a secret, so only its place is told.
        let wrong = || {
            Error::never(format!(
                "sse.headers: field {} is not `Name: value`",
                index + 1
            ))
        };
        let (name, value) = field.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Takes an answer that is an event stream; says of others whether to come again.
async fn accept(uri: &Url, answer: Response) -> Result<Response, Error> {
    let status = answer.status();
    if status == StatusCode::OK {
        let media_type = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or("nothing said");
        if media_type.trim().eq_ignore_ascii_case("text/event-stream") {
            return Ok(answer);
        }
        return Err(Error::never(format!(
            "{uri} is not an event stream: its type is {media_type}, not text/event-stream"
        )));
    }
    if status == StatusCode::NO_CONTENT {
        return Err(Error::never(format!(
            "{uri}: the server says that the stream is over (204)"
        )));
    }
    let text = beginning(answer).await;
    let message = format!("{uri}: the server answered {status}{text}");
    Err(match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Error::reconnect(message)
        }
        status if status.is_server_error() => Error::reconnect(message),
        _ => Error::never(message),
    })
}

/// What a refusal says, cut short and in one line.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(ANSWER_TIMEOUT, answer.chunk()).await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= SHOWN * 4 {
            break;
        }
    }
    let text: String = String::from_utf8_lossy(&bytes)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect();
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}
