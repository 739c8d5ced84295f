//! The JSON Schema keywords that bound a value by itself: types, enumerations, numbers, strings.

use serde_json::{Number, Value};

use super::Incompatibility;
use super::json::{Node, finding};

const TYPES: [&str; 6] = ["null", "boolean", "object", "array", "number", "string"];

/// The types that a schema allows: by `type`, else by the values of `enum` or `const`, else all.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => match allowed(schema) {
            Some(values) => values.into_iter().map(type_of).collect(),
            None => TYPES.to_vec(),
        },
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
    }
}

/// The values of `enum` or `const`, if the schema has either.
fn allowed(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(Value::Array(many))) => Some(many.iter().collect()),
        _ => None,
    }
}

/// Whether the writer's values can be of this type.
pub(super) fn may_be(node: Node<'_>, wanted: &str) -> bool {
    node.types()
        .iter()
        .any(|one| *one == wanted || (wanted == "number" && *one == "integer"))
}

/// `type`, `enum`, `const`.
pub(super) fn values(
    reader: Node<'_>,
    writer: Node<'_>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    let read = reader.types();
    let missing: Vec<_> = writer
        .types()
        .into_iter()
        .filter(|one| {
            let is_number = *one == "integer" && read.contains(&"number");
            !read.contains(one) && !is_number
        })
        .collect();
    if !missing.is_empty() {
        found.push(finding(
            "TYPE_NARROWED",
            path,
            &format!(
                "The {{reader}} schema does not allow the type {} at path '{{path}}', the {{writer}} schema does",
                missing.join(", ")
            ),
        ));
    }
    let Some(read) = allowed(reader.schema()) else {
        return;
    };
    // Looked at type by type, only the values of that type count.
    let only = writer.types();
    let covered = allowed(writer.schema()).is_some_and(|written| {
        written
            .into_iter()
            .filter(|value| only.contains(&type_of(value)) || only.contains(&"number"))
            .all(|value| read.contains(&value))
    });
    if !covered {
        found.push(finding(
            "ENUM_ARRAY_NARROWED",
            path,
            "The values that the {reader} schema lists at path '{path}' are not all that the {writer} schema allows",
        ));
    }
}

/// `minimum`, `maximum`, their exclusive forms, `multipleOf`.
pub(super) fn numbers(
    reader: Node<'_>,
    writer: Node<'_>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    if !may_be(writer, "number") {
        return;
    }
    for (kind, plain, exclusive, upper) in [
        ("MINIMUM_INCREASED", "minimum", "exclusiveMinimum", false),
        ("MAXIMUM_DECREASED", "maximum", "exclusiveMaximum", true),
    ] {
        for read in limits(reader, plain, exclusive) {
            let implied = limits(writer, plain, exclusive).into_iter().any(|written| {
                let (r, w) = if upper {
                    (-read.0, -written.0)
                } else {
                    (read.0, written.0)
                };
                w > r || (w == r && (written.1 || !read.1))
            });
            if !implied {
                found.push(finding(
                    kind,
                    path,
                    &format!("'{plain}' of the {{reader}} schema at path '{{path}}' is tighter than that of the {{writer}} schema"),
                ));
            }
        }
    }
    if let Some(read) = reader.get("multipleOf") {
        let implied = writer.get("multipleOf").is_some_and(|written| {
            read == written
                || matches!((read.as_u64(), written.as_u64()), (Some(r), Some(w)) if r > 0 && w % r == 0)
        });
        let only_integers = !writer.types().contains(&"number");
        let is_no_bound = read.as_u64() == Some(1) && only_integers;
        if !implied && !is_no_bound {
            found.push(finding(
                "MULTIPLE_OF_CHANGED",
                path,
                "'multipleOf' of the {reader} schema at path '{path}' does not follow from the {writer} schema",
            ));
        }
    }
}

/// Bounds as (value, exclusive). Draft 4 writes the exclusive ones as a flag.
fn limits(node: Node<'_>, plain: &str, exclusive: &str) -> Vec<(f64, bool)> {
    let number = |key: &str| node.get(key).and_then(Value::as_f64);
    let flag = node.get(exclusive) == Some(&Value::Bool(true));
    let plain = number(plain).map(|value| (value, flag));
    plain
        .into_iter()
        .chain(number(exclusive).map(|value| (value, true)))
        .collect()
}

/// `minLength`, `maxLength`, `pattern`, `format`.
pub(super) fn strings(
    reader: Node<'_>,
    writer: Node<'_>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    if !may_be(writer, "string") {
        return;
    }
    counts(
        reader,
        writer,
        path,
        &[
            ("MIN_LENGTH_INCREASED", "minLength", false),
            ("MAX_LENGTH_DECREASED", "maxLength", true),
        ],
        found,
    );
    for (kind, key) in [("PATTERN_CHANGED", "pattern"), ("FORMAT_CHANGED", "format")] {
        let read = reader.get(key);
        if read.is_some() && read != writer.get(key) {
            found.push(finding(
                kind,
                path,
                &format!("'{key}' of the {{reader}} schema at path '{{path}}' is not that of the {{writer}} schema"),
            ));
        }
    }
}

/// Bounds of a count: (finding, keyword, whether it is an upper bound).
pub(super) fn counts(
    reader: Node<'_>,
    writer: Node<'_>,
    path: &str,
    keys: &[(&'static str, &str, bool)],
    found: &mut Vec<Incompatibility>,
) {
    for (kind, key, upper) in keys {
        let count = |node: Node<'_>| {
            node.get(key)
                .and_then(Value::as_number)
                .and_then(Number::as_f64)
        };
        let implied = match (count(reader), count(writer)) {
            (None, _) => true,
            (Some(read), None) => !upper && read == 0.0,
            (Some(read), Some(written)) if *upper => written <= read,
            (Some(read), Some(written)) => written >= read,
        };
        if !implied {
            found.push(finding(
                kind,
                path,
                &format!("'{key}' of the {{reader}} schema at path '{{path}}' is tighter than that of the {{writer}} schema"),
            ));
        }
    }
}
