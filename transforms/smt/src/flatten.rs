//! `Flatten`: lifts the fields of nested records to the top, under joined names.

use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use penstock_formats::{Payload, Schema, SchemaKind, Value};
use serde_json::{Value as Json, json};

use crate::derive::{self, Derived};
use crate::each::{Change, unreadable};
use crate::part::Part;
use crate::replace_field::encoded;

config! {
    /// Lifts the fields of nested records and objects to the top, under the names that led there,
    /// joined. Lists stay as they are. In Avro the delimiter has to be one that names may hold (`_`),
    /// and records that may be null cannot be flattened; JSON with a schema has to fit it afterwards.
    pub(crate) struct FlattenConfig {
        /// Stands between the names.
        "delimiter" => delimiter: String = ".",
    }
}

pub(crate) struct Flatten {
    part: Part,
    delimiter: String,
    flattened: Derived<Arc<Schema>>,
}

impl Flatten {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            part,
            delimiter: FlattenConfig::read_all(settings)?.delimiter,
            flattened: Derived::new(),
        })
    }

    fn flatten(&mut self, payload: &Payload) -> Result<Payload, RecordError> {
        let schema = payload.schema();
        if let Some(avro) = schema.filter(|schema| schema.kind() == SchemaKind::Avro) {
            // A record is the bytes of its fields, a nested one too: they stay as they are.
            let delimiter = &self.delimiter;
            let flattened = self
                .flattened
                .get(avro, |schema| flat_schema(schema, delimiter))?;
            return Ok(payload.clone().with_schema((*flattened).clone()));
        }
        let Value::Object(members) = payload.decode().map_err(unreadable)? else {
            return Err(RecordError::field(format!(
                "the {} is not an object and cannot be flattened",
                self.part.name()
            )));
        };
        let mut flat = Vec::with_capacity(members.len());
        flatten_members(members, "", &self.delimiter, &mut flat)?;
        encoded(&Value::Object(flat), payload.encoding().clone())
    }
}

fn flatten_members(
    members: Vec<(String, Value)>,
    prefix: &str,
    delimiter: &str,
    flat: &mut Vec<(String, Value)>,
) -> Result<(), RecordError> {
    for (name, value) in members {
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}{delimiter}{name}")
        };
        match value {
            Value::Object(inner) => flatten_members(inner, &name, delimiter, flat)?,
            _ if flat.iter().any(|(known, _)| *known == name) => {
                return Err(RecordError::field("two fields would have the same name"));
            }
            other => flat.push((name, other)),
        }
    }
    Ok(())
}

fn flat_schema(schema: &Schema, delimiter: &str) -> Result<Arc<Schema>, String> {
    let mut tree = derive::tree(schema)?;
    let fields = derive::record_fields(&mut tree)?;
    let mut flat = Vec::new();
    flatten_fields(fields, "", delimiter, &mut flat)?;
    *fields = flat;
    derive::parse(schema, &tree)
}

fn flatten_fields(
    fields: &[Json],
    prefix: &str,
    delimiter: &str,
    flat: &mut Vec<Json>,
) -> Result<(), String> {
    for field in fields {
        let name = field.get("name").and_then(Json::as_str).unwrap_or_default();
        let name = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}{delimiter}{name}")
        };
        let kind = field.get("type").unwrap_or(&Json::Null);
        let is_record = |kind: &Json| kind.get("type").and_then(Json::as_str) == Some("record");
        if kind
            .as_array()
            .is_some_and(|branches| branches.iter().any(is_record))
        {
            return Err(format!("the record '{name}' may be null"));
        }
        match kind
            .get("fields")
            .and_then(Json::as_array)
            .filter(|_| is_record(kind))
        {
            Some(inner) => flatten_fields(inner, &name, delimiter, flat)?,
            None => {
                let mut lifted = field.clone();
                lifted["name"] = json!(name);
                flat.push(lifted);
            }
        }
    }
    Ok(())
}

impl Change for Flatten {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        if let Some(payload) = self.part.of(record) {
            let flattened = self.flatten(payload)?;
            *self.part.of_mut(record) = Some(flattened);
        }
        Ok(())
    }
}
