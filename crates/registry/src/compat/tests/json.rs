//! JSON Schema compatibility, case by case.

use penstock_formats::SchemaKind;
use serde_json::{Value, json};

use super::{backward, json_schema};
use crate::compat::Comparable;

#[test]
fn json_readers_accept_what_writers_may_send() {
    let open = |properties: Value| json!({"type": "object", "properties": properties});
    let closed = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    let s = json!({"type": "string"});
    // (reader, writer, what is found)
    let cases: Vec<(Value, Value, Option<&str>)> = vec![
        (json!(true), json!({"type": "string"}), None),
        (json!({}), json!({"type": "string"}), None),
        (
            json!(false),
            json!({"type": "string"}),
            Some("TYPE_NARROWED"),
        ),
        // Types.
        (json!({"type": "number"}), json!({"type": "integer"}), None),
        (
            json!({"type": "integer"}),
            json!({"type": "number"}),
            Some("TYPE_NARROWED"),
        ),
        (json!({"type": ["string", "null"]}), s.clone(), None),
        (
            s.clone(),
            json!({"type": ["string", "null"]}),
            Some("TYPE_NARROWED"),
        ),
        (s.clone(), json!({}), Some("TYPE_NARROWED")),
        // Enumerations.
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a"]}), None),
        (
            json!({"enum": ["a"]}),
            json!({"enum": ["a", "b"]}),
            Some("ENUM_ARRAY_NARROWED"),
        ),
        (
            json!({"type": "string", "enum": ["a"]}),
            s.clone(),
            Some("ENUM_ARRAY_NARROWED"),
        ),
        (s.clone(), json!({"enum": ["a"]}), None),
        (json!({"enum": ["a", "b"]}), json!({"const": "b"}), None),
        // Open and closed content.
        (
            open(json!({"a": s})),
            open(json!({})),
            Some("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"),
        ),
        (open(json!({"a": {}})), open(json!({})), None),
        (open(json!({"a": s})), closed(json!({})), None),
        (closed(json!({"a": s})), closed(json!({})), None),
        (open(json!({})), open(json!({"a": s})), None),
        (
            closed(json!({})),
            closed(json!({"a": s})),
            Some("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        ),
        (
            closed(json!({})),
            open(json!({})),
            Some("ADDITIONAL_PROPERTIES_REMOVED"),
        ),
        (open(json!({})), closed(json!({"a": s})), None),
        (
            json!({"type": "object", "additionalProperties": s}),
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            Some("TYPE_NARROWED"),
        ),
        (
            json!({"type": "object", "additionalProperties": s}),
            closed(json!({"a": {"type": "integer"}})),
            Some("TYPE_NARROWED"),
        ),
        (
            json!({"type": "object", "patternProperties": {"^x": s}}),
            closed(json!({"xa": s, "b": {"type": "integer"}})),
            None,
        ),
        (
            json!({"type": "object", "patternProperties": {"^x": s}}),
            closed(json!({"xa": {"type": "integer"}})),
            Some("TYPE_NARROWED"),
        ),
        (
            json!({"type": "object", "patternProperties": {"^x": s}}),
            open(json!({})),
            Some("TYPE_NARROWED"),
        ),
        // Required.
        (
            json!({"type": "object", "required": ["a"]}),
            json!({"type": "object"}),
            Some("REQUIRED_ATTRIBUTE_ADDED"),
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"default": 1}}}),
            json!({"type": "object"}),
            Some("REQUIRED_ATTRIBUTE_ADDED"),
        ),
        (
            json!({"type": "object"}),
            json!({"type": "object", "required": ["a"]}),
            None,
        ),
        // What a type cannot have does not matter.
        (
            json!({"type": ["object", "string"], "required": ["a"]}),
            s.clone(),
            None,
        ),
        // Nested.
        (
            open(json!({"a": open(json!({"b": {"type": "number"}}))})),
            open(json!({"a": open(json!({"b": {"type": "integer"}}))})),
            None,
        ),
        (
            open(json!({"a": open(json!({"b": {"type": "integer"}}))})),
            open(json!({"a": open(json!({"b": {"type": "number"}}))})),
            Some("TYPE_NARROWED"),
        ),
        // Bounds may be loosened.
        (
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "minimum": 2}),
            None,
        ),
        (
            json!({"type": "integer", "minimum": 2}),
            json!({"type": "integer", "minimum": 1}),
            Some("MINIMUM_INCREASED"),
        ),
        (
            json!({"type": "integer", "exclusiveMinimum": 1}),
            json!({"type": "integer", "minimum": 1}),
            Some("MINIMUM_INCREASED"),
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "exclusiveMinimum": 1}),
            None,
        ),
        (
            json!({"type": "integer", "maximum": 2}),
            json!({"type": "integer"}),
            Some("MAXIMUM_DECREASED"),
        ),
        (
            json!({"type": "integer", "multipleOf": 2}),
            json!({"type": "integer", "multipleOf": 4}),
            None,
        ),
        (
            json!({"type": "integer", "multipleOf": 4}),
            json!({"type": "integer", "multipleOf": 2}),
            Some("MULTIPLE_OF_CHANGED"),
        ),
        (
            json!({"type": "string", "maxLength": 5}),
            json!({"type": "string", "maxLength": 6}),
            Some("MAX_LENGTH_DECREASED"),
        ),
        (json!({"type": "string", "minLength": 0}), s.clone(), None),
        (
            json!({"type": "string", "pattern": "^a"}),
            s.clone(),
            Some("PATTERN_CHANGED"),
        ),
        (
            s.clone(),
            json!({"type": "string", "pattern": "^a", "format": "email"}),
            None,
        ),
        (
            json!({"type": "string", "format": "email"}),
            s.clone(),
            Some("FORMAT_CHANGED"),
        ),
        (
            json!({"type": "array", "minItems": 1}),
            json!({"type": "array"}),
            Some("MIN_ITEMS_INCREASED"),
        ),
        (
            json!({"type": "array", "uniqueItems": true}),
            json!({"type": "array"}),
            Some("UNIQUE_ITEMS_ADDED"),
        ),
        // Arrays and tuples.
        (
            json!({"type": "array", "items": {"type": "number"}}),
            json!({"type": "array", "items": {"type": "integer"}}),
            None,
        ),
        (
            json!({"type": "array", "items": s}),
            json!({"type": "array"}),
            Some("TYPE_NARROWED"),
        ),
        (
            json!({"type": "array", "items": [s], "additionalItems": false}),
            json!({"type": "array", "items": [s]}),
            Some("TYPE_NARROWED"),
        ),
        (
            json!({"type": "array", "items": s}),
            json!({"type": "array", "items": [s], "additionalItems": false}),
            None,
        ),
        (
            json!({"type": "array", "prefixItems": [s]}),
            json!({"type": "array", "prefixItems": [s, s], "items": false}),
            None,
        ),
        // Combinations.
        (json!({"anyOf": [{"type": "null"}, s]}), s.clone(), None),
        (
            json!({"anyOf": [{"type": "null"}, s]}),
            json!({"type": ["string", "null"]}),
            None,
        ),
        (
            json!({"oneOf": [{"type": "null"}, s]}),
            json!({"oneOf": [s]}),
            None,
        ),
        (
            json!({"oneOf": [s]}),
            json!({"oneOf": [{"type": "null"}, s]}),
            Some("COMBINED_TYPE_SUBSCHEMAS_CHANGED"),
        ),
        (
            json!({"type": ["string", "null"]}),
            json!({"anyOf": [{"type": "null"}, s]}),
            None,
        ),
        // Both branches could match: exactly one is not shown.
        (
            json!({"oneOf": [s, {"maxLength": 3}]}),
            s.clone(),
            Some("KEYWORD_CHANGED"),
        ),
        (
            json!({"allOf": [s, {"maxLength": 3}]}),
            json!({"allOf": [{"maxLength": 2}, s]}),
            None,
        ),
        (
            json!({"allOf": [s, {"type": "string", "maxLength": 3}]}),
            json!({"type": "string", "maxLength": 2}),
            None,
        ),
        (s.clone(), json!({"allOf": [s, {"maxLength": 3}]}), None),
        // Kept as they are, or not.
        (json!({"not": s}), json!({"not": s}), None),
        (
            json!({"not": s}),
            json!({"not": {"type": "string", "maxLength": 3}}),
            Some("KEYWORD_CHANGED"),
        ),
        (
            json!({"if": s, "then": {"maxLength": 3}}),
            json!({}),
            Some("KEYWORD_CHANGED"),
        ),
        // References.
        (
            json!({"$ref": "#/definitions/x", "definitions": {"x": {"type": "number"}}}),
            json!({"$ref": "#/$defs/y", "$defs": {"y": {"type": "integer"}}}),
            None,
        ),
        (
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}),
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}),
            None,
        ),
        (
            json!({"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"maximum": 1}}, "additionalProperties": false}),
            json!({"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"maximum": 2}}, "additionalProperties": false}),
            Some("MAXIMUM_DECREASED"),
        ),
        (
            json!({"$ref": "#/nowhere"}),
            s.clone(),
            Some("REFERENCE_NOT_FOUND"),
        ),
        (json!({"$ref": "#"}), s.clone(), Some("REFERENCE_NOT_FOUND")),
        // Words about a schema do not count.
        (
            json!({"type": "string", "title": "a", "description": "b", "default": "c"}),
            s.clone(),
            None,
        ),
    ];
    for (reader, writer, expected) in cases {
        let found = backward(&json_schema(reader.clone()), &json_schema(writer.clone()));
        assert_eq!(found.as_deref(), expected, "{reader}\nreads\n{writer}");
    }
}

#[test]
fn json_references_are_followed_into_their_schemas() {
    let with = |kind: &str| Comparable {
        kind: SchemaKind::Json,
        schema: json!({"type": "object", "properties": {"c": {"$ref": "common.json#/definitions/c"}}}),
        references: vec![(
            "common.json".into(),
            json!({"definitions": {"c": {"$ref": "#/definitions/d"}, "d": {"type": kind}}}),
        )],
    };
    assert_eq!(backward(&with("number"), &with("integer")), None);
    assert_eq!(
        backward(&with("integer"), &with("number")).as_deref(),
        Some("TYPE_NARROWED")
    );
}

#[test]
fn schemas_made_to_multiply_are_given_up() {
    let mut definitions = serde_json::Map::new();
    for i in 0..60 {
        let next = json!({"$ref": format!("#/definitions/d{}", i + 1)});
        definitions.insert(
            format!("d{i}"),
            json!({"anyOf": [{"type": "array", "items": next}, {"type": "object", "properties": {"a": next}}]}),
        );
    }
    definitions.insert("d60".into(), json!({"type": "string"}));
    let bomb = |last: &str| {
        let mut definitions = definitions.clone();
        definitions.insert("d60".into(), json!({ "type": last }));
        json_schema(json!({"$ref": "#/definitions/d0", "definitions": definitions}))
    };
    assert!(backward(&bomb("integer"), &bomb("string")).is_some());
}

#[test]
fn a_long_chain_of_schemas_is_given_up_before_the_stack_is() {
    let chain = |last: &str| {
        let mut definitions = serde_json::Map::new();
        for i in 0..2_000 {
            let next = json!({"$ref": format!("#/definitions/d{}", i + 1)});
            definitions.insert(
                format!("d{i}"),
                json!({"anyOf": [{"type": "object", "properties": {"a": {"items": next}}}]}),
            );
        }
        definitions.insert("d2000".into(), json!({ "type": last }));
        json_schema(json!({"$ref": "#/definitions/d0", "definitions": definitions}))
    };
    assert!(backward(&chain("integer"), &chain("string")).is_some());
}
