//! The schemas of container files: a registered one as it is, or a record around several.

use std::collections::HashMap;

use penstock_connect::RecordError;
use penstock_formats::Schema;
use serde_json::{Value as Json, json};

/// The type of a record's timestamp.
pub(crate) const TIMESTAMP: &str = r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#;

/// The type of its headers.
pub(crate) const HEADERS: &str = concat!(
    r#"{"type":"array","items":{"type":"record","name":"KafkaHeader","fields":["#,
    r#"{"name":"key","type":"string"},{"name":"value","type":["null","bytes"]}]}}"#
);

/// What the registry has; if that refers to other schemas, with these inlined.
pub(crate) fn text(schema: &Schema) -> Result<String, RecordError> {
    match schema.avro_schema() {
        Some(inlined) if !schema.references().is_empty() => {
            serde_json::to_string(inlined).map_err(|error| unusable(&error))
        }
        _ => Ok(schema.text().to_owned()),
    }
}

fn unusable(error: &serde_json::Error) -> RecordError {
    RecordError::schema(format!("the schema cannot be written: {error}"))
}

/// The schema of a record of members, each a name and the text of its type. It has no namespace, so that
/// names in the types mean what they mean on their own.
pub(crate) fn envelope(members: &[(&str, String)]) -> Result<String, RecordError> {
    let mut defined = HashMap::new();
    let mut fields = Vec::with_capacity(members.len());
    for (name, text) in members {
        let mut schema: Json = serde_json::from_str(text).map_err(|error| unusable(&error))?;
        define_once(&mut schema, "", &mut defined)?;
        fields.push(json!({"name": name, "type": schema}));
    }
    let record = json!({"type": "record", "name": "KafkaRecord", "fields": fields});
    Ok(record.to_string())
}

/// Puts the name in the place of each definition that was there before: Avro allows one.
fn define_once(
    schema: &mut Json,
    namespace: &str,
    defined: &mut HashMap<String, Json>,
) -> Result<(), RecordError> {
    if let Json::Array(branches) = schema {
        return branches
            .iter_mut()
            .try_for_each(|branch| define_once(branch, namespace, defined));
    }
    let Json::Object(members) = &*schema else {
        return Ok(());
    };
    let named = matches!(
        members.get("type").and_then(Json::as_str),
        Some("record" | "error" | "enum" | "fixed")
    );
    let mut inner = namespace.to_owned();
    if let (true, Some(name)) = (named, members.get("name").and_then(Json::as_str)) {
        let full = match (
            name.contains('.'),
            members.get("namespace").and_then(Json::as_str),
        ) {
            (true, _) => name.to_owned(),
            (false, given) => match given.unwrap_or(namespace) {
                "" => name.to_owned(),
                namespace => format!("{namespace}.{name}"),
            },
        };
        match defined.get(&full) {
            // A name without a namespace can only be said where there is none around.
            Some(before) if *before == *schema && (full.contains('.') || namespace.is_empty()) => {
                *schema = Json::String(full);
                return Ok(());
            }
            Some(_) => {
                return Err(RecordError::schema(format!(
                    "key and value both define the type {full}, each in its own way, and cannot stand in \
                     one Avro file"
                )));
            }
            None => {
                inner = full
                    .rsplit_once('.')
                    .map_or_else(String::new, |(namespace, _)| namespace.to_owned());
                defined.insert(full, schema.clone());
            }
        }
    }
    let Json::Object(members) = schema else {
        return Ok(());
    };
    for name in ["type", "items", "values"] {
        if let Some(schema) = members.get_mut(name) {
            define_once(schema, &inner, defined)?;
        }
    }
    for field in members
        .get_mut("fields")
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(schema) = field.get_mut("type") {
            define_once(schema, &inner, defined)?;
        }
    }
    Ok(())
}
