//! What can go wrong with schemas, paths, payloads and edits. No error holds a value of a payload.

use crate::path::FieldPath;

/// A schema text that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is not JSON.
    #[error("the schema is not valid JSON: {0}")]
    NotJson(String),
    /// Not a valid Avro schema, or a reference is missing.
    #[error("not a valid Avro schema: {0}")]
    Avro(String),
    /// Not a valid JSON Schema, or a `$ref` leads nowhere.
    #[error("not a valid JSON Schema: {0}")]
    Json(String),
    /// A reference of the other kind.
    #[error("reference '{name}' is not {expected}, as the schema that names it")]
    MixedReference {
        /// Name the reference was given under.
        name: String,
        /// `an Avro schema` or `a JSON Schema`.
        expected: &'static str,
    },
}

/// A field path that is malformed, or that a schema does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty path or segment, or a backslash at the end.
    #[error("field path '{path}' {problem}")]
    Malformed {
        /// The path as it was written.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The schema has no such field.
    #[error("field path '{path}': {holder} has no field '{segment}'{}", suggestion(.near))]
    Unknown {
        /// The whole path.
        path: FieldPath,
        /// The segment that does not exist.
        segment: String,
        /// What was searched: `record 'x.Y'` or `the schema`.
        holder: String,
        /// Existing names that look alike, best first.
        near: Vec<String>,
    },
    /// The path goes on below something that has no fields.
    #[error("field path '{path}': '{segment}' lies below {holder}, which has no fields")]
    NotARecord {
        /// The whole path.
        path: FieldPath,
        /// The first segment that has nothing to be looked up in.
        segment: String,
        /// The type that was met.
        holder: String,
    },
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(" (did you mean '{one}'?)"),
        many => format!(" (did you mean one of '{}'?)", many.join("', '")),
    }
}

/// A payload that does not fit its format or schema. Says where and what, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Bytes that are not the encoding they claim to be.
    #[error("malformed {format} at byte {offset}: {problem}")]
    Malformed {
        /// `Avro` or `JSON`.
        format: &'static str,
        /// Offset in the payload (without frame).
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// A value does not have the type or meet the rule that the schema states.
    #[error("{}: {problem}", at(.path))]
    Mismatch {
        /// Dotted path of the field; empty for the event itself.
        path: String,
        /// What was expected.
        problem: String,
    },
    /// The operation needs another encoding (a schema where there is none, say).
    #[error("{0}")]
    Unsupported(String),
}

fn at(path: &str) -> String {
    if path.is_empty() {
        "the event".to_owned()
    } else {
        format!("field '{path}'")
    }
}

impl FormatError {
    pub(crate) fn avro(offset: usize, problem: impl Into<String>) -> Self {
        Self::Malformed {
            format: "Avro",
            offset,
            problem: problem.into(),
        }
    }

    pub(crate) fn json(offset: usize, problem: impl Into<String>) -> Self {
        Self::Malformed {
            format: "JSON",
            offset,
            problem: problem.into(),
        }
    }
}

/// A new value that cannot stand in a slot, or edits that do not fit their payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The declared type does not take the value.
    #[error("field '{path}' is {expected} in the schema and cannot hold {given}")]
    Type {
        /// Dotted path.
        path: String,
        /// The declared type.
        expected: String,
        /// The kind of the value that was to be written.
        given: &'static str,
    },
    /// The schema wants the field to be there.
    #[error("field '{path}' cannot be removed: {reason}")]
    NotRemovable {
        /// Dotted path.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// A raw JSON literal that is malformed or does not fit the declared type.
    #[error("field '{path}': {problem}")]
    Literal {
        /// Dotted path.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Edits overlap: two paths of one set name a value and a part of it.
    #[error("two edits touch the same bytes (at {offset}): one path lies within another")]
    Overlap {
        /// Offset in the payload.
        offset: usize,
    },
    /// The payload has edits that were not flattened before it was walked again, or it is not the
    /// payload the slots were found in.
    #[error("edits do not belong to the payload as it is now: flatten it, find the fields again")]
    Stale,
}
