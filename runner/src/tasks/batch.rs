//! A batch of messages as records: schemas fetched once for all of it, then each message read by
//! the connector's converters.

use bytes::Bytes;
use penstock_broker::Message;
use penstock_connect::{Error, Header, Origin, Record, RecordError, TopicPartition};
use penstock_formats::frame::{KEY_HEADER, SchemaRefId, VALUE_HEADER};
use penstock_formats::{Encoding, Payload};
use penstock_registry::RegistryClient;

use crate::chain::Rejection;
use crate::converters::{Converter, KnownSchemas};

/// Reads messages; what a converter cannot read is rejected.
pub(super) async fn read(
    messages: &[Message],
    key: Converter,
    value: Converter,
    registry: &RegistryClient,
) -> Result<(Vec<Record>, Vec<Rejection>), Error> {
    let unusable = fetch_schemas(messages, key, value, registry).await?;
    let mut keys = Side::new(key, KEY_HEADER, &unusable, registry);
    let mut values = Side::new(value, VALUE_HEADER, &unusable, registry);
    let mut records = Vec::with_capacity(messages.len());
    let mut rejected = Vec::new();
    // Partitions of one batch are few: share their names.
    let mut last: Option<TopicPartition> = None;
    for (index, message) in messages.iter().enumerate() {
        let same = |last: &TopicPartition| {
            last.partition == message.partition && last.topic == message.topic
        };
        if !last.as_ref().is_some_and(same) {
            last = Some(TopicPartition {
                topic: message.topic.clone(),
                partition: message.partition,
            });
        }
        let mut reject = |error, stage: &str| {
            rejected.push(Rejection {
                origin: index,
                error,
                stage: stage.to_owned(),
            });
        };
        let read_key = match (keys.read(message, message.key.as_ref()), key, &message.key) {
            // A key that only looks like a frame: numbers as Java writes them begin with zeros, too.
            (Err(_), Converter::Auto, Some(bytes)) => {
                Some(Payload::new(bytes.clone(), Encoding::Bytes))
            }
            (Err(error), ..) => {
                reject(error, "key.converter");
                continue;
            }
            (Ok(key), ..) => key,
        };
        let read_value = match values.read(message, message.value.as_ref()) {
            Ok(value) => value,
            Err(error) => {
                reject(error, "value.converter");
                continue;
            }
        };
        let mut record = Record::new(message.topic.clone(), read_value);
        record.key = read_key;
        record.timestamp = Some(message.timestamp).filter(|timestamp| *timestamp >= 0);
        record.headers = headers(message, key, value);
        record.set_origin(Origin {
            index,
            partition: last.clone(),
            offset: message.offset,
        });
        records.push(record);
    }
    Ok((records, rejected))
}

/// The keys of a batch, or its values.
struct Side<'a> {
    converter: Converter,
    /// The header that may name the schema.
    header: &'static str,
    unusable: &'a Unusable,
    schemas: KnownSchemas<'a>,
}

impl<'a> Side<'a> {
    fn new(
        converter: Converter,
        header: &'static str,
        unusable: &'a Unusable,
        registry: &'a RegistryClient,
    ) -> Self {
        Self {
            converter,
            header,
            unusable,
            schemas: KnownSchemas::new(registry),
        }
    }

    fn read(
        &mut self,
        message: &Message,
        bytes: Option<&Bytes>,
    ) -> Result<Option<Payload>, RecordError> {
        let Some(bytes) = bytes else { return Ok(None) };
        let header = header_value(message, self.header);
        self.check_usable(header, bytes)?;
        self.converter.read(&mut self.schemas, header, bytes)
    }

