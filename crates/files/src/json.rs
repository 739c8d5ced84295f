//! A record as JSON: its value, or an object of the members that were asked for.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use penstock_connect::{Header, Record, RecordError};
use penstock_formats::json::check_grammar;
use penstock_formats::{Encoding, FormatError, Payload, SchemaKind};

use crate::{Content, Member, Timestamps};

impl Content {
    /// Appends the record as one JSON value without line breaks: the value, or an object of the
    /// envelope's members. Avro as [`penstock_formats::avro`] says; no value is `null`; headers are
    /// `[{"key":…,"value":…}]`, with values that are not UTF-8 as base64 and `"encoding":"base64"` beside
    /// them. On an error nothing is appended.
    pub fn append_json(
        &self,
        record: &Record,
        timestamps: Timestamps,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let start = out.len();
        match self {
            Self::Value => append_payload(Member::Value, record.value.as_ref(), out),
            Self::Envelope(members) => append_object(members, record, timestamps, out),
        }
        .inspect_err(|_| out.truncate(start))
    }
}

fn append_object(
    members: &[Member],
    record: &Record,
    timestamps: Timestamps,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    out.push(b'{');
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_text(member.name(), out);
        out.push(b':');
        append_member(*member, record, timestamps, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends one member of the record as JSON.
pub(crate) fn append_member(
    member: Member,
    record: &Record,
    timestamps: Timestamps,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    match member {
        Member::Key => append_payload(member, record.key.as_ref(), out)?,
        Member::Value => append_payload(member, record.value.as_ref(), out)?,
        Member::Offset => append_number(record.origin().offset, out),
        Member::Timestamp => append_timestamp(record.timestamp, timestamps, out)?,
        Member::Headers => append_headers(&record.headers, out),
    }
    Ok(())
}

fn append_payload(
    member: Member,
    payload: Option<&Payload>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let Some(payload) = payload else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let start = out.len();
    payload
        .to_json(out)
        .map_err(|error| cannot_write(member, "JSON", error))?;
    // JSON is passed on as it came, and a line that is not JSON would spoil the file for its readers.
    if is_json(payload) {
        check_grammar(&out[start..]).map_err(|problem| {
            RecordError::malformed(format!("the {} is not JSON: {problem}", member.name()))
        })?;
    }
    Ok(())
}

/// Why a member cannot stand in the file.
pub(crate) fn cannot_write(member: Member, format: &str, error: FormatError) -> RecordError {
    let message = format!(
        "the {} cannot be written as {format}: {error}",
        member.name()
    );
    match error {
        FormatError::Malformed { .. } => RecordError::malformed(message),
        FormatError::Mismatch { .. } | FormatError::Unsupported(_) => RecordError::schema(message),
    }
}

/// The payload's bytes are JSON text.
pub(crate) fn is_json(payload: &Payload) -> bool {
    match payload.encoding() {
        Encoding::Json => true,
        Encoding::Registered(schema) => schema.kind() == SchemaKind::Json,
        Encoding::Text | Encoding::Bytes => false,
    }
}

pub(crate) fn append_number(number: i64, out: &mut Vec<u8>) {
    write_infallibly(out, |out| write!(out, "{number}"));
}

fn append_timestamp(
    timestamp: Option<i64>,
    timestamps: Timestamps,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    match (timestamp, timestamps) {
        (None, _) => out.extend_from_slice(b"null"),
        (Some(millis), Timestamps::Millis) => append_number(millis, out),
        (Some(millis), Timestamps::Iso8601) => {
            let instant = DateTime::from_timestamp_millis(millis).ok_or_else(|| {
                RecordError::malformed("the timestamp is no date within 262,000 years")
            })?;
            append_text(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true), out);
        }
    }
    Ok(())
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
