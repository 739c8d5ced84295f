//! Configuration of the source.

use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use penstock_connect::config;
use penstock_connect::config::{ByteSize, ConfigValue, Millis, Secret};
use penstock_registry::SchemaRef;
use reqwest::Url;

/// Address of one or several streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUri(pub Url);

impl ConfigValue for StreamUri {
    const KIND: &'static str = "an http or https URL";

    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must begin with http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            // The address stands in messages; a password must not.
            return Err("must not hold credentials: use sse.auth.token or sse.headers".to_owned());
        }
        Ok(Self(url))
    }
}

/// A moment from which to begin, as it is sent to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since(pub String);

impl ConfigValue for Since {
    const KIND: &'static str = "milliseconds since the epoch, or an ISO 8601 date";

    fn parse(text: &str) -> Result<Self, String> {
        let known = text.parse::<u64>().is_ok()
            || DateTime::parse_from_rfc3339(text).is_ok()
            || text.parse::<NaiveDate>().is_ok();
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "must be milliseconds since the epoch, or a date such as 2024-05-01 or 2024-05-01T12:00:00Z, not {text:?}"
            ))
        }
    }
}

config! {
    /// Takes the events of a server-sent event stream (EventStreams and others) into a topic, each
    /// once, and resumes where it was left. One task connects; further tasks of the connector stay idle.
    #[check(check)]
    pub struct SseSourceConfig {
        /// Address of the stream; of several streams where the server takes a list (`…/v2/stream/a,b`).
        "sse.uri" => uri: StreamUri,
        /// Topic that events are appended to.
        "topic" => topic: String,
        /// Schema that every event has to fit; others go to the error stream. Without it, events are JSON of any shape.
        "schema" => schema: Option<SchemaRef>,
        /// Where to begin at the very first start (`since=` of EventStreams); later starts resume. Without it, with what comes after connecting.
        "since" => since: Option<Since>,
        /// Drop the events by which operators test a stream (`meta.domain` is `canary`).
        "canary.drop" => drop_canaries: bool = "true",
        /// A bearer token for the server.
        "sse.auth.token" => token: Option<Secret>,
        /// Further header fields of the request: `Name: value`, several separated by `|`.
        "sse.headers" => headers: Option<Secret>,
        /// A connection on which nothing comes for so long, not even a comment, is given up and made anew.
        "sse.idle.timeout.ms" => idle: Millis = "300000",
        /// Pause before connecting again, until the server's `retry:` names another.
        "sse.reconnect.backoff.ms" => backoff: Millis = "1000",
        /// Longest pause before connecting again.
        "sse.reconnect.backoff.max.ms" => backoff_max: Millis = "60000",
        /// Largest event; a larger one goes to the error stream without its data.
        "sse.max.event" => max_event: ByteSize = "4mb",
        /// Shortest time between two batches: each stores the position once. The first event after a pause does not wait.
        "batch.interval.ms" => interval: Millis = "100",
        /// Most events in a batch.
        "batch.max.events" => batch_events: usize = "5000",
        /// Bytes of events after which a batch is full.
        "batch.max.bytes" => batch_bytes: ByteSize = "4mb",
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn check(config: &SseSourceConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let at_least_1 = || "must be at least 1".to_owned();
    if config.max_event.0 == 0 {
        problems.push(("sse.max.event", at_least_1()));
    }
    if config.idle.0.is_zero() {
        problems.push(("sse.idle.timeout.ms", at_least_1()));
    }
    for (key, time) in [
        ("sse.idle.timeout.ms", config.idle),
        ("sse.reconnect.backoff.max.ms", config.backoff_max),
        ("batch.interval.ms", config.interval),
    ] {
        if time.0 > DAY {
            problems.push((key, "must be at most 86400000, a day".to_owned()));
        }
    }
    if config.batch_events == 0 {
        problems.push(("batch.max.events", at_least_1()));
    }
    if config.batch_bytes.0 == 0 {
        problems.push(("batch.max.bytes", at_least_1()));
    }
    if config.backoff_max.0 < config.backoff.0 {
        problems.push((
            "sse.reconnect.backoff.max.ms",
            "must be at least sse.reconnect.backoff.ms".to_owned(),
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
        let text = format!("topic=t\n{text}");
        SseSourceConfig::read_all(Settings::parse("s.properties", &text).unwrap()).map_or_else(
            |found| found.iter().map(ToString::to_string).collect(),
            |_| vec![],
        )
    }

    #[test]
    fn address_and_topic_are_enough() {
        assert_eq!(
            problems("sse.uri=https://stream.example/v2/stream/a,b"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_cannot_be_used_is_named_without_secrets() {
        for (line, expected) in [
            (
                "sse.uri=stream.example",
                "s.properties:2: sse.uri: is not a URL: relative URL without a base",
            ),
            (
                "sse.uri=ftp://stream.example",
                "s.properties:2: sse.uri: must begin with http:// or https://",
            ),
            (
                "sse.uri=https://ann:secret@stream.example",
                "s.properties:2: sse.uri: must not hold credentials: use sse.auth.token or sse.headers",
            ),
            (
                "sse.uri=http://s\nsince=yesterday",
                "s.properties:3: since: must be milliseconds since the epoch, or a date such as 2024-05-01 or 2024-05-01T12:00:00Z, not \"yesterday\"",
            ),
        ] {
            assert_eq!(problems(line), [expected]);
        }
        for since in ["1714521600000", "2024-05-01", "2024-05-01T12:00:00Z"] {
            assert_eq!(
                problems(&format!("sse.uri=http://s\nsince={since}")),
                Vec::<String>::new()
            );
        }
    }
}
