//! Paths compiled once for each writer schema that comes along.

use std::collections::HashMap;

use penstock_connect::RecordError;
use penstock_formats::{Encoding, FieldPath, Fields, Payload};

use crate::part::Part;

/// Schemas kept before all are compiled anew; a topic has a handful.
const KEPT: usize = 1024;

/// Whether every schema has to have every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// A schema without one of the fields makes its records unfit.
    Required,
    /// Fields that a schema does not have are left out of account.
    Optional,
}

/// The fields of a transform, for any payload.
pub(crate) struct FieldSet {
    part: Part,
    paths: Vec<FieldPath>,
    presence: Presence,
    schemaless: Fields,
    by_schema: HashMap<u64, Result<Compiled, RecordError>>,
}

/// The fields that a schema has.
struct Compiled {
    fields: Fields,
    /// Index in the transform's paths of each path that was compiled.
    original: Vec<usize>,
}

/// Fields compiled for a payload.
#[derive(Clone, Copy)]
pub(crate) struct FieldsFor<'a> {
    pub(crate) fields: &'a Fields,
    /// `None`: all of them.
    original: Option<&'a [usize]>,
}

impl FieldsFor<'_> {
    /// Index in the transform's own list of the path with this index in `fields`.
    pub(crate) fn original(&self, path: usize) -> usize {
        self.original
            .and_then(|original| original.get(path))
            .copied()
            .unwrap_or(path)
    }
}

impl FieldSet {
    pub(crate) fn new(part: Part, paths: Vec<FieldPath>, presence: Presence) -> Self {
        Self {
            part,
            schemaless: Fields::schemaless_json(&paths),
            paths,
            presence,
            by_schema: HashMap::new(),
        }
    }

    pub(crate) fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// The fields compiled for the payload's schema. `missing` hears of fields that a schema does
    /// not have, once per schema and only with [`Presence::Optional`].
    pub(crate) fn for_payload(
        &mut self,
        payload: &Payload,
        missing: impl FnMut(&FieldPath),
    ) -> Result<FieldsFor<'_>, RecordError> {
        let schema = match payload.encoding() {
            Encoding::Registered(schema) => schema,
            Encoding::Json => {
                return Ok(FieldsFor {
                    fields: &self.schemaless,
                    original: None,
                });
            }
            Encoding::Text => return Err(no_fields(self.part, "text")),
            Encoding::Bytes => return Err(no_fields(self.part, "bytes")),
        };
        if self.by_schema.len() >= KEPT && !self.by_schema.contains_key(&schema.uid()) {
            self.by_schema.clear();
        }
        let (paths, presence) = (&self.paths, self.presence);
        let compiled = self
            .by_schema
            .entry(schema.uid())
            .or_insert_with(|| compile(schema, paths, presence, missing));
        match compiled {
            Ok(compiled) => Ok(FieldsFor {
                fields: &compiled.fields,
                original: Some(&compiled.original),
            }),
            Err(error) => Err(error.clone()),
        }
    }
}

fn compile(
    schema: &penstock_formats::Schema,
    paths: &[FieldPath],
    presence: Presence,
    mut missing: impl FnMut(&FieldPath),
) -> Result<Compiled, RecordError> {
    let mut original: Vec<usize> = (0..paths.len()).collect();
    if presence == Presence::Optional {
        original.retain(|at| {
            let exists = Fields::compile(schema, &paths[*at..=*at]).is_ok();
            if !exists {
                missing(&paths[*at]);
            }
            exists
        });
    }
    let present: Vec<FieldPath> = original.iter().map(|at| paths[*at].clone()).collect();
    let fields = Fields::compile(schema, &present).map_err(RecordError::field)?;
    Ok(Compiled { fields, original })
}

fn no_fields(part: Part, what: &str) -> RecordError {
    RecordError::field(format!(
        "the {0} is {what} and has no fields; give the connector a {0}.converter that reads records",
        part.name()
    ))
}
