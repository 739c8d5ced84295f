//! A batch of messages as records: schemas fetched once for all of it, then each message read by
//! the connector's converters.

use penstock_broker::Message;
use penstock_connect::{Error, Header, Origin, Record, TopicPartition};
use penstock_formats::frame::{KEY_HEADER, SchemaRefId, VALUE_HEADER};
use penstock_formats::{Encoding, Payload};
use penstock_registry::{RegistryClient, Retry};

use crate::chain::Rejection;
use crate::converters::Converter;

/// Reads messages; what a converter cannot read is rejected.
pub(super) async fn read(
    messages: &[Message],
    key: Converter,
    value: Converter,
    registry: &RegistryClient,
) -> Result<(Vec<Record>, Vec<Rejection>), Error> {
    fetch_schemas(messages, key, value, registry).await?;
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
        let read = |converter: Converter,
                    bytes: &Option<bytes::Bytes>,
                    header: &str,
                    stage: &str| match bytes {
            None => Ok(None),
            Some(bytes) => converter
                .read(registry, header_value(message, header), bytes)
                .map_err(|error| Rejection {
                    origin: index,
                    error,
                    stage: stage.to_owned(),
                }),
        };
        let mut read_key = read(key, &message.key, KEY_HEADER, "key.converter");
        if let (Err(_), Converter::Auto, Some(bytes)) = (&read_key, key, &message.key) {
            // A key that only looks like a frame: numbers as Java writes them begin with zeros, too.
            read_key = Ok(Some(Payload::new(bytes.clone(), Encoding::Bytes)));
        }
        let payloads = read_key.and_then(|k| {
            Ok((
                k,
                read(value, &message.value, VALUE_HEADER, "value.converter")?,
            ))
        });
        match payloads {
            Ok(payloads) => {
                let mut record = record(message, index, last.clone(), payloads);
                record.headers = headers(message, key, value);
                records.push(record);
            }
            Err(rejection) => rejected.push(rejection),
        }
    }
    Ok((records, rejected))
}

fn record(
    message: &Message,
    index: usize,
    partition: Option<TopicPartition>,
    (key, value): (Option<Payload>, Option<Payload>),
) -> Record {
    let mut record = Record::new(message.topic.clone(), value);
    record.key = key;
    record.timestamp = Some(message.timestamp).filter(|timestamp| *timestamp >= 0);
    record.set_origin(Origin {
        index,
        partition,
        offset: message.offset,
    });
    record
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

/// Gets the schemas that the messages name into the client's cache. Ids that the registry does not
/// know are left for `read` to reject; a registry that is away is an error of the whole batch.
async fn fetch_schemas(
    messages: &[Message],
    key: Converter,
    value: Converter,
    registry: &RegistryClient,
) -> Result<(), Error> {
    let mut last = None;
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
                Err(error) if error.retry() == Retry::Backoff => {
                    return Err(Error::backoff(format!("cannot get the schema with {id}"))
                        .with_source(error));
                }
                // Unknown: `read` says so at each record that names it.
                Err(_) | Ok(()) => {}
            }
        }
    }
    Ok(())
}
