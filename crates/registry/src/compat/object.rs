//! The JSON Schema keywords that hold other schemas: arrays and objects, open and closed.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

use super::Incompatibility;
use super::bounds::{counts, may_be};
use super::json::{Check, Node, finding};

const ANYTHING: &Value = &Value::Bool(true);

/// `items` as one schema or a tuple, `additionalItems`, `minItems`, `maxItems`, `uniqueItems`.
pub(super) fn arrays<'a>(
    check: &mut Check<'a>,
    reader: Node<'a>,
    writer: Node<'a>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    if !may_be(writer, "array") {
        return;
    }
    counts(
        reader,
        writer,
        path,
        &[
            ("MIN_ITEMS_INCREASED", "minItems", false),
            ("MAX_ITEMS_DECREASED", "maxItems", true),
        ],
        found,
    );
    let unique = |node: Node<'_>| node.get("uniqueItems") == Some(&Value::Bool(true));
    if unique(reader) && !unique(writer) {
        found.push(finding(
            "UNIQUE_ITEMS_ADDED",
            path,
            "The {reader} schema asks for unique items at path '{path}', the {writer} schema does not",
        ));
    }
    let (read, read_rest) = tuple(reader);
    let (written, written_rest) = tuple(writer);
    for index in 0..read.len().max(written.len()) {
        let r = read.get(index).unwrap_or(read_rest);
        let w = written.get(index).unwrap_or(written_rest);
        let here = format!("{path}/items/{index}");
        check.accepts(reader.at(r), writer.at(w), &here, found);
    }
    let here = format!("{path}/items");
    check.accepts(reader.at(read_rest), writer.at(written_rest), &here, found);
}

/// The schemas of the first items, and that of the others, in any draft's spelling.
fn tuple<'a>(node: Node<'a>) -> (&'a [Value], &'a Value) {
    let rest = |key| node.get(key).unwrap_or(ANYTHING);
    match (node.get("prefixItems"), node.get("items")) {
        (Some(Value::Array(first)), _) => (first, rest("items")),
        (_, Some(Value::Array(first))) => (first, rest("additionalItems")),
        _ => (&[], rest("items")),
    }
}

/// `properties`, `required`, `additionalProperties`, `patternProperties`, `propertyNames`,
/// `minProperties`, `maxProperties`.
pub(super) fn objects<'a>(
    check: &mut Check<'a>,
    reader: Node<'a>,
    writer: Node<'a>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    if !may_be(writer, "object") {
        return;
    }
    counts(
        reader,
        writer,
        path,
        &[
            ("MIN_PROPERTIES_INCREASED", "minProperties", false),
            ("MAX_PROPERTIES_DECREASED", "maxProperties", true),
        ],
        found,
    );
    required(reader, writer, path, found);
    if let Some(names) = reader.get("propertyNames") {
        let written = writer.get("propertyNames").unwrap_or(ANYTHING);
        let here = format!("{path}/propertyNames");
        check.accepts(reader.at(names), writer.at(written), &here, found);
    }
    let names: BTreeSet<&str> = [reader, writer]
        .into_iter()
        .flat_map(|node| entries(node, "properties"))
        .map(|(name, _)| name.as_str())
        .collect();
    for name in names {
        property(check, reader, writer, name, path, found);
    }
    patterns(check, reader, writer, path, found);
    let here = format!("{path}/additionalProperties");
    let (read, written) = (additional(reader), additional(writer));
    if read == &Value::Bool(false) && written != &Value::Bool(false) {
        found.push(finding(
            "ADDITIONAL_PROPERTIES_REMOVED",
            path,
            "The {reader} schema has a closed content model at path '{path}', the {writer} schema an open one",
        ));
    } else {
        check.accepts(reader.at(read), writer.at(written), &here, found);
    }
}

fn required(reader: Node<'_>, writer: Node<'_>, path: &str, found: &mut Vec<Incompatibility>) {
    let list = |node: Node<'_>| {
        let names = node.get("required").and_then(Value::as_array);
        names.cloned().unwrap_or_default()
    };
    let written = list(writer);
    for name in list(reader) {
        if !written.contains(&name) {
            found.push(finding(
                "REQUIRED_ATTRIBUTE_ADDED",
                path,
                &format!("The {{reader}} schema requires the property {name} at path '{{path}}', the {{writer}} schema does not"),
            ));
        }
    }
}

