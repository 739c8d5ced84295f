//! Configuration of the gateway.

use std::path::PathBuf;
use std::time::Duration;

use penstock_connect::config;
use penstock_connect::config::{ByteSize, ListenAddress, Millis, Secret};
use penstock_registry::SchemaRef;

config! {
    /// Takes events in over HTTP and appends them to a topic: `POST /event` for one event in Avro's
    /// binary encoding or JSON, `POST /v1/events` for one or an array of JSON events, `GET /ready`.
    /// An event is accepted once it is durable. One task listens; further tasks of the connector
    /// stay idle.
    #[check(check)]
    pub struct HttpSourceConfig {
        /// Address and port to listen on, HTTP/1.1 and HTTP/2.
        "http.listen" => listen: ListenAddress,
        /// Topic that events are appended to.
        "topic" => topic: String,
        /// Schema of events that name none, `handle/name/x.y.z`. Without it each request has to name one.
        "schema" => schema: Option<SchemaRef>,
        /// Certificate chain in PEM; turns TLS on.
        "http.tls.certificate" => certificate: Option<PathBuf>,
        /// Private key of the certificate in PEM.
        "http.tls.key" => key: Option<PathBuf>,
        /// Tokens of which a request has to bring one (`Authorization: Bearer …`), separated by commas, blanks or line ends. Without it everybody may send.
        "http.auth.tokens" => tokens: Option<Secret>,
        /// Largest body of a request; larger ones are answered 413.
        "http.max.body" => max_body: ByteSize = "4mb",
        /// Most events in one request to `/v1/events`; more are answered 413.
        "http.max.events" => max_events: usize = "1000",
        /// Events that may wait to be written; when as many wait, senders are answered 429.
        "http.queue.events" => queue_events: usize = "10000",
        /// Bytes of bodies that may be read or wait to be written; when as many wait, senders are answered 429. Without it they are a share of the worker's `memory.budget`.
        "http.queue.bytes" => queue_bytes: Option<ByteSize>,
        /// How long a request may take from its head to its answer; then it is answered 503.
        "http.request.timeout.ms" => timeout: Millis = "35000",
        /// File with one JSON event or an array of them, which `GET /v1/_test/events` sends through the gateway as a probe.
        "http.test.events" => test_events: Option<PathBuf>,
    }
}

/// What a semaphore can count and a body may reasonably have.
const MAX_BODY: u64 = 1 << 30;

const DAY: Duration = Duration::from_secs(86_400);

fn check(config: &HttpSourceConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    match (&config.certificate, &config.key) {
        (Some(_), None) => problems.push((
            "http.tls.certificate",
            "needs http.tls.key beside it".to_owned(),
        )),
        (None, Some(_)) => problems.push((
            "http.tls.key",
            "needs http.tls.certificate beside it".to_owned(),
        )),
        (None, None) if config.listen.says_https => problems.push((
            "http.listen",
            "https:// needs http.tls.certificate and http.tls.key: without them there is no TLS"
                .to_owned(),
        )),
        _ => {}
    }
    if !(1..=MAX_BODY).contains(&config.max_body.0) {
        problems.push(("http.max.body", "must be from 1 byte to 1gb".to_owned()));
    }
    if config
        .queue_bytes
        .as_ref()
        .is_some_and(|queue| queue.0 < config.max_body.0)
    {
        problems.push((
            "http.queue.bytes",
            "must be at least http.max.body, or the largest body never finds room".to_owned(),
        ));
    }
    if config.max_events == 0 {
        problems.push(("http.max.events", "must be at least 1".to_owned()));
    }
    if config.queue_events < config.max_events {
        problems.push((
            "http.queue.events",
            "must be at least http.max.events, or the largest request never finds room".to_owned(),
        ));
    }
    if config.timeout.0.is_zero() || config.timeout.0 > DAY {
        problems.push((
            "http.request.timeout.ms",
            "must be from 1 to 86400000".to_owned(),
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::{Config, Settings};

    fn problems(text: &str) -> Vec<String> {
        let text = format!("http.listen=:0\ntopic=demo\n{text}");
        HttpSourceConfig::read_all(Settings::parse("g.properties", &text).unwrap()).map_or_else(
            |found| found.iter().map(ToString::to_string).collect(),
            |_| vec![],
        )
    }

    #[test]
    fn address_and_topic_are_enough() {
        assert_eq!(problems(""), Vec::<String>::new());
    }

    #[test]
    fn tls_that_is_asked_for_and_cannot_be_had_is_refused() {
        let text = "http.listen=https://127.0.0.1:8443\ntopic=demo";
        let found = HttpSourceConfig::read_all(Settings::parse("g.properties", text).unwrap());
        let found = found.map(|_| ()).unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "g.properties:1: http.listen: https:// needs http.tls.certificate and http.tls.key: without them there is \
                 no TLS"
            ]
        );
        let with_both = format!("{text}\nhttp.tls.certificate=c.pem\nhttp.tls.key=k.pem");
        let config =
            HttpSourceConfig::read_all(Settings::parse("g.properties", &with_both).unwrap());
        assert!(config.is_ok());
    }

    #[test]
    fn keys_that_do_not_go_together_are_refused() {
        for (text, expected) in [
            (
                "http.tls.key=k.pem",
                "g.properties:3: http.tls.key: needs http.tls.certificate beside it",
            ),
            (
                "http.queue.bytes=32mb\nhttp.max.body=64mb",
                "g.properties:3: http.queue.bytes: must be at least http.max.body, or the largest body never finds room",
            ),
            (
                "http.queue.events=10",
                "g.properties:3: http.queue.events: must be at least http.max.events, or the largest request never finds room",
            ),
            (
                "schema=demo",
                "g.properties:3: schema: 'demo' is not a schema reference: it has no name before the version (expected handle/name/x.y.z)",
            ),
        ] {
            assert_eq!(problems(text), [expected]);
        }
    }

    #[test]
    fn tokens_are_shown_nowhere() {
        let keys = HttpSourceConfig::keys();
        assert!(
            keys.iter()
                .any(|key| key.name == "http.auth.tokens" && key.secret)
        );
    }
}
