//! Whether a contract and a schema fit together. Pure: `penstock validate` uses it as transforms do.

use penstock_formats::{FieldPath, FieldType, Fields, ScalarKind, Schema};

use crate::contract::{Contract, Rules, slashed};
use crate::document::Problem;

impl Contract {
    /// What keeps events of this schema from being handled by this contract; empty when they fit.
    pub fn check_schema(&self, schema: &Schema) -> Vec<Problem> {
        self.rules
            .check_schema(&format!("contract {}", self.reference), schema)
    }
}

impl Rules {
    /// As [`Contract::check_schema`]; `file` is the name used in messages.
    pub fn check_schema(&self, file: &str, schema: &Schema) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |path: String, field: &FieldPath, rule: fn(FieldType) -> Option<String>| {
            let message = match declared(schema, field) {
                Ok(declared) => rule(declared),
                Err(message) => Some(message),
            };
            problems.extend(message.map(|message| Problem {
                path,
                ..Problem::of_file(file, message)
            }));
        };
        if let Some(field) = &self.key_field {
            check("$.keyField".into(), field, one_string);
        }
        for pii in &self.pii_fields {
            let path = format!("$.piiFields[{:?}]", slashed(&pii.path));
            check(path, &pii.path, encryptable);
        }
        for (index, validation) in self.validations.iter().enumerate() {
            let path = format!("$.validations[{index}].field");
            check(path, &validation.field, strings);
        }
        if let Some(field) = &self.data_subject_field {
            check("$.dataSubjectField".into(), field, one_string);
        }
        problems
    }
}

/// What the schema declares at a path, or why it declares nothing there.
fn declared(schema: &Schema, path: &FieldPath) -> Result<FieldType, String> {
    Fields::compile(schema, std::slice::from_ref(path))
        .map(|fields| fields.field_type(0))
        .map_err(|error| error.to_string())
}

fn one_string(declared: FieldType) -> Option<String> {
    if declared.list {
        return Some("lies in a list, and there has to be one value".into());
    }
    strings(declared)
}

fn strings(declared: FieldType) -> Option<String> {
    match declared.scalar {
        ScalarKind::String | ScalarKind::Any => None,
        other => Some(format!(
            "is {} in the schema, and has to be a string",
            words(other)
        )),
    }
}

fn encryptable(declared: FieldType) -> Option<String> {
    match declared.scalar {
        ScalarKind::String | ScalarKind::Any if declared.takes_any_text => None,
        ScalarKind::String | ScalarKind::Any => Some(
            "is restricted in the schema (an enum, a UUID, a length, a pattern or a format), so that no ciphertext can stand there"
                .into(),
        ),
        other => Some(format!(
            "is {} in the schema; only strings and lists of strings can be encrypted so far",
            words(other)
        )),
    }
}

fn words(kind: ScalarKind) -> &'static str {
    match kind {
        ScalarKind::String => "a string",
        ScalarKind::Bytes => "bytes",
        ScalarKind::Integer => "a whole number",
        ScalarKind::Number => "a number",
        ScalarKind::Boolean => "a boolean",
        ScalarKind::Object => "an object with fields of its own",
        ScalarKind::Any => "of no single type",
    }
}
