//! `ReplaceField`: takes fields out, keeps only some, renames some.

use std::sync::Arc;

use penstock_connect::config::Names;
use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use penstock_formats::{Encoding, Payload, Schema, SchemaKind, Value};
use serde_json::Value as Json;

use crate::derive::{self, Derived};
use crate::each::{Change, unreadable};
use crate::part::Part;
use crate::values::Pairs;

config! {
    /// Takes top-level fields out, keeps only some, renames some. An Avro record gets a schema
    /// without the fields; a JSON event has to be valid against its schema afterwards.
    #[check(check)]
    pub(crate) struct ReplaceFieldConfig {
        /// Fields to take out; goes before `include`.
        "exclude" => exclude: Names,
        /// Fields to keep, all others go; all stay if it is empty.
        "include" => include: Names,
        /// New names, `old:new`.
        "renames" => renames: Pairs,
        /// Former name of `exclude`.
        "blacklist" => blacklist: Names,
        /// Former name of `include`.
        "whitelist" => whitelist: Names,
    }
}

fn check(config: &ReplaceFieldConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    for (old, old_names, new, new_names) in [
        ("blacklist", &config.blacklist, "exclude", &config.exclude),
        ("whitelist", &config.whitelist, "include", &config.include),
    ] {
        if !old_names.0.is_empty() && !new_names.0.is_empty() {
            problems.push((old, format!("is the former name of {new}; give only {new}")));
        }
    }
    problems
}

/// Which fields stay, and under which names.
struct Plan {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, String)>,
}

impl Plan {
    /// The field's new name; `None` if it goes.
    fn name<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        let listed = |names: &[String]| names.iter().any(|name| name == field);
        if listed(&self.exclude) || !(self.include.is_empty() || listed(&self.include)) {
            return None;
        }
        let renamed = self.renames.iter().find(|(old, _)| old == field);
        Some(renamed.map_or(field, |(_, new)| new))
    }

    fn apply(&self, value: Value, part: Part) -> Result<Value, RecordError> {
        let Value::Object(members) = value else {
            return Err(RecordError::field(format!(
                "the {} is {} and has no fields to take out or rename",
                part.name(),
                value.kind()
            )));
        };
        let mut kept: Vec<(String, Value)> = Vec::with_capacity(members.len());
        for (name, value) in members {
            let Some(new) = self.name(&name) else {
                continue;
            };
            if kept.iter().any(|(known, _)| known == new) {
                return Err(RecordError::field("two fields would have the same name"));
            }
            kept.push((new.to_owned(), value));
        }
        Ok(Value::Object(kept))
    }

    fn derive(&self, schema: &Schema) -> Result<Replaced, String> {
        let mut tree = derive::tree(schema)?;
        let fields = derive::record_fields(&mut tree)?;
        let before = fields.len();
        let mut changed = false;
        fields.retain_mut(|field| {
            let Some(name) = field.get("name").and_then(Json::as_str).map(str::to_owned) else {
                return true;
            };
            let Some(new) = self.name(&name) else {
                return false;
            };
            if new != name {
                changed = true;
                field["name"] = Json::from(new);
            }
            true
        });
        let removes = fields.len() < before;
        if removes {
            derive::has_plain_unions(schema)?;
        }
        Ok(Replaced {
            schema: if removes || changed {
                Some(derive::parse(schema, &tree)?)
            } else {
                None
            },
            removes,
        })
    }
}

/// What becomes of an Avro schema.
struct Replaced {
    /// `None`: it stays.
    schema: Option<Arc<Schema>>,
    /// Fields go; without that the bytes stay, too.
    removes: bool,
}

pub(crate) struct ReplaceField {
    part: Part,
    plan: Plan,
    replaced: Derived<Replaced>,
}

impl ReplaceField {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut config = ReplaceFieldConfig::read_all(settings)?;
        config.exclude.0.append(&mut config.blacklist.0);
        config.include.0.append(&mut config.whitelist.0);
        Ok(Self {
            part,
            plan: Plan {
                exclude: config.exclude.0,
                include: config.include.0,
                renames: config.renames.0,
            },
            replaced: Derived::new(),
        })
    }

    fn replace(&mut self, payload: &Payload) -> Result<Payload, RecordError> {
        let schema = payload.schema();
        if let Some(avro) = schema.filter(|schema| schema.kind() == SchemaKind::Avro) {
            let plan = &self.plan;
            let replaced = self.replaced.get(avro, |schema| plan.derive(schema))?;
            let Some(schema) = &replaced.schema else {
                return Ok(payload.clone());
            };
            if !replaced.removes {
                return Ok(payload.clone().with_schema(schema.clone()));
            }
            let value = self
                .plan
                .apply(payload.decode().map_err(unreadable)?, self.part)?;
            return encoded(&value, Encoding::Registered(schema.clone()));
        }
        let value = self
            .plan
            .apply(payload.decode().map_err(unreadable)?, self.part)?;
        encoded(&value, payload.encoding().clone())
    }
}

/// The value as a payload; with a schema, it has to fit it.
pub(crate) fn encoded(value: &Value, encoding: Encoding) -> Result<Payload, RecordError> {
    let mut bytes = Vec::new();
    match &encoding {
        Encoding::Registered(schema) => value
            .encode(schema, &mut bytes)
            .map_err(RecordError::schema)?,
        Encoding::Json | Encoding::Text | Encoding::Bytes => value.to_json(&mut bytes),
    }
    Ok(Payload::new(bytes, encoding))
}

impl Change for ReplaceField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        if let Some(payload) = self.part.of(record) {
            let replaced = self.replace(payload)?;
            *self.part.of_mut(record) = Some(replaced);
        }
        Ok(())
    }
}
