//! Talking to a worker over HTTP.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::CliError;

/// Longest wait for an answer, or for more of a long one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker's REST interface.
#[derive(Clone, Debug)]
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(worker: &str) -> Self {
        Self {
            base: worker.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.call(Method::DELETE, path, None).await
    }

    /// The answer's text, for what is not JSON.
    pub(super) async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<String, CliError> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(PATIENCE);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        Ok(self.send(request).await?.text().await?)
    }

    /// The lines of an answer of any length, as they come.
    pub(super) async fn lines(&self, path: &str) -> Result<Lines, CliError> {
        // Each piece has its own time; together they may take as long as they like.
        let http = reqwest::Client::builder().read_timeout(PATIENCE).build()?;
        let request = http.get(format!("{}{path}", self.base));
        Ok(Lines {
            response: self.send(request).await?,
            pending: Vec::new(),
            looked_at: 0,
        })
    }

    /// Sends a request; an answer that is no success is an error.
    async fn send(&self, mut request: RequestBuilder) -> Result<Response, CliError> {
        if let Ok(token) = std::env::var("PENSTOCK_TOKEN") {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| {
            let why = if error.is_connect() { "nothing answers there".to_owned() } else { error.to_string() };
            CliError(format!(
                "cannot reach the worker at {}: {why}; start one with `penstock run`, or name it with --worker URL",
                self.base
            ))
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await?;
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|body| body["message"].as_str().map(str::to_owned))
            .unwrap_or(text);
        Err(CliError(match status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::CONFLICT => message,
            other => format!("{message} (HTTP {})", other.as_u16()),
        }))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Value, CliError> {
        let text = self.text(method, path, body).await?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text)
            .map_err(|error| CliError(format!("the worker's answer is not JSON: {error}")))
    }
}

/// The lines of a long answer.
pub(super) struct Lines {
    response: Response,
    /// What came after the last line that was given out.
    pending: Vec<u8>,
    /// How much of it has no line end.
    looked_at: usize,
}

impl Lines {
    /// The next line, without its end; none after the last. That the answer broke off is an error.
    pub(super) async fn next(&mut self) -> Result<Option<String>, CliError> {
        loop {
            let rest = &self.pending[self.looked_at..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=self.looked_at + end).collect();
                line.pop();
                self.looked_at = 0;
                return Ok(Some(String::from_utf8(line)?));
            }
            self.looked_at = self.pending.len();
            match self.response.chunk().await {
                Ok(Some(more)) => self.pending.extend_from_slice(&more),
                Ok(None) if self.pending.is_empty() => return Ok(None),
                Ok(None) => {
                    return Err(CliError(
                        "the worker's answer ends within a line".to_owned(),
                    ));
                }
                Err(error) if error.is_timeout() => {
                    return Err(CliError(format!(
                        "the worker's answer broke off: nothing came for {} s; see its log, and ask again",
                        PATIENCE.as_secs()
                    )));
                }
                Err(_) => {
                    return Err(CliError(
                        "the worker's answer broke off; see its log, and ask again".to_owned(),
                    ));
                }
            }
        }
    }
}
