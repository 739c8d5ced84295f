//! JSON Schema compatibility: does the reader's schema accept every document that the writer's
//! accepts? What cannot be shown counts as a no.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Comparable, Incompatibility, MAX_DEPTH, bounds, object, too_complex};

/// Everything that keeps `reader` from accepting what `writer` accepts.
pub(super) fn can_read(reader: &Comparable, writer: &Comparable) -> Vec<Incompatibility> {
    let mut check = Check {
        assumed: HashSet::new(),
        trail: Vec::new(),
        depth: 0,
        steps: 0,
    };
    let mut found = Vec::new();
    check.accepts(Node::root(reader), Node::root(writer), "", &mut found);
    found
}

/// Keywords that only describe.
const ANNOTATIONS: [&str; 15] = [
    "$schema",
    "$id",
    "id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$vocabulary",
];

/// Keywords that the rules below understand; all others must be the same on both sides.
const UNDERSTOOD: [&str; 28] = [
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "allOf",
    "anyOf",
    "$ref",
];

/// Comparing two schemas ends after this many steps: branches of branches multiply.
const MAX_STEPS: usize = 500_000;

/// A place in a document: the schema there, and the document that its `#…` refer to.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    schema: &'a Value,
    base: &'a Value,
    references: &'a [(String, Value)],
    /// The one of the schema's types that is looked at, if it is looked at type by type.
    only: Option<&'a str>,
}

impl<'a> Node<'a> {
    fn root(schema: &'a Comparable) -> Self {
        Self {
            schema: &schema.schema,
            base: &schema.schema,
            references: &schema.references,
            only: None,
        }
    }

    /// Another schema of the same document.
    pub(super) fn at(self, schema: &'a Value) -> Self {
        Self {
            schema,
            only: None,
            ..self
        }
    }

    pub(super) fn schema(self) -> &'a Value {
        self.schema
    }

    fn map(self) -> Option<&'a Map<String, Value>> {
        self.schema.as_object()
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Value> {
        self.map()?.get(key)
    }

    /// Where `$ref` leads, from within this node's document. `None` if it leads nowhere.
    fn follow(self, target: &str) -> Option<Self> {
        let (uri, fragment) = target.split_once('#').unwrap_or((target, ""));
        let own_id = self
            .base
            .get("$id")
            .or(self.base.get("id"))
            .and_then(Value::as_str);
        let base = if uri.is_empty() || own_id == Some(uri) {
            self.base
        } else {
            let named = self.references.iter().find(|(name, schema)| {
                name.split('#').next() == Some(uri)
                    || schema.get("$id").and_then(Value::as_str) == Some(uri)
            });
            &named?.1
        };
        let schema = if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = percent_encoding::percent_decode_str(fragment)
                .decode_utf8()
                .ok()?;
            base.pointer(&pointer)?
        } else {
            anchored(base, fragment)?
        };
        Some(Self {
            schema,
            base,
            references: self.references,
            only: None,
        })
    }

    /// The JSON types that the schema allows.
    pub(super) fn types(self) -> Vec<&'a str> {
        match self.only {
            Some(one) => vec![one],
            None => bounds::types(self.schema),
        }
    }

    fn address(self) -> (usize, Option<&'a str>) {
        (std::ptr::from_ref(self.schema) as usize, self.only)
    }
}

fn anchored<'a>(schema: &'a Value, anchor: &str) -> Option<&'a Value> {
    match schema {
        Value::Object(map) => {
            if map.get("$anchor").and_then(Value::as_str) == Some(anchor) {
                return Some(schema);
            }
            map.values().find_map(|inner| anchored(inner, anchor))
        }
        Value::Array(items) => items.iter().find_map(|inner| anchored(inner, anchor)),
        _ => None,
    }
}

/// A pair of schemas by their places in memory, which do not move while they are compared.
type Pair<'a> = ((usize, Option<&'a str>), (usize, Option<&'a str>));

pub(super) struct Check<'a> {
    /// Pairs that are compared already; recursive schemas lead back to them.
    assumed: HashSet<Pair<'a>>,
    /// The same in order of their coming: what a failed attempt assumed is taken back.
    trail: Vec<Pair<'a>>,
    depth: usize,
    steps: usize,
}

