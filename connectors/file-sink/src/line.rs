//! One record as one line of JSON: its value, or an object of the parts that were asked for.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_connect::config::{ConfigValue, Names};
use penstock_connect::{Header, Record, RecordError};
use penstock_formats::{Encoding, FormatError, Payload, SchemaKind};

/// A part of a record that can stand in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineField {
    /// The record's key.
    Key,
    /// The record's value.
    Value,
    /// Its offset in the partition.
    Offset,
    /// Its timestamp in milliseconds since the epoch.
    Timestamp,
    /// Its headers: `[{"key":…,"value":…}]`. Values that are not UTF-8 are base64 with `"encoding":"base64"` beside them.
    Headers,
}

impl LineField {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
            Self::Headers => "headers",
        }
    }
}

/// What stands in a line, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFields(pub Vec<LineField>);

impl ConfigValue for LineFields {
    const KIND: &'static str = "a list of key, value, offset, timestamp, headers";

    fn parse(text: &str) -> Result<Self, String> {
        let known = [
            LineField::Key,
            LineField::Value,
            LineField::Offset,
            LineField::Timestamp,
            LineField::Headers,
        ];
        let names = Names::parse(text)?.0;
        if names.is_empty() {
            return Err("is empty".into());
        }
        names
            .iter()
            .map(|name| {
                known
                    .into_iter()
                    .find(|field| field.name() == name)
                    .ok_or_else(|| {
                        format!("{name:?} is not known; use key, value, offset, timestamp, headers")
                    })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl LineFields {
    /// Appends the line, newline included. On an error nothing is appended.
    pub(crate) fn append(&self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let start = out.len();
        let result = match self.0.as_slice() {
            [LineField::Value] => append_payload("value", record.value.as_ref(), out),
            fields => append_object(fields, record, out),
        };
        match result {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(start),
        }
        result
    }
}

fn append_object(
    fields: &[LineField],
    record: &Record,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    out.push(b'{');
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_text(field.name(), out);
        out.push(b':');
        match field {
            LineField::Key => append_payload("key", record.key.as_ref(), out)?,
            LineField::Value => append_payload("value", record.value.as_ref(), out)?,
            LineField::Offset => append_number(Some(record.origin().offset), out),
            LineField::Timestamp => append_number(record.timestamp, out),
            LineField::Headers => append_headers(&record.headers, out),
        }
    }
    out.push(b'}');
    Ok(())
}

fn append_payload(
    what: &str,
    payload: Option<&Payload>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let Some(payload) = payload else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let start = out.len();
    payload.to_json(out).map_err(|error| {
        let message = format!("the {what} cannot be written as JSON: {error}");
        match error {
            FormatError::Malformed { .. } => RecordError::malformed(message),
            FormatError::Mismatch { .. } | FormatError::Unsupported(_) => {
                RecordError::schema(message)
            }
        }
    })?;
    let is_json = match payload.encoding() {
        Encoding::Json => true,
        Encoding::Registered(schema) => schema.kind() == SchemaKind::Json,
        Encoding::Text | Encoding::Bytes => false,
    };
    // JSON is passed on as it came, and a line that is not JSON would spoil the file for its readers.
    if is_json {
        check_json(&out[start..]).map_err(|problem| {
            RecordError::malformed(format!("the {what} is not JSON: {problem}"))
        })?;
    }
    Ok(())
}

fn check_json(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string())?;
    Ok(())
}

fn append_number(number: Option<i64>, out: &mut Vec<u8>) {
    match number {
        Some(number) => write_infallibly(out, |out| write!(out, "{number}")),
        None => out.extend_from_slice(b"null"),
    }
}

fn append_headers(headers: &[Header], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, header) in headers.iter().enumerate() {
        out.extend_from_slice(if index > 0 {
            br#",{"key":"#
        } else {
            br#"{"key":"#
        });
        append_text(&header.name, out);
        out.extend_from_slice(br#","value":"#);
        match header.value.as_deref() {
            None => out.extend_from_slice(b"null"),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => append_text(text, out),
                Err(_) => {
                    append_text(&STANDARD.encode(bytes), out);
                    out.extend_from_slice(br#","encoding":"base64""#);
                }
            },
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    write_infallibly(out, |out| {
        serde_json::to_writer(out, text).map_err(Into::into)
    });
}

fn write_infallibly(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
    let result = write(out);
    debug_assert!(
        result.is_ok(),
        "writing text or a number to memory cannot fail"
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::Origin;

    fn line(fields: &str, record: &Record) -> String {
        let mut out = Vec::new();
        LineFields::parse(fields)
            .unwrap()
            .append(record, &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    fn record(value: Option<&'static [u8]>) -> Record {
        let value = value.map(|bytes| Payload::new(bytes, Encoding::Json));
        let mut record = Record::new("t".into(), value);
        record.set_origin(Origin {
            index: 0,
            partition: None,
            offset: 12,
        });
        record
    }

    #[test]
    fn a_line_is_the_value_or_an_object_of_the_parts_asked_for_in_their_order() {
        let mut record = record(Some(br#"{"a":"x\"y"}"#));
        record.key = Some(Payload::new(&b"k\"1"[..], Encoding::Text));
        let header = |name: &str, value: Option<&'static [u8]>| Header {
            name: name.into(),
            value: value.map(Into::into),
        };
        record.headers = vec![
            header("h\n", Some(b"v")),
            header("b", Some(&[0xff])),
            header("n", None),
        ];
        for (fields, expected) in [
            ("value", r#"{"a":"x\"y"}"#),
            ("offset, value", r#"{"offset":12,"value":{"a":"x\"y"}}"#),
            ("key,timestamp", r#"{"key":"k\"1","timestamp":null}"#),
            (
                "headers",
                r#"{"headers":[{"key":"h\n","value":"v"},{"key":"b","value":"/w==","encoding":"base64"},{"key":"n","value":null}]}"#,
            ),
        ] {
            assert_eq!(line(fields, &record), format!("{expected}\n"));
        }
    }

    #[test]
    fn a_tombstone_is_null() {
        assert_eq!(line("value", &record(None)), "null\n");
        assert_eq!(
            line("value,offset", &record(None)),
            "{\"value\":null,\"offset\":12}\n"
        );
    }

    #[test]
    fn a_value_that_is_not_json_is_rejected_and_leaves_no_trace() {
        for bytes in [&b"{\"a\":"[..], b"", b"{} {}", b"\"\xff\"", b"\"a\nb\""] {
            let mut out = b"before\n".to_vec();
            let fields = LineFields::parse("offset,value").unwrap();
            let error = fields.append(&record(Some(bytes)), &mut out).unwrap_err();
            assert_eq!(error.kind, penstock_connect::RecordErrorKind::Malformed);
            assert!(
                error.message.starts_with("the value is not JSON: "),
                "{error}"
            );
            assert_eq!(out, b"before\n");
        }
    }

    #[test]
    fn json_of_several_lines_becomes_one() {
        assert_eq!(
            line("value", &record(Some(b"{\n  \"a\": 1\r\n}")))
                .lines()
                .count(),
            1
        );
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        assert_eq!(
            LineFields::parse("value,partition").unwrap_err(),
            "\"partition\" is not known; use key, value, offset, timestamp, headers"
        );
    }
}
