//! An event's data as a record: who it is, whether it is a canary, and whether it fits its schema.

use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use penstock_connect::{Error, Record, RecordError, RecordErrorKind, SourceRecord};
use penstock_formats::{
    Encoding, FieldPath, Fields, FormatError, Found, Limits, Payload, Scalar, Schema, SchemaKind,
    avro,
};
use penstock_registry::SchemaRef;

use crate::decoder::ServerEvent;
use crate::recent::Identity;

const ID: usize = 0;
const DOMAIN: usize = 1;
const TIME: usize = 2;
const TOPIC: usize = 3;

/// Makes records of events.
pub(crate) struct EventReader {
    topic: Arc<str>,
    schema: Option<(SchemaRef, Arc<Schema>)>,
    max_event: usize,
    meta: Fields,
    found: Found,
}

/// An event that was looked at.
pub(crate) struct Seen {
    /// `None`: nothing tells it from others like it.
    pub(crate) identity: Option<Identity>,
    pub(crate) is_canary: bool,
    /// The server's topic that it came from (`meta.topic`), as EventStreams says.
    pub(crate) topic: Option<String>,
    checked: Result<Option<i64>, RecordError>,
    data: Bytes,
}

impl EventReader {
    pub(crate) fn new(
        topic: &str,
        schema: Option<(SchemaRef, Arc<Schema>)>,
        max_event: usize,
    ) -> Result<Self, Error> {
        let paths: Result<Vec<_>, _> = ["meta/id", "meta/domain", "meta/dt", "meta/topic"]
            .into_iter()
            .map(FieldPath::parse)
            .collect();
        let paths = paths.map_err(|error| Error::never(error.to_string()))?;
        Ok(Self {
            topic: topic.into(),
            schema,
            max_event,
            meta: Fields::schemaless_json(&paths),
            found: Found::new(),
        })
    }

    /// Looks at an event: all of it is checked to be well-formed JSON, and its meta fields are read.
    pub(crate) fn look(&mut self, event: &ServerEvent) -> Seen {
        let Some(data) = &event.data else {
            return Seen {
                identity: Identity::of_data(event, b"too large"),
                is_canary: false,
                topic: None,
                checked: Err(RecordError::new(
                    RecordErrorKind::TooLarge,
                    format!(
                        "the event is larger than {} bytes (sse.max.event); its data was not kept",
                        self.max_event
                    ),
                )),
                data: Bytes::new(),
            };
        };
        let checked = self
            .meta
            .find_checked(data, &mut self.found, &Limits::default());
        let (id, is_canary, timestamp, topic) = match &checked {
            Ok(()) => (
                self.text(ID, data),
                self.text(DOMAIN, data).as_deref() == Some("canary"),
                self.text(TIME, data).and_then(|text| milliseconds(&text)),
                self.text(TOPIC, data),
            ),
            Err(_) => (None, false, None, None),
        };
        Seen {
            identity: match id {
                Some(id) if !id.is_empty() => Some(Identity::of_id(&id)),
                _ => Identity::of_data(event, data),
            },
            is_canary,
            topic,
            checked: checked.map(|()| timestamp).map_err(RecordError::malformed),
            data: data.clone(),
        }
    }

