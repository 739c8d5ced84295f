//! What makes two schema texts the same schema: minified text for storage, a normal form and its
//! hash for identity.
//!
//! Two texts that differ in white space, in the order of attributes, or in how an Avro name is
//! qualified are one schema and share id and GUID. Documentation, defaults, aliases and properties
//! count.

use std::collections::BTreeMap;

use penstock_formats::SchemaKind;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::wire::{Reference, full_type_name};

/// SHA-256 of everything that makes a schema what it is.
pub(crate) type Fingerprint = [u8; 32];

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// The text without white space between tokens. Everything else stays byte for byte: a detour
/// through numbers would change what it cannot hold. The text must be valid JSON.
pub(crate) fn minify(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_string {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if !matches!(c, ' ' | '\t' | '\n' | '\r') {
            in_string = c == '"';
            out.push(c);
        }
    }
    out
}

/// The normal form of a schema: attributes sorted, Avro names in full.
pub(crate) fn normal_form(kind: SchemaKind, schema: &Value) -> Value {
    match kind {
        SchemaKind::Avro => normal_avro(schema, ""),
        SchemaKind::Json => sorted(schema),
    }
}

/// The identity of a schema. `metadata` and `rule_set` are part of it, as Confluent has it.
pub(crate) fn fingerprint(
    kind: SchemaKind,
    normal: &Value,
    references: &[Reference],
    metadata: Option<&Value>,
    rule_set: Option<&Value>,
) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(full_type_name(kind).as_bytes());
    part(normal.to_string().as_bytes());
    let mut references: Vec<_> = references.iter().collect();
    references.sort_by(|a, b| a.name.cmp(&b.name));
    for reference in references {
        part(reference.name.as_bytes());
        part(reference.subject.as_bytes());
        part(&reference.version.to_be_bytes());
    }
    for (name, value) in [("metadata", metadata), ("ruleSet", rule_set)] {
        if let Some(value) = value {
            part(name.as_bytes());
            part(sorted(value).to_string().as_bytes());
        }
    }
    hash.finalize().into()
}

/// A GUID (UUID version 8, RFC 9562) from the content's hash: the same schema has the same GUID in
/// every registry of this kind.
pub(crate) fn guid(fingerprint: &Fingerprint) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&fingerprint[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => collect(map.iter().map(|(k, v)| (k.clone(), sorted(v)))),
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn collect(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let sorted: BTreeMap<_, _> = entries.collect();
    Value::Object(sorted.into_iter().collect())
}

fn normal_avro(schema: &Value, namespace: &str) -> Value {
    match schema {
        Value::String(name) => Value::String(full_name(name, namespace)),
        Value::Array(branches) => Value::Array(
            branches
                .iter()
                .map(|branch| normal_avro(branch, namespace))
                .collect(),
        ),
        Value::Object(map) => normal_complex(map, namespace),
        other => other.clone(),
    }
}

fn normal_complex(map: &Map<String, Value>, namespace: &str) -> Value {
    let kind = map.get("type").and_then(Value::as_str);
    if map.len() == 1
        && let Some(primitive) = kind.filter(|name| PRIMITIVES.contains(name))
    {
        return primitive.into();
    }
    if !matches!(kind, Some("record" | "error" | "enum" | "fixed")) {
        return collect(map.iter().map(|(key, value)| {
            let value = match key.as_str() {
                "items" | "values" | "type" => normal_avro(value, namespace),
                _ => sorted(value),
            };
            (key.clone(), value)
        }));
    }
    let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
    let own = map.get("namespace").and_then(Value::as_str);
    let name = full_name(name, own.unwrap_or(namespace));
    let inner = name.rsplit_once('.').map_or("", |(space, _)| space);
    let entries = map.iter().filter_map(|(key, value)| {
        let value = match key.as_str() {
            "namespace" => return None,
            "name" => Value::String(name.clone()),
            "aliases" => normal_aliases(value, inner)?,
            "fields" => Value::Array(
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|field| normal_field(field, inner))
                    .collect(),
            ),
            "type" => value.clone(),
            _ => sorted(value),
        };
        Some((key.clone(), value))
    });
    collect(entries)
}

