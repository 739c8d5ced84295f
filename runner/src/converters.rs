//! Converters: record bytes to payloads and back.

use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::config::ConfigValue;
use penstock_connect::{RecordError, Settings};
use penstock_formats::frame::{self, SchemaRefId};
use penstock_formats::{Encoding, Payload, Schema, SchemaKind};
use penstock_registry::{RegistryClient, SubjectStrategy};

use crate::config::{WorkerConfig, converter_keys};
use penstock_connect::Problem;

/// How keys or values of a connector lie in their topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Converter {
    /// Framed values keep their schema, JSON objects are read as JSON, anything else stays bytes.
    Auto,
    /// Confluent framing; the registry knows the schema.
    Registry(SchemaKind),
    /// JSON without framing; with `schemas.enable` wrapped in `{"schema":…,"payload":…}`.
    Json {
        /// Kafka Connect's `schemas.enable`.
        schemas: bool,
    },
    /// UTF-8 text.
    Text,
    /// Bytes as they are.
    Bytes,
}

/// The schemas in a registry client's cache, with the one that was asked for last at hand: most records of
/// a batch share theirs.
pub(crate) struct KnownSchemas<'r> {
    registry: &'r RegistryClient,
    last: Option<(SchemaRefId, Arc<Schema>)>,
}

impl<'r> KnownSchemas<'r> {
    pub(crate) fn new(registry: &'r RegistryClient) -> Self {
        Self {
            registry,
            last: None,
        }
    }

    fn get(&mut self, id: SchemaRefId) -> Option<Arc<Schema>> {
        if let Some((last, schema)) = &self.last
            && *last == id
        {
            return Some(schema.clone());
        }
        let schema = match id {
            SchemaRefId::Id(id) => self.registry.cached(id),
            SchemaRefId::Guid(guid) => self.registry.cached_guid(guid),
        }?;
        self.last = Some((id, schema.clone()));
        Some(schema)
    }
}

/// Converters of keys and of values, where they are given.
pub(crate) type Converters = (Option<Converter>, Option<Converter>);

/// Names that converters go by, for messages.
pub(crate) const CONVERTERS: &[&str] = &["Avro", "JsonSchema", "Json", "String", "ByteArray"];

/// The subject under which a converter registers schemas that have no id yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming {
    pub(crate) strategy: SubjectStrategy,
    /// Register a schema that the subject does not have; otherwise its records are rejected.
    pub(crate) auto_register: bool,
}

impl Default for Naming {
    fn default() -> Self {
        Self {
            strategy: SubjectStrategy::default(),
            auto_register: true,
        }
    }
}

impl Naming {
    /// Takes `*.subject.name.strategy` and `auto.register.schemas` out of a converter's settings.
    pub(crate) fn take(settings: &mut Settings, problems: &mut Vec<Problem>) -> Self {
        let mut naming = Self::default();
        for key in ["key.subject.name.strategy", "value.subject.name.strategy"] {
            let Some(given) = settings.take(key) else {
                continue;
            };
            match given.value().trim().parse() {
                Ok(strategy) => naming.strategy = strategy,
                Err(error) => {
                    problems.push(settings.problem_at(
                        given.line,
                        Some(key.to_owned()),
                        format!("{error}"),
                    ));
                }
            }
        }
        if let Some(given) = settings.take("auto.register.schemas") {
            match bool::parse(given.value().trim()) {
                Ok(auto_register) => naming.auto_register = auto_register,
                Err(message) => problems.push(settings.problem_at(
                    given.line,
                    Some("auto.register.schemas".to_owned()),
                    message,
                )),
            }
        }
        naming
    }
}

impl Converter {
    /// From `key.converter` or `value.converter`, with its line, and the settings below it. Without a class there is no
    /// converter, and settings for one are a problem.
    pub(crate) fn parse(
        class: Option<(&str, usize)>,
        mut settings: Settings,
        worker: Option<&WorkerConfig>,
        notes: &mut Vec<Problem>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        converter_keys::take(&mut settings, worker, notes, problems);
        let converter = match class {
            None => {
                if let Some(given) = settings.take("schemas.enable") {
                    let converter = settings.full_key("");
                    let message = format!(
                        "is a setting of {}, which is not given",
                        converter.trim_end_matches('.')
                    );
                    let key = Some("schemas.enable".to_owned());
                    problems.push(settings.problem_at(given.line, key, message));
                }
                None
            }
            Some(class) => {
                let found = Self::of_class(class, &mut settings, notes, problems);
                // What stands below an unknown class cannot be told right from wrong.
                Some(found?)
            }
        };
        settings.report_unknown(converter_keys::names().chain(["schemas.enable"]), problems);
        converter
    }

