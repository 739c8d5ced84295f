//! JSON Schemas, paths and edits, one case each.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use penstock_formats::{
    EditBuffer, EditError, Edits, Encoding, FieldPath, FieldType, Fields, Found, Limits, Payload,
    Scalar, ScalarKind, Schema, Slot, json,
};

const ERROR: &str = include_str!("data/error-2.1.0.json");
const PAGE_CHANGE: &str = include_str!("data/page-change-1.1.0.json");

fn paths(texts: &[&str]) -> Vec<FieldPath> {
    texts
        .iter()
        .map(|text| FieldPath::parse(text).unwrap())
        .collect()
}

fn examples(schema: &str) -> Vec<serde_json::Value> {
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    schema["examples"].as_array().unwrap().clone()
}

fn edited(
    json: &str,
    path: &str,
    edit: impl Fn(&Fields, &Slot, &mut Edits<'_>) -> Result<(), EditError>,
) -> String {
    let fields = Fields::schemaless_json(&paths(&[path]));
    let mut found = Found::new();
    let mut payload = Payload::new(json.as_bytes().to_vec(), Encoding::Json);
    payload.find(&fields, &mut found).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    for slot in found.slots() {
        edit(&fields, slot, &mut edits).unwrap();
    }
    payload.edit(&found, edits).unwrap();
    payload.flatten();
    String::from_utf8(payload.bytes().to_vec()).unwrap()
}

#[test]
fn a_text_is_plainly_there_when_its_bytes_are_and_no_escapes() {
    let plain = |json: &str, text: &str| {
        let fields = Fields::schemaless_json(&paths(&["a"]));
        let mut found = Found::new();
        fields.find(json.as_bytes(), &mut found).unwrap();
        let slot = found.first(0).unwrap();
        slot.is_plainly(json.as_bytes(), text)
    };
    assert!(plain(r#"{"a": "x/y/1.0.0"}"#, "x/y/1.0.0"));
    assert!(plain(r#"{"a": ""}"#, ""));
    for (json, text) in [
        (r#"{"a": "x"}"#, "xy"),
        (r#"{"a": "xy"}"#, "x"),
        // The same text, but not the same bytes, and the other way round.
        (r#"{"a": "\u0078"}"#, "x"),
        (r#"{"a": "\\"}"#, r"\\"),
        (r#"{"a": null}"#, "null"),
        (r#"{"a": 1}"#, "1"),
        (r#"{"b": "x"}"#, "x"),
    ] {
        assert!(!plain(json, text), "{json} {text}");
    }
}

#[test]
fn real_schemas_load_offline_and_accept_their_own_examples() {
    for text in [ERROR, PAGE_CHANGE] {
        let schema = Schema::json(text, &[]).unwrap();
        let examples = examples(text);
        assert!(!examples.is_empty());
        for example in examples {
            let event = example.to_string();
            let mut out = Vec::new();
            json::from_json(&schema, event.as_bytes(), &mut out).unwrap();
            assert_eq!(out, event.as_bytes());
        }
    }
    assert_eq!(
        Schema::json(PAGE_CHANGE, &[]).unwrap().name(),
        Some("mediawiki/page/change")
    );
}

#[test]
fn an_invalid_event_is_refused_with_path_and_rule_and_without_its_value() {
    let schema = Schema::json(PAGE_CHANGE, &[]).unwrap();
    let example = examples(PAGE_CHANGE).remove(0);
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut event = example.clone();
        change(&mut event);
        schema
            .validate_json(event.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    let error = refused(&|event| event["page"]["page_id"] = "secret".into());
    assert!(error.starts_with("field 'page.page_id': "), "{error}");
    assert!(
        error.contains("rule 'type'") && !error.contains("secret"),
        "{error}"
    );
    let error = refused(&|event| event["page_change_kind"] = "secret".into());
    assert!(
        error.contains("rule 'enum'") && !error.contains("secret"),
        "{error}"
    );
    let error = refused(&|event| {
        event.as_object_mut().unwrap().remove("wiki_id");
    });
    assert!(
        error.contains("wiki_id") && error.contains("rule 'required'"),
        "{error}"
    );
    let error = refused(&|event| event["unknown_field"] = 1.into());
    assert_eq!(
        error,
        "the event: has a property that the schema does not declare (rule 'additionalProperties')"
    );
    let error = schema
        .validate_json(br#"{"a":"secret"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("malformed JSON") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn names_that_the_schema_does_not_declare_are_data_and_not_shown() {
    let person = Schema::json(r#"{"properties":{"age":{"type":"integer"}}}"#, &[]).unwrap();
    let schema = Schema::json(
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{
            "labels":{"additionalProperties":{"type":"string"}},
            "people":{"patternProperties":{"@":{"$ref":"person.json"}}},
            "list":{"type":"array","items":{"additionalProperties":{"properties":{"n":{"type":"integer"}}}}},
            "closed":{"properties":{"x":{}},"additionalProperties":false},
            "nothing":{"unevaluatedProperties":false},
            "named":{"propertyNames":{"maxLength":3}}},
          "unevaluatedProperties":false}"##,
        &[("person.json".into(), Arc::new(person))],
    )
    .unwrap();
    let closed = "has a property that the schema does not declare (rule 'additionalProperties')";
    for (event, error) in [
        (
            r#"{"labels":{"ada@x.org":1}}"#,
            r#"field 'labels.*': the value is not of type "string" (rule 'type')"#.to_owned(),
        ),
        (
            r#"{"people":{"ada@x.org":{"age":"x"}}}"#,
            r#"field 'people.*.age': the value is not of type "integer" (rule 'type')"#.to_owned(),
        ),
        (
            r#"{"list":[{},{"5551234":{"n":"x"}}]}"#,
            r#"field 'list.1.*.n': the value is not of type "integer" (rule 'type')"#.to_owned(),
        ),
        (
            r#"{"closed":{"ada@x.org":1}}"#,
            format!("field 'closed': {closed}"),
        ),
        (
            r#"{"nothing":{"ada@x.org":1,"eve@x.org":1}}"#,
            "field 'nothing': has 2 properties that the schema does not declare (rule 'unevaluatedProperties')".to_owned(),
        ),
        (
            r#"{"named":{"ada@x.org":1}}"#,
            "field 'named': breaks the rule 'propertyNames' of the schema".to_owned(),
        ),
    ] {
        let shown = schema.validate_json(event.as_bytes()).unwrap_err();
        assert_eq!(shown.to_string(), error, "{event}");
    }
}

#[test]
fn a_reference_is_resolved_from_what_was_given_and_never_fetched() {
    let text = r##"{"$schema":"http://json-schema.org/draft-07/schema#","$id":"https://example.org/order.json",
        "type":"object","properties":{"customer":{"$ref":"customer.json"},"other":{"$ref":"#/definitions/o"}},
        "definitions":{"o":{"type":"integer"}},"additionalProperties":false}"##;
    let customer = Arc::new(
        Schema::json(
            r#"{"type":"object","properties":{"email":{"type":"string"},"id":{"$ref":"id.json"}},"additionalProperties":false}"#,
            &[("id.json".into(), Arc::new(Schema::json(r#"{"type":"string","maxLength":4}"#, &[]).unwrap()))],
        )
        .unwrap(),
    );
    let schema = Schema::json(text, &[("customer.json".into(), customer)]).unwrap();
    schema
        .validate_json(br#"{"customer":{"email":"x","id":"1234"},"other":1}"#)
        .unwrap();
    assert!(
        schema
            .validate_json(br#"{"customer":{"email":1}}"#)
            .is_err()
    );
    assert!(
        schema
            .validate_json(br#"{"customer":{"id":"12345"}}"#)
            .is_err()
    );
    let fields =
        Fields::compile(&schema, &paths(&["customer.email", "customer.id", "other"])).unwrap();
    assert!(fields.field_type(0).takes_any_text);
    assert!(!fields.field_type(1).takes_any_text);
    assert_eq!(fields.field_type(2).scalar, ScalarKind::Integer);
    let error = Fields::compile(&schema, &paths(&["customer.emial"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no field 'emial'") && error.contains("'email'"),
        "{error}"
    );

    for text in [
        text,
        r#"{"$ref":"https://example.org/elsewhere.json"}"#,
        r#"{"$schema":"https://example.org/my-own-draft"}"#,
    ] {
        assert!(Schema::json(text, &[]).is_err(), "{text}");
    }
}

#[test]
fn json_schemas_say_what_stands_at_a_path() {
    let schema = Schema::json(
        r##"{"type":"object","properties":{
            "plain":{"type":"string","minLength":1},"nullable":{"type":["null","string"]},
            "short":{"type":"string","maxLength":10},"pattern":{"type":"string","pattern":"^a"},
            "format":{"type":"string","format":"email"},"choice":{"enum":["a","b"]},
            "int":{"type":"integer"},"number":{"type":["number","null"]},"flag":{"type":"boolean"},
            "list":{"type":"array","items":{"type":"string"}},
            "people":{"type":"array","items":{"$ref":"#/definitions/person"}},
            "either":{"anyOf":[{"type":"null"},{"$ref":"#/definitions/person"}]},
            "merged":{"allOf":[{"type":"string"},{"maxLength":5}]},
            "map":{"type":"object","additionalProperties":{"type":"string"}},
            "open":{"type":"object"}},
          "additionalProperties":false,
          "definitions":{"person":{"type":"object","properties":{"name":{"type":"string"},
            "boss":{"$ref":"#/definitions/person"}},"additionalProperties":false}}}"##,
        &[],
    )
    .unwrap();
    let of = |nullable, list, scalar, takes_any_text| FieldType {
        nullable,
        list,
        scalar,
        takes_any_text,
    };
    let cases = [
        ("plain", of(false, false, ScalarKind::String, true)),
        ("nullable", of(true, false, ScalarKind::String, true)),
        ("short", of(false, false, ScalarKind::String, false)),
        ("pattern", of(false, false, ScalarKind::String, false)),
        ("format", of(false, false, ScalarKind::String, false)),
        ("choice", of(false, false, ScalarKind::String, false)),
        ("int", of(false, false, ScalarKind::Integer, false)),
        ("number", of(true, false, ScalarKind::Number, false)),
        ("flag", of(false, false, ScalarKind::Boolean, false)),
        ("list", of(false, true, ScalarKind::String, true)),
        ("people.name", of(false, true, ScalarKind::String, true)),
        (
            "people.boss.boss.name",
            of(false, true, ScalarKind::String, true),
        ),
        ("either.name", of(false, false, ScalarKind::String, true)),
        ("merged", of(false, false, ScalarKind::String, false)),
        ("map.anything", of(false, false, ScalarKind::String, true)),
        (
            "open.anything.below",
            of(true, false, ScalarKind::Any, true),
        ),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let fields = Fields::compile(&schema, &paths(&names)).unwrap();
    for (index, (name, expected)) in cases.iter().enumerate() {
        assert_eq!(fields.field_type(index), *expected, "{name}");
    }
    for path in ["plian", "people.nmae", "either.x", "plain.x", "list.x"] {
        assert!(Fields::compile(&schema, &paths(&[path])).is_err(), "{path}");
    }
}

#[test]
fn the_page_change_paths_of_the_enrichment_are_known() {
    let schema = Schema::json(PAGE_CHANGE, &[]).unwrap();
    let names = [
        "revision.content_slots.main.content_body",
        "wiki_id",
        "page.page_id",
        "performer.user_text",
        "meta.domain",
    ];
    let fields = Fields::compile(&schema, &paths(&names)).unwrap();
    assert_eq!(fields.field_type(1).scalar, ScalarKind::String);
    assert_eq!(fields.field_type(2).scalar, ScalarKind::Integer);
    let error = Fields::compile(&schema, &paths(&["page.pageid"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no field 'pageid'") && error.contains("'page_id'"),
        "{error}"
    );
    let error = Fields::compile(&schema, &paths(&["wikiid"]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("'wiki_id'"), "{error}");

    let event = examples(PAGE_CHANGE).remove(0).to_string();
    let mut payload = Payload::new(event.into_bytes(), Encoding::Registered(Arc::new(schema)));
    let mut found = Found::new();
    payload.find(&fields, &mut found).unwrap();
    let slot = found.first(0).unwrap();
    assert!(slot.is_absent());
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    slot.replace(&fields, &Scalar::Str("content body".into()), &mut edits)
        .unwrap();
    payload.edit(&found, edits).unwrap();
    payload.flatten();
    payload
        .schema()
        .unwrap()
        .validate_json(payload.bytes())
        .unwrap();
    let event: serde_json::Value = serde_json::from_slice(payload.bytes()).unwrap();
    assert_eq!(
        event["revision"]["content_slots"]["main"]["content_body"],
        "content body"
    );
}

#[test]
fn edits_keep_to_the_declared_type() {
    let schema = Schema::json(
        r#"{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":["string","null"]},"l":{"type":"array","items":{"type":"string"}}},"required":["n"]}"#,
        &[],
    )
    .unwrap();
    let fields = Fields::compile(&schema, &paths(&["n", "s", "l"])).unwrap();
    let bytes = br#"{"n":1,"s":"x","l":["a"]}"#;
    let mut found = Found::new();
    fields.find(bytes, &mut found).unwrap();
    let slot = |path| found.first(path).unwrap();
    let mut buffer = EditBuffer::new();
    let edits = &mut buffer.begin();
    let text = Scalar::Str("secret".into());
    assert_eq!(
        slot(0)
            .replace(&fields, &text, edits)
            .unwrap_err()
            .to_string(),
        "field 'n' is integer in the schema and cannot hold a string"
    );
    let half = Scalar::Double(1.5);
    assert!(slot(0).replace(&fields, &half, edits).is_err());
    assert!(slot(0).null(&fields, edits).is_err());
    assert!(slot(2).null(&fields, edits).is_err());
    assert!(slot(0).remove(&fields, edits).is_err(), "required");
    assert!(slot(0).replace_json(&fields, b"[1]", edits).is_err());
    assert!(slot(0).replace_json(&fields, b"1 2", edits).is_err());
    assert!(edits.is_empty());
    assert!(slot(0).replace(&fields, &Scalar::Int(2), edits).is_ok());
    assert!(slot(1).null(&fields, edits).is_ok());
    assert!(slot(1).remove(&fields, edits).is_ok());
    assert!(slot(0).replace_json(&fields, b" 12 ", edits).is_ok());
    assert_eq!(edits.len(), 4);
}

#[test]
fn members_come_and_go_with_their_commas() {
    let remove = |fields: &Fields, slot: &Slot, edits: &mut Edits<'_>| slot.remove(fields, edits);
    for (before, after) in [
        (r#"{"a":1}"#, "{}"),
        (r#"{ "a" : 1 , "b":2}"#, r#"{  "b":2}"#),
        (r#"{"b":2, "a":1 }"#, r#"{"b":2 }"#),
        (r#"{"b":2,"a":1,"c":3}"#, r#"{"b":2,"c":3}"#),
        (r#"{"a":1,"a":2,"b":3}"#, r#"{"b":3}"#),
        (r#"{"b":3,"a":1,"\u0061":2}"#, r#"{"b":3}"#),
        (r#"{"a":[1,2]}"#, r#"{"a":[]}"#),
        ("{}", "{}"),
    ] {
        assert_eq!(edited(before, "a", remove), after, "{before}");
    }
    let set = |fields: &Fields, slot: &Slot, edits: &mut Edits<'_>| {
        slot.replace(fields, &Scalar::Int(7), edits)
    };
    for (before, after) in [
        ("{}", r#"{"a":7}"#),
        ("{ }", r#"{ "a":7}"#),
        (r#"{"b":1}"#, r#"{"b":1,"a":7}"#),
        (r#"{"a":1,"a":null}"#, r#"{"a":7,"a":7}"#),
        (r#"{"a":[1,[2,null]]}"#, r#"{"a":[7,[7,7]]}"#),
        (r#"[{"a":1},{}]"#, r#"[{"a":7},{"a":7}]"#),
    ] {
        assert_eq!(edited(before, "a", set), after, "{before}");
    }
    assert_eq!(edited(r#"{"b":{}}"#, "b.a", set), r#"{"b":{"a":7}}"#);
    assert_eq!(
        edited(r#"{"c":{}}"#, "b.a", set),
        r#"{"c":{}}"#,
        "no parents are made"
    );
}

#[test]
fn a_path_within_another_makes_edits_that_overlap() {
    let fields = Fields::schemaless_json(&paths(&["a", "a.b"]));
    let mut payload = Payload::new(&br#"{"a":{"b":1}}"#[..], Encoding::Json);
    let mut found = Found::new();
    payload.find(&fields, &mut found).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    for slot in found.slots() {
        slot.null(&fields, &mut edits).unwrap();
    }
    assert_eq!(edits.len(), 2);
    assert!(matches!(
        payload.edit(&found, edits),
        Err(EditError::Overlap { .. })
    ));
    assert!(!payload.is_edited());
}

#[test]
fn edits_of_one_payload_never_come_into_the_next() {
    let fields = Fields::schemaless_json(&paths(&["a"]));
    let event = br#"{"a":1,"b":2}"#;
    let mut found = Found::new();
    fields.find(event, &mut found).unwrap();
    let mut buffer = EditBuffer::new();
    let secret = Scalar::Str("of the one before".into());
    found.slots()[0]
        .replace(&fields, &secret, &mut buffer.begin())
        .unwrap();

    let mut payload = Payload::new(&event[..], Encoding::Json);
    payload.edit(&found, buffer.begin()).unwrap();
    assert!(!payload.is_edited());
    let mut edits = buffer.begin();
    found.slots()[0]
        .replace(&fields, &Scalar::Int(3), &mut edits)
        .unwrap();
    payload.edit(&found, edits).unwrap();
    payload.flatten();
    assert_eq!(payload.bytes(), &br#"{"a":3,"b":2}"#[..]);
}

#[test]
fn what_strangers_send_is_refused_where_it_is_not_clean_json() {
    let fields = Fields::schemaless_json(&paths(&["a"]));
    let mut found = Found::new();
    for (bytes, error) in [
        (&b"{\"a\":1}x"[..], "1 bytes after the end of the event"),
        (b"{\"a\":\"\xff\"}", "not UTF-8"),
        (
            br#"{"x":{"b":1,"\u0062":2}}"#,
            "a name that the object has already",
        ),
        (br#"{"a":01}"#, "a value that goes on too long"),
        (br#"{"a":1,}"#, "'\"' expected"),
        (b"", "a value expected"),
        (br#"{"a":[1}"#, "',' or ']' expected"),
        (br#"{"a":"\ud800"}"#, "a malformed escape in a string"),
    ] {
        let refused = fields
            .find_checked(bytes, &mut found, &Limits::default())
            .unwrap_err();
        assert!(refused.to_string().contains(error), "{refused}");
    }
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limits = Limits { depth: 10 };
    fields
        .find_checked(nested(10).as_bytes(), &mut found, &limits)
        .unwrap();
    assert!(
        fields
            .find_checked(nested(11).as_bytes(), &mut found, &limits)
            .is_err()
    );
    assert!(
        fields
            .find(nested(1_000_000).as_bytes(), &mut found)
            .is_err()
    );
    let many: String = (0..40).map(|i| format!("\"n{i}\":{i},")).collect();
    let twice = format!("{{{many}\"n39\":0}}");
    assert!(
        fields
            .find_checked(twice.as_bytes(), &mut found, &Limits::default())
            .is_err()
    );
    let once = format!("{{{many}\"n40\":0}}");
    fields
        .find_checked(once.as_bytes(), &mut found, &Limits::default())
        .unwrap();
}

#[test]
fn nothing_that_is_shown_holds_a_value() {
    let fields = Fields::schemaless_json(&paths(&["a"]));
    let payload = Payload::new(&br#"{"a":"secret"}"#[..], Encoding::Json);
    let mut found = Found::new();
    fields.find(payload.bytes(), &mut found).unwrap();
    let slot = found.first(0).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    slot.replace(&fields, &Scalar::Str("secret".into()), &mut edits)
        .unwrap();
    let mut edited = payload.clone();
    edited.edit(&found, edits).unwrap();
    let shown = format!(
        "{payload:?} {found:?} {edited:?} {:?} {:?}",
        slot.scalar(payload.bytes()).unwrap(),
        payload.decode().unwrap()
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn what_was_found_is_kept_for_the_same_fields_until_the_payload_changes() {
    let fields = Fields::schemaless_json(&paths(&["a"]));
    let others = Fields::schemaless_json(&paths(&["a"]));
    let mut payload = Payload::new(&br#"{"a":1}"#[..], Encoding::Json);
    let mut found = Found::new();
    payload.find(&fields, &mut found).unwrap();
    payload.keep_found(Box::new(std::mem::take(&mut found)));
    assert!(found.slots().is_empty());
    assert!(payload.clone().found().is_none());
    let kept = payload.found().unwrap();
    assert!(kept.is_by(&fields) && !kept.is_by(&others));
    assert_eq!(kept.slots().len(), 1);

    let kept = payload.take_found().unwrap();
    payload.keep_found(kept);
    payload.find(&fields, &mut found).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    found.slots()[0]
        .replace(&fields, &Scalar::Int(2), &mut edits)
        .unwrap();
    payload.edit(&found, edits).unwrap();
    assert!(
        payload.found().is_none(),
        "its slots are those of the old bytes"
    );
    payload.keep_found(Box::new(std::mem::take(&mut found)));
    assert!(payload.found().is_none(), "edits are pending");
}
