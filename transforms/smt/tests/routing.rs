//! Transforms of topics and headers, predicates, and the list of classes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_connect::{Outputs, Settings};
use support::*;

fn routed(class: &str, settings: &str, topic: &str) -> Result<String, String> {
    let mut router = transform(class, settings);
    let mut record = record(None);
    record.topic = topic.into();
    apply(&mut *router, record)
        .map(|record| record.topic.to_string())
        .map_err(|(_, error)| error.to_string())
}

#[test]
fn regex_router_replaces_as_java_does() {
    for (regex, replacement, topic, expected) in [
        ("(.*)-(\\\\d+)", "$1_x_$2", "orders-12", "orders_x_12"),
        ("orders", "sales", "orders", "sales"),
        ("orders", "sales", "orders2", "orders2"),
        (
            "(?<name>.*)\\\\.raw",
            "${name}.clean",
            "a.b.raw",
            "a.b.clean",
        ),
        ("(a)(.*)", "$12", "abc", "a2"),
        ("prefix(.*)", "$1", "prefixtopic", "topic"),
        ("a|ab", "x", "ab", "xb"),
        (".*", "$0-\\\\d", "t", "t-d"),
    ] {
        let class = "org.apache.kafka.connect.transforms.RegexRouter";
        let settings = format!("regex={regex}\nreplacement={replacement}");
        assert_eq!(
            routed(class, &settings, topic).unwrap(),
            expected,
            "{settings}"
        );
    }
}

