//! CSV: a table with a header line, or the plain lines of Aiven's connectors.
//!
//! A table's quotes are RFC 4180's; null is an empty cell and empty text `""`, which readers that know
//! the difference tell apart. Lines end in `\n`: several query engines take a `\r` for a part of the last
//! cell.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_connect::{Record, RecordError};
use penstock_formats::{Encoding, Payload, SchemaKind};

use crate::columns::Columns;
use crate::json::{append_member, append_number, cannot_write, is_json};
use crate::text::Rows;
use crate::{Content, FileSpec, Member, Timestamps, ValueEncoding};

/// A header line, and a column for each field of the value.
pub(crate) struct Table {
    members: Vec<Member>,
    /// The value stands alone: its columns have no prefix.
    bare: bool,
    timestamps: Timestamps,
    columns: Columns,
    json: Vec<u8>,
    cells: Vec<Range<usize>>,
}

impl Table {
    pub(crate) fn begin(spec: &FileSpec, first: &Record) -> Result<Self, RecordError> {
        let (members, bare) = match &spec.content {
            Content::Value => (vec![Member::Value], true),
            Content::Envelope(members) => (members.clone(), false),
        };
        let columns = if spec.content.has(Member::Value) {
            columns_of(first)?
        } else {
            Columns::single()
        };
        if bare && first.value.is_none() {
            return Err(no_row());
        }
        Ok(Self {
            members,
            bare,
            timestamps: spec.dialect.timestamps,
            columns,
            json: Vec::new(),
            cells: Vec::new(),
        })
    }

    fn append_value(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.json.clear();
        append_member(Member::Value, record, self.timestamps, &mut self.json)?;
        let json = std::str::from_utf8(&self.json)
            .map_err(|_| RecordError::malformed("the value is not UTF-8"))?;
        self.columns.lay_out(json, &mut self.cells)?;
        for (position, cell) in self.cells.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            append_cell(&json[cell.clone()], out)?;
        }
        Ok(())
    }
}

fn no_row() -> RecordError {
    RecordError::schema("a record without a value has no row in a table of values")
}

/// The columns for records like this one.
fn columns_of(record: &Record) -> Result<Columns, RecordError> {
    let Some(value) = &record.value else {
        return Ok(Columns::single());
    };
    let json = || {
        let mut json = Vec::new();
        append_member(Member::Value, record, Timestamps::Millis, &mut json)?;
        Ok(json)
    };
    match value.encoding() {
        Encoding::Text | Encoding::Bytes => Ok(Columns::single()),
        Encoding::Json => Columns::of_json(&json()?),
        Encoding::Registered(schema) => match schema.avro_outline() {
            Some(Ok(outline)) => Ok(Columns::of_avro(&outline)),
            Some(Err(error)) => Err(RecordError::schema(format!(
                "the value has no table of columns: {error}"
            ))),
            None => match Columns::of_json_schema(schema)? {
                Some(columns) => Ok(columns),
                None => Columns::of_json(&json()?),
            },
        },
    }
}

impl Rows for Table {
    fn head(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for (position, member) in self.members.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            if *member != Member::Value {
                out.extend_from_slice(member.name().as_bytes());
                continue;
            }
            for (position, name) in self.columns.names().iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                match (self.bare, name.as_str()) {
                    (_, "") => append_quoted("value", out),
                    (true, name) => append_quoted(name, out),
                    (false, name) => append_quoted(&format!("value.{name}"), out),
                }
            }
        }
        end_line(start, out);
    }

    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if self.bare && record.value.is_none() {
            return Err(no_row());
        }
        let start = out.len();
        for position in 0..self.members.len() {
            if position > 0 {
                out.push(b',');
            }
            match self.members[position] {
                Member::Value => self.append_value(record, out)?,
                member => {
                    self.json.clear();
                    append_member(member, record, self.timestamps, &mut self.json)?;
                    let json = std::str::from_utf8(&self.json).map_err(|_| {
                        RecordError::malformed(format!("the {} is not UTF-8", member.name()))
                    })?;
                    append_cell(json, out)?;
                }
            }
        }
        end_line(start, out);
        Ok(())
    }

    fn tail(&self, _out: &mut Vec<u8>) {}
}

