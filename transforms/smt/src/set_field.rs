//! `SetField`: puts a fixed value into a field, nested or not, as the type that the schema declares.

use std::borrow::Cow;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, choice, config};
use penstock_formats::{EditBuffer, FieldPath, Fields, Found, Scalar, ScalarKind};

use crate::each::{Change, unfit, unreadable};
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;
use crate::values::Text;

choice! {
    /// How `value` is to be read.
    pub(crate) enum Reading {
        /// As the declared type; without a schema, as JSON if it is JSON and as text otherwise.
        Auto = "auto",
        /// As text.
        String = "string",
        /// As JSON.
        Json = "json",
    }
}

config! {
    /// Sets a field to a fixed value. What was there is overwritten. The record or object that the
    /// field lies in has to be there: an event without it is rejected. A field within a list is set in
    /// every element.
    #[check(check)]
    pub(crate) struct SetFieldConfig {
        /// The field.
        "field" => field: FieldPath,
        /// Its new value.
        "value" => value: Text,
        /// How `value` is read: `auto` (as the type that the schema declares; without a schema as JSON if it is JSON, otherwise as text), `string`, or `json`.
        "value.type" => reading: Reading = "auto",
    }
}

fn check(config: &SetFieldConfig) -> Vec<(&'static str, String)> {
    match (config.reading, json_literal(&config.value.0)) {
        (Reading::Json, None) => vec![("value", "is not JSON, as value.type=json says".to_owned())],
        _ => vec![],
    }
}

/// The text if it is one JSON value.
fn json_literal(text: &str) -> Option<Vec<u8>> {
    serde_json::from_str::<&serde_json::value::RawValue>(text)
        .ok()
        .map(|raw| raw.get().as_bytes().to_vec())
}

pub(crate) struct SetField {
    part: Part,
    fields: FieldSet,
    found: Found,
    edits: EditBuffer,
    reading: Reading,
    text: String,
    literal: Option<Vec<u8>>,
}

impl SetField {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let config = SetFieldConfig::read_all(settings)?;
        Ok(Self {
            part,
            fields: FieldSet::new(part, vec![config.field], Presence::Required),
            found: Found::new(),
            edits: EditBuffer::new(),
            reading: config.reading,
            literal: json_literal(&config.value.0),
            text: config.value.0,
        })
    }
}

/// What is put into the field.
enum NewValue<'a> {
    Scalar(Scalar<'a>),
    Json(&'a [u8]),
}

fn new_value<'a>(
    fields: &Fields,
    reading: Reading,
    text: &'a str,
    literal: Option<&'a [u8]>,
) -> Result<NewValue<'a>, RecordError> {
    let as_text = || NewValue::Scalar(Scalar::Str(Cow::Borrowed(text)));
    Ok(match (reading, fields.field_type(0).scalar, literal) {
        (Reading::String, ..) | (Reading::Auto, ScalarKind::String, _) => as_text(),
        (Reading::Auto, ScalarKind::Bytes, _) => {
            NewValue::Scalar(Scalar::Bytes(Cow::Borrowed(text.as_bytes())))
        }
        (_, _, Some(literal)) => NewValue::Json(literal),
        (_, ScalarKind::Any, None) => as_text(),
        (_, _, None) => {
            let path = fields
                .paths()
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(RecordError::field(format!(
                "field '{path}' cannot be set: the configured value does not have the type that the schema declares"
            )));
        }
    })
}

impl Change for SetField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of_mut(record) else {
            return Ok(());
        };
        let fields = self.fields.for_payload(payload, |_| ())?.fields;
        payload.find(fields, &mut self.found).map_err(unreadable)?;
        if self.found.slots().is_empty() {
            let path = fields
                .paths()
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(RecordError::field(format!(
                "field '{path}' cannot be set: what it would lie in is not there"
            )));
        }
        let value = new_value(fields, self.reading, &self.text, self.literal.as_deref())?;
        let mut edits = self.edits.begin();
        for slot in self.found.slots() {
            match &value {
                NewValue::Scalar(scalar) => slot.replace(fields, scalar, &mut edits),
                NewValue::Json(literal) => slot.replace_json(fields, literal, &mut edits),
            }
            .map_err(unfit)?;
        }
        payload.edit(&self.found, edits).map_err(unfit)
    }
}