/// Everything the reader asks of one property must follow from something the writer promises.
fn property<'a>(
    check: &mut Check<'a>,
    reader: Node<'a>,
    writer: Node<'a>,
    name: &str,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    let has = |node: Node<'_>| entries(node, "properties").any(|(key, _)| key == name);
    let (in_reader, in_writer) = (has(reader), has(writer));
    let written = schemas_of(writer, name, false);
    let here = format!(
        "{path}/properties/{}",
        name.replace('~', "~0").replace('/', "~1")
    );
    for read in schemas_of(reader, name, true) {
        let mut reason = None;
        for promise in &written {
            let mut failures = Vec::new();
            check.accepts(reader.at(read), writer.at(promise), &here, &mut failures);
            if failures.is_empty() {
                reason = None;
                break;
            }
            reason.get_or_insert(failures);
        }
        let Some(failures) = reason else { continue };
        if in_reader && !in_writer {
            found.push(finding(
                "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
                &here,
                "The {reader} schema has a property at path '{path}' that the {writer} schema leaves open, so that its documents may hold anything there",
            ));
        } else if in_writer && !in_reader && read == &Value::Bool(false) {
            found.push(finding(
                "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
                &here,
                "The {reader} schema has no property at path '{path}' and a closed content model, the {writer} schema has it",
            ));
        } else {
            found.extend(failures);
        }
    }
}

/// The schemas that apply to a property: its own, those of matching patterns, else the additional
/// one. A pattern that cannot be read may match or not: the reader is held to both, the writer to
/// neither.
fn schemas_of<'a>(node: Node<'a>, name: &str, is_reader: bool) -> Vec<&'a Value> {
    let own = entries(node, "properties").filter(|(key, _)| *key == name);
    let mut all: Vec<_> = own.map(|(_, schema)| schema).collect();
    let mut in_doubt = false;
    for (pattern, schema) in entries(node, "patternProperties") {
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(name) => all.push(schema),
            Ok(_) => {}
            Err(_) if is_reader => {
                in_doubt = all.is_empty();
                all.push(schema);
            }
            Err(_) => in_doubt = true,
        }
    }
    match (all.is_empty(), in_doubt, is_reader) {
        (true, true, false) => all.push(ANYTHING),
        (true, false, _) | (_, true, true) => all.push(additional(node)),
        _ => {}
    }
    all
}

/// Patterns must be kept, or meet a writer whose additional properties are as narrow.
fn patterns<'a>(
    check: &mut Check<'a>,
    reader: Node<'a>,
    writer: Node<'a>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    let plain = entries(writer, "patternProperties").next().is_none();
    for (pattern, read) in entries(reader, "patternProperties") {
        let here = format!("{path}/patternProperties");
        let written = entries(writer, "patternProperties").find(|(key, _)| *key == pattern);
        match written {
            Some((_, written)) => check.accepts(reader.at(read), writer.at(written), &here, found),
            None if plain => {
                check.accepts(reader.at(read), writer.at(additional(writer)), &here, found);
            }
            None => found.push(pattern_changed(&here)),
        }
    }
    for (pattern, written) in entries(writer, "patternProperties") {
        let kept = entries(reader, "patternProperties").any(|(key, _)| key == pattern);
        let here = format!("{path}/patternProperties");
        if !kept && !check.would_accept(reader.at(additional(reader)), writer.at(written), &here) {
            found.push(pattern_changed(&here));
        }
    }
}

fn pattern_changed(path: &str) -> Incompatibility {
    finding(
        "PATTERN_PROPERTIES_CHANGED",
        path,
        "The {reader} schema at path '{path}' does not accept what the patterns of the {writer} schema do",
    )
}

fn additional<'a>(node: Node<'a>) -> &'a Value {
    node.get("additionalProperties").unwrap_or(ANYTHING)
}

fn entries<'a>(
    node: Node<'a>,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    node.get(key)
        .and_then(Value::as_object)
        .map(Map::iter)
        .into_iter()
        .flatten()
}
