//! `MaskField`: replaces fields with the empty value of their type, or with a given one.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, TaskContext, config};
use penstock_formats::{Edit, FieldPath, Fields, Found, Payload, Scalar, Slot};

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
            replacement: config.replacement.map(|text| text.0),
            connector: context.connector.clone(),
        })
    }
}

/// The value that stands for any other of the same type.
fn empty(slot: &Slot, fields: &Fields, bytes: &[u8]) -> Result<Edit, RecordError> {
    let scalar = match slot.scalar(bytes) {
        Ok(Scalar::Null) => Scalar::Null,
        Ok(Scalar::Bool(_)) => Scalar::Bool(false),
        Ok(Scalar::Int(_)) => Scalar::Int(0),
        Ok(Scalar::Double(_)) => Scalar::Double(0.0),
        Ok(Scalar::Bytes(_)) => Scalar::Bytes(Cow::Borrowed(&[])),
        Ok(Scalar::Str(_)) => {
            // Decimals are text here, and numbers in their schema.
            return slot
                .replace(fields, &Scalar::Str(Cow::Borrowed("")))
                .or_else(|error| {
                    slot.replace(fields, &Scalar::Str(Cow::Borrowed("0")))
                        .map_err(|_| error)
                })
                .map_err(unfit);
        }
        Err(_) => return slot.replace_json(fields, b"{}").map_err(unfit),
    };
    slot.replace(fields, &scalar).map_err(unfit)
}

fn replaced(
    slot: &Slot,
    fields: &Fields,
    bytes: &[u8],
    path: &FieldPath,
    replacement: &str,
) -> Result<Edit, RecordError> {
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
    slot.replace(fields, &scalar).map_err(unfit)
}

fn masks(
    found: &Found,
    fields: &Fields,
    payload: &Payload,
    replacement: Option<&str>,
) -> Result<Vec<Edit>, RecordError> {
    let bytes = payload.bytes();
    found
        .slots()
        .iter()
        .filter(|slot| !slot.is_null() && !slot.is_absent())
        .map(|slot| match replacement {
            None => empty(slot, fields, bytes),
            Some(replacement) => replaced(
                slot,
                fields,
                bytes,
                &fields.paths()[slot.path()],
                replacement,
            ),
        })
        .collect()
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
        let edits = masks(&self.found, fields, payload, self.replacement.as_deref())?;
        payload.edit(&self.found, edits).map_err(unfit)
    }
}
