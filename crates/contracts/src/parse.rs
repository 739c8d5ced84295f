//! The text of a contract, read strictly: every problem at once, each with its place.
//!
//! Two forms are understood: `piiFields` (path to level), and the later data contract's
//! `fieldMetadata`, of which `personalDataConfig` with `isPii` and `purposeLevel` is carried out and
//! anything more is refused by name.

use std::sync::Arc;

use penstock_connect::properties::nearest;
use penstock_formats::FieldPath;
use penstock_registry::SchemaRef;
use regex::Regex;
use serde_json::Value;

use crate::contract::{Contract, Level, PiiField, Rules, State, Validation, overlap};
use crate::document::{Document, Node, Object, Problem, is_null, is_object};
use crate::{ContractRef, slashed};

const KEYS: &[&str] = &[
    "ref",
    "schemaRef",
    "state",
    "isPublic",
    "keyField",
    "piiFields",
    "fieldMetadata",
    "validations",
    "metadata",
    "dataSubjectField",
];

impl Contract {
    /// Reads a contract. `file` is the name used in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (mut document, root) = Document::parse(file, text).map_err(|problem| vec![problem])?;
        let contract = read(&mut document, &root);
        let problems = document.into_problems();
        match contract {
            Some(contract) if problems.is_empty() => Ok(contract),
            _ => Err(problems),
        }
    }
}

fn read<'a>(document: &mut Document<'a>, root: &Node<'a>) -> Option<Contract> {
    let mut object = document.object(root)?;
    let reference = document
        .required(&mut object, "ref")
        .and_then(|node| reference(document, &node, ContractRef::parse));
    let schema_ref = document
        .required(&mut object, "schemaRef")
        .and_then(|node| reference_of(document, &node));
    let state = document
        .required(&mut object, "state")
        .and_then(|node| state(document, &node));
    let is_public = match optional(&mut object, "isPublic") {
        Some(node) => document.boolean(&node),
        None => Some(false),
    };
    let key_field = document
        .required(&mut object, "keyField")
        .and_then(|node| document.parsed(&node, FieldPath::parse));
    let pii_fields = pii_fields(document, &mut object);
    let validations = match optional(&mut object, "validations") {
        Some(node) => validations(document, &node),
        None => Some(Vec::new()),
    };
    let metadata = match optional(&mut object, "metadata") {
        Some(node) => document.any(&node),
        None => Some(Value::Object(serde_json::Map::new())),
    };
    let data_subject_field = match optional(&mut object, "dataSubjectField") {
        Some(node) => document.parsed(&node, FieldPath::parse).map(Some),
        None => Some(None),
    };
    document.report_unknown(object, KEYS);
    Some(Contract {
        reference: reference?,
        schema_ref: schema_ref?,
        state: state?,
        is_public: is_public?,
        metadata: metadata?,
        rules: Arc::new(Rules {
            key_field: Some(key_field?),
            pii_fields: pii_fields?,
            validations: validations?,
            data_subject_field: data_subject_field?,
        }),
    })
}

/// A member that may be left out or null.
fn optional<'a>(object: &mut Object<'a>, name: &str) -> Option<Node<'a>> {
    object.take(name).filter(|node| !is_null(node))
}

fn reference_of<'a>(document: &mut Document<'a>, node: &Node<'a>) -> Option<SchemaRef> {
    reference(document, node, SchemaRef::parse)
}

/// A reference as `handle/name/x.y.z`, or as an object of these three.
fn reference<'a, T, E: std::fmt::Display>(
    document: &mut Document<'a>,
    node: &Node<'a>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    if !is_object(node) {
        return document.parsed(node, parse);
    }
    const PARTS: &[&str] = &["handle", "name", "version"];
    let mut object = document.object(node)?;
    let [handle, name, version] = ["handle", "name", "version"].map(|part| {
        let node = document.required(&mut object, part)?;
        document.text(&node)
    });
    document.report_unknown(object, PARTS);
    match parse(&format!("{}/{}/{}", handle?, name?, version?)) {
        Ok(reference) => Some(reference),
        Err(error) => {
            document.problem(node, error.to_string());
            None
        }
    }
}

fn state(document: &mut Document<'_>, node: &Node<'_>) -> Option<State> {
    let text = document.text(node)?;
    let found = State::ALL.into_iter().find(|state| state.as_str() == text);
    if found.is_none() {
        let names = State::ALL.map(State::as_str);
        let message = match nearest(&text.to_uppercase(), names) {
            Some(near) => format!("no state {text:?}; did you mean {near}?"),
            None => format!("must be one of {}, not {text:?}", names.join(", ")),
        };
        document.problem(node, message);
    }
    found
}

