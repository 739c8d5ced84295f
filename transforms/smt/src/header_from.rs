//! `HeaderFrom`: copies or moves fields to headers.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use penstock_connect::config::Names;
use penstock_connect::{
    Config, Header, Placement, Problem, Record, RecordError, Settings, choice, config,
};
use penstock_formats::{EditBuffer, FormatError, Found, Scalar, Slot};

use crate::each::{Change, unfit, unreadable};
use crate::field_set::{FieldSet, FieldsFor, Presence};
use crate::part::Part;
use crate::values::Paths;

choice! {
    /// What becomes of the fields.
    pub(crate) enum Operation {
        /// They go.
        Move = "move",
        /// They stay.
        Copy = "copy",
    }
}

config! {
    /// Copies or moves fields to headers: text as it is, bytes as base64, everything else as JSON; null
    /// and what is not there as null. Moving takes a field out of JSON; Avro records have all their
    /// fields, so that theirs can only be copied.
    #[check(check)]
    pub(crate) struct HeaderFromConfig {
        /// The fields.
        "fields" => fields: Paths,
        /// Names of the headers, one for each field, in the same order.
        "headers" => headers: Names,
        /// `move` or `copy`.
        "operation" => operation: Operation,
    }
}

fn check(config: &HeaderFromConfig) -> Vec<(&'static str, String)> {
    let (fields, headers) = (config.fields.0.len(), config.headers.0.len());
    if fields == headers {
        vec![]
    } else {
        vec![(
            "headers",
            format!("needs one name for each of the {fields} fields, and has {headers}"),
        )]
    }
}

pub(crate) struct HeaderFrom {
    part: Part,
    fields: FieldSet,
    found: Found,
    edits: EditBuffer,
    headers: Vec<Arc<str>>,
    operation: Operation,
}

impl HeaderFrom {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let config = HeaderFromConfig::read_all(settings)?;
        Ok(Self {
            part,
            fields: FieldSet::new(part, config.fields.0, Presence::Optional),
            found: Found::new(),
            edits: EditBuffer::new(),
            headers: config.headers.0.into_iter().map(Into::into).collect(),
            operation: config.operation,
        })
    }
}

fn header_value(slots: &[&Slot], list: bool, payload: &[u8]) -> Result<Option<Bytes>, FormatError> {
    let [slot] = slots else {
        if slots.is_empty() {
            return Ok(None);
        }
        return list_value(slots, payload);
    };
    if list {
        return list_value(slots, payload);
    }
    match slot.scalar(payload) {
        Ok(Scalar::Null) => Ok(None),
        Ok(Scalar::Str(text)) => Ok(Some(Bytes::from(text.into_owned()))),
        Ok(Scalar::Bytes(bytes)) => Ok(Some(Bytes::from(STANDARD.encode(bytes)))),
        _ => Ok(Some(Bytes::from(slot.json(payload)?.into_owned()))),
    }
}

fn list_value(slots: &[&Slot], payload: &[u8]) -> Result<Option<Bytes>, FormatError> {
    let mut value = vec![b'['];
    for (at, slot) in slots.iter().enumerate() {
        if at > 0 {
            value.push(b',');
        }
        value.extend_from_slice(&slot.json(payload)?);
    }
    value.push(b']');
    Ok(Some(value.into()))
}

fn headers(
    names: &[Arc<str>],
    fields: FieldsFor<'_>,
    found: &Found,
    payload: &[u8],
) -> Result<Vec<Header>, FormatError> {
    let mut headers: Vec<Header> = names
        .iter()
        .map(|name| Header {
            name: name.clone(),
            value: None,
        })
        .collect();
    for path in 0..fields.fields.paths().len() {
        let slots: Vec<&Slot> = found.at(path).collect();
        headers[fields.original(path)].value =
            header_value(&slots, fields.fields.field_type(path).list, payload)?;
    }
    Ok(headers)
}

impl Change for HeaderFrom {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of_mut(record) else {
            return Err(RecordError::field(format!(
                "headers cannot be made of a null {}",
                self.part.name()
            )));
        };
        let fields = self.fields.for_payload(payload, |_| ())?;
        payload
            .find(fields.fields, &mut self.found)
            .map_err(unreadable)?;
        let headers =
            headers(&self.headers, fields, &self.found, payload.bytes()).map_err(unreadable)?;
        if self.operation == Operation::Move {
            let mut edits = self.edits.begin();
            for slot in self.found.slots() {
                slot.remove(fields.fields, &mut edits).map_err(unfit)?;
            }
            payload.edit(&self.found, edits).map_err(unfit)?;
            if self.part == Part::Key {
                record.placement = Placement::Key;
            }
        }
        record.headers.extend(headers);
        Ok(())
    }
}