    fn of_class(
        (class, line): (&str, usize),
        settings: &mut Settings,
        notes: &mut Vec<Problem>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let schemas = settings.take("schemas.enable");
        let converter = match class {
            "Auto" => Self::Auto,
            "Avro" | "AvroConverter" | "io.confluent.connect.avro.AvroConverter" => {
                Self::Registry(SchemaKind::Avro)
            }
            "JsonSchema"
            | "JsonSchemaConverter"
            | "io.confluent.connect.json.JsonSchemaConverter" => Self::Registry(SchemaKind::Json),
            "Json" | "JsonConverter" | "org.apache.kafka.connect.json.JsonConverter" => {
                let schemas = schemas.as_ref().map_or(Ok(true), |given| {
                    bool::parse(given.value().trim()).map_err(|message| {
                        let key = Some("schemas.enable".to_owned());
                        settings.problem_at(given.line, key, message)
                    })
                });
                let schemas = schemas.map_err(|problem| problems.push(problem)).ok()?;
                return Some(Self::Json { schemas });
            }
            "String" | "StringConverter" | "org.apache.kafka.connect.storage.StringConverter" => {
                Self::Text
            }
            "ByteArray"
            | "ByteArrayConverter"
            | "org.apache.kafka.connect.converters.ByteArrayConverter" => Self::Bytes,
            other => {
                let near = penstock_connect::properties::nearest(other, CONVERTERS.iter().copied());
                let hint = near.map_or_else(
                    || format!("known are {}", CONVERTERS.join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                problems.push(Problem {
                    file: settings.file().clone(),
                    line,
                    key: Some(settings.full_key("").trim_end_matches('.').to_owned()),
                    message: format!("unknown converter {other}; {hint}"),
                });
                return None;
            }
        };
        if let Some(given) = schemas {
            let key = Some("schemas.enable".to_owned());
            let message = "has no effect: only the Json converter wraps what it writes";
            notes.push(settings.problem_at(given.line, key, message));
        }
        Some(converter)
    }

    /// The schema that a record's bytes name, if this converter reads schemas.
    pub(crate) fn schema_named(self, header: Option<&[u8]>, bytes: &[u8]) -> Option<SchemaRefId> {
        match self {
            Self::Registry(_) => frame::read_with_header(header, bytes)
                .ok()
                .map(|frame| frame.id),
            Self::Auto if header.is_some() || matches!(bytes.first(), Some(0 | 1)) => {
                frame::read_with_header(header, bytes)
                    .ok()
                    .map(|frame| frame.id)
            }
            _ => None,
        }
    }

    /// Whether this converter reads the headers that name a schema: then they are used up, since
    /// records are written with the prefix.
    pub(crate) fn reads_schema_headers(self) -> bool {
        matches!(self, Self::Auto | Self::Registry(_))
    }

    /// The payload in a record's bytes; `None` where they say null. Schemas that it names are in the
    /// registry client's cache already, unless the registry does not know them.
    pub(crate) fn read(
        self,
        schemas: &mut KnownSchemas<'_>,
        header: Option<&[u8]>,
        bytes: &Bytes,
    ) -> Result<Option<Payload>, RecordError> {
        let encoding = match self {
            Self::Text => Encoding::Text,
            Self::Bytes => Encoding::Bytes,
            Self::Json { schemas: false } => Encoding::Json,
            Self::Json { schemas: true } => return unwrap_envelope(bytes),
            Self::Auto if header.is_none() && !matches!(bytes.first(), Some(0 | 1)) => {
                let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
                if first == Some(&b'{') {
                    Encoding::Json
                } else {
                    Encoding::Bytes
                }
            }
            Self::Auto | Self::Registry(_) => {
                let frame =
                    frame::read_with_header(header, bytes).map_err(RecordError::malformed)?;
                let schema = schemas.get(frame.id).ok_or_else(|| {
                    RecordError::schema(format!("the registry has no schema with {}", frame.id))
                })?;
                let payload = bytes.slice(frame.offset..);
                return Ok(Some(Payload::new(payload, Encoding::Registered(schema))));
            }
        };
        Ok(Some(Payload::new(bytes.clone(), encoding)))
    }

    /// Appends the bytes of a payload as they go into a topic.
    pub(crate) fn write(self, payload: &Payload, out: &mut Vec<u8>) -> Result<(), RecordError> {
        match self {
            Self::Auto | Self::Registry(_) => match payload.encoding() {
                Encoding::Registered(schema) => {
                    let id = schema.id().ok_or_else(|| {
                        RecordError::schema(
                            "the schema of this record has no id in the registry".to_owned(),
                        )
                    })?;
                    frame::write(SchemaRefId::Id(id), out);
                    payload.write_to(out);
                    Ok(())
                }
                _ if self == Self::Auto => {
                    payload.write_to(out);
                    Ok(())
                }
                _ => Err(RecordError::schema(
                    "this record has no schema: use the Json converter, or give it a schema at its source",
                )),
            },
            Self::Json { schemas: false } => payload.to_json(out).map_err(RecordError::malformed),
            Self::Json { schemas: true } => {
                out.extend_from_slice(br#"{"schema":null,"payload":"#);
                payload.to_json(out).map_err(RecordError::malformed)?;
                out.push(b'}');
                Ok(())
            }
            Self::Text => match payload.encoding() {
                Encoding::Text | Encoding::Bytes => {
                    payload.write_to(out);
                    Ok(())
                }
                _ => payload.to_json(out).map_err(RecordError::malformed),
            },
            Self::Bytes => match payload.encoding() {
                Encoding::Text | Encoding::Bytes | Encoding::Json => {
                    payload.write_to(out);
                    Ok(())
                }
                Encoding::Registered(_) => Err(RecordError::schema(
                    "the ByteArray converter takes bytes, not a record with a schema",
                )),
            },
        }
    }
}

/// Takes the payload out of Kafka Connect's `{"schema":…,"payload":…}`; a payload of null is a null.
fn unwrap_envelope(bytes: &Bytes) -> Result<Option<Payload>, RecordError> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        payload: &'a serde_json::value::RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|error| {
        RecordError::malformed(format!(
            "not {{\"schema\":…,\"payload\":…}} as schemas.enable=true expects (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let payload = envelope.payload.get();
    if payload == "null" {
        return Ok(None);
    }
    let payload = bytes.slice_ref(payload.as_bytes());
    Ok(Some(Payload::new(payload, Encoding::Json)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use penstock_registry::RegistryConfig;

    use super::*;

    fn registry() -> RegistryClient {
        // Never asked: `read` only looks into its cache.
        RegistryClient::new(RegistryConfig::new(["http://127.0.0.1:9"])).unwrap()
    }

    fn converter(class: &str, settings: &[(&str, &str)]) -> Result<Converter, String> {
        let mut problems = Vec::new();
        let mut given = Settings::from_pairs("test", settings.iter().copied());
        let below = given.take_prefix("");
        let class = Some((class, 0));
        let converter = Converter::parse(class, below, None, &mut Vec::new(), &mut problems);
        converter.ok_or_else(|| problems[0].to_string())
    }

    fn text_of(converter: Converter, payload: &Payload) -> Result<String, RecordError> {
        let mut out = Vec::new();
        converter
            .write(payload, &mut out)
            .map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn java_names_and_short_names_mean_the_same() {
        for (java, short) in [
            ("io.confluent.connect.avro.AvroConverter", "Avro"),
            (
                "io.confluent.connect.json.JsonSchemaConverter",
                "JsonSchema",
            ),
            ("org.apache.kafka.connect.json.JsonConverter", "Json"),
            ("org.apache.kafka.connect.storage.StringConverter", "String"),
            (
                "org.apache.kafka.connect.converters.ByteArrayConverter",
                "ByteArray",
            ),
        ] {
            assert_eq!(converter(java, &[]), converter(short, &[]), "{java}");
        }
        let problem = converter("Avor", &[]).unwrap_err();
        assert!(
            problem.ends_with("unknown converter Avor; did you mean Avro?"),
            "{problem}"
        );
        assert!(converter("Json", &[("schemas.enable", "maybe")]).is_err());
    }

    #[test]
    fn json_is_wrapped_and_unwrapped_where_schemas_are_enabled() {
        let wrapped = converter("Json", &[]).unwrap();
        let bare = converter("Json", &[("schemas.enable", "false")]).unwrap();
        let payload = Payload::new(&br#"{"a":1}"#[..], Encoding::Json);
        let text = text_of(wrapped, &payload).unwrap();
        assert_eq!(text, r#"{"schema":null,"payload":{"a":1}}"#);
        let read = wrapped
            .read(
                &mut KnownSchemas::new(&registry()),
                None,
                &Bytes::from(text),
            )
            .unwrap()
            .unwrap();
        assert_eq!(read.bytes(), &br#"{"a":1}"#[..]);
        assert_eq!(text_of(bare, &read).unwrap(), r#"{"a":1}"#);
        let error = wrapped
            .read(
                &mut KnownSchemas::new(&registry()),
                None,
                &Bytes::from_static(b"{nonsense"),
            )
            .unwrap_err();
        assert!(error.message.contains("schemas.enable=true"), "{error}");
    }

    #[test]
    fn without_a_converter_json_is_json_and_other_bytes_stay_bytes() {
        for (bytes, json) in [(&b" {\"a\":1}"[..], true), (b"plain", false), (b"", false)] {
            let payload = Converter::Auto
                .read(
                    &mut KnownSchemas::new(&registry()),
                    None,
                    &Bytes::copy_from_slice(bytes),
                )
                .unwrap()
                .unwrap();
            assert_eq!(
                matches!(payload.encoding(), Encoding::Json),
                json,
                "{bytes:?}"
            );
            assert_eq!(
                text_of(Converter::Auto, &payload).unwrap().as_bytes(),
                bytes
            );
        }
    }

    #[test]
    fn a_record_of_an_unknown_schema_is_rejected_with_the_id() {
        let framed = Bytes::from_static(&[0, 0, 0, 0, 7, 1]);
        for converter in [Converter::Auto, Converter::Registry(SchemaKind::Avro)] {
            assert_eq!(
                converter.schema_named(None, &framed),
                Some(SchemaRefId::Id(7))
            );
            let error = converter
                .read(&mut KnownSchemas::new(&registry()), None, &framed)
                .unwrap_err();
            assert_eq!(error.message, "the registry has no schema with id 7");
        }
        let error = Converter::Registry(SchemaKind::Avro).read(
            &mut KnownSchemas::new(&registry()),
            None,
            &Bytes::from_static(b"{}"),
        );
        assert!(
            error
                .unwrap_err()
                .message
                .contains("not in Confluent framing")
        );
    }

    #[test]
    fn a_known_schema_keeps_its_id_whatever_converter_writes_it() {
        let schema = Schema::avro("\"string\"", &[]).unwrap().with_id(258, None);
        let payload = Payload::new(&b"\x04hi"[..], Encoding::Registered(Arc::new(schema)));
        for converter in [Converter::Auto, Converter::Registry(SchemaKind::Json)] {
            let mut out = Vec::new();
            converter.write(&payload, &mut out).unwrap();
            assert_eq!(out, b"\x00\x00\x00\x01\x02\x04hi");
        }
        assert_eq!(text_of(Converter::Text, &payload).unwrap(), "\"hi\"");
        assert!(text_of(Converter::Bytes, &payload).is_err());
        let text = Payload::new(&b"hi"[..], Encoding::Text);
        assert!(text_of(Converter::Registry(SchemaKind::Avro), &text).is_err());
    }

    #[test]
    fn an_envelope_gives_its_payload_a_null_or_an_error() {
        for (bytes, expected) in [
            (
                r#"{"schema":null,"payload":{"a":1}}"#,
                Some(Some(r#"{"a":1}"#)),
            ),
            (
                r#"{"schema":{"type":"int32"}, "payload": 7 }"#,
                Some(Some("7")),
            ),
            (r#"{"schema":null,"payload":null}"#, Some(None)),
            (r#"{"schema":null}"#, None),
            (r#"{"a":1}"#, None),
            ("null", None),
            ("garbage", None),
            ("", None),
        ] {
            let read = unwrap_envelope(&Bytes::from_static(bytes.as_bytes())).ok();
            let read = read.map(|payload| payload.map(|payload| payload.bytes().clone()));
            let expected = expected.map(|payload| payload.map(str::as_bytes));
            assert_eq!(read.as_ref().map(Option::as_deref), expected, "{bytes}");
        }
    }
}