#[test]
fn a_route_to_nowhere_is_refused() {
    for (replacement, problem) in [
        ("$2", "names the group 2, which the pattern does not have"),
        (
            "${x}",
            "names the group \"x\", which the pattern does not have",
        ),
        (
            "a$",
            "has a $ without a group behind it; write \\$ for a dollar sign",
        ),
    ] {
        let settings = format!("regex=(.*)\nreplacement={replacement}");
        assert_eq!(
            problems("RegexRouter", &settings),
            [format!("t.properties:2: replacement: {problem}")]
        );
    }
    for (replacement, expected) in [
        ("a/b", "is no topic name"),
        ("_penstock.keys", "is an internal topic"),
        ("", "is no topic name"),
    ] {
        let error = routed(
            "RegexRouter",
            &format!("regex=.*\nreplacement={replacement}"),
            "t",
        )
        .unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn timestamp_router_names_topics_by_time() {
    for (settings, expected) in [
        ("", "t-20231114"),
        (
            "topic.format=${timestamp}_${topic}\ntimestamp.format=yyyy-MM",
            "2023-11_t",
        ),
    ] {
        assert_eq!(routed("TimestampRouter", settings, "t").unwrap(), expected);
    }
    let mut router = transform("TimestampRouter", "");
    let mut without = record(None);
    without.timestamp = None;
    assert!(apply(&mut *router, without).is_err());
    assert_eq!(
        problems("TimestampRouter", "timestamp.format=YYYY").len(),
        1
    );
}

#[test]
fn headers_are_inserted_and_dropped_by_name() {
    let mut record = record(None);
    record.headers = vec![
        header("a", Some("1")),
        header("b", None),
        header("a", Some("2")),
    ];
    let mut insert = transform(
        "org.apache.kafka.connect.transforms.InsertHeader",
        "header=a\nvalue.literal=3",
    );
    let record = apply(&mut *insert, record).unwrap();
    assert_eq!(record.headers.len(), 4);
    assert_eq!(record.headers[3], header("a", Some("3")));
    let mut drop = transform(
        "org.apache.kafka.connect.transforms.DropHeaders",
        "headers=a,c",
    );
    assert_eq!(
        apply(&mut *drop, record).unwrap().headers,
        [header("b", None)]
    );
    assert_eq!(problems("DropHeaders", "").len(), 1);
}

#[test]
fn header_from_copies_and_moves_fields() {
    const EVENT: &str = r#"{"s":"x","n":5,"o":{"a":[1]},"z":null,"l":["p","q"]}"#;
    let settings = "fields=s,n,o.a,z,none,l\nheaders=S,N,O,Z,X,L\noperation=";
    let expected = [
        header("S", Some("x")),
        header("N", Some("5")),
        header("O", Some("[1]")),
        header("Z", None),
        header("X", None),
        header("L", Some(r#"["p","q"]"#)),
    ];
    let schema = avro_schema(
        r#"{"type":"record","name":"R","fields":[{"name":"s","type":"string"},{"name":"n","type":"int"},
            {"name":"o","type":{"type":"record","name":"O","fields":[{"name":"a","type":{"type":"array","items":"int"}}]}},
            {"name":"z","type":["null","int"]},{"name":"l","type":{"type":"array","items":"string"}}]}"#,
    );
    for payload in [avro(&schema, EVENT), json(&EVENT.replace("[1]", "[1,2]"))] {
        let mut copy = transform("HeaderFrom", &format!("{settings}copy"));
        let copied = apply(&mut *copy, record(Some(payload.clone()))).unwrap();
        let mut expected = expected.clone();
        if payload.schema().is_none() {
            expected[2] = header("O", Some("[1,2]"));
        }
        assert_eq!(copied.headers, expected);
        assert_eq!(text(copied.value.as_ref()), text(Some(&payload)));
    }
    let mut moves = transform(
        "org.apache.kafka.connect.transforms.HeaderFrom$Value",
        "fields=s,n\nheaders=S,N\noperation=move",
    );
    let moved = apply(&mut *moves, record(Some(json(r#"{"s":"x","k":1,"n":5}"#)))).unwrap();
    assert_eq!(
        (moved.headers.len(), text(moved.value.as_ref())),
        (2, r#"{"k":1}"#.to_owned())
    );
    let (rejected, error) = apply(&mut *moves, record(Some(avro(&schema, EVENT)))).unwrap_err();
    assert!(
        error.message.contains("field 's' cannot be removed"),
        "{error}"
    );
    assert!(rejected.headers.is_empty());
    assert_eq!(
        problems("HeaderFrom", "fields=a,b\nheaders=A\noperation=copy").len(),
        1
    );
}

#[test]
fn filter_drops_with_a_reason() {
    let mut filter = transform("org.apache.kafka.connect.transforms.Filter", "");
    let mut out = Outputs::default();
    filter.apply(0, record(None), &mut out);
    assert_eq!(
        (out.passed.len(), out.filtered.len(), out.filtered[0].1),
        (0, 1, "filter")
    );
}

fn holds(class: &str, settings: &str, record: &penstock_connect::Record) -> bool {
    let settings = Settings::parse("p.properties", settings).unwrap();
    penstock_smt::predicate(class, settings)
        .unwrap()
        .unwrap()
        .test(record)
}

#[test]
fn predicates_look_at_headers_values_and_topics() {
    let mut with_header = record(Some(json(
        r#"{"kind":"edit","n":5,"ok":true,"f":1.5,"tags":["a","b"],"z":null}"#,
    )));
    with_header.headers.push(header("h", None));
    let tombstone = record(None);
    let java = |name: &str| format!("org.apache.kafka.connect.transforms.predicates.{name}");
    assert!(holds(&java("HasHeaderKey"), "name=h", &with_header));
    assert!(!holds(&java("HasHeaderKey"), "name=h", &tombstone));
    assert!(holds(&java("RecordIsTombstone"), "", &tombstone));
    assert!(!holds("RecordIsTombstone", "", &with_header));
    for (pattern, expected) in [
        ("t", true),
        ("t|u", true),
        ("T", false),
        ("(?i)T", true),
        (".", true),
        ("tt", false),
    ] {
        assert_eq!(
            holds(
                &java("TopicNameMatches"),
                &format!("pattern={pattern}"),
                &tombstone
            ),
            expected,
            "{pattern}"
        );
    }
    for (field, pattern, expected) in [
        ("kind", "edit|move", true),
        ("kind", "ed", false),
        ("n", "[0-9]", true),
        ("ok", "true", true),
        ("f", "1\\\\.5", true),
        ("tags", "b", true),
        ("tags", "c", false),
        ("z", ".*", false),
        ("none", ".*", false),
    ] {
        let settings = format!("field={field}\npattern={pattern}");
        assert_eq!(
            holds("FieldMatches", &settings, &with_header),
            expected,
            "{field} {pattern}"
        );
        assert!(!holds("FieldMatches", &settings, &tombstone));
    }
    let mut keyed = record(None);
    keyed.key = Some(json(r#"{"id":"x"}"#));
    assert!(holds("FieldMatches", "field=id\npattern=x\nof=key", &keyed));
}

#[test]
fn classes_go_by_short_and_java_names_and_others_are_not_known() {
    for class in penstock_smt::SUPPORTED {
        for name in class.class_names() {
            assert!(
                penstock_smt::check_transform(&name, Settings::default()).is_some(),
                "{name}"
            );
        }
        assert!(!(class.doc)().is_empty());
        assert!((class.keys)().iter().all(|key| !key.doc.is_empty()));
    }
    for class in penstock_smt::SUPPORTED_PREDICATES {
        for name in class.class_names() {
            assert!(
                penstock_smt::check_predicate(&name, Settings::default()).is_some(),
                "{name}"
            );
        }
    }
    for unknown in [
        "Nothing",
        "MaskField$Header",
        "RegexRouter$Value",
        "org.apache.kafka.connect.transforms.SetField$Value",
        "com.example.MaskField",
    ] {
        assert!(
            penstock_smt::check_transform(unknown, Settings::default()).is_none(),
            "{unknown}"
        );
    }
    let java: Vec<&str> = "Cast DropHeaders ExtractField Filter Flatten HeaderFrom HoistField InsertField InsertHeader MaskField \
        RegexRouter ReplaceField SetSchemaMetadata TimestampConverter TimestampRouter ValueToKey"
        .split_whitespace()
        .collect();
    let ours: Vec<&str> = penstock_smt::SUPPORTED
        .iter()
        .filter(|class| class.in_kafka)
        .map(|class| class.name)
        .collect();
    assert_eq!(ours, java);
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    assert_eq!(
        problems("SetField", "feild=a\nvalue=x"),
        [
            "t.properties: field: is required (a field path (customer.id))",
            "t.properties:1: feild: unknown key; did you mean field?"
        ]
    );
}