    /// Refuses a record whose schema is one that nobody can read it by.
    fn check_usable(&self, header: Option<&[u8]>, bytes: &[u8]) -> Result<(), RecordError> {
        if self.unusable.is_empty() {
            return Ok(());
        }
        let named = self.converter.schema_named(header, bytes);
        match self.unusable.iter().find(|(id, _)| Some(*id) == named) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// The message's headers without those that its converters have used up.
fn headers(message: &Message, key: Converter, value: Converter) -> Vec<Header> {
    let used_up = |name: &str| {
        (name == KEY_HEADER && key.reads_schema_headers())
            || (name == VALUE_HEADER && value.reads_schema_headers())
    };
    message
        .headers
        .iter()
        .filter(|header| !used_up(&header.name))
        .map(|header| Header {
            name: header.name.clone(),
            value: header.value.clone(),
        })
        .collect()
}

fn header_value<'a>(message: &'a Message, name: &str) -> Option<&'a [u8]> {
    if message.headers.is_empty() {
        return None;
    }
    message
        .headers
        .iter()
        .rev()
        .find(|header| &*header.name == name)
        .and_then(|header| header.value.as_deref())
}

/// Schemas that records name and that nobody can read them by.
type Unusable = Vec<(SchemaRefId, RecordError)>;

