//! `HoistField`: wraps the key or value into a record with one field.

use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use penstock_formats::{Encoding, Payload, Schema, SchemaKind};
use serde_json::{Value as Json, json};

use crate::derive::{self, Derived};
use crate::each::{Change, unreadable};
use crate::part::Part;

config! {
    /// Wraps the key or value into a record (Avro) or object (everything else) with one field.
    pub(crate) struct HoistFieldConfig {
        /// Name of the field.
        "field" => field: String,
    }
}

pub(crate) struct HoistField {
    part: Part,
    field: String,
    /// `{"field":`
    opening: Vec<u8>,
    wrapped: Derived<Arc<Schema>>,
}

impl HoistField {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let field = HoistFieldConfig::read_all(settings)?.field;
        Ok(Self {
            part,
            opening: format!("{{{}:", Json::from(field.as_str())).into_bytes(),
            field,
            wrapped: Derived::new(),
        })
    }
}

impl Change for HoistField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let payload = self.part.of_mut(record);
        if let Some(avro) = payload.as_mut()
            && let Some(schema) = avro
                .schema()
                .filter(|schema| schema.kind() == SchemaKind::Avro)
        {
            // A record is the bytes of its fields: one with one field is that field's bytes.
            let field = &self.field;
            let wrapped = self.wrapped.get(schema, |schema| {
                let record = json!({
                    "type": "record", "name": "ConnectDefault",
                    "fields": [{"name": field, "type": derive::tree(schema)?}],
                });
                derive::parse(schema, &record)
            })?;
            avro.flatten();
            *payload = Some(Payload::new(
                avro.bytes().clone(),
                Encoding::Registered((*wrapped).clone()),
            ));
            return Ok(());
        }
        let mut out = self.opening.clone();
        match payload {
            Some(inner) => inner.to_json(&mut out).map_err(unreadable)?,
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        *payload = Some(Payload::new(out, Encoding::Json));
        Ok(())
    }
}
