//! What the tests of the transforms share: making them by class name, and running one record through.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::result_large_err
)]

use std::sync::Arc;

use penstock_connect::{
    Header, Metrics, Origin, Outputs, Record, RecordError, Settings, TaskContext, TopicPartition,
    Transform,
};
use penstock_formats::{Encoding, Payload, Schema};

pub fn context() -> TaskContext {
    TaskContext {
        connector: "c".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::new(),
        budget: penstock_connect::Budget::unlimited(),
    }
}

pub fn transform(class: &str, settings: &str) -> Box<dyn Transform> {
    let settings = Settings::parse("t.properties", settings).unwrap();
    match penstock_smt::transform(class, settings, &context()).expect("a known class") {
        Ok(transform) => transform,
        Err(problems) => panic!("{problems:?}"),
    }
}

pub fn problems(class: &str, settings: &str) -> Vec<String> {
    let settings = Settings::parse("t.properties", settings).unwrap();
    match penstock_smt::check_transform(class, settings).expect("a known class") {
        Ok(()) => vec![],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// A record read from partition 3 of topic `t` at offset 7, with the timestamp 14 November 2023, 22:13:20.123 UTC.
pub fn record(value: Option<Payload>) -> Record {
    let mut record = Record::new("t".into(), value);
    record.timestamp = Some(1_700_000_000_123);
    record.set_origin(Origin {
        index: 0,
        partition: Some(TopicPartition {
            topic: "t".into(),
            partition: 3,
        }),
        offset: 7,
    });
    record
}

pub fn json(text: &str) -> Payload {
    Payload::new(text.as_bytes().to_vec(), Encoding::Json)
}

pub fn avro_schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::avro(text, &[]).unwrap().with_id(1, None))
}

pub fn avro(schema: &Arc<Schema>, json: &str) -> Payload {
    let mut bytes = Vec::new();
    penstock_formats::avro::from_json(schema, json.as_bytes(), &mut bytes).unwrap();
    Payload::new(bytes, Encoding::Registered(schema.clone()))
}

pub fn header(name: &str, value: Option<&str>) -> Header {
    Header {
        name: name.into(),
        value: value.map(|text| text.as_bytes().to_vec().into()),
    }
}

/// What became of the record.
pub fn apply(
    transform: &mut dyn Transform,
    record: Record,
) -> Result<Record, (Record, RecordError)> {
    let mut out = Outputs::default();
    transform.apply(0, record, &mut out);
    assert_eq!(out.passed.len() + out.rejected.len(), 1);
    match out.rejected.pop() {
        Some(rejected) => Err(rejected),
        None => Ok(out.passed.remove(0)),
    }
}

/// The payload as JSON text; `<null>` for none.
pub fn text(payload: Option<&Payload>) -> String {
    let Some(payload) = payload else {
        return "<null>".into();
    };
    let mut out = Vec::new();
    payload.to_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The value after one transform, as JSON; or the error. A rejected record is as it was.
pub fn value(class: &str, settings: &str, payload: Payload) -> Result<String, String> {
    let mut transform = transform(class, settings);
    let before = text(Some(&payload));
    match apply(&mut *transform, record(Some(payload))) {
        Ok(record) => Ok(text(record.value.as_ref())),
        Err((record, error)) => {
            assert_eq!(
                text(record.value.as_ref()),
                before,
                "a rejected record is as it was"
            );
            Err(error.to_string())
        }
    }
}
