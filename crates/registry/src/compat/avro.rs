//! Avro schema resolution as a question: can this reader read that writer?
//!
//! Rules and names of the findings are those of Avro's `SchemaCompatibility`; see the Avro
//! specification, "Schema Resolution". Both schemas are in normal form: names in full.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Comparable, Incompatibility, MAX_DEPTH, too_complex};

/// Comparing two schemas ends after this many steps; a union of thousands of types meets another
/// with millions.
const MAX_STEPS: usize = 500_000;

/// Everything that keeps `reader` from reading `writer`.
pub(super) fn can_read(reader: &Comparable, writer: &Comparable) -> Vec<Incompatibility> {
    let mut check = Check {
        reader_names: names(reader),
        writer_names: names(writer),
        assumed: HashSet::new(),
        trail: Vec::new(),
        refuted: HashSet::new(),
        depth: 0,
        steps: 0,
    };
    let mut found = Vec::new();
    check.read(&reader.schema, &writer.schema, "", &mut found);
    found
}

struct Check<'a> {
    reader_names: HashMap<&'a str, &'a Value>,
    writer_names: HashMap<&'a str, &'a Value>,
    /// Pairs of named types that are compared already; recursive types lead back to them.
    assumed: HashSet<(&'a str, &'a str)>,
    /// The same in order of their coming: what a failed attempt assumed is taken back.
    trail: Vec<(&'a str, &'a str)>,
    /// Pairs that do not fit, whatever is assumed.
    refuted: HashSet<(&'a str, &'a str)>,
    depth: usize,
    steps: usize,
}

impl<'a> Check<'a> {
    fn read(
        &mut self,
        reader: &'a Value,
        writer: &'a Value,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let reader = resolve(reader, &self.reader_names);
        let writer = resolve(writer, &self.writer_names);
        self.steps += 1;
        if self.depth == MAX_DEPTH || self.steps > MAX_STEPS {
            found.push(too_complex(path));
            return;
        }
        self.depth += 1;
        match (reader, writer) {
            (_, Value::Array(branches)) => {
                for branch in branches {
                    self.read(reader, branch, path, found);
                }
            }
            (Value::Array(branches), _) => {
                if !self.some_branch_reads(branches, writer, path) {
                    found.push(Incompatibility {
                        kind: "MISSING_UNION_BRANCH",
                        path: path.to_owned(),
                        description: format!(
                            "The {{reader}} schema is missing a type inside a union field at path '{}' in the {{writer}} schema: {}",
                            shown(path),
                            type_of(writer)
                        ),
                    });
                }
            }
            _ => self.read_plain(reader, writer, path, found),
        }
        self.depth -= 1;
    }

    fn some_branch_reads(&mut self, branches: &'a [Value], writer: &'a Value, path: &str) -> bool {
        branches.iter().any(|branch| {
            let mut failures = Vec::new();
            let mark = self.trail.len();
            self.read(branch, writer, path, &mut failures);
            if !failures.is_empty() {
                for pair in self.trail.drain(mark..) {
                    self.assumed.remove(&pair);
                }
            }
            failures.is_empty()
        })
    }

    fn read_plain(
        &mut self,
        reader: &'a Value,
        writer: &'a Value,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let (reads, writes) = (type_of(reader), type_of(writer));
        if reads != writes {
            if !promotes(writes, reads) {
                found.push(Incompatibility {
                    kind: "TYPE_MISMATCH",
                    path: path.to_owned(),
                    description: format!(
                        "The type (path '{}') of a field in the {{reader}} schema does not match with the {{writer}} schema: reader type {reads} not compatible with writer type {writes}",
                        shown(path)
                    ),
                });
            }
            return;
        }
        let (Value::Object(r), Value::Object(w)) = (reader, writer) else {
            return;
        };
        match reads {
            "array" => self.read(&r["items"], &w["items"], &format!("{path}/items"), found),
            "map" => self.read(&r["values"], &w["values"], &format!("{path}/values"), found),
            "fixed" => {
                names_match(r, w, path, found);
                if r.get("size") != w.get("size") {
                    found.push(Incompatibility {
                        kind: "FIXED_SIZE_MISMATCH",
                        path: format!("{path}/size"),
                        description: format!(
                            "The size of FIXED type field at path '{path}/size' in the {{reader}} schema does not match with the {{writer}} schema"
                        ),
                    });
                }
                same_scale(r, w, path, found);
            }
            "bytes" => same_scale(r, w, path, found),
            "enum" => {
                names_match(r, w, path, found);
                symbols_known(r, w, path, found);
            }
            "record" => self.read_record(r, w, path, found),
            _ => {}
        }
    }

    fn read_record(
        &mut self,
        reader: &'a Map<String, Value>,
        writer: &'a Map<String, Value>,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let pair = (text(reader, "name"), text(writer, "name"));
        if self.refuted.contains(&pair) {
            found.push(Incompatibility {
                kind: "TYPE_MISMATCH",
                path: path.to_owned(),
                description: format!(
                    "The {{reader}} record {} at path '{}' does not fit the {{writer}} schema, as at its other uses",
                    pair.0,
                    shown(path)
                ),
            });
            return;
        }
        if !self.assumed.insert(pair) {
            return;
        }
        self.trail.push(pair);
        let before = found.len();
        if names_match(reader, writer, path, found) {
            self.read_fields(reader, writer, path, found);
        }
        if found.len() > before {
            self.refuted.insert(pair);
        }
    }

