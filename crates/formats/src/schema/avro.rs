//! Avro schema texts, with the named types of their references inlined.

use std::sync::Arc;

use apache_avro::Schema as Parsed;

use super::{Schema, all_references};
use crate::avro::types::Types;
use crate::error::SchemaError;

pub(super) struct AvroSchema {
    pub(super) schema: Parsed,
    pub(super) types: Arc<Types>,
    pub(super) name: Option<String>,
}

impl AvroSchema {
    pub(super) fn parse(
        text: &str,
        references: &[(String, Arc<Schema>)],
    ) -> Result<Self, SchemaError> {
        let invalid = |error: apache_avro::Error| SchemaError::Avro(error.to_string());
        let mut texts: Vec<&str> = Vec::new();
        for (name, reference) in all_references(references) {
            if reference.avro_schema().is_none() {
                return Err(SchemaError::MixedReference {
                    name: name.to_owned(),
                    expected: "an Avro schema",
                });
            }
            if !texts.contains(&reference.text()) {
                texts.push(reference.text());
            }
        }
        let (mut schema, others) = Parsed::parse_str_with_list(text, texts).map_err(invalid)?;
        let mut named = Vec::new();
        others
            .iter()
            .for_each(|other| collect_named(other, &mut named));
        schema.denormalize(&named).map_err(invalid)?;
        let types = Arc::new(Types::build(&schema)?);
        let name = schema.name().map(|name| name.fullname(None));
        Ok(Self {
            schema,
            types,
            name,
        })
    }
}

/// The named types that a schema defines, at any depth.
fn collect_named(schema: &Parsed, named: &mut Vec<Parsed>) {
    match schema {
        Parsed::Record(record) => {
            named.push(schema.clone());
            record
                .fields
                .iter()
                .for_each(|field| collect_named(&field.schema, named));
        }
        Parsed::Array(array) => collect_named(&array.items, named),
        Parsed::Map(map) => collect_named(&map.types, named),
        Parsed::Union(union) => {
            union
                .variants()
                .iter()
                .for_each(|branch| collect_named(branch, named));
        }
        Parsed::Ref { .. } => {}
        other if other.is_named() => named.push(other.clone()),
        _ => {}
    }
}
