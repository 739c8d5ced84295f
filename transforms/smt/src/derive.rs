//! Avro schemas derived from writer schemas, once for each.

use std::collections::HashMap;
use std::sync::Arc;

use penstock_connect::RecordError;
use penstock_formats::Schema;
use serde_json::Value as Json;

/// Schemas kept before all are derived anew; a topic has a handful.
const KEPT: usize = 1024;

/// What a transform made of each writer schema.
pub(crate) struct Derived<T> {
    by_schema: HashMap<u64, Result<Arc<T>, RecordError>>,
}

impl<T> Derived<T> {
    pub(crate) fn new() -> Self {
        Self {
            by_schema: HashMap::new(),
        }
    }

    /// What was made of this schema, made when it is first met.
    pub(crate) fn get(
        &mut self,
        schema: &Schema,
        make: impl FnOnce(&Schema) -> Result<T, String>,
    ) -> Result<Arc<T>, RecordError> {
        if self.by_schema.len() >= KEPT && !self.by_schema.contains_key(&schema.uid()) {
            self.by_schema.clear();
        }
        self.by_schema
            .entry(schema.uid())
            .or_insert_with(|| {
                make(schema).map(Arc::new).map_err(|problem| {
                    RecordError::schema(format!(
                        "the schema that the transform needs cannot be derived: {problem}"
                    ))
                })
            })
            .clone()
    }
}

/// The text of a schema as a tree.
pub(crate) fn tree(schema: &Schema) -> Result<Json, String> {
    serde_json::from_str(schema.text()).map_err(|error| error.to_string())
}

/// The schema of a changed tree, with the references of the original.
pub(crate) fn parse(original: &Schema, tree: &Json) -> Result<Arc<Schema>, String> {
    Schema::avro(&tree.to_string(), original.references())
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// The fields of a record schema that does not contain itself: only those can be changed without
/// changing what lies deeper.
pub(crate) fn record_fields(tree: &mut Json) -> Result<&mut Vec<Json>, String> {
    let own = tree.get("name").and_then(Json::as_str).map(str::to_owned);
    let namespace = tree
        .get("namespace")
        .and_then(Json::as_str)
        .map(str::to_owned);
    let names: Vec<String> = match (own, namespace) {
        (Some(own), Some(namespace)) => vec![format!("{namespace}.{own}"), own],
        (Some(own), None) => {
            let simple = own.rsplit('.').next().unwrap_or(&own).to_owned();
            vec![own, simple]
        }
        (None, _) => vec![],
    };
    let is_record = tree.get("type").and_then(Json::as_str) == Some("record");
    match tree.get_mut("fields").and_then(Json::as_array_mut) {
        Some(fields) if is_record => {
            if fields
                .iter()
                .filter_map(|field| field.get("type"))
                .any(|kind| mentions(kind, &names))
            {
                return Err("the record contains itself".to_owned());
            }
            Ok(fields)
        }
        _ => Err("the schema is not that of a record".to_owned()),
    }
}

/// Whether a type refers to one of the names.
fn mentions(kind: &Json, names: &[String]) -> bool {
    match kind {
        Json::String(name) => names.contains(name),
        Json::Array(branches) => branches.iter().any(|branch| mentions(branch, names)),
        Json::Object(object) => {
            let inner = ["type", "items", "values"]
                .iter()
                .filter_map(|key| object.get(*key));
            let fields = object
                .get("fields")
                .and_then(Json::as_array)
                .into_iter()
                .flatten();
            inner
                .chain(fields.filter_map(|field| field.get("type")))
                .any(|kind| mentions(kind, names))
        }
        _ => false,
    }
}

/// A decoded tree does not say which branch of a union it came from. That is no loss where unions
/// have one type beside null, and only there may a record be decoded and encoded again.
pub(crate) fn has_plain_unions(schema: &Schema) -> Result<(), String> {
    fn check(kind: &Json) -> bool {
        match kind {
            Json::Array(branches) => {
                branches
                    .iter()
                    .filter(|branch| branch.as_str() != Some("null"))
                    .count()
                    <= 1
                    && branches.iter().all(check)
            }
            Json::Object(object) => {
                let inner = ["type", "items", "values"]
                    .iter()
                    .filter_map(|key| object.get(*key));
                let fields = object
                    .get("fields")
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten();
                inner
                    .chain(fields.filter_map(|field| field.get("type")))
                    .all(check)
            }
            _ => true,
        }
    }
    if !check(&tree(schema)?) {
        return Err("it has unions of several types".to_owned());
    }
    schema
        .references()
        .iter()
        .try_for_each(|(_, reference)| has_plain_unions(reference))
}

/// The field of that name.
pub(crate) fn field_named<'a>(fields: &'a mut [Json], name: &str) -> Option<&'a mut Json> {
    fields
        .iter_mut()
        .find(|field| field.get("name").and_then(Json::as_str) == Some(name))
}

/// The one type beside null, in a union with null or by itself.
pub(crate) fn beside_null(kind: &mut Json) -> Result<&mut Json, String> {
    if !kind.is_array() {
        return Ok(kind);
    }
    let branches = kind.as_array_mut().into_iter().flatten();
    let mut others = branches.filter(|branch| branch.as_str() != Some("null"));
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only),
        _ => Err("the field is a union of several types".to_owned()),
    }
}
