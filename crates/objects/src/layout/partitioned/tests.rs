#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::{ConfigValue, Origin, TopicPartition};
use penstock_formats::{Encoding, Payload, Schema};

use super::*;

const SCHEMA: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"country","type":["null","string"],"default":null},
    {"name":"size","type":"long"},
    {"name":"meta","type":{"type":"record","name":"Meta","fields":[
        {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"millis","type":["null","long"],"default":null}]}},
    {"name":"tags","type":{"type":"array","items":"string"}}]}"#;

fn record(value: Option<Payload>) -> Record {
    let mut record = Record::new("t".into(), value);
    record.timestamp = Some(1_616_752_590_123);
    record.set_origin(Origin {
        index: 0,
        partition: Some(TopicPartition {
            topic: "demo-2".into(),
            partition: 3,
        }),
        offset: 41,
    });
    record
}

fn json(text: &str) -> Record {
    record(Some(Payload::new(text.to_owned(), Encoding::Json)))
}

fn avro(json: &str) -> Record {
    let schema = Arc::new(Schema::avro(SCHEMA, &[]).unwrap());
    let value: Payload = Payload::new(json.to_owned(), Encoding::Json);
    let mut bytes = Vec::new();
    value.decode().unwrap().encode(&schema, &mut bytes).unwrap();
    record(Some(Payload::new(bytes, Encoding::Registered(schema))))
}

/// 2021-03-26T09:56:30.123456Z in microseconds, and its day.
fn event() -> Record {
    avro(
        r#"{"country":"NL","size":-3,"meta":{"at":1616752590123456,"day":18712,"millis":1616752590123},"tags":[]}"#,
    )
}

fn names() -> Names {
    Names {
        prefix: "topics/".to_owned(),
        delimiter: "/".to_owned(),
        file_delimiter: "+".to_owned(),
        digits: 10,
        extension: ".json".to_owned(),
        fields: Vec::new(),
        labels: true,
        time: None,
        event_time: EventTime::Wallclock,
        tombstones: "tombstone".to_owned(),
    }
}

fn hourly(zone: &str) -> Option<TimePath> {
    Some(TimePath {
        pattern: Pattern::parse("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH").unwrap(),
        step: 3_600_000,
        zone: Zone::parse(zone).unwrap(),
    })
}

fn fields(paths: &[&str]) -> Vec<FieldPath> {
    paths
        .iter()
        .map(|path| FieldPath::parse(path).unwrap())
        .collect()
}

/// The name of the record's file, written at `clock`, and the record's time.
fn name_at(names: Names, record: &Record, clock: i64) -> Result<(String, Option<i64>), String> {
    let layout = Partitioned::new(names);
    let mut path = String::new();
    let time = layout
        .path(record, &mut path)
        .map_err(|error| error.message)?;
    // A second record finds the same, also from what was kept of the first.
    let mut again = String::new();
    assert_eq!(layout.path(record, &mut again), Ok(time));
    assert_eq!(again, path);
    let file = NamedBy {
        topic: "demo-2",
        partition: 3,
        first: 41,
    };
    Ok((layout.name(&path, &layout.stamp(clock), file), time))
}

fn name(names: Names, record: &Record) -> Result<String, String> {
    name_at(names, record, 0).map(|(name, _)| name)
}

#[test]
fn the_default_path_is_the_kafka_partition() {
    let (found, time) = name_at(names(), &json("{}"), 0).unwrap();
    assert_eq!(found, "topics/demo-2/partition=3/demo-2+3+0000000041.json");
    assert_eq!(time, None);
}

