//! A client of the HTTP intake, as the drivers of its users are.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use crate::eventually;

/// What the gateway answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body, as text.
    pub body: String,
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    url: String,
    http: reqwest::Client,
}

impl Gateway {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            http: reqwest::Client::new(),
        }
    }

    /// Sends one event to `/event` in Avro's binary encoding.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send_avro(&self, schema_ref: &str, event: Vec<u8>) -> Answer {
        let request = self
            .post("/event")
            .header("Strm-Schema-Ref", schema_ref)
            .header("Strm-Serialization-Type", "application/x-avro-binary")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(event);
        Self::answer(request).await
    }

    /// Sends one event to `/event` as JSON.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send_json(&self, schema_ref: &str, event: &Value) -> Answer {
        let request = self
            .post("/event")
            .header("Strm-Schema-Ref", schema_ref)
            .json(event);
        Self::answer(request).await
    }

    /// A request to be filled in and passed to [`Gateway::answer`].
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// Waits until `GET /ready` answers 200: the worker is healthy before its connectors listen.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ready(&self) {
        eventually("a gateway that is ready", async || {
            let answer = self.http.get(format!("{}/ready", self.url)).send().await;
            (answer.ok()?.status() == 200).then_some(())
        })
        .await;
    }

    /// Gets a path such as `/ready`.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        Self::answer(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("the gateway answers");
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.expect("the answer is text"),
        }
    }
}
