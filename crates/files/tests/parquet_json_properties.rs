//! Parquet files of generated JSON Schemas and events, read back row for row.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use penstock_connect::Record;
use penstock_files::{FileSpec, Format};
use penstock_formats::{Encoding, Payload, Schema};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What a schema declares of a value.
#[derive(Clone, Debug)]
enum Ty {
    Boolean,
    Integer,
    Number,
    String,
    /// Nothing: its column is JSON text.
    Any,
    Nullable(Box<Ty>),
    Array(Box<Ty>),
    /// Properties and whether they are required.
    Object(Vec<(Ty, bool)>),
}

fn ty() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        Just(Ty::Boolean),
        Just(Ty::Integer),
        Just(Ty::Number),
        Just(Ty::String),
        Just(Ty::Any),
    ];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| match ty {
                Ty::Nullable(_) | Ty::Any => ty,
                other => Ty::Nullable(Box::new(other)),
            }),
            inner.clone().prop_map(|ty| Ty::Array(Box::new(ty))),
            object(inner),
        ]
    });
    object(inner)
}

fn object(inner: impl Strategy<Value = Ty>) -> impl Strategy<Value = Ty> {
    vec((inner, any::<bool>()), 1..5).prop_map(Ty::Object)
}

fn schema(ty: &Ty) -> Value {
    match ty {
        Ty::Boolean => json!({"type": "boolean"}),
        Ty::Integer => json!({"type": "integer"}),
        Ty::Number => json!({"type": "number"}),
        Ty::String => json!({"type": "string"}),
        Ty::Any => json!({}),
        Ty::Nullable(inner) => json!({"oneOf": [{"type": "null"}, schema(inner)]}),
        Ty::Array(item) => json!({"type": "array", "items": schema(item)}),
        Ty::Object(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .enumerate()
                .map(|(at, (ty, _))| (format!("p{at}"), schema(ty)))
                .collect();
            let required: Vec<String> = (0..fields.len())
                .filter(|at| fields[*at].1)
                .map(|at| format!("p{at}"))
                .collect();
            json!({"type": "object", "properties": properties, "required": required})
        }
    }
}

fn value(ty: &Ty) -> BoxedStrategy<Value> {
    match ty {
        Ty::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Ty::Integer => any::<i64>().prop_map(Value::from).boxed(),
        Ty::Number => any::<i32>()
            .prop_map(|n| Value::from(f64::from(n) / 8.0))
            .boxed(),
        Ty::String => "[a-z\"\\\\ü漢\n]{0,6}".prop_map(Value::from).boxed(),
        Ty::Any => prop_oneof![
            Just(Value::Null),
            Just(json!([1, {"a": "b"}])),
            Just(json!("x"))
        ]
        .boxed(),
        Ty::Nullable(inner) => prop_oneof![Just(Value::Null), value(inner)].boxed(),
        Ty::Array(item) => vec(value(item), 0..4).prop_map(Value::from).boxed(),
        Ty::Object(fields) => fields
            .iter()
            .map(|(ty, required)| {
                let present = if *required {
                    Just(true).boxed()
                } else {
                    any::<bool>().boxed()
                };
                (present, value(ty))
            })
            .collect::<Vec<_>>()
            .prop_flat_map(|members| {
                let members: Vec<(String, Value)> = members
                    .into_iter()
                    .enumerate()
                    .filter(|(_, (present, _))| *present)
                    .map(|(at, (_, value))| (format!("p{at}"), value))
                    .collect();
                Just(members).prop_shuffle()
            })
            .prop_map(|members| Value::Object(members.into_iter().collect()))
            .boxed(),
    }
}

fn equal(ty: &Ty, read: &Field, value: Option<&Value>) -> bool {
    match (ty, read, value) {
        (_, Field::Null, None | Some(Value::Null)) => true,
        (Ty::Nullable(inner), read, value) => equal(inner, read, value),
        (Ty::Boolean, Field::Bool(read), Some(Value::Bool(value))) => read == value,
        (Ty::Integer, Field::Long(read), Some(value)) => value.as_i64() == Some(*read),
        (Ty::Number, Field::Double(read), Some(value)) => value.as_f64() == Some(*read),
        (Ty::String, Field::Str(read), Some(Value::String(value))) => read == value,
        (Ty::Any, Field::Str(read), Some(value)) => {
            serde_json::from_str::<Value>(read).is_ok_and(|read| read == *value)
        }
        (Ty::Array(item), Field::ListInternal(list), Some(Value::Array(items))) => {
            list.len() == items.len()
                && std::iter::zip(list.elements(), items)
                    .all(|(read, value)| equal(item, read, Some(value)))
        }
        (Ty::Object(fields), Field::Group(row), Some(value)) => row_equal(fields, row, value),
        _ => false,
    }
}

fn row_equal(fields: &[(Ty, bool)], row: &Row, value: &Value) -> bool {
    row.len() == fields.len()
        && row
            .get_column_iter()
            .zip(fields)
            .all(|((name, read), (ty, _))| equal(ty, read, value.get(name)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_what_the_events_say(
        (ty, values) in ty().prop_flat_map(|ty| {
            let values = vec(value(&ty), 1..8);
            (Just(ty), values)
        }),
        row_group_bytes in 1..200_usize,
    ) {
        let schema = Arc::new(Schema::json(&schema(&ty).to_string(), &[]).unwrap());
        let record = |value: &Value| {
            let payload = Payload::new(value.to_string(), Encoding::Registered(Arc::clone(&schema)));
            Record::new("events".into(), Some(payload))
        };
        let spec = FileSpec { row_group_bytes, ..FileSpec::new(Format::Parquet) };
        let mut file = spec.begin(&record(&values[0])).unwrap();
        for value in &values {
            file.push(&record(value)).unwrap();
            let mut more = value.clone();
            more["undeclared"] = json!(1);
            prop_assert!(file.push(&record(&more)).is_err());
        }
        let mut out = Vec::new();
        file.finish(&mut out).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
        let mut rows = reader.get_row_iter(None).unwrap();
        let Ty::Object(fields) = &ty else { unreachable!() };
        for value in &values {
            let row = rows.next().expect("a row").unwrap();
            prop_assert!(row_equal(fields, &row, value), "{row} is not {value}");
        }
        prop_assert!(rows.next().is_none());
    }
}
