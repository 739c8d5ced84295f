//! `ExtractField`: puts a field in the place of the record that it lies in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::{Config, Problem, Record, RecordError, Settings, choice, config};
use penstock_formats::{Encoding, FieldPath, Found, Payload, Schema, SchemaKind};
use serde_json::value::RawValue;

use crate::derive::{self, Derived};
use crate::each::{Change, unreadable};
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;

choice! {
    /// How `field` is read.
    pub(crate) enum Syntax {
        /// Dots are part of the name.
        V1 = "v1",
        /// Dots lead into nested records.
        V2 = "v2",
    }
}

config! {
    /// Replaces the key or value with one of its fields. What is null or not there becomes null: a
    /// value of a record then is a tombstone.
    pub(crate) struct ExtractFieldConfig {
        /// The field.
        "field" => field: String,
        /// How `field` is read: `V2` takes dots as the way into nested records, `V1` as part of the name.
        "field.syntax.version" => syntax: Syntax = "V2",
    }
}

/// The field's own schema.
struct Inner {
    schema: Arc<Schema>,
}

pub(crate) struct ExtractField {
    part: Part,
    path: FieldPath,
    fields: FieldSet,
    found: Found,
    inner: Derived<Inner>,
}

impl ExtractField {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let problem = settings.problem("field", "");
        let config = ExtractFieldConfig::read_all(settings)?;
        let path = match config.syntax {
            Syntax::V1 => FieldPath::from_segments([&config.field]),
            Syntax::V2 => FieldPath::parse(&config.field),
        };
        let path = path.map_err(|error| {
            vec![Problem {
                message: error.to_string(),
                ..problem
            }]
        })?;
        Ok(Self {
            part,
            fields: FieldSet::new(part, vec![path.clone()], Presence::Required),
            path,
            found: Found::new(),
            inner: Derived::new(),
        })
    }
}

/// The member at the path of a JSON text; `None` if it is not there or null.
fn member<'a>(json: &'a [u8], path: &FieldPath) -> Result<Option<&'a [u8]>, RecordError> {
    let malformed = |error: serde_json::Error| {
        RecordError::malformed(format!(
            "not a JSON object (line {}, column {})",
            error.line(),
            error.column()
        ))
    };
    let mut at: &'a RawValue = serde_json::from_slice(json).map_err(malformed)?;
    for segment in path.segments() {
        if at.get() == "null" {
            return Ok(None);
        }
        let mut members: HashMap<Cow<'a, str>, &'a RawValue> =
            serde_json::from_str(at.get()).map_err(malformed)?;
        match members.remove(segment) {
            Some(member) => at = member,
            None => return Ok(None),
        }
    }
    Ok((at.get() != "null").then(|| at.get().as_bytes()))
}

/// The schema of a field, standing by itself.
fn inner(schema: &Schema, path: &FieldPath) -> Result<Inner, String> {
    let mut kind = derive::tree(schema)?;
    for segment in path.segments() {
        let fields = derive::beside_null(&mut kind)?
            .get_mut("fields")
            .and_then(serde_json::Value::as_array_mut)
            .ok_or_else(|| {
                format!("'{segment}' lies in a type that is defined elsewhere or has no fields")
            })?;
        kind = derive::field_named(fields, segment)
            .and_then(|field| field.get("type").cloned())
            .ok_or_else(|| format!("there is no field '{segment}'"))?;
    }
    if kind.get("type").and_then(serde_json::Value::as_str) == Some("array") {
        return Err(format!("'{path}' is a list"));
    }
    Ok(Inner {
        schema: derive::parse(schema, &kind)?,
    })
}

impl ExtractField {
    fn extract(&mut self, payload: &mut Payload) -> Result<Option<Payload>, RecordError> {
        let fields = self.fields.for_payload(payload, |_| ())?.fields;
        payload.flatten();
        let schema = match payload.schema() {
            Some(schema) if schema.kind() == SchemaKind::Avro => schema.clone(),
            _ => {
                let bytes: &Bytes = payload.bytes();
                let member = member(bytes, &self.path)?;
                return Ok(
                    member.map(|member| Payload::new(bytes.slice_ref(member), Encoding::Json))
                );
            }
        };
        let path = &self.path;
        let inner = self.inner.get(&schema, |schema| inner(schema, path))?;
        payload.find(fields, &mut self.found).map_err(unreadable)?;
        let slot = self.found.first(0).filter(|slot| !slot.is_null());
        Ok(slot.map(|slot| {
            Payload::new(
                payload.bytes().slice(slot.range()),
                Encoding::Registered(inner.schema.clone()),
            )
        }))
    }
}

impl Change for ExtractField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        if let Some(payload) = self.part.of_mut(record) {
            let extracted = self.extract(payload)?;
            *self.part.of_mut(record) = extracted;
        }
        Ok(())
    }
}