fn pii_fields<'a>(document: &mut Document<'a>, object: &mut Object<'a>) -> Option<Vec<PiiField>> {
    let listed = optional(object, "piiFields");
    let described = optional(object, "fieldMetadata");
    match (listed, described) {
        (Some(_), Some(node)) => {
            document.problem(
                &node,
                "piiFields and fieldMetadata say the same in two forms; keep one of them",
            );
            None
        }
        (Some(node), None) => listed_fields(document, &node),
        (None, Some(node)) => described_fields(document, &node),
        (None, None) => Some(Vec::new()),
    }
}

fn listed_fields<'a>(document: &mut Document<'a>, node: &Node<'a>) -> Option<Vec<PiiField>> {
    let mut fields = Vec::new();
    let mut complete = true;
    for (path, node) in document.object(node)?.into_members() {
        let level = document.level(&node);
        complete &= add(document, &mut fields, &node, &path, level);
    }
    complete.then_some(fields)
}

fn described_fields<'a>(document: &mut Document<'a>, node: &Node<'a>) -> Option<Vec<PiiField>> {
    const FIELD: &[&str] = &["fieldName", "personalDataConfig"];
    const PERSONAL: &[&str] = &["isPii", "purposeLevel"];
    let mut fields = Vec::new();
    let mut complete = true;
    for node in document.array(node)? {
        let Some(mut field) = document.object(&node) else {
            complete = false;
            continue;
        };
        let name = document.required(&mut field, "fieldName");
        let personal = optional(&mut field, "personalDataConfig");
        refuse(
            document,
            &mut field,
            "nullHandlingConfig",
            "handling of nulls is not carried out here; leave it out and let the schema require the field",
        );
        document.report_unknown(field, FIELD);
        let Some(mut personal) = personal.and_then(|node| document.object(&node)) else {
            continue;
        };
        let is_pii = optional(&mut personal, "isPii")
            .and_then(|node| document.boolean(&node))
            .unwrap_or(false);
        if let Some(node) = optional(&mut personal, "isQuasiId")
            && document.boolean(&node) != Some(false)
        {
            document.problem(
                &node,
                "quasi-identifiers are not treated on their own here; mark the field with isPii",
            );
        }
        let level = optional(&mut personal, "purposeLevel");
        let holder = personal.node.clone();
        document.report_unknown(personal, PERSONAL);
        if !is_pii {
            continue;
        }
        let level = match level {
            Some(node) => document.level(&node),
            None => {
                document.problem(&holder, "purposeLevel is missing");
                None
            }
        };
        let name = name.and_then(|node| document.text(&node).map(|name| (node, name)));
        complete &= match name {
            Some((node, name)) => add(document, &mut fields, &node, &name, level),
            None => false,
        };
    }
    complete.then_some(fields)
}

fn refuse<'a>(document: &mut Document<'a>, object: &mut Object<'a>, name: &str, why: &str) {
    if let Some(node) = optional(object, name) {
        document.problem(&node, why);
    }
}

/// Adds a personal field; two that name the same one are a problem. False when it was not added.
fn add(
    document: &mut Document<'_>,
    fields: &mut Vec<PiiField>,
    node: &Node<'_>,
    path: &str,
    level: Option<Level>,
) -> bool {
    let path = match FieldPath::parse(path) {
        Ok(path) => path,
        Err(error) => {
            document.problem(node, error.to_string());
            return false;
        }
    };
    if let Some(other) = fields.iter().find(|other| overlap(&other.path, &path)) {
        let message = format!(
            "{} and {} name the same field, or one lies within the other",
            slashed(&other.path),
            slashed(&path)
        );
        document.problem(node, message);
        return false;
    }
    let Some(level) = level else { return false };
    fields.push(PiiField { path, level });
    true
}

fn validations<'a>(document: &mut Document<'a>, node: &Node<'a>) -> Option<Vec<Validation>> {
    const KEYS: &[&str] = &["field", "type", "value"];
    let mut validations = Vec::new();
    let mut complete = true;
    for node in document.array(node)? {
        let Some(mut object) = document.object(&node) else {
            complete = false;
            continue;
        };
        let field = document
            .required(&mut object, "field")
            .and_then(|node| document.parsed(&node, FieldPath::parse));
        if let Some(node) = document.required(&mut object, "type")
            && let Some(kind) = document.text(&node)
            && kind != "regex"
        {
            document.problem(&node, format!("must be regex, not {kind:?}"));
        }
        let regex = document
            .required(&mut object, "value")
            .and_then(|node| document.parsed(&node, compile));
        document.report_unknown(object, KEYS);
        match (field, regex) {
            (Some(field), Some(regex)) => validations.push(Validation { field, regex }),
            _ => complete = false,
        }
    }
    complete.then_some(validations)
}

fn compile(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let reason = error.to_string();
        // The crate draws the pattern with a marker below it; the last line says what is wrong.
        let reason = reason.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        format!("{text:?} is no regular expression of Rust's regex syntax: {reason}")
    })
}