fn normal_aliases(aliases: &Value, namespace: &str) -> Option<Value> {
    let aliases: Vec<_> = aliases
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .map(|alias| Value::String(full_name(alias, namespace)))
        .collect();
    (!aliases.is_empty()).then_some(Value::Array(aliases))
}

fn normal_field(field: &Value, namespace: &str) -> Value {
    let Value::Object(map) = field else {
        return field.clone();
    };
    let entries = map.iter().filter_map(|(key, value)| {
        let value = match key.as_str() {
            "type" => normal_avro(value, namespace),
            // What is stated although it is the default.
            "order" if value == "ascending" => return None,
            "aliases" if value.as_array().is_some_and(Vec::is_empty) => return None,
            _ => sorted(value),
        };
        Some((key.clone(), value))
    });
    collect(entries)
}

fn full_name(name: &str, namespace: &str) -> String {
    if let Some(bare) = name.strip_prefix('.') {
        return bare.to_owned();
    }
    let is_type = PRIMITIVES.contains(&name)
        || matches!(
            name,
            "record" | "error" | "enum" | "fixed" | "array" | "map"
        );
    if is_type || namespace.is_empty() || name.contains('.') {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn identity(kind: SchemaKind, text: &str) -> Fingerprint {
        let schema = serde_json::from_str(text).unwrap();
        fingerprint(kind, &normal_form(kind, &schema), &[], None, None)
    }

    #[test]
    fn minifying_leaves_strings_and_numbers_alone() {
        assert_eq!(
            minify("{ \"a b\" :\t[ 1.00,\n12345678901234567890123 , \"x \\\" \\\\\" ] }"),
            r#"{"a b":[1.00,12345678901234567890123,"x \" \\"]}"#
        );
    }

    #[test]
    fn different_spellings_of_one_avro_schema_have_one_identity() {
        let plain = r#"{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"f","type":"string"},{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"g","type":["null","E"],"default":null}]}"#;
        for other in [
            r#"{"fields":[{"type":"string","name":"f"},{"name":"e","type":{"type":"enum","name":"a.b.E","symbols":["X"]}},{"name":"g","default":null,"type":["null","a.b.E"],"order":"ascending"}],"name":"a.b.R","type":"record"}"#,
            r#"{"type":"record","name":"a.b.R","namespace":"ignored","aliases":[],"fields":[{"name":"f","type":{"type":"string"}},{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"g","type":["null","E"],"default":null}]}"#,
        ] {
            assert_eq!(
                identity(SchemaKind::Avro, plain),
                identity(SchemaKind::Avro, other),
                "{other}"
            );
        }
        for other in [
            plain.replace("\"f\"", "\"h\""),
            plain.replace("a.b", "a.c"),
            plain.replace("\"name\":\"f\"", "\"name\":\"f\",\"doc\":\"d\""),
            plain.replace(
                "\"type\":\"string\"",
                "\"type\":{\"type\":\"string\",\"x\":1}",
            ),
        ] {
            assert_ne!(
                identity(SchemaKind::Avro, plain),
                identity(SchemaKind::Avro, &other),
                "{other}"
            );
        }
    }

    #[test]
    fn kind_references_metadata_and_rules_are_part_of_the_identity() {
        let normal = serde_json::json!("string");
        let plain = fingerprint(SchemaKind::Avro, &normal, &[], None, None);
        let reference = Reference {
            name: "n".into(),
            subject: "s".into(),
            version: 1,
        };
        let extra = serde_json::json!({"properties": {"owner": "x"}});
        let all = [
            plain,
            fingerprint(SchemaKind::Json, &normal, &[], None, None),
            fingerprint(SchemaKind::Avro, &normal, &[reference], None, None),
            fingerprint(SchemaKind::Avro, &normal, &[], Some(&extra), None),
            fingerprint(SchemaKind::Avro, &normal, &[], None, Some(&extra)),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(guid(&plain).get_version_num(), 8);
        assert_eq!(guid(&plain), guid(&plain));
    }
}
