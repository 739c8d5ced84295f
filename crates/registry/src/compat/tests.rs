//! Compatibility case by case; for JSON Schema also against a validator: where the rules say yes,
//! no document may tell otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::content::normal_form;

fn avro(text: &str) -> Comparable {
    let schema = serde_json::from_str(text).unwrap();
    Comparable {
        kind: SchemaKind::Avro,
        schema: normal_form(SchemaKind::Avro, &schema),
        references: Vec::new(),
    }
}

fn json_schema(schema: Value) -> Comparable {
    Comparable {
        kind: SchemaKind::Json,
        schema,
        references: Vec::new(),
    }
}

/// The first finding of reading `old` with `new`, or nothing.
fn backward(new: &Comparable, old: &Comparable) -> Option<String> {
    let messages = check(CompatibilityLevel::Backward, new, old);
    let kind = messages.first()?.split('\'').nth(1)?;
    Some(kind.to_owned())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
}

#[test]
fn avro_readers_read_what_schema_resolution_lets_them() {
    let field = |schema: &str| record(&format!(r#"{{"name":"f","type":{schema}}}"#));
    let e = |symbols: &str, rest: &str| {
        format!(r#"{{"type":"enum","name":"E","symbols":{symbols}{rest}}}"#)
    };
    let fixed =
        |name: &str, size: u8| format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#);
    let decimal = |scale: u8| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#)
    };
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}"#;
    // (reader, writer, what is found)
    let cases: Vec<(String, String, Option<&str>)> = vec![
        // Promotions, one way only.
        (field(r#""long""#), field(r#""int""#), None),
        (field(r#""double""#), field(r#""long""#), None),
        (field(r#""double""#), field(r#""float""#), None),
        (field(r#""bytes""#), field(r#""string""#), None),
        (field(r#""string""#), field(r#""bytes""#), None),
        (field(r#""int""#), field(r#""long""#), Some("TYPE_MISMATCH")),
        (
            field(r#""float""#),
            field(r#""double""#),
            Some("TYPE_MISMATCH"),
        ),
        (
            field(r#""string""#),
            field(r#""int""#),
            Some("TYPE_MISMATCH"),
        ),
        // Logical types are their types, but a decimal's scale is its value.
        (
            field(r#"{"type":"int","logicalType":"date"}"#),
            field(r#""int""#),
            None,
        ),
        (field(&decimal(2)), field(&decimal(2)), None),
        (
            field(&decimal(3)),
            field(&decimal(2)),
            Some("DECIMAL_SCALE_MISMATCH"),
        ),
        // Fields come and go with defaults; null is one.
        (
            record(r#"{"name":"f","type":"int","default":0}"#),
            record(""),
            None,
        ),
        (
            record(r#"{"name":"f","type":["null","int"],"default":null}"#),
            record(""),
            None,
        ),
        (
            record(r#"{"name":"f","type":"int"}"#),
            record(""),
            Some("READER_FIELD_MISSING_DEFAULT_VALUE"),
        ),
        (record(""), record(r#"{"name":"f","type":"int"}"#), None),
        // The reader's aliases, not the writer's.
        (
            record(r#"{"name":"g","aliases":["f"],"type":"int"}"#),
            field(r#""int""#),
            None,
        ),
        (
            record(r#"{"name":"g","type":"int"}"#),
            record(r#"{"name":"f","aliases":["g"],"type":"int"}"#),
            Some("READER_FIELD_MISSING_DEFAULT_VALUE"),
        ),
        // Unqualified names count, and aliases of the reader.
        (record("").replace("\"n\"", "\"m\""), record(""), None),
        (
            record("").replace("\"R\"", "\"S\""),
            record(""),
            Some("NAME_MISMATCH"),
        ),
        (
            record("").replace("\"R\"", "\"S\",\"aliases\":[\"R\"]"),
            record(""),
            None,
        ),
        (field(&fixed("F", 4)), field(&fixed("F", 4)), None),
        (
            field(&fixed("F", 5)),
            field(&fixed("F", 4)),
            Some("FIXED_SIZE_MISMATCH"),
        ),
        (
            field(&fixed("G", 4)),
            field(&fixed("F", 4)),
            Some("NAME_MISMATCH"),
        ),
        // Enums grow, or have a default.
        (
            field(&e(r#"["A","B"]"#, "")),
            field(&e(r#"["A"]"#, "")),
            None,
        ),
        (
            field(&e(r#"["A"]"#, "")),
            field(&e(r#"["A","B"]"#, "")),
            Some("MISSING_ENUM_SYMBOLS"),
        ),
        (
            field(&e(r#"["A"]"#, r#","default":"A""#)),
            field(&e(r#"["A","B"]"#, "")),
            None,
        ),
        // Unions branch by branch.
        (field(r#"["null","int"]"#), field(r#""int""#), None),
        (
            field(r#"["null","long"]"#),
            field(r#"["null","int"]"#),
            None,
        ),
        (
            field(r#"["null","int"]"#),
            field(r#""string""#),
            Some("MISSING_UNION_BRANCH"),
        ),
        (
            field(r#"["null","int"]"#),
            field(r#"["null","int","string"]"#),
            Some("MISSING_UNION_BRANCH"),
        ),
        (field(r#""int""#), field(r#"["int"]"#), None),
        (
            field(r#""int""#),
            field(r#"["null","int"]"#),
            Some("TYPE_MISMATCH"),
        ),
        // Containers.
        (
            field(r#"{"type":"array","items":"long"}"#),
            field(r#"{"type":"array","items":"int"}"#),
            None,
        ),
        (
            field(r#"{"type":"map","values":"int"}"#),
            field(r#"{"type":"map","values":"long"}"#),
            Some("TYPE_MISMATCH"),
        ),
        (
            field(r#"{"type":"map","values":"int"}"#),
            field(r#"{"type":"array","items":"int"}"#),
            Some("TYPE_MISMATCH"),
        ),
        // Recursive types end, and are compared.
        (format!("{list}]}}"), format!("{list}]}}"), None),
        (
            format!("{list},{{\"name\":\"v\",\"type\":\"int\",\"default\":1}}]}}"),
            format!("{list}]}}"),
            None,
        ),
        (
            format!("{list},{{\"name\":\"v\",\"type\":\"int\"}}]}}"),
            format!("{list}]}}"),
            Some("READER_FIELD_MISSING_DEFAULT_VALUE"),
        ),
        // The same type at a second place, by name.
        (
            record(&format!(
                r#"{{"name":"a","type":{}}},{{"name":"b","type":"E"}}"#,
                e(r#"["A"]"#, "")
            )),
            record(&format!(
                r#"{{"name":"a","type":"int"}},{{"name":"b","type":{}}}"#,
                e(r#"["A"]"#, "")
            )),
            Some("TYPE_MISMATCH"),
        ),
    ];
    for (reader, writer, expected) in cases {
        let found = backward(&avro(&reader), &avro(&writer));
        assert_eq!(found.as_deref(), expected, "{reader}\nreads\n{writer}");
    }
}

#[test]
fn avro_types_of_references_are_compared() {
    let with = |size: u8| Comparable {
        references: vec![(
            "n.F".into(),
            json!({"type": "fixed", "name": "n.F", "size": size}),
        )],
        ..avro(&record(r#"{"name":"f","type":"F"}"#))
    };
    assert_eq!(backward(&with(4), &with(4)), None);
    assert_eq!(
        backward(&with(5), &with(4)).as_deref(),
        Some("FIXED_SIZE_MISMATCH")
    );
}

#[test]
fn a_long_chain_of_types_is_refused_not_followed_into_the_ground() {
    let chain = |last: &str| {
        let fields: Vec<_> = (0..5_000)
            .map(|i| {
                let next = match i {
                    4_999 => last.to_owned(),
                    _ => format!("n.C{}", i + 1),
                };
                format!(
                    r#"{{"name":"f{i}","type":{{"type":"record","name":"C{i}","fields":[{{"name":"next","type":"{next}"}}]}}}}"#
                )
            })
            .collect();
        avro(&record(&fields.join(",")))
    };
    assert_eq!(
        backward(&chain("int"), &chain("int")).as_deref(),
        Some("TOO_COMPLEX")
    );
}

#[test]
fn levels_ask_in_their_direction() {
    let narrow = avro(&record(r#"{"name":"f","type":"int"}"#));
    let wide = avro(&record(r#"{"name":"f","type":"long"}"#));
    use CompatibilityLevel as L;
    for (level, widened, narrowed) in [
        (L::None, true, true),
        (L::Backward, true, false),
        (L::BackwardTransitive, true, false),
        (L::Forward, false, true),
        (L::ForwardTransitive, false, true),
        (L::Full, false, false),
        (L::FullTransitive, false, false),
    ] {
        assert_eq!(check(level, &wide, &narrow).is_empty(), widened, "{level}");
        assert_eq!(check(level, &narrow, &wide).is_empty(), narrowed, "{level}");
        assert_eq!(level.name().to_lowercase().parse(), Ok(level));
    }
    let other_kind = json_schema(json!({"type": "object"}));
    assert!(!check(L::Backward, &other_kind, &narrow).is_empty());
    assert!(check(L::None, &other_kind, &narrow).is_empty());
}

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

fn small_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::subsequence(
            vec![
                "null", "boolean", "integer", "number", "string", "object", "array"
            ],
            1..4
        )
        .prop_map(|types| json!({ "type": types })),
        prop::sample::subsequence(vec![json!(0), json!(1), json!("a"), json!(null)], 1..4)
            .prop_map(|values| json!({ "enum": values })),
        (0..3i64, 0..3i64).prop_map(|(a, b)| json!({"minimum": a, "exclusiveMaximum": a + b})),
        (0..3u8, 0..3u8)
            .prop_map(|(a, b)| json!({"type": "string", "minLength": a, "maxLength": a + b})),
        Just(json!({"type": "integer", "multipleOf": 2})),
        Just(json!({"pattern": "^a"})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let names = || prop::sample::subsequence(vec!["a", "b", "xc"], 0..3);
        prop_oneof![
            (
                prop::collection::btree_map(prop::sample::select(vec!["a", "b", "xc"]), inner.clone(), 0..3),
                names(),
                prop::option::of(inner.clone()),
                prop::option::of(inner.clone()),
                prop::option::of(0..3u8),
            )
                .prop_map(|(properties, required, additional, pattern, most)| {
                    let mut schema = json!({"properties": properties, "required": required});
                    if let Some(additional) = additional {
                        schema["additionalProperties"] = additional;
                    }
                    if let Some(pattern) = pattern {
                        schema["patternProperties"] = json!({ "^x": pattern });
                    }
                    if let Some(most) = most {
                        schema["maxProperties"] = json!(most);
                    }
                    schema
                }),
            (inner.clone(), any::<bool>(), 0..3u8).prop_map(|(items, unique, least)| json!({"items": items, "uniqueItems": unique, "minItems": least})),
            (prop::collection::vec(inner.clone(), 1..3), inner.clone()).prop_map(|(first, rest)| json!({"items": first, "additionalItems": rest})),
            (prop::sample::select(vec!["allOf", "anyOf", "oneOf"]), prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(key, all)| json!({ key: all })),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({"anyOf": [a, {"type": "null"}], "not": b})),
            inner.prop_map(|target| json!({"definitions": {"d": target}, "properties": {"a": {"$ref": "#/definitions/d", "type": "string"}}})),
        ]
    })
}

fn small_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        (-1..5i64).prop_map(|n| json!(n)),
        Just(json!(1.5)),
        prop::sample::select(vec!["", "a", "ab", "b", "abcd"]).prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!(items)),
            prop::collection::btree_map(
                prop::sample::select(vec!["a", "b", "xc", "xd", "e"]),
                inner,
                0..3
            )
            .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Soundness, in the reading of draft 7 and in that of 2019-09 and later, where what stands
    /// beside a `$ref` counts.
    #[test]
    fn no_document_of_the_writer_is_refused_by_a_reader_that_was_found_compatible(
        reader in small_schema(),
        writer in small_schema(),
        documents in prop::collection::vec(small_document(), 40),
    ) {
        for (reader, writer) in [(&reader, &writer), (&writer, &reader), (&reader, &reader)] {
            if backward(&json_schema(reader.clone()), &json_schema(writer.clone())).is_some() {
                continue;
            }
            for draft in [jsonschema::Draft::Draft7, jsonschema::Draft::Draft201909] {
                let options = jsonschema::options().with_draft(draft);
                let (Ok(reads), Ok(writes)) = (options.build(reader), options.build(writer)) else {
                    continue;
                };
                for document in &documents {
                    prop_assert!(
                        !writes.is_valid(document) || reads.is_valid(document),
                        "{draft:?}: {document} is valid for {writer} but not for {reader}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_schema_follows_itself(schema in small_schema()) {
        // A `$ref` that leads nowhere is refused before it comes here.
        prop_assume!(jsonschema::validator_for(&schema).is_ok());
        let schema = json_schema(schema);
        prop_assert_eq!(backward(&schema, &schema), None);
    }
}
