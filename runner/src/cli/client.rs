//! Talking to a worker over HTTP.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::CliError;

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
            .timeout(Duration::from_secs(60));
        if let Ok(token) = std::env::var("PENSTOCK_TOKEN") {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let response = request.send().await.map_err(|error| {
            let why = if error.is_connect() { "nothing answers there".to_owned() } else { error.to_string() };
            CliError(format!(
                "cannot reach the worker at {}: {why}; start one with `penstock run`, or name it with --worker URL",
                self.base
            ))
        })?;
        let status = response.status();
        let text = response.text().await?;
        if status.is_success() {
            return Ok(text);
        }
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

    /// Settings of the first connector of a class, to find where it listens.
    pub(super) async fn connector_setting(
        &self,
        class: &str,
        key: &str,
    ) -> Result<Option<String>, CliError> {
        let all = self.get("/connectors?expand=info").await?;
        let found = all
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(_, connector)| {
                let config = &connector["info"]["config"];
                let given = config["connector.class"].as_str()?;
                (given == class || given.ends_with(&format!(".{class}")))
                    .then(|| config[key].as_str().map(str::to_owned))?
            });
        Ok(found)
    }
}
