//! Avro schema resolution, case by case.

use serde_json::json;

use super::{avro, backward, record};
use crate::compat::Comparable;

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
