//! The JSON bodies of the registry's REST interface, shared by the client and the server. Shapes
//! follow Confluent's API reference.

use penstock_formats::SchemaKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A schema that another schema uses: the name it is used by (an Avro full name, or the URI of a
/// JSON Schema `$ref`), and the subject and version that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The name in the referring schema.
    pub name: String,
    /// The subject that holds the schema.
    pub subject: String,
    /// The version within the subject, from 1.
    pub version: i32,
}

/// A schema as the registry sends and takes it. Every part but the text is optional somewhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    /// What is no UUID is no GUID: a registry that has its own idea of them still serves ids.
    #[serde(
        default,
        deserialize_with = "uuid_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) guid: Option<Uuid>,
    /// Left out for Avro.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Vec<Reference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// Only in answers to `fetchMaxId=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_id: Option<u32>,
}

fn uuid_or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| Uuid::parse_str(&text).ok()))
}

/// One element of `/schemas/guids/{guid}/ids`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContextId {
    pub(crate) context: String,
    pub(crate) id: u32,
}

/// The body of every error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error_code: i64,
    pub(crate) message: String,
}

/// `AVRO` or `JSON`; `None` for a type that is neither.
pub(crate) fn kind_of(schema_type: Option<&str>) -> Option<SchemaKind> {
    match schema_type {
        None | Some("") => Some(SchemaKind::Avro),
        Some(name) if name.eq_ignore_ascii_case("AVRO") => Some(SchemaKind::Avro),
        Some(name) if name.eq_ignore_ascii_case("JSON") => Some(SchemaKind::Json),
        Some(_) => None,
    }
}

/// The `schemaType` of a body: nothing for Avro, as Confluent leaves it out.
pub(crate) fn type_name(kind: SchemaKind) -> Option<String> {
    match kind {
        SchemaKind::Avro => None,
        SchemaKind::Json => Some("JSON".to_owned()),
    }
}

/// The name of the type where it must be named.
pub(crate) fn full_type_name(kind: SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Avro => "AVRO",
        SchemaKind::Json => "JSON",
    }
}
