//! A record as an Avro datum: its value, or a record of the envelope's members.

use std::sync::Arc;

use penstock_connect::{Header, Record, RecordError};
use penstock_formats::{Encoding, Fields, Found, Limits, Payload, Schema, SchemaKind};

use crate::avro_block::append_long;
use crate::avro_schema;
use crate::json::cannot_write;
use crate::{Content, Member};

/// Values within values in one datum.
const MAX_DEPTH: usize = 512;

/// Branches of `["null", …]`.
const NULL: i64 = 0;
const GIVEN: i64 = 1;

/// How a file's records are written.
pub(crate) struct Row {
    schema: String,
    members: Vec<(Member, Column)>,
    found: Found,
}

/// What stands in a member of each record.
enum Column {
    /// Payloads of this schema.
    Payload(Arc<Schema>, Box<Fields>),
    Text,
    Bytes,
    /// Nothing: records with it have another file.
    Null,
    Offset,
    Timestamp,
    Headers,
}

impl Row {
    /// How records like this one are written.
    pub(crate) fn new(content: &Content, first: &Record) -> Result<Self, RecordError> {
        let column = |member| {
            Ok((
                member,
                match member {
                    Member::Key => Column::of(member, first.key.as_ref())?,
                    Member::Value => Column::of(member, first.value.as_ref())?,
                    Member::Offset => Column::Offset,
                    Member::Timestamp => Column::Timestamp,
                    Member::Headers => Column::Headers,
                },
            ))
        };
        let (members, schema) = match content {
            Content::Value => {
                let value = column(Member::Value)?;
                if let (_, Column::Null) = value {
                    return Err(RecordError::schema(
                        "a record without a value has no place in an Avro file of values",
                    ));
                }
                let schema = value.1.schema()?;
                (vec![value], schema)
            }
            Content::Envelope(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|member| column(*member))
                    .collect::<Result<_, RecordError>>()?;
                let types: Vec<(&str, String)> = members
                    .iter()
                    .map(|(member, column)| Ok((member.name(), column.schema()?)))
                    .collect::<Result<_, RecordError>>()?;
                (members, avro_schema::envelope(&types)?)
            }
        };
        Ok(Self {
            schema,
            members,
            found: Found::new(),
        })
    }

    /// The file's schema.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Appends a record. On an error there may be a part of it.
    pub(crate) fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        for (member, column) in &self.members {
            match (member, column) {
                (Member::Key, column) => {
                    column.append(*member, record.key.as_ref(), &mut self.found, out)?;
                }
                (Member::Value, column) => {
                    column.append(*member, record.value.as_ref(), &mut self.found, out)?;
                }
                (Member::Offset, _) => append_long(record.origin().offset, out),
                (Member::Timestamp, _) => match record.timestamp {
                    None => append_long(NULL, out),
                    Some(millis) => {
                        append_long(GIVEN, out);
                        append_long(millis, out);
                    }
                },
                (Member::Headers, _) => append_headers(&record.headers, out),
            }
        }
        Ok(())
    }
}

impl Column {
    fn of(member: Member, payload: Option<&Payload>) -> Result<Self, RecordError> {
        let Some(payload) = payload else {
            return Ok(Self::Null);
        };
        match payload.encoding() {
            Encoding::Text => Ok(Self::Text),
            Encoding::Bytes => Ok(Self::Bytes),
            Encoding::Registered(schema) if schema.kind() == SchemaKind::Avro => {
                let fields = Fields::compile(schema, &[])
                    .map_err(|error| RecordError::schema(error.to_string()))?;
                Ok(Self::Payload(Arc::clone(schema), Box::new(fields)))
            }
            Encoding::Json | Encoding::Registered(_) => Err(RecordError::schema(format!(
                "the {0} is JSON without an Avro schema, and an Avro file needs one: read the topic with \
                 an Avro {0} converter, or write another format",
                member.name()
            ))),
        }
    }

    /// The type in the file's schema.
    fn schema(&self) -> Result<String, RecordError> {
        Ok(match self {
            Self::Payload(schema, _) => avro_schema::text(schema)?,
            Self::Text => r#""string""#.to_owned(),
            Self::Bytes => r#""bytes""#.to_owned(),
            Self::Null => r#""null""#.to_owned(),
            Self::Offset => r#""long""#.to_owned(),
            Self::Timestamp => avro_schema::TIMESTAMP.to_owned(),
            Self::Headers => avro_schema::HEADERS.to_owned(),
        })
    }

    fn append(
        &self,
        member: Member,
        payload: Option<&Payload>,
        found: &mut Found,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        match (self, payload) {
            (Self::Null, None) => {}
            (Self::Payload(schema, fields), Some(payload))
                if payload.schema().is_some_and(|own| same(own, schema)) =>
            {
                let start = out.len();
                payload.write_to(out);
                let limits = Limits { depth: MAX_DEPTH };
                fields
                    .find_checked(&out[start..], found, &limits)
                    .map_err(|error| cannot_write(member, "Avro", error))?;
            }
            (Self::Text, Some(payload)) if matches!(payload.encoding(), Encoding::Text) => {
                append_long(payload.len() as i64, out);
                let start = out.len();
                payload.write_to(out);
                std::str::from_utf8(&out[start..]).map_err(|_| {
                    RecordError::malformed(format!("the {} is not UTF-8", member.name()))
                })?;
            }
            (Self::Bytes, Some(payload)) if matches!(payload.encoding(), Encoding::Bytes) => {
                append_long(payload.len() as i64, out);
                payload.write_to(out);
            }
            _ => {
                return Err(RecordError::schema(format!(
                    "the {} has another schema than the file",
                    member.name()
                )));
            }
        }
        Ok(())
    }
}

/// Two schemas of the same text are one, whoever parsed them.
fn same(a: &Arc<Schema>, b: &Arc<Schema>) -> bool {
    Arc::ptr_eq(a, b) || (a.id() == b.id() && a.text() == b.text())
}

fn append_headers(headers: &[Header], out: &mut Vec<u8>) {
    if !headers.is_empty() {
        append_long(headers.len() as i64, out);
        for header in headers {
            append_long(header.name.len() as i64, out);
            out.extend_from_slice(header.name.as_bytes());
            match &header.value {
                None => append_long(NULL, out),
                Some(value) => {
                    append_long(GIVEN, out);
                    append_long(value.len() as i64, out);
                    out.extend_from_slice(value);
                }
            }
        }
    }
    append_long(0, out);
}