    fn read_fields(
        &mut self,
        reader: &'a Map<String, Value>,
        writer: &'a Map<String, Value>,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        for (index, field) in list(reader, "fields").iter().enumerate() {
            let name = field["name"].as_str().unwrap_or_default();
            let here = format!("{path}/fields/{index}");
            match written_field(field, list(writer, "fields")) {
                Some(written) => self.read(
                    &field["type"],
                    &written["type"],
                    &format!("{here}/type"),
                    found,
                ),
                None if field.get("default").is_some() => {}
                None => found.push(Incompatibility {
                    kind: "READER_FIELD_MISSING_DEFAULT_VALUE",
                    description: format!(
                        "The field '{name}' at path '{here}' in the {{reader}} schema has no default value and is missing in the {{writer}} schema"
                    ),
                    path: here,
                }),
            }
        }
    }
}

/// The writer's field of the same name, else of one of the reader's aliases.
fn written_field<'a>(field: &Value, written: &'a [Value]) -> Option<&'a Value> {
    let named = |name: &Value| written.iter().find(|w| &w["name"] == name);
    let aliases = field.get("aliases").and_then(Value::as_array);
    named(&field["name"]).or_else(|| aliases.into_iter().flatten().find_map(named))
}

/// Whether unqualified names are equal, or the reader has the writer's full name as an alias.
fn names_match(
    reader: &Map<String, Value>,
    writer: &Map<String, Value>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) -> bool {
    let short = |map| {
        let name = text(map, "name");
        name.rsplit_once('.').map_or(name, |(_, short)| short)
    };
    let mut aliases = list(reader, "aliases").iter();
    if short(reader) == short(writer) || aliases.any(|alias| alias == text(writer, "name")) {
        return true;
    }
    found.push(Incompatibility {
        kind: "NAME_MISMATCH",
        path: format!("{path}/name"),
        description: format!(
            "The name of the schema has changed (path '{path}/name'): expected {}",
            text(writer, "name")
        ),
    });
    false
}

fn symbols_known(
    reader: &Map<String, Value>,
    writer: &Map<String, Value>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    let known = list(reader, "symbols");
    let missing: Vec<_> = list(writer, "symbols")
        .iter()
        .filter(|symbol| !known.contains(symbol))
        .filter_map(Value::as_str)
        .collect();
    if !missing.is_empty() && reader.get("default").is_none() {
        found.push(Incompatibility {
            kind: "MISSING_ENUM_SYMBOLS",
            path: format!("{path}/symbols"),
            description: format!(
                "The {{reader}} schema is missing enum symbols '[{}]' at path '{path}/symbols' in the {{writer}} schema",
                missing.join(", ")
            ),
        });
    }
}

/// The unscaled number is read as it was written, so another scale is another value.
fn same_scale(
    reader: &Map<String, Value>,
    writer: &Map<String, Value>,
    path: &str,
    found: &mut Vec<Incompatibility>,
) {
    let scale = |map: &Map<String, Value>| {
        (map.get("logicalType")? == "decimal")
            .then(|| map.get("scale").and_then(Value::as_u64).unwrap_or(0))
    };
    if let (Some(r), Some(w)) = (scale(reader), scale(writer))
        && r != w
    {
        found.push(Incompatibility {
            kind: "DECIMAL_SCALE_MISMATCH",
            path: format!("{path}/scale"),
            description: format!(
                "The scale of the decimal at path '{path}/scale' is {r} in the {{reader}} schema and {w} in the {{writer}} schema"
            ),
        });
    }
}

fn promotes(written: &str, read: &str) -> bool {
    matches!(
        (written, read),
        ("int", "long" | "float" | "double")
            | ("long", "float" | "double")
            | ("float", "double")
            | ("string", "bytes")
            | ("bytes", "string")
    )
}

fn type_of(schema: &Value) -> &str {
    match schema {
        Value::String(name) => name,
        Value::Object(map) => match map.get("type") {
            Some(Value::String(name)) if name == "error" => "record",
            Some(Value::String(name)) => name,
            Some(inner) => type_of(inner),
            None => "",
        },
        Value::Array(_) => "union",
        _ => "",
    }
}

/// A name's definition; `{"type": {…}}` without anything of its own is what is inside.
fn resolve<'a>(schema: &'a Value, names: &HashMap<&'a str, &'a Value>) -> &'a Value {
    match schema {
        Value::String(name) => names.get(name.as_str()).copied().unwrap_or(schema),
        Value::Object(map) => match map.get("type") {
            Some(inner @ (Value::Object(_) | Value::Array(_))) => resolve(inner, names),
            Some(Value::String(name)) => names.get(name.as_str()).copied().unwrap_or(schema),
            _ => schema,
        },
        _ => schema,
    }
}

fn names(of: &Comparable) -> HashMap<&str, &Value> {
    let mut names = HashMap::new();
    collect_names(&of.schema, &mut names);
    for (_, schema) in &of.references {
        collect_names(schema, &mut names);
    }
    names
}

fn collect_names<'a>(schema: &'a Value, names: &mut HashMap<&'a str, &'a Value>) {
    match schema {
        Value::Array(branches) => {
            for branch in branches {
                collect_names(branch, names);
            }
        }
        Value::Object(map) => {
            if matches!(type_of(schema), "record" | "enum" | "fixed")
                && let Some(Value::String(name)) = map.get("name")
            {
                names.entry(name).or_insert(schema);
            }
            for key in ["type", "items", "values"] {
                if let Some(inner) = map.get(key) {
                    collect_names(inner, names);
                }
            }
            for field in list(map, "fields") {
                collect_names(&field["type"], names);
            }
        }
        _ => {}
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}
