//! What a contract says.

use std::fmt;
use std::sync::Arc;

use penstock_formats::FieldPath;
use penstock_registry::SchemaRef;
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::ContractRef;

/// A consent level. 0 is legal.
pub type Level = u32;

/// Where a contract stands. From `APPROVED` on, it is frozen: only its state still changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Being written.
    Draft,
    /// Waiting for approval.
    InReview,
    /// Approved, not yet in use.
    Approved,
    /// In use: the only state in which events are accepted.
    Active,
    /// No longer in use. What was encrypted under it can still be read.
    Archived,
}

impl State {
    /// Every state in its order.
    pub const ALL: [Self; 5] = [
        Self::Draft,
        Self::InReview,
        Self::Approved,
        Self::Active,
        Self::Archived,
    ];

    /// The name, as in contract files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::InReview => "IN_REVIEW",
            Self::Approved => "APPROVED",
            Self::Active => "ACTIVE",
            Self::Archived => "ARCHIVED",
        }
    }

    /// Whether the contract may no longer be changed.
    pub fn is_frozen(self) -> bool {
        self >= Self::Approved
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A personal field and the consent level that its purpose needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiiField {
    /// Where it is.
    pub path: FieldPath,
    /// Its level.
    pub level: Level,
}

/// A rule for the text of a field.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The field. Null and absent values are not looked at; each element of a list is.
    pub field: FieldPath,
    /// Has to be found in the text: anchor with `^` and `$` to mean the whole of it.
    pub regex: Regex,
}

impl PartialEq for Validation {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.regex.as_str() == other.regex.as_str()
    }
}

/// The rules for events: the part of a contract that transforms carry out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The field that ties events into a sequence; events with the same value share a key. Every
    /// contract has one; rules that are listed for a router need none.
    pub key_field: Option<FieldPath>,
    /// The personal fields.
    pub pii_fields: Vec<PiiField>,
    /// Rules for values, in order.
    pub validations: Vec<Validation>,
    /// The field that says whom the event is about, for erasure by data subject.
    pub data_subject_field: Option<FieldPath>,
}

impl Rules {
    /// Whether the field is personal, or lies within or around a personal one.
    pub fn is_personal(&self, path: &FieldPath) -> bool {
        self.pii_fields.iter().any(|pii| overlap(&pii.path, path))
    }
}

/// An event contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Its name.
    pub reference: ContractRef,
    /// The schema that its events have.
    pub schema_ref: SchemaRef,
    /// Where it stands.
    pub state: State,
    /// Whether others than its owner may use it. Kept for its users; nothing here depends on it.
    pub is_public: bool,
    /// Anything, for people.
    pub metadata: Value,
    /// What holds for its events.
    pub rules: Arc<Rules>,
}

impl Contract {
    /// The contract in the form in which files and the REST interface have it.
    pub fn to_json(&self) -> Value {
        let pii: Map<String, Value> = self
            .rules
            .pii_fields
            .iter()
            .map(|pii| (slashed(&pii.path), json!(pii.level)))
            .collect();
        let validations: Vec<Value> = self
            .rules
            .validations
            .iter()
            .map(|validation| {
                json!({
                    "field": slashed(&validation.field),
                    "type": "regex",
                    "value": validation.regex.as_str(),
                })
            })
            .collect();
        let mut contract = json!({
            "ref": self.reference.as_str(),
            "schemaRef": self.schema_ref.as_str(),
            "state": self.state.as_str(),
            "isPublic": self.is_public,
            "keyField": self.rules.key_field.as_ref().map(slashed),
            "piiFields": pii,
            "validations": validations,
            "metadata": self.metadata,
        });
        if let Some(field) = &self.rules.data_subject_field {
            contract["dataSubjectField"] = json!(slashed(field));
        }
        contract
    }
}

/// Whether two paths name the same field, or one a part of the other.
pub(crate) fn overlap(a: &FieldPath, b: &FieldPath) -> bool {
    a.segments().zip(b.segments()).all(|(a, b)| a == b)
}

/// A path as contracts write it: `customer/id`.
pub fn slashed(path: &FieldPath) -> String {
    let mut text = String::new();
    for segment in path.segments() {
        if !text.is_empty() {
            text.push('/');
        }
        for c in segment.chars() {
            if matches!(c, '.' | '/' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}