/// Ends a line; one that would be blank, which readers skip, gets the quotes of an empty text.
fn end_line(start: usize, out: &mut Vec<u8>) {
    if out.len() == start {
        out.extend_from_slice(b"\"\"");
    }
    out.push(b'\n');
}

/// Appends the cell of a JSON value: null is nothing, a string its text, everything else its JSON.
fn append_cell(json: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
    match json.as_bytes() {
        [] | [b'n', ..] => {}
        [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => {
            append_quoted(&json[1..json.len() - 1], out);
        }
        [b'"', ..] => {
            let text: String = serde_json::from_str(json)
                .map_err(|_| RecordError::malformed("the value has text that is no Unicode"))?;
            append_quoted(&text, out);
        }
        _ => append_quoted(json, out),
    }
    Ok(())
}

/// Appends a text in quotes if it needs them.
fn append_quoted(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    // Readers strip space around cells that are not quoted.
    let spaced = |end: Option<&u8>| matches!(end, Some(b' ' | b'\t'));
    let bare = !bytes.is_empty()
        && !bytes.iter().any(special)
        && !spaced(bytes.first())
        && !spaced(bytes.last());
    if bare {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for (position, part) in text.split('"').enumerate() {
        if position > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Members between commas, without header line and quotes.
pub(crate) struct Plain {
    members: Vec<Member>,
    encoding: ValueEncoding,
    text: Vec<u8>,
}

impl Plain {
    pub(crate) fn begin(spec: &FileSpec, encoding: ValueEncoding) -> Self {
        Self {
            members: match &spec.content {
                Content::Value => vec![Member::Value],
                Content::Envelope(members) => members.clone(),
            },
            encoding,
            text: Vec::new(),
        }
    }

    /// Appends a key or value: its bytes; of Avro its JSON.
    fn append_payload(
        &mut self,
        member: Member,
        payload: Option<&Payload>,
        encoding: ValueEncoding,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let Some(payload) = payload else {
            return Ok(());
        };
        self.text.clear();
        let is_avro = payload
            .schema()
            .is_some_and(|schema| schema.kind() == SchemaKind::Avro);
        // JSON with line breaks in it would be several lines.
        if is_avro || is_json(payload) {
            payload
                .to_json(&mut self.text)
                .map_err(|error| cannot_write(member, "JSON", error))?;
        } else {
            payload.write_to(&mut self.text);
        }
        match encoding {
            ValueEncoding::None => out.extend_from_slice(&self.text),
            ValueEncoding::Base64 => append_base64(&self.text, out),
        }
        Ok(())
    }
}

impl Rows for Plain {
    fn head(&self, _out: &mut Vec<u8>) {}

    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        for position in 0..self.members.len() {
            if position > 0 {
                out.push(b',');
            }
            let member = self.members[position];
            match member {
                Member::Key => {
                    let key = record.key.as_ref();
                    self.append_payload(member, key, ValueEncoding::Base64, out)?;
                }
                Member::Value => {
                    let value = record.value.as_ref();
                    self.append_payload(member, value, self.encoding, out)?;
                }
                Member::Offset => append_number(record.origin().offset, out),
                Member::Timestamp => {
                    if let Some(millis) = record.timestamp {
                        append_number(millis, out);
                    }
                }
                Member::Headers => {
                    for header in &record.headers {
                        append_base64(header.name.as_bytes(), out);
                        out.push(b':');
                        append_base64(header.value.as_deref().unwrap_or_default(), out);
                        out.push(b';');
                    }
                }
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn tail(&self, _out: &mut Vec<u8>) {}
}

fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}