    fn text(&self, path: usize, data: &[u8]) -> Option<String> {
        match self.found.first(path)?.scalar(data).ok()? {
            Scalar::Str(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    /// The record of an event, with a fault if it does not fit the schema.
    pub(crate) fn record(&self, seen: Seen) -> SourceRecord {
        let topic = Arc::clone(&self.topic);
        let timestamp = match seen.checked {
            Ok(timestamp) => timestamp,
            Err(fault) => {
                let raw = (!seen.data.is_empty()).then(|| Payload::new(seen.data, Encoding::Bytes));
                return SourceRecord::faulty(Record::new(topic, raw), fault);
            }
        };
        match self.payload(seen.data.clone()) {
            Ok(payload) => {
                let mut record = Record::new(topic, Some(payload));
                record.timestamp = timestamp;
                SourceRecord::new(record)
            }
            Err(fault) => {
                let mut record = Record::new(topic, Some(Payload::new(seen.data, Encoding::Json)));
                record.timestamp = timestamp;
                SourceRecord::faulty(record, fault)
            }
        }
    }

    fn payload(&self, data: Bytes) -> Result<Payload, RecordError> {
        let Some((reference, schema)) = &self.schema else {
            return Ok(Payload::new(data, Encoding::Json));
        };
        let encoding = Encoding::Registered(Arc::clone(schema));
        let fitted: Result<Payload, FormatError> = match schema.kind() {
            SchemaKind::Json => schema
                .validate_json(&data)
                .map(|()| Payload::new(data, encoding)),
            SchemaKind::Avro => {
                let mut out = Vec::with_capacity(data.len());
                avro::from_json(schema, &data, &mut out).map(|()| Payload::new(out, encoding))
            }
        };
        fitted.map_err(|error| {
            RecordError::schema(format!("the event does not fit {reference}: {error}"))
        })
    }
}

/// `meta.dt`: when the event happened.
fn milliseconds(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_millis())
        .filter(|milliseconds| *milliseconds >= 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SCHEMA: &str =
        r#"{"type":"object","required":["page"],"properties":{"page":{"type":"integer"}}}"#;

    fn reader() -> EventReader {
        let reference = SchemaRef::parse("page/1.0.0").unwrap();
        let schema = Arc::new(Schema::json(SCHEMA, &[]).unwrap());
        EventReader::new("t", Some((reference, schema)), 100).unwrap()
    }

    fn event(id: &str, data: &[u8]) -> ServerEvent {
        ServerEvent {
            kind: "message".into(),
            id: id.into(),
            own_id: !id.is_empty(),
            data: Some(Bytes::copy_from_slice(data)),
        }
    }

    fn read(data: &[u8]) -> SourceRecord {
        let mut reader = reader();
        let seen = reader.look(&event("1", data));
        reader.record(seen)
    }

    #[test]
    fn an_event_that_fits_is_a_record_with_its_own_time() {
        let read = read(br#"{"page":1,"meta":{"dt":"1970-01-01T00:00:01.500Z"}}"#);
        assert!(read.fault.is_none());
        assert_eq!(read.record.timestamp, Some(1500));
        assert!(read.record.value.unwrap().schema().is_some());
    }

    #[test]
    fn what_does_not_fit_is_a_fault_with_the_event_as_it_came() {
        for (data, kind, message) in [
            (
                &br#"{"page":"secret"}"#[..],
                RecordErrorKind::Schema,
                "the event does not fit page/1.0.0: field 'page'",
            ),
            (b"{\"page\":", RecordErrorKind::Malformed, "malformed JSON"),
            (
                b"{\"page\":\"\xff\"}",
                RecordErrorKind::Malformed,
                "malformed JSON",
            ),
            (
                br#"{"page":1,"page":2}"#,
                RecordErrorKind::Malformed,
                "malformed JSON",
            ),
        ] {
            let read = read(data);
            let fault = read.fault.unwrap();
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.message.starts_with(message), "{fault}");
            assert!(!fault.message.contains("secret"), "{fault}");
            assert_eq!(read.record.value.unwrap().bytes(), data);
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_a_fault_without_its_data() {
        let mut reader = reader();
        let seen = reader.look(&ServerEvent {
            data: None,
            ..event("1", b"")
        });
        let read = reader.record(seen);
        assert_eq!(read.fault.unwrap().kind, RecordErrorKind::TooLarge);
        assert!(read.record.value.is_none());
    }

    #[test]
    fn an_event_is_known_by_its_own_id_else_by_place_and_data() {
        let mut reader = reader();
        let mut identity = |id: &str, data: &str| {
            let seen = reader.look(&event(id, data.as_bytes()));
            seen.identity.unwrap()
        };
        let own = r#"{"meta":{"id":"a"}}"#;
        assert_eq!(identity("1", own), identity("2", own));
        assert_ne!(identity("1", own), identity("1", r#"{"meta":{"id":"b"}}"#));
        assert_eq!(identity("1", "{}"), identity("1", "{}"));
        assert_ne!(identity("1", "{}"), identity("2", "{}"));
    }

    #[test]
    fn an_event_without_any_id_is_known_by_nothing() {
        let mut reader = reader();
        let inherited = ServerEvent {
            own_id: false,
            ..event("1", b"{}")
        };
        let oversized = ServerEvent {
            data: None,
            ..inherited.clone()
        };
        for event in [event("", b"{}"), inherited, oversized] {
            assert_eq!(reader.look(&event).identity, None);
        }
    }

    #[test]
    fn canaries_are_known_by_their_domain() {
        let mut reader = reader();
        let mut is_canary = |data: &str| reader.look(&event("1", data.as_bytes())).is_canary;
        assert!(is_canary(r#"{"meta":{"domain":"canary"}}"#));
        assert!(!is_canary(r#"{"meta":{"domain":"en.wikipedia.org"}}"#));
        assert!(!is_canary(r#"{"domain":"canary"}"#));
    }
}
