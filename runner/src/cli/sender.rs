//! Events on their way to a gateway, many at a time, and what becomes of them.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

/// Events that may be on their way at a time.
const MOST: usize = 256;

/// Longest wait for the answer to one event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends events to a gateway and counts what becomes of them. Dropped, it gives up what is on its way.
#[derive(Debug)]
pub(super) struct Sender {
    http: reqwest::Client,
    url: String,
    schema: String,
    token: Option<String>,
    on_the_way: JoinSet<Sent>,
    accepted: u64,
    refused: u64,
    first_refusal: Option<String>,
}

/// An event that was answered.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) event: Value,
    /// Why it was not accepted.
    refusal: Option<String>,
}

impl Sent {
    pub(super) fn is_accepted(&self) -> bool {
        self.refusal.is_none()
    }
}

impl Sender {
    pub(super) fn new(gateway: &str, schema: &str, token: Option<String>) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: format!("{}/event", gateway.trim_end_matches('/')),
            schema: schema.to_owned(),
            token,
            on_the_way: JoinSet::new(),
            accepted: 0,
            refused: 0,
            first_refusal: None,
        }
    }

    /// Whether another event may be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.on_the_way.len() < MOST
    }

    /// Events that were not answered yet.
    pub(super) fn on_the_way(&self) -> usize {
        self.on_the_way.len()
    }

    /// Sends an event; its answer comes with [`Sender::answered`].
    pub(super) fn send(&mut self, event: Value) {
        let mut request = self
            .http
            .post(&self.url)
            .header("Strm-Schema-Ref", &self.schema)
            .header("Content-Type", "application/json")
            .timeout(PATIENCE)
            .body(event.to_string());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let url = self.url.clone();
        self.on_the_way.spawn(async move {
            let refusal = match request.send().await {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => {
                    let status = response.status();
                    let text = response.text().await.unwrap_or_default();
                    Some(format!("{url}: HTTP {status}: {}", text.trim_end()))
                }
                Err(error) => Some(format!("cannot send events to {url}: {}", why(&error))),
            };
            Sent { event, refusal }
        });
    }

    /// The event that is answered next; `None` if none is on its way. Cancel-safe.
    pub(super) async fn answered(&mut self) -> Option<Sent> {
        loop {
            // One that was given up has no answer.
            let Ok(sent) = self.on_the_way.join_next().await? else {
                continue;
            };
            match &sent.refusal {
                None => self.accepted += 1,
                Some(refusal) => {
                    self.refused += 1;
                    self.first_refusal.get_or_insert_with(|| refusal.clone());
                }
            }
            return Some(sent);
        }
    }

    /// Accepted and refused so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.accepted, self.refused)
    }

    /// What the gateway said to the first event that it refused.
    pub(super) fn first_refusal(&self) -> Option<&str> {
        self.first_refusal.as_deref()
    }

    /// Why nothing was accepted, although something was answered.
    pub(super) fn hopeless(&self) -> Option<&str> {
        self.first_refusal().filter(|_| self.accepted == 0)
    }
}

/// The cause at the bottom, where the words for people are.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
