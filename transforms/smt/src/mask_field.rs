//! `MaskField`: replaces fields with the empty value of their type, or with a given one.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, TaskContext, config};
use penstock_formats::{EditBuffer, Edits, Fields, Found, Scalar, Slot};

use crate::each::{Change, unfit, unreadable};
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;
use crate::values::{Paths, Text};

config! {
    /// Replaces fields with the empty value of their type (`""`, `0`, `false`, no bytes, an empty
    /// map) or, for text and numbers, with a given one. Null stays null. Fields that a schema does not
    /// have are left out of account, as in Kafka Connect; a field that cannot be masked makes the
    /// record rejected. A field that is a list, or lies in one, is masked in every element.
    pub(crate) struct MaskFieldConfig {
        /// The fields.
        "fields" => fields: Paths,
        /// What text and numbers are replaced with.
        "replacement" => replacement: Option<Text>,
    }
}

pub(crate) struct MaskField {
    part: Part,
    fields: FieldSet,
    found: Found,
    edits: EditBuffer,
    replacement: Option<String>,
    connector: Arc<str>,
}

impl MaskField {
    pub(crate) fn from_settings(
        part: Part,
        settings: Settings,
        context: &TaskContext,
    ) -> Result<Self, Vec<Problem>> {
        let config = MaskFieldConfig::read_all(settings)?;
        Ok(Self {
            part,
            fields: FieldSet::new(part, config.fields.0, Presence::Optional),
            found: Found::new(),
            edits: EditBuffer::new(),
            replacement: config.replacement.map(|text| text.0),
            connector: context.connector.clone(),
        })
    }
}

/// Puts in the value that stands for any other of the same type.
fn empty(
    slot: &Slot,
    fields: &Fields,
    bytes: &[u8],
    edits: &mut Edits<'_>,
) -> Result<(), RecordError> {
    let scalar = match slot.scalar(bytes) {
        Ok(Scalar::Null) => Scalar::Null,
        Ok(Scalar::Bool(_)) => Scalar::Bool(false),
        Ok(Scalar::Int(_)) => Scalar::Int(0),
        Ok(Scalar::Double(_)) => Scalar::Double(0.0),
        Ok(Scalar::Bytes(_)) => Scalar::Bytes(Cow::Borrowed(&[])),
        Ok(Scalar::Str(_)) => {
            // Decimals are text here, and numbers in their schema.
            return slot
                .replace(fields, &Scalar::Str(Cow::Borrowed("")), edits)
                .or_else(|error| {
                    slot.replace(fields, &Scalar::Str(Cow::Borrowed("0")), edits)
                        .map_err(|_| error)
                })
                .map_err(unfit);
        }
        Err(_) => return slot.replace_json(fields, b"{}", edits).map_err(unfit),
    };
    slot.replace(fields, &scalar, edits).map_err(unfit)
}

fn replace(
    slot: &Slot,
    fields: &Fields,
    bytes: &[u8],
    replacement: &str,
    edits: &mut Edits<'_>,
) -> Result<(), RecordError> {
    let path = &fields.paths()[slot.path()];
    let not_a_number = || {
        RecordError::field(format!(
            "field '{path}' is a number, and the configured replacement is not"
        ))
    };
    let scalar = match slot.scalar(bytes) {
        Ok(Scalar::Str(_)) => Scalar::Str(Cow::Borrowed(replacement)),
        Ok(Scalar::Int(_)) => Scalar::Int(replacement.parse().map_err(|_| not_a_number())?),
        Ok(Scalar::Double(_)) => Scalar::Double(replacement.parse().map_err(|_| not_a_number())?),
        _ => {
            return Err(RecordError::field(format!(
                "field '{path}' is neither text nor a number and cannot be masked with a replacement"
            )));
        }
    };
    slot.replace(fields, &scalar, edits).map_err(unfit)
}

impl Change for MaskField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of_mut(record) else {
            return Ok(());
        };
        let schema = payload.schema().cloned();
        let fields = self
            .fields
            .for_payload(payload, |path| {
                let schema = schema.as_ref().and_then(|schema| schema.name()).unwrap_or("without a name");
                tracing::warn!(connector = %self.connector, %path, schema, "a field to be masked is not in the schema");
            })?
            .fields;
        payload.find(fields, &mut self.found).map_err(unreadable)?;
        let mut edits = self.edits.begin();
        let slots = self.found.slots().iter();
        for slot in slots.filter(|slot| !slot.is_null() && !slot.is_absent()) {
            let bytes = payload.bytes();
            match &self.replacement {
                None => empty(slot, fields, bytes, &mut edits)?,
                Some(replacement) => replace(slot, fields, bytes, replacement, &mut edits)?,
            }
        }
        payload.edit(&self.found, edits).map_err(unfit)
    }
}