/// Gets the schemas that the messages name into the client's cache. Those that are not there, or
/// cannot be used, are the fault of the records that name them. Anything else that keeps a schema from
/// us (a registry that is away or refuses us, a proxy in its place) is an error of the whole batch.
async fn fetch_schemas(
    messages: &[Message],
    key: Converter,
    value: Converter,
    registry: &RegistryClient,
) -> Result<Unusable, Error> {
    let mut last = None;
    let mut unusable = Unusable::new();
    for message in messages {
        for (converter, bytes, header) in [
            (key, &message.key, KEY_HEADER),
            (value, &message.value, VALUE_HEADER),
        ] {
            let Some(bytes) = bytes else { continue };
            let Some(id) = converter.schema_named(header_value(message, header), bytes) else {
                continue;
            };
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            let fetched = match id {
                SchemaRefId::Id(id) if registry.cached(id).is_some() => continue,
                SchemaRefId::Guid(guid) if registry.cached_guid(guid).is_some() => continue,
                SchemaRefId::Id(id) => registry.by_id(id).await.map(|_| ()),
                SchemaRefId::Guid(guid) => registry.by_guid(guid).await.map(|_| ()),
            };
            match fetched {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {
                    let message = format!("the registry has no schema with {id}");
                    unusable.push((id, RecordError::schema(message)));
                }
                Err(error) if error.is_about_schema() => {
                    let message = format!("the schema with {id} cannot be used: {error}");
                    unusable.push((id, RecordError::schema(message)));
                }
                Err(error) => {
                    return Err(Error::backoff(format!("cannot get the schema with {id}"))
                        .with_source(error));
                }
            }
        }
    }
    Ok(unusable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::Json;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use penstock_broker::Header as BrokerHeader;
    use penstock_connect::Retry;
    use penstock_formats::SchemaKind;
    use penstock_registry::RegistryConfig;
    use serde_json::json;

    use super::*;

    const GUID: &str = "6f1b2c3d-0102-0304-0506-0708090a0b0c";

    async fn registry(answer: fn(&str) -> Response) -> RegistryClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(move |request: Request| {
            let answer = answer(request.uri().path());
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        RegistryClient::new(RegistryConfig::new([url])).unwrap()
    }

    fn error(status: u16, code: i64) -> Response {
        let body = Json(json!({"error_code": code, "message": "no"}));
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    }

    fn message(value: &'static [u8], headers: Vec<BrokerHeader>) -> Message {
        Message {
            topic: "in".into(),
            partition: 0,
            offset: 4,
            timestamp: -1,
            key: None,
            value: Some(value.into()),
            headers,
        }
    }

    fn header(name: &str, value: &[u8]) -> BrokerHeader {
        BrokerHeader {
            name: name.into(),
            value: Some(value.to_vec().into()),
        }
    }

    const AVRO: Converter = Converter::Registry(SchemaKind::Avro);

    #[tokio::test]
    async fn only_schemas_that_are_not_there_or_of_no_use_are_the_fault_of_records() {
        let answer = |path: &str| match path {
            "/schemas/ids/1" => Json(json!({"schema": "\"string\""})).into_response(),
            "/schemas/ids/2" => error(404, 40403),
            _ => Json(json!({"schema": "\"nonsense\""})).into_response(),
        };
        let messages = [
            message(b"\0\0\0\0\x02\x02v", Vec::new()),
            message(b"\0\0\0\0\x01\x02v", Vec::new()),
            message(b"\0\0\0\0\x03\x02v", Vec::new()),
            message(b"\0\xff\xff\xff\xff\x02v", Vec::new()),
        ];
        let (records, rejected) = read(&messages, AVRO, AVRO, &registry(answer).await)
            .await
            .unwrap();
        assert_eq!(records.len(), 1);
        let texts: Vec<_> = rejected.iter().map(|r| &*r.error.message).collect();
        assert_eq!(texts[0], "the registry has no schema with id 2");
        assert!(
            texts[1].starts_with("the schema with id 3 cannot be used: "),
            "{texts:?}"
        );
        assert!(
            texts[2].starts_with("the schema with id 4294967295 cannot be used: "),
            "{texts:?}"
        );
    }

    #[tokio::test]
    async fn a_registry_that_lets_nobody_in_rejects_no_record() {
        type Answer = fn(&str) -> Response;
        let cases: [(Answer, &str); 3] = [
            (|_| error(401, 401), "basic.auth.user.info"),
            (|_| error(403, 40301), "rights"),
            (
                |_| "<html>proxy</html>".into_response(),
                "schema.registry.url",
            ),
        ];
        for (answer, advice) in cases {
            let messages = [message(b"\0\0\0\0\x02\x02v", Vec::new())];
            let read = read(&messages, AVRO, AVRO, &registry(answer).await).await;
            let error = read.err().unwrap();
            assert_eq!(error.retry, Retry::Backoff);
            let trace = error.trace();
            assert!(
                trace.starts_with("cannot get the schema with id 2: "),
                "{trace}"
            );
            assert!(trace.contains(advice), "{trace}");
        }
    }

    #[tokio::test]
    async fn schemas_are_named_by_prefix_or_header_and_by_id_or_guid() {
        let answer = |path: &str| match path.strip_prefix("/schemas/") {
            Some("ids/1") => Json(json!({"schema": "\"string\""})).into_response(),
            Some(path) if path == format!("guids/{GUID}") => {
                Json(json!({"schema": "\"string\"", "id": 1, "guid": GUID})).into_response()
            }
            _ => error(404, 40403),
        };
        let guid = uuid::Uuid::parse_str(GUID).unwrap();
        let by_guid = [&[1], &guid.as_bytes()[..]].concat();
        let by_id = b"\0\0\0\0\x01";
        let framed: &'static [u8] = [&by_guid[..], b"\x02v"].concat().leak();
        let messages = [
            message(b"\0\0\0\0\x01\x02v", Vec::new()),
            message(framed, Vec::new()),
            message(
                b"\x02v",
                vec![header("mine", b"m"), header(VALUE_HEADER, by_id)],
            ),
            message(
                b"\x02v",
                vec![header(VALUE_HEADER, &by_guid), header("mine", b"m")],
            ),
        ];
        for converter in [AVRO, Converter::Auto] {
            let registry = registry(answer).await;
            let (records, rejected) = read(&messages, converter, converter, &registry)
                .await
                .unwrap();
            assert_eq!(rejected.len(), 0);
            assert_eq!(records.len(), 4);
            for (number, record) in records.iter().enumerate() {
                let value = record.value.as_ref().unwrap();
                assert_eq!(&value.bytes()[..], b"\x02v", "{number}");
                // The header is used up: what is written has the prefix.
                let mut out = Vec::new();
                converter.write(value, &mut out).unwrap();
                assert_eq!(out, b"\0\0\0\0\x01\x02v", "{number}");
                let names: Vec<_> = record.headers.iter().map(|h| &*h.name).collect();
                assert_eq!(names, if number < 2 { vec![] } else { vec!["mine"] });
            }
        }
    }
}
