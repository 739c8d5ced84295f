//! Where the rules for JSON Schema say yes, no document may tell otherwise: random schemas and
//! documents, judged by a validator.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{backward, json_schema};

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
