//! The events that the server holds, and where in them a client resumes.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

/// An event as it was published.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) stream: String,
    /// Milliseconds since the epoch; several events may share one.
    pub(crate) timestamp: i64,
    pub(crate) data: String,
}

/// Per stream, the timestamp from which a client gets events. A client that resumes at an event
/// gets that event again, with all others of its timestamp: the server seeks by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(BTreeMap<String, i64>);

impl Position {
    /// Every stream from one moment on.
    pub(crate) fn since(streams: &[String], timestamp: i64) -> Self {
        Self(
            streams
                .iter()
                .map(|stream| (stream.clone(), timestamp))
                .collect(),
        )
    }

    /// Reads a `Last-Event-ID`; streams that it does not name start at `now`. `None` when it is
    /// not an id that this server hands out.
    pub(crate) fn from_id(id: &str, streams: &[String], now: i64) -> Option<Self> {
        let mut position = Self::since(streams, now);
        let entries: Vec<Value> = serde_json::from_str(id).ok()?;
        for entry in &entries {
            let topic = entry["topic"].as_str()?;
            let (_data_centre, stream) = topic.split_once('.')?;
            if let Some(timestamp) = entry["timestamp"].as_i64() {
                *position.0.get_mut(stream)? = timestamp;
            } else {
                entry["offset"].as_i64()?;
            }
        }
        Some(position)
    }

    pub(crate) fn wants(&self, event: &Published) -> bool {
        self.0
            .get(&event.stream)
            .is_some_and(|from| event.timestamp >= *from)
    }

    pub(crate) fn advance(&mut self, event: &Published) {
        self.0.insert(event.stream.clone(), event.timestamp);
    }

    /// The `id` of the last event, as EventStreams writes it: per stream one topic in each data
    /// centre, of which the second is idle.
    pub(crate) fn id(&self) -> String {
        let entries: Vec<_> = self
            .0
            .iter()
            .flat_map(|(stream, timestamp)| {
                [
                    json!({"topic": format!("eqiad.{stream}"), "partition": 0, "timestamp": timestamp}),
                    json!({"topic": format!("codfw.{stream}"), "partition": 0, "offset": -1}),
                ]
            })
            .collect();
        Value::from(entries).to_string()
    }
}

/// Reads `since`: milliseconds, or an ISO 8601 date and time.
pub(crate) fn parse_since(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.timestamp_millis())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, timestamp: i64) -> Published {
        Published {
            stream: stream.into(),
            timestamp,
            data: String::new(),
        }
    }

    #[test]
    fn a_client_that_resumes_gets_the_events_of_its_last_timestamp_again() {
        let streams = ["a".to_owned(), "b".to_owned()];
        let mut position = Position::since(&streams, 0);
        position.advance(&event("a", 5));
        position.advance(&event("b", 7));
        let resumed = Position::from_id(&position.id(), &streams, 100).unwrap();
        assert_eq!(resumed, position);
        assert!(resumed.wants(&event("a", 5)));
        assert!(!resumed.wants(&event("a", 4)));
        assert!(!resumed.wants(&event("b", 6)));
    }

    #[test]
    fn an_id_of_another_server_is_not_understood() {
        let streams = ["a".to_owned()];
        for id in [
            "17",
            "not json",
            r#"[{"topic":"eqiad.other","timestamp":1}]"#,
        ] {
            assert_eq!(Position::from_id(id, &streams, 0), None, "{id}");
        }
    }

    #[test]
    fn since_is_read_as_milliseconds_or_as_a_date() {
        assert_eq!(parse_since("1500"), Some(1500));
        assert_eq!(parse_since("1970-01-01T00:00:01.500Z"), Some(1500));
        assert_eq!(parse_since("yesterday"), None);
    }
}