#[test]
fn delimiters_and_digits_are_those_that_are_asked_for() {
    let names = Names {
        prefix: "lake|".to_owned(),
        delimiter: "|".to_owned(),
        file_delimiter: "-".to_owned(),
        digits: 3,
        extension: ".snappy.parquet".to_owned(),
        fields: fields(&["a"]),
        ..names()
    };
    let found = name(names, &json(r#"{"a":"x|y"}"#)).unwrap();
    assert_eq!(found, "lake|demo-2|a=x%7Cy|demo-2-3-041.snappy.parquet");
}

#[test]
fn times_come_from_the_record_a_field_or_the_clock() {
    let path = |field: &str| EventTime::Field(FieldPath::parse(field).unwrap());
    let utc = "year=2021/month=03/day=26/hour=09";
    for (event_time, zone, expected, expected_time) in [
        (EventTime::Record, "UTC", utc, Some(1_616_752_590_123)),
        (path("meta.at"), "UTC", utc, Some(1_616_752_590_123)),
        (path("meta/millis"), "UTC", utc, Some(1_616_752_590_123)),
        (
            path("meta.day"),
            "UTC",
            "year=2021/month=03/day=26/hour=00",
            Some(1_616_716_800_000),
        ),
        (
            EventTime::Record,
            "Asia/Tokyo",
            "year=2021/month=03/day=26/hour=18",
            Some(1_616_752_590_123),
        ),
        (
            EventTime::Wallclock,
            "UTC",
            "year=2021/month=03/day=27/hour=10",
            None,
        ),
    ] {
        let names = Names {
            time: hourly(zone),
            event_time: event_time.clone(),
            ..names()
        };
        // The clock is a day and an hour past the record.
        let found = name_at(names, &event(), 1_616_752_590_123 + 25 * 3_600_000);
        let expected = format!("topics/demo-2/{expected}/demo-2+3+0000000041.json");
        assert_eq!(found, Ok((expected, expected_time)), "{event_time:?}");
    }
}

#[test]
fn text_fields_of_schemaless_json_are_times_too() {
    let names = Names {
        time: hourly("UTC"),
        event_time: EventTime::Field(FieldPath::parse("meta.dt").unwrap()),
        ..names()
    };
    let found = name(
        names,
        &json(r#"{"meta":{"dt":"2021-03-26T23:30:00-02:00"}}"#),
    )
    .unwrap();
    assert_eq!(
        found,
        "topics/demo-2/year=2021/month=03/day=27/hour=01/demo-2+3+0000000041.json"
    );
}

#[test]
fn fields_make_the_path_before_the_time_and_cannot_leave_their_part_of_it() {
    let value = r#"{"country":"../N L","meta":{"ok":true,"n":-7},"empty":""}"#;
    for (paths, labels, expected) in [
        (&["country"][..], true, "country=..%2FN L"),
        (&["meta.ok", "meta/n"], true, "meta.ok=true/meta.n=-7"),
        (&["meta.ok", "meta.n"], false, "true/-7"),
        (&["empty"], true, "empty="),
    ] {
        let names = Names {
            fields: fields(paths),
            labels,
            ..names()
        };
        let found = name(names, &json(value)).unwrap();
        assert_eq!(
            found,
            format!("topics/demo-2/{expected}/demo-2+3+0000000041.json")
        );
    }
    let both = Names {
        fields: fields(&["country"]),
        time: hourly("UTC"),
        event_time: EventTime::Record,
        ..names()
    };
    assert_eq!(
        name(both, &event()).unwrap(),
        "topics/demo-2/country=NL/year=2021/month=03/day=26/hour=09/demo-2+3+0000000041.json"
    );
}

#[test]
fn edits_of_transforms_show_in_paths() {
    let mut record = json(r#"{"country":"NL"}"#);
    let reader = penstock_formats::Fields::schemaless_json(&fields(&["country"]));
    let mut found = penstock_formats::Found::new();
    let value = record.value.as_mut().unwrap();
    value.find(&reader, &mut found).unwrap();
    let slot = found.first(0).unwrap();
    let mut buffer = penstock_formats::EditBuffer::new();
    let mut edits = buffer.begin();
    slot.replace(&reader, &Scalar::Str("hidden".into()), &mut edits)
        .unwrap();
    value.edit(&found, edits).unwrap();
    let names = Names {
        fields: fields(&["country"]),
        ..names()
    };
    assert!(name(names, &record).unwrap().contains("/country=hidden/"));
}

#[test]
fn records_that_have_no_path_are_rejected_without_their_values() {
    let by = |paths: &[&str]| Names {
        fields: fields(paths),
        ..names()
    };
    let unlabelled = Names {
        labels: false,
        ..by(&["a"])
    };
    let timed = |field: &str| Names {
        time: hourly("UTC"),
        event_time: EventTime::Field(FieldPath::parse(field).unwrap()),
        ..names()
    };
    let mut unstamped = json("{}");
    unstamped.timestamp = None;
    let text = record(Some(Payload::new("ann".to_owned(), Encoding::Text)));
    let long = json(&format!(r#"{{"a":"{}"}}"#, "é".repeat(140)));
    for (names, record, message) in [
        (
            by(&["a"]),
            json("{}"),
            "field a is null or missing, and names need it",
        ),
        (
            by(&["a.b"]),
            json(r#"{"a":null}"#),
            "field a.b is null or missing, and names need it",
        ),
        (
            by(&["a"]),
            json(r#"{"a":1.5}"#),
            "field a is a number; text, integers and booleans can be parts of names",
        ),
        (
            unlabelled.clone(),
            json(r#"{"a":".."}"#),
            "field a is empty or only dots, and cannot be a part of a name by itself",
        ),
        (
            unlabelled,
            json(r#"{"a":""}"#),
            "field a is empty or only dots, and cannot be a part of a name by itself",
        ),
        (
            by(&["a"]),
            long,
            "a part of the name would have 282 bytes; 255 are possible",
        ),
        (
            by(&["tags"]),
            event(),
            "field tags runs through a list: a name takes one value",
        ),
        (
            timed("country"),
            event(),
            "field country is text, but no ISO 8601 date and time",
        ),
        (
            timed("a"),
            json(r#"{"a":9223372036854775807}"#),
            "the record's time is beyond the calendar",
        ),
        (
            by(&["a"]),
            text,
            "the value is text and has none of the fields that names need; give the connector a \
             value.converter that reads records",
        ),
        (
            Names {
                event_time: EventTime::Record,
                ..names()
            },
            unstamped,
            "the record has no timestamp, and names need its time",
        ),
    ] {
        assert_eq!(name(names, &record), Err(message.to_owned()));
    }
    let unknown = name(by(&["contry"]), &event()).unwrap_err();
    assert!(
        unknown.contains("contry") && unknown.contains("country"),
        "{unknown}"
    );
}

#[test]
fn records_without_a_value_lie_apart() {
    for names in [
        Names {
            time: hourly("UTC"),
            ..names()
        },
        Names {
            fields: fields(&["country"]),
            time: hourly("UTC"),
            event_time: EventTime::Record,
            ..names()
        },
    ] {
        let found = name(names, &record(None)).unwrap();
        assert_eq!(found, "topics/demo-2/tombstone/demo-2+3+0000000041.json");
    }
}

#[test]
fn a_pattern_whose_names_lead_elsewhere_is_found_out() {
    for (pattern, problem) in [
        (
            "yyyy//MM",
            Some("has two slashes with nothing between them"),
        ),
        (
            "'..'/yyyy",
            Some("has the part \"..\", which would lead to another directory"),
        ),
        ("yyyy/MM", None),
    ] {
        let path = TimePath {
            pattern: Pattern::parse(pattern).unwrap(),
            step: 1,
            zone: Zone::UTC,
        };
        assert_eq!(path.check().err().as_deref(), problem, "{pattern}");
    }
}

#[test]
fn bytes_have_no_fields() {
    let bytes = record(Some(Payload::new(
        Bytes::from_static(b"\0"),
        Encoding::Bytes,
    )));
    let names = Names {
        fields: fields(&["a"]),
        ..names()
    };
    assert!(
        name(names, &bytes)
            .unwrap_err()
            .starts_with("the value is bytes and has none")
    );
}
