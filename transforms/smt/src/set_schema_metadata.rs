//! `SetSchemaMetadata`: gives the schema another name or version.

use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use penstock_formats::{Encoding, Payload, Schema, SchemaKind};
use serde_json::Value as Json;

use crate::derive::{self, Derived};
use crate::each::Change;
use crate::part::Part;

config! {
    /// Gives an Avro schema another full name (types within it that have no namespace of their own
    /// move along) or, as `connect.version`, another version. The payload stays as it is.
    #[check(check)]
    pub(crate) struct SetSchemaMetadataConfig {
        /// The name, with its namespace.
        "schema.name" => name: Option<String>,
        /// The version.
        "schema.version" => version: Option<i32>,
    }
}

fn check(config: &SetSchemaMetadataConfig) -> Vec<(&'static str, String)> {
    if config.name.is_none() && config.version.is_none() {
        vec![(
            "schema.name",
            "give schema.name, schema.version, or both".to_owned(),
        )]
    } else {
        vec![]
    }
}

pub(crate) struct SetSchemaMetadata {
    part: Part,
    config: SetSchemaMetadataConfig,
    renamed: Derived<Arc<Schema>>,
}

impl SetSchemaMetadata {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            part,
            config: SetSchemaMetadataConfig::read_all(settings)?,
            renamed: Derived::new(),
        })
    }
}

fn rename(schema: &Schema, config: &SetSchemaMetadataConfig) -> Result<Arc<Schema>, String> {
    if schema.kind() == SchemaKind::Json {
        return Err("a JSON Schema has neither; set its title where it is registered".to_owned());
    }
    let mut tree = derive::tree(schema)?;
    derive::record_fields(&mut tree)?;
    let Some(record) = tree.as_object_mut() else {
        return Err("it has no name".to_owned());
    };
    if let Some(name) = &config.name {
        let (namespace, name) = name.rsplit_once('.').unwrap_or(("", name));
        record.insert("name".to_owned(), Json::from(name));
        record.insert("namespace".to_owned(), Json::from(namespace));
    }
    if let Some(version) = config.version {
        record.insert("connect.version".to_owned(), Json::from(version));
    }
    derive::parse(schema, &tree)
}

impl Change for SetSchemaMetadata {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of_mut(record) else {
            return Ok(());
        };
        let Some(schema) = payload.schema() else {
            return Err(RecordError::schema(format!(
                "the {} has no schema to be renamed",
                self.part.name()
            )));
        };
        let config = &self.config;
        let renamed = self.renamed.get(schema, |schema| rename(schema, config))?;
        payload.flatten();
        *payload = Payload::new(
            payload.bytes().clone(),
            Encoding::Registered((*renamed).clone()),
        );
        Ok(())
    }
}