/// The parts of a schema that a document must satisfy all of.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// The schema's own keywords, without those below.
    Plain(Node<'a>),
    /// One of these, or exactly one of these that exclude each other.
    Any(Node<'a>, &'a [Value]),
    /// A keyword that is only ever compared: where it is, its name and its value.
    Opaque(Node<'a>, &'a str, &'a Value),
}

impl<'a> Check<'a> {
    /// Adds what keeps `reader` from accepting what `writer` accepts.
    pub(super) fn accepts(
        &mut self,
        reader: Node<'a>,
        writer: Node<'a>,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        if reader.schema == &Value::Bool(true) || writer.schema == &Value::Bool(false) {
            return;
        }
        if reader.schema == &Value::Bool(false) {
            found.push(finding(
                "TYPE_NARROWED",
                path,
                "The {reader} schema accepts nothing at path '{path}', the {writer} schema does",
            ));
            return;
        }
        if reader.only == writer.only && self.equal(reader, writer) {
            return;
        }
        let pair = (reader.address(), writer.address());
        if self.assumed.contains(&pair) {
            return;
        }
        if !self.enter(path, found) {
            return;
        }
        let mark = self.trail.len();
        self.assumed.insert(pair);
        self.trail.push(pair);
        let before = found.len();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        if parts(reader, Side::Reader, &mut reads, 0) && parts(writer, Side::Writer, &mut writes, 0)
        {
            for part in reads {
                self.follows(part, &writes, path, found);
            }
        } else {
            found.push(finding(
                "REFERENCE_NOT_FOUND",
                path,
                "A $ref at path '{path}' leads nowhere or in a circle",
            ));
        }
        self.depth -= 1;
        if found.len() > before {
            for pair in self.trail.drain(mark..) {
                self.assumed.remove(&pair);
            }
        }
    }

    /// Whether `accepts` finds nothing.
    pub(super) fn would_accept(&mut self, reader: Node<'a>, writer: Node<'a>, path: &str) -> bool {
        let mut found = Vec::new();
        self.accepts(reader, writer, path, &mut found);
        found.is_empty()
    }

    fn equal(&mut self, a: Node<'a>, b: Node<'a>) -> bool {
        same(a, b, &mut HashSet::new(), 0, &mut self.steps)
    }

    fn enter(&mut self, path: &str, found: &mut Vec<Incompatibility>) -> bool {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MAX_STEPS {
            found.push(too_complex(path));
            return false;
        }
        self.depth += 1;
        true
    }

    /// A part of the reader's schema must follow from one part of the writer's.
    fn follows(
        &mut self,
        reader: Part<'a>,
        writer: &[Part<'a>],
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        if let Part::Opaque(node, key, value) = reader {
            let kept = writer.iter().any(|part| {
                matches!(part, Part::Opaque(w, k, v) if *k == key
                    && self.equal(node.at(value), w.at(v)))
            });
            if !kept {
                found.push(finding(
                    "KEYWORD_CHANGED",
                    path,
                    &format!("'{key}' at path '{{path}}' is not the same in both schemas"),
                ));
            }
            return;
        }
        if !self.enter(path, found) {
            return;
        }
        let mut reason = None;
        for part in writer {
            let mut failures = Vec::new();
            match part {
                Part::Plain(node) => self.follows_plain(reader, *node, path, &mut failures),
                Part::Any(node, branches) => {
                    for branch in *branches {
                        let mut writes = Vec::new();
                        if parts(node.at(branch), Side::Writer, &mut writes, 0) {
                            self.follows(reader, &writes, path, &mut failures);
                        } else {
                            failures.push(no_branch(path));
                        }
                        if !failures.is_empty() {
                            break;
                        }
                    }
                }
                Part::Opaque(..) => continue,
            }
            if failures.is_empty() {
                self.depth -= 1;
                return;
            }
            // The schema's own keywords come first and explain best.
            reason.get_or_insert(failures);
        }
        self.depth -= 1;
        found.extend(reason.unwrap_or_else(|| vec![no_branch(path)]));
    }

    fn follows_plain(
        &mut self,
        reader: Part<'a>,
        writer: Node<'a>,
        path: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        match reader {
            Part::Plain(reader) => {
                bounds::values(reader, writer, path, found);
                bounds::numbers(reader, writer, path, found);
                bounds::strings(reader, writer, path, found);
                object::arrays(self, reader, writer, path, found);
                object::objects(self, reader, writer, path, found);
            }
            Part::Any(node, branches) => {
                let accepted = |check: &mut Self, writer| {
                    branches
                        .iter()
                        .any(|branch| check.would_accept(node.at(branch), writer, path))
                };
                // A writer of several types is a choice between them.
                let types = writer.types();
                let by_type = |check: &mut Self| {
                    types.len() > 1
                        && types.iter().all(|one| {
                            let only = Some(*one);
                            branches.iter().any(|branch| {
                                check.would_accept(node.at(branch), Node { only, ..writer }, path)
                            })
                        })
                };
                if !accepted(self, writer) && !by_type(self) {
                    found.push(no_branch(path));
                }
            }
            // Compared in `follows`.
            Part::Opaque(..) => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Reader,
    Writer,
}

/// Takes a schema apart. `false` if a `$ref` leads nowhere or in circles.
fn parts<'a>(node: Node<'a>, side: Side, into: &mut Vec<Part<'a>>, depth: usize) -> bool {
    if depth > 64 {
        return false;
    }
    let Some(map) = node.map() else {
        // `true` asks for nothing. `false` within a combination can only be compared.
        into.push(match node.schema {
            Value::Bool(false) => Part::Opaque(node, "false", node.schema),
            _ => Part::Plain(node),
        });
        return true;
    };
    let target = map.get("$ref").and_then(Value::as_str);
    if let Some(target) = target {
        let there = node.follow(target);
        if !there.is_some_and(|there| parts(there, side, into, depth + 1)) {
            return false;
        }
        // Up to draft 7, what stands beside a `$ref` is ignored; since then it counts. Each side
        // takes the reading that promises less.
        if side == Side::Writer {
            return true;
        }
    }
    into.push(Part::Plain(node));
    for (key, value) in map {
        match (key.as_str(), value) {
            ("allOf", Value::Array(all)) => {
                if !all
                    .iter()
                    .all(|one| parts(node.at(one), side, into, depth + 1))
                {
                    return false;
                }
            }
            ("anyOf", Value::Array(any)) => into.push(Part::Any(node, any)),
            // The writer's documents match some branch in any case.
            ("oneOf", Value::Array(one)) if side == Side::Writer || exclusive(one) => {
                into.push(Part::Any(node, one));
                if side == Side::Writer {
                    into.push(Part::Opaque(node, key, value));
                }
            }
            (key, _) if ANNOTATIONS.contains(&key) || UNDERSTOOD.contains(&key) => {}
            (key, value) => into.push(Part::Opaque(node, key, value)),
        }
    }
    true
}

/// No value is of the types of two branches.
fn exclusive(branches: &[Value]) -> bool {
    let mut seen = HashSet::new();
    branches.iter().all(|branch| {
        branch.get("type").is_some()
            && bounds::types(branch)
                .into_iter()
                .all(|one| seen.insert(if one == "integer" { "number" } else { one }))
    })
}

/// Equal with every `$ref` followed on both sides; `seen` ends recursion.
fn same<'a>(
    a: Node<'a>,
    b: Node<'a>,
    seen: &mut HashSet<(usize, usize)>,
    depth: usize,
    steps: &mut usize,
) -> bool {
    *steps += 1;
    if depth > MAX_DEPTH || *steps > MAX_STEPS {
        return false;
    }
    match (a.schema, b.schema) {
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter().all(|(key, value)| {
                    let Some(other) = y.get(key) else {
                        return false;
                    };
                    if let ("$ref", Value::String(r), Value::String(s)) =
                        (key.as_str(), value, other)
                    {
                        return a.follow(r).zip(b.follow(s)).is_some_and(|(a, b)| {
                            !seen.insert((a.address().0, b.address().0))
                                || same(a, b, seen, depth + 1, steps)
                        });
                    }
                    same(a.at(value), b.at(other), seen, depth + 1, steps)
                })
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len()
                && x.iter()
                    .zip(y)
                    .all(|(one, other)| same(a.at(one), b.at(other), seen, depth + 1, steps))
        }
        (x, y) => x == y,
    }
}

fn no_branch(path: &str) -> Incompatibility {
    finding(
        "COMBINED_TYPE_SUBSCHEMAS_CHANGED",
        path,
        "At path '{path}' the {reader} schema does not accept every branch of the {writer} schema",
    )
}

pub(super) fn finding(kind: &'static str, path: &str, description: &str) -> Incompatibility {
    let shown = if path.is_empty() { "/" } else { path };
    Incompatibility {
        kind,
        path: path.to_owned(),
        description: description.replace("{path}", shown),
    }
}
