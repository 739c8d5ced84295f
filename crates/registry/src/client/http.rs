//! HTTP requests to the registry: several URLs, credentials, bounded retries with jitter.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Method, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{Auth, RegistryConfig};
use crate::error::{RegistryError, Retry};
use crate::wire::ErrorBody;

const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json;q=0.9";
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// No schema with its references comes near this.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// The longest single wait between attempts, whatever `Retry-After` says.
const MAX_PAUSE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    endpoints: Vec<Endpoint>,
    /// The endpoint that answered last; tried first.
    preferred: AtomicUsize,
    max_wait: Duration,
}

#[derive(Debug)]
struct Endpoint {
    url: Url,
    auth: Auth,
}

/// One question to the registry.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Path segments after the base URL, not yet escaped.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// Not every registry has this path: its 404 is an answer.
    pub(super) optional: bool,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: &[],
            body: None,
            optional: false,
        }
    }

    pub(super) fn post(path: &'a [&'a str], body: &'a Value) -> Self {
        Self {
            method: Method::POST,
            path,
            query: &[],
            body: Some(body),
            optional: false,
        }
    }

    fn describe(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

impl Http {
    pub(super) fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let mut endpoints = Vec::with_capacity(config.urls.len());
        for text in &config.urls {
            endpoints.push(endpoint(text.trim(), &config.auth)?);
        }
        if endpoints.is_empty() {
            return Err(RegistryError::Config("no URL is given".into()));
        }
        let mut builder = reqwest::Client::builder()
            .timeout(config.timeout)
            .connect_timeout(config.timeout)
            .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &config.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| RegistryError::Config(format!("CA certificates: {}", causes(&e))))?;
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(pem) = &config.identity_pem {
            let identity = reqwest::Identity::from_pem(pem.reveal().as_bytes())
                .map_err(|_| RegistryError::Config(
                    "the client certificate and key are not one PEM text with a certificate and a private key".into(),
                ))?;
            builder = builder.identity(identity);
        }
        let client = builder
            .build()
            .map_err(|e| RegistryError::Config(causes(&e)))?;
        Ok(Self {
            client,
            endpoints,
            preferred: AtomicUsize::new(0),
            max_wait: config.max_wait,
        })
    }

    /// Sends a request until it is answered or `max_wait` is over.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, RegistryError> {
        let last = Mutex::new(None::<RegistryError>);
        let remember = |error: &RegistryError, _: Duration| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        };
        let attempts = (|| self.round(&request))
            .retry(
                ExponentialBuilder::default()
                    .with_jitter()
                    .with_min_delay(Duration::from_millis(50))
                    .with_max_delay(MAX_PAUSE)
                    .without_max_times(),
            )
            .when(|error| error.retry() == Retry::Backoff)
            .adjust(|error, pause| match error {
                RegistryError::Unavailable {
                    retry_after: Some(asked),
                    ..
                } => pause.map(|pause| pause.max(*asked).min(MAX_PAUSE)),
                _ => pause,
            })
            .notify(remember);
        let bytes = match tokio::time::timeout(self.max_wait, attempts).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(last
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
                    .unwrap_or_else(|| RegistryError::Unavailable {
                        request: request.describe(),
                        cause: format!("no answer within {:?}", self.max_wait),
                        retry_after: None,
                    }));
            }
        };
        serde_json::from_slice(&bytes).map_err(|e| RegistryError::BadAnswer {
            request: request.describe(),
            // The position, not the content: serde_json quotes what it did not expect.
            cause: format!(
                "{:?} error at line {} column {}",
                e.classify(),
                e.line(),
                e.column()
            ),
        })
    }

    /// Asks each endpoint once, the last good one first.
    async fn round(&self, request: &Request<'_>) -> Result<Vec<u8>, RegistryError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = None;
        for offset in 0..self.endpoints.len() {
            let index = (first + offset) % self.endpoints.len();
            match self.once(&self.endpoints[index], request).await {
                Err(error) if error.retry() == Retry::Backoff => failure = Some(error),
                answer => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(failure.unwrap_or_else(|| RegistryError::Config("no URL is given".into())))
    }

    async fn once(
        &self,
        endpoint: &Endpoint,
        request: &Request<'_>,
    ) -> Result<Vec<u8>, RegistryError> {
        let unavailable = |cause: String, retry_after| RegistryError::Unavailable {
            request: request.describe(),
            cause,
            retry_after,
        };
        let mut url = endpoint.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut call = self
            .client
            .request(request.method.clone(), url)
            .header(header::ACCEPT, ACCEPT);
        call = match &endpoint.auth {
            Auth::None => call,
            Auth::Basic { user, password } => call.basic_auth(user, Some(password.reveal())),
            Auth::Bearer(token) => call.bearer_auth(token.reveal()),
        };
        if let Some(body) = request.body {
            call = call
                .header(header::CONTENT_TYPE, CONTENT_TYPE)
                .body(body.to_string());
        }
        let mut answer = call
            .send()
            .await
            .map_err(|e| unavailable(causes(&e.without_url()), None))?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|e| unavailable(causes(&e.without_url()), None))?
        {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(RegistryError::BadAnswer {
                    request: request.describe(),
                    cause: format!("it is longer than {MAX_ANSWER} bytes"),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        if status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
        {
            return Err(unavailable(format!("it answered {status}"), retry_after));
        }
        let (code, message) = match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(error) => (error.error_code, error.message),
            Err(_) => (
                i64::from(status.as_u16()),
                "the answer has no error message; is the URL a schema registry's?".to_owned(),
            ),
        };
        // A registry's own 404 has a code of five digits. Others come from an ingress while the
        // registry behind it is being rolled out.
        if status == StatusCode::NOT_FOUND && code < 40400 && !request.optional {
            let cause = "it answered 404 without a schema registry's error code; look at schema.registry.url";
            return Err(unavailable(cause.to_owned(), retry_after));
        }
        Err(RegistryError::Refused {
            request: request.describe(),
            status: status.as_u16(),
            code,
            message,
        })
    }
}

fn endpoint(text: &str, auth: &Auth) -> Result<Endpoint, RegistryError> {
    // The text may hold a password: errors name the fault, not the URL.
    let mut url = Url::parse(text)
        .map_err(|e| RegistryError::Config(format!("a URL cannot be read: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(RegistryError::Config(
            "a URL must begin with http:// or https://".into(),
        ));
    }
    let mut auth = auth.clone();
    if !url.username().is_empty() {
        let decode = |part: &str| {
            percent_encoding::percent_decode_str(part)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| {
                    RegistryError::Config("the user information of a URL is not UTF-8".into())
                })
        };
        if auth == Auth::None {
            auth = Auth::Basic {
                user: decode(url.username())?,
                password: super::Secret::new(decode(url.password().unwrap_or_default())?),
            };
        }
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(Endpoint { url, auth })
}

/// `Retry-After` in seconds; its date form is not worth a clock here.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// An error with its sources, since reqwest's own text says only that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
