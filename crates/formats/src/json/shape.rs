//! What a JSON Schema says about a path: whether the field may exist, its types, and its rules.

use std::collections::BTreeSet;

use jsonschema::Registry;
use serde_json::Value as Json;

use super::scalar::JsonTypes;
use crate::error::PathError;
use crate::fields::{FieldType, ScalarKind};
use crate::path::FieldPath;
use crate::trie::near;

/// Keywords that hold a text to a length, form or choice, so that ciphertext may not stand there.
const TEXT_RULES: [&str; 8] = [
    "maxLength",
    "pattern",
    "format",
    "enum",
    "const",
    "contentEncoding",
    "contentMediaType",
    "not",
];
/// Base64 of the shortest ciphertext (of an empty text) has this many characters.
const SHORTEST_CIPHERTEXT: u64 = 28;

/// What the schema declares at a leaf, for edits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) declared: FieldType,
    /// Types a value may have (those of an element, where the path fans out over an array).
    pub(crate) types: JsonTypes,
    pub(crate) required: bool,
}

/// What is known of a field without a schema.
pub(crate) const ANYTHING: Leaf = Leaf {
    declared: FieldType {
        nullable: true,
        list: false,
        scalar: ScalarKind::Any,
        takes_any_text: true,
    },
    types: JsonTypes::ALL,
    required: false,
};

/// A schema document within its registry of references.
pub(crate) struct Document<'r> {
    pub(crate) registry: &'r Registry<'r>,
    pub(crate) root: &'r Json,
    /// URI of the document.
    pub(crate) base: jsonschema::Uri<String>,
}

/// One subschema, and the URI that its references are relative to.
#[derive(Clone)]
pub(super) struct Sub<'r> {
    pub(super) json: &'r Json,
    pub(super) base: jsonschema::Uri<String>,
}

