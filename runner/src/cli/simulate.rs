//! `penstock simulate`: visitors of a made-up web shop click around, and their events go through the
//! gateway at a given rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

use super::client::Client;
use super::{CliError, CliResult, output};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Events per second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// How long; until interrupted by default.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Visitors in the shop at the same time.
    #[arg(long, default_value_t = 20)]
    visitors: usize,
    /// The gateway (http://host:port); found through the worker by default.
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// Schema ref of the events.
    #[arg(long, default_value = "streammachine/demo/1.0.2")]
    schema: String,
    /// Contract ref of the events.
    #[arg(long, default_value = "streammachine/example/1.3.0")]
    contract: String,
    /// Bearer token of the gateway.
    #[arg(long, env = "PENSTOCK_GATEWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// `20s`, `500ms`, `2m`, `1h`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a time such as 20s or 5m"))?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        other => return Err(format!("{other:?} is not a unit of time: ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{text:?} is not a time such as 20s or 5m"))
}

impl Simulate {
    pub(super) async fn run(self, client: &Client) -> CliResult {
        let gateway = match self.gateway {
            Some(gateway) => gateway,
            None => {
                let listen = client
                    .connector_setting("HttpSource", "http.listen")
                    .await?;
                format!(
                    "http://{}",
                    listen.ok_or_else(|| CliError(
                        "the worker has no HttpSource; name a gateway with --gateway".into()
                    ))?
                )
            }
        };
        if !(self.rate > 0.0 && self.rate <= 100_000.0) {
            return Err(CliError("--rate must be above 0 and at most 100000".into()));
        }
        let sender = Sender::new(&gateway, &self.schema, self.token);
        let mut shop = Shop::new(self.visitors.max(1), &self.contract);
        let until = self.time.map(|time| Instant::now() + time);
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let places = Arc::new(Semaphore::new(256));
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = ticks.tick() => {}
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let place = places.clone().acquire_owned().await?;
            let (sender, event) = (sender.clone(), shop.click());
            tokio::spawn(async move {
                sender.send(&event).await;
                drop(place);
            });
        }
        // All places free: nothing is on its way any more.
        let _all = places.acquire_many(256).await?;
        let (accepted, refused) = sender.counts();
        output::line(&format!("{accepted} events accepted, {refused} refused"));
        match sender.first_refusal() {
            Some(refusal) if accepted == 0 => Err(CliError(refusal)),
            _ => Ok(()),
        }
    }
}

/// Sends events to a gateway and counts what becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Sender(Arc<SenderState>);

#[derive(Debug)]
struct SenderState {
    http: reqwest::Client,
    url: String,
    schema: String,
    token: Option<String>,
    accepted: AtomicU64,
    refused: AtomicU64,
    first_refusal: std::sync::OnceLock<String>,
}

impl Sender {
    pub(super) fn new(gateway: &str, schema: &str, token: Option<String>) -> Self {
        Self(Arc::new(SenderState {
            http: reqwest::Client::new(),
            url: format!("{}/event", gateway.trim_end_matches('/')),
            schema: schema.to_owned(),
            token,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            first_refusal: std::sync::OnceLock::new(),
        }))
    }

    /// Sends one event.
    pub(super) async fn send(&self, event: &Value) {
        let state = &*self.0;
        let mut request = state
            .http
            .post(&state.url)
            .header("Strm-Schema-Ref", &state.schema)
            .header("Content-Type", "application/json")
            .timeout(Duration::from_secs(30))
            .body(event.to_string());
        if let Some(token) = &state.token {
            request = request.bearer_auth(token);
        }
        let refusal = match request.send().await {
            Ok(response) if response.status().is_success() => {
                state.accepted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(response) => {
                let status = response.status();
                format!(
                    "{}: HTTP {status}: {}",
                    state.url,
                    response.text().await.unwrap_or_default()
                )
            }
            Err(error) => format!("{}: {error}", state.url),
        };
        state.refused.fetch_add(1, Ordering::Relaxed);
        // Only the first is kept.
        let _ = state.first_refusal.set(refusal);
    }

    /// Accepted and refused so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (
            self.0.accepted.load(Ordering::Relaxed),
            self.0.refused.load(Ordering::Relaxed),
        )
    }

    /// What the gateway said to the first event that it refused.
    pub(super) fn first_refusal(&self) -> Option<String> {
        self.0.first_refusal.get().cloned()
    }
}

/// A web shop with its visitors.
#[derive(Debug)]
pub(super) struct Shop {
    visitors: Vec<Visitor>,
    contract: String,
}

#[derive(Debug)]
struct Visitor {
    id: String,
    session: String,
    consent: Vec<i32>,
    clicks_left: u32,
}

const PAGES: &[&str] = &[
    "/",
    "/shoes",
    "/shoes/trail-runner",
    "/coats",
    "/coats/rain",
    "/hats/felt",
    "/cart",
    "/checkout",
    "/search",
];
const SEARCHES: &[&str] = &[
    "waterproof boots size 41",
    "gift for my sister in Utrecht",
    "return order 20211",
    "orthopaedic insoles",
];

impl Visitor {
    fn new() -> Self {
        let mut random = rand::rng();
        // What people click in a consent dialog: nothing, some, or all; levels are cumulative.
        let highest = *[0, 0, 1, 2, 2, 3].choose(&mut random).unwrap_or(&0);
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            session: format!("session-{}", uuid::Uuid::new_v4().simple()),
            consent: (0..=highest).collect(),
            clicks_left: random.random_range(3..30),
        }
    }
}

impl Shop {
    pub(super) fn new(visitors: usize, contract: &str) -> Self {
        Self {
            visitors: (0..visitors).map(|_| Visitor::new()).collect(),
            contract: contract.to_owned(),
        }
    }

    /// The next click of some visitor; who has clicked enough leaves, and another comes.
    pub(super) fn click(&mut self) -> Value {
        let mut random = rand::rng();
        let index = random.random_range(0..self.visitors.len());
        let visitor = &mut self.visitors[index];
        let page = *PAGES.choose(&mut random).unwrap_or(&"/");
        let search = (page == "/search").then(|| *SEARCHES.choose(&mut random).unwrap_or(&""));
        let event = json!({
            "strmMeta": {
                "eventContractRef": self.contract,
                "nonce": random.random::<i32>(),
                "consentLevels": visitor.consent,
            },
            "uniqueIdentifier": visitor.id,
            "consistentValue": visitor.session,
            "someSensitiveValue": search.unwrap_or("a visitor of the web shop"),
            "notSensitiveValue": page,
        });
        visitor.clicks_left = visitor.clicks_left.saturating_sub(1);
        if visitor.clicks_left == 0 {
            *visitor = Visitor::new();
        }
        event
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("20s", 20_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5", 1_500),
        ] {
            assert_eq!(
                duration(text).unwrap(),
                Duration::from_millis(expected),
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "3 days", "1e999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_visitor_keeps_identity_and_consent_while_clicking() {
        let mut shop = Shop::new(1, "a/b/1.0.0");
        let (first, second) = (shop.click(), shop.click());
        assert_eq!(first["consistentValue"], second["consistentValue"]);
        assert_eq!(
            first["strmMeta"]["consentLevels"],
            second["strmMeta"]["consentLevels"]
        );
        assert_ne!(first["strmMeta"]["nonce"], second["strmMeta"]["nonce"]);
    }
}