/// Subschemas that apply at a place: all of them, or one of them.
#[derive(Clone)]
pub(super) enum Shape<'r> {
    One(Sub<'r>),
    All(Vec<Shape<'r>>),
    Any(Vec<Shape<'r>>),
    /// Nothing is said.
    Open,
}

/// Outcome of looking a name up.
pub(super) enum Lookup<'r> {
    Forbidden,
    Open,
    Found(Shape<'r>),
}

impl<'r> Document<'r> {
    /// What the schema declares at a path, or why there can be no such field.
    pub(crate) fn leaf(&self, path: &FieldPath) -> Result<Leaf, PathError> {
        let root = Sub {
            json: self.root,
            base: self.base.clone(),
        };
        let mut shape = self.expand(root, &mut Vec::new());
        let mut list = false;
        let mut required = false;
        for segment in path.segments() {
            shape = self.elements(shape, &mut list);
            required = self.requires(&shape, segment);
            shape = match self.lookup(&shape, segment) {
                Lookup::Found(found) => found,
                Lookup::Open => Shape::Open,
                Lookup::Forbidden => {
                    let mut names = BTreeSet::new();
                    self.names(&shape, &mut names);
                    return Err(PathError::Unknown {
                        path: path.clone(),
                        segment: segment.to_owned(),
                        holder: "the JSON Schema".to_owned(),
                        near: near(segment, names.into_iter()),
                    });
                }
            };
        }
        let outer = self.types(&shape);
        shape = self.elements(shape, &mut list);
        let types = self.types(&shape);
        let declared = FieldType {
            nullable: outer.includes(JsonTypes::NULL) || types.includes(JsonTypes::NULL),
            list,
            scalar: scalar_kind(types),
            takes_any_text: types.includes(JsonTypes::STRING) && self.plain_text(&shape),
        };
        Ok(Leaf {
            declared,
            types,
            required,
        })
    }

    /// Follows `$ref` and takes the applicators apart. `around`: the subschemas it is expanded for,
    /// since references may run in circles.
    pub(super) fn expand(&self, sub: Sub<'r>, around: &mut Vec<&'r Json>) -> Shape<'r> {
        let Json::Object(keywords) = sub.json else {
            return if sub.json == &Json::Bool(true) {
                Shape::Open
            } else {
                Shape::One(sub)
            };
        };
        if around.iter().any(|seen| std::ptr::eq(*seen, sub.json)) {
            return Shape::Open;
        }
        around.push(sub.json);
        let base = match keywords.get("$id").and_then(Json::as_str) {
            Some(id) if !id.starts_with('#') => self
                .registry
                .resolve_uri(&sub.base.borrow(), id)
                .map_or_else(|_| sub.base.clone(), |uri| (*uri).clone()),
            _ => sub.base,
        };
        let below = |json, around: &mut Vec<&'r Json>| {
            self.expand(
                Sub {
                    json,
                    base: base.clone(),
                },
                around,
            )
        };
        let mut all = vec![Shape::One(Sub {
            json: sub.json,
            base: base.clone(),
        })];
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(reference) = keywords.get(keyword).and_then(Json::as_str) {
                all.push(
                    match self.registry.resolver(base.clone()).lookup(reference) {
                        Ok(resolved) => {
                            let base = (*resolved.resolver().base_uri()).clone();
                            self.expand(
                                Sub {
                                    json: resolved.contents(),
                                    base,
                                },
                                around,
                            )
                        }
                        Err(_) => Shape::Open,
                    },
                );
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let Some(Json::Array(subs)) = keywords.get(keyword) else {
                continue;
            };
            let shapes: Vec<_> = subs.iter().map(|json| below(json, around)).collect();
            all.push(if keyword == "allOf" {
                Shape::All(shapes)
            } else {
                Shape::Any(shapes)
            });
        }
        for keyword in ["then", "else"] {
            if let Some(conditional) = keywords.get(keyword) {
                all.push(Shape::Any(vec![Shape::Open, below(conditional, around)]));
            }
        }
        around.pop();
        match all.len() {
            1 => all.remove(0),
            _ => Shape::All(all),
        }
    }

    pub(super) fn lookup(&self, shape: &Shape<'r>, segment: &str) -> Lookup<'r> {
        match shape {
            Shape::Open => Lookup::Open,
            Shape::One(sub) => self.lookup_one(sub, segment),
            Shape::All(shapes) => {
                let mut found = Vec::new();
                for shape in shapes {
                    match self.lookup(shape, segment) {
                        Lookup::Forbidden => return Lookup::Forbidden,
                        Lookup::Open => {}
                        Lookup::Found(shape) => found.push(shape),
                    }
                }
                if found.is_empty() {
                    Lookup::Open
                } else {
                    Lookup::Found(Shape::All(found))
                }
            }
            Shape::Any(shapes) => {
                let mut found = Vec::new();
                let mut forbidden = 0;
                for shape in shapes {
                    match self.lookup(shape, segment) {
                        Lookup::Forbidden => forbidden += 1,
                        Lookup::Open => found.push(Shape::Open),
                        Lookup::Found(shape) => found.push(shape),
                    }
                }
                if found.is_empty() && forbidden > 0 {
                    Lookup::Forbidden
                } else if found.iter().all(|shape| matches!(shape, Shape::Open)) {
                    Lookup::Open
                } else {
                    Lookup::Found(Shape::Any(found))
                }
            }
        }
    }

    fn lookup_one(&self, sub: &Sub<'r>, segment: &str) -> Lookup<'r> {
        let Json::Object(keywords) = sub.json else {
            return Lookup::Forbidden;
        };
        let below = |json| {
            self.expand(
                Sub {
                    json,
                    base: sub.base.clone(),
                },
                &mut Vec::new(),
            )
        };
        if !own_types(sub.json).includes(JsonTypes::OBJECT) {
            return Lookup::Forbidden;
        }
        if let Some(property) = keywords.get("properties").and_then(|p| p.get(segment)) {
            return Lookup::Found(below(property));
        }
        if keywords.contains_key("patternProperties") {
            // Patterns are the validator's to match; here the name may be any of them.
            let shapes = keywords["patternProperties"]
                .as_object()
                .into_iter()
                .flatten();
            let shapes = shapes
                .map(|(_, json)| below(json))
                .chain([Shape::Open])
                .collect();
            return Lookup::Found(Shape::Any(shapes));
        }
        match keywords.get("additionalProperties") {
            Some(Json::Bool(false)) => Lookup::Forbidden,
            Some(additional @ Json::Object(_)) => Lookup::Found(below(additional)),
            _ => Lookup::Open,
        }
    }

    /// The shape of the elements where arrays may stand, as a path runs through them.
    fn elements(&self, shape: Shape<'r>, list: &mut bool) -> Shape<'r> {
        match shape {
            Shape::One(sub) => {
                let types = own_types(sub.json).without(JsonTypes::NULL);
                let keywords = sub.json.as_object();
                let items = keywords.and_then(|keywords| keywords.get("items"));
                if !types.includes(JsonTypes::ARRAY) || items.is_none() && types != JsonTypes::ARRAY
                {
                    return Shape::One(sub);
                }
                *list = true;
                let below = |json| {
                    let item = Sub {
                        json,
                        base: sub.base.clone(),
                    };
                    self.elements(self.expand(item, &mut Vec::new()), &mut false)
                };
                let item = match items {
                    Some(Json::Array(items)) => Shape::Any(items.iter().map(below).collect()),
                    Some(items) => below(items),
                    None => Shape::Open,
                };
                let typed = keywords.is_some_and(|keywords| keywords.contains_key("type"));
                if typed && types != JsonTypes::ARRAY {
                    Shape::Any(vec![item, Shape::One(sub)])
                } else {
                    item
                }
            }
            Shape::All(shapes) => Shape::All(
                shapes
                    .into_iter()
                    .map(|shape| self.elements(shape, list))
                    .collect(),
            ),
            Shape::Any(shapes) => Shape::Any(
                shapes
                    .into_iter()
                    .map(|shape| self.elements(shape, list))
                    .collect(),
            ),
            Shape::Open => Shape::Open,
        }
    }

    pub(super) fn types(&self, shape: &Shape<'r>) -> JsonTypes {
        match shape {
            Shape::Open => JsonTypes::ALL,
            Shape::One(sub) => own_types(sub.json),
            Shape::All(shapes) => shapes
                .iter()
                .fold(JsonTypes::ALL, |sum, shape| sum.and(self.types(shape))),
            Shape::Any(shapes) => shapes
                .iter()
                .fold(JsonTypes::NONE, |sum, shape| sum.or(self.types(shape))),
        }
    }

    fn plain_text(&self, shape: &Shape<'r>) -> bool {
        match shape {
            Shape::Open => true,
            Shape::One(sub) => match sub.json {
                Json::Object(keywords) => {
                    !TEXT_RULES.iter().any(|rule| keywords.contains_key(*rule))
                        && keywords
                            .get("minLength")
                            .and_then(Json::as_u64)
                            .is_none_or(|least| least <= SHORTEST_CIPHERTEXT)
                }
                other => other == &Json::Bool(true),
            },
            Shape::All(shapes) | Shape::Any(shapes) => {
                shapes.iter().all(|shape| self.plain_text(shape))
            }
        }
    }

    pub(super) fn requires(&self, shape: &Shape<'r>, segment: &str) -> bool {
        match shape {
            Shape::Open => false,
            Shape::One(sub) => sub
                .json
                .get("required")
                .and_then(Json::as_array)
                .is_some_and(|names| names.iter().any(|name| name == segment)),
            // A branch that may be the valid one is reason enough to leave the field.
            Shape::All(shapes) | Shape::Any(shapes) => {
                shapes.iter().any(|shape| self.requires(shape, segment))
            }
        }
    }

    fn names(&self, shape: &Shape<'r>, names: &mut BTreeSet<&'r str>) {
        match shape {
            Shape::Open => {}
            Shape::One(sub) => {
                let properties = sub.json.get("properties").and_then(Json::as_object);
                names.extend(
                    properties
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name.as_str()),
                );
            }
            Shape::All(shapes) | Shape::Any(shapes) => {
                shapes.iter().for_each(|shape| self.names(shape, names));
            }
        }
    }
}

/// Types that a subschema's own keywords allow.
fn own_types(json: &Json) -> JsonTypes {
    let Json::Object(keywords) = json else {
        return if json == &Json::Bool(true) {
            JsonTypes::ALL
        } else {
            JsonTypes::NONE
        };
    };
    let declared = match keywords.get("type") {
        Some(Json::String(name)) => JsonTypes::of_name(name),
        Some(Json::Array(names)) => names
            .iter()
            .filter_map(Json::as_str)
            .fold(JsonTypes::NONE, |sum, name| {
                sum.or(JsonTypes::of_name(name))
            }),
        _ => JsonTypes::ALL,
    };
    let listed = |values: &[Json]| {
        values.iter().fold(JsonTypes::NONE, |sum, value| {
            sum.or(super::scalar::type_of(value.to_string().as_bytes()))
        })
    };
    let chosen = match (keywords.get("enum"), keywords.get("const")) {
        (Some(Json::Array(values)), _) => listed(values),
        (_, Some(value)) => listed(std::slice::from_ref(value)),
        _ => JsonTypes::ALL,
    };
    declared.and(chosen)
}

fn scalar_kind(types: JsonTypes) -> ScalarKind {
    match types.without(JsonTypes::NULL) {
        JsonTypes::BOOLEAN => ScalarKind::Boolean,
        JsonTypes::INTEGER => ScalarKind::Integer,
        JsonTypes::NUMBER => ScalarKind::Number,
        JsonTypes::STRING => ScalarKind::String,
        JsonTypes::OBJECT => ScalarKind::Object,
        _ => ScalarKind::Any,
    }
}
