//! Properties of Avro payloads over generated schemas and values, with apache-avro as the oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod damage;
mod model;

use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use damage::{damage, damaged};
use model::{Ty, Val};
use penstock_formats::{
    EditBuffer, Encoding, FieldPath, Fields, Found, Limits, Payload, Scalar, Schema, Value, avro,
};
use proptest::prelude::*;

fn schema_and_value() -> impl Strategy<Value = (Ty, Val)> {
    model::schema().prop_flat_map(|ty| {
        let value = model::value(&ty);
        (Just(ty), value)
    })
}

fn encoded(value: &Val) -> Vec<u8> {
    let mut bytes = Vec::new();
    model::encode(value, &mut bytes);
    bytes
}

fn oracle_decode(schema: &Schema, bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    let reader = GenericDatumReader::builder(schema.avro_schema().unwrap())
        .build()
        .unwrap();
    let value = reader.read_value(&mut rest).ok()?;
    // NaN is not equal to itself: compare how values print. Maps print in any order.
    rest.is_empty().then(|| print(&value))
}

fn print(value: &apache_avro::types::Value) -> String {
    use apache_avro::types::Value as Avro;
    match value {
        Avro::Map(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{key:?}:{}", print(value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Avro::Record(fields) => fields.iter().map(|(_, value)| print(value) + ";").collect(),
        Avro::Array(items) => items.iter().map(|value| print(value) + ",").collect(),
        Avro::Union(index, value) => format!("{index}<{}>", print(value)),
        other => format!("{other:?}"),
    }
}

/// A new value for a field, in the model and as a scalar.
fn new_value(declared: &Ty, text: &str, number: i64) -> (Val, Scalar<'static>) {
    match declared {
        Ty::Null => (Val::Null, Scalar::Null),
        Ty::Bool => (Val::Bool(number % 2 == 0), Scalar::Bool(number % 2 == 0)),
        Ty::Int => (
            Val::Int((number as i32).into()),
            Scalar::Int((number as i32).into()),
        ),
        Ty::Long => (Val::Int(number), Scalar::Int(number)),
        Ty::Float => (Val::Float(0.5), Scalar::Double(0.5)),
        Ty::Double => (Val::Double(number as f64), Scalar::Double(number as f64)),
        Ty::Bytes => (
            Val::Bytes(text.as_bytes().to_vec()),
            Scalar::Bytes(text.as_bytes().to_vec().into()),
        ),
        Ty::Str => (
            Val::Str(text.to_owned()),
            Scalar::Str(text.to_owned().into()),
        ),
        Ty::Fixed(size) => (
            Val::Fixed(vec![7; *size]),
            Scalar::Bytes(vec![7; *size].into()),
        ),
        Ty::Enum(count) => (
            Val::Enum(count - 1),
            Scalar::Str(format!("S{}", count - 1).into()),
        ),
        Ty::Union(branches) => {
            let nullable = branches.iter().position(|ty| matches!(ty, Ty::Null));
            let single = branches
                .iter()
                .position(|ty| !matches!(ty, Ty::Null | Ty::Array(_) | Ty::Map(_) | Ty::Record(_)));
            match (nullable, single) {
                (_, Some(index)) if nullable.is_none() || number % 3 != 0 => {
                    let (value, scalar) = new_value(&branches[index], text, number);
                    (Val::Union(index, Box::new(value)), scalar)
                }
                (Some(null), _) => (Val::Union(null, Box::new(Val::Null)), Scalar::Null),
                (None, _) => unreachable!("no leaf"),
            }
        }
        Ty::Array(_) | Ty::Map(_) | Ty::Record(_) => unreachable!("no leaf"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splice_equals_decode_edit_encode(
        (ty, value) in schema_and_value(),
        wanted in any::<u64>(),
        text in model::text(),
        number in any::<i64>(),
    ) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        let all = model::leaf_paths(&ty);
        let chosen: Vec<Vec<String>> =
            all.into_iter().enumerate().filter(|(i, _)| wanted >> (i % 64) & 1 == 1).map(|(_, p)| p).collect();
        let paths: Vec<FieldPath> =
            chosen.iter().map(|p| FieldPath::from_segments(p).unwrap()).collect();
        let fields = Fields::compile(&schema, &paths).unwrap();

        let bytes = encoded(&value);
        let mut found = Found::new();
        let mut checked = Found::new();
        fields.find(&bytes, &mut found).unwrap();
        fields.find_checked(&bytes, &mut checked, &Limits::default()).unwrap();
        prop_assert_eq!(format!("{:?}", found.slots()), format!("{:?}", checked.slots()));

        let mut edited = value;
        let mut values = Vec::new();
        for (index, path) in chosen.iter().enumerate() {
            let mut slots = found.at(index);
            model::visit(&ty, &mut edited, path, &mut |declared, value| {
                let slot = slots.next().expect("one slot per occurrence");
                let (new, scalar) = new_value(declared, &text, number);
                values.push((slot, scalar));
                *value = new;
            });
            prop_assert!(slots.next().is_none(), "a slot that the model has not");
        }

        let mut payload = Payload::new(bytes, Encoding::Registered(Arc::clone(&schema)));
        let mut buffer = EditBuffer::new();
        let mut edits = buffer.begin();
        // Not in the order of the payload.
        for (slot, scalar) in values.iter().rev() {
            slot.replace(&fields, scalar, &mut edits).unwrap();
        }
        payload.edit(&found, edits).unwrap();
        let length = payload.len();
        payload.flatten();
        prop_assert_eq!(payload.len(), length);
        prop_assert_eq!(&payload.bytes()[..], &encoded(&edited)[..]);

        let spliced = oracle_decode(&schema, payload.bytes());
        prop_assert!(spliced.is_some(), "the oracle cannot read it");
        prop_assert_eq!(spliced, oracle_decode(&schema, &encoded(&model::one_block(&edited))));

        // What was written is found again.
        fields.find(payload.bytes(), &mut found).unwrap();
        for slot in found.slots() {
            slot.scalar(payload.bytes()).unwrap();
        }
    }

    #[test]
    fn json_and_trees_lead_back_to_the_same_bytes((ty, value) in schema_and_value()) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        let canonical = encoded(&model::one_block(&value));
        let payload = Payload::new(encoded(&value), Encoding::Registered(Arc::clone(&schema)));

        let mut json = Vec::new();
        payload.to_json(&mut json).unwrap();
        serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
        let mut back = Vec::new();
        avro::from_json(&schema, &json, &mut back).unwrap();
        prop_assert_eq!(nan(&schema, &back), nan(&schema, &canonical));

        let tree = payload.decode().unwrap();
        let mut back = Vec::new();
        tree.encode(&schema, &mut back).unwrap();
        prop_assert_eq!(nan(&schema, &back), nan(&schema, &canonical));
    }

    #[test]
    fn damaged_payloads_are_errors_or_what_the_oracle_reads_too(
        (ty, value) in schema_and_value(),
        damage in damage(),
    ) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        let paths: Vec<FieldPath> = model::leaf_paths(&ty)
            .iter().map(|p| FieldPath::from_segments(p).unwrap()).collect();
        let fields = Fields::compile(&schema, &paths).unwrap();
        let bytes = damaged(encoded(&value), &damage);
        let mut found = Found::new();
        if fields.find(&bytes, &mut found).is_ok() {
            let mut buffer = EditBuffer::new();
            let mut edits = buffer.begin();
            for slot in found.slots() {
                let _ = slot.null(&fields, &mut edits);
                let _ = (slot.scalar(&bytes), slot.json(&bytes));
            }
            let mut payload = Payload::new(bytes.clone(), Encoding::Bytes);
            payload.edit(&found, edits).unwrap();
            payload.flatten();
        }
        let accepted = fields.find_checked(&bytes, &mut found, &Limits::default()).is_ok();
        let payload = Payload::new(bytes.clone(), Encoding::Registered(Arc::clone(&schema)));
        let mut json = Vec::new();
        if payload.to_json(&mut json).is_ok() {
            json.extend_from_slice(b" ");
            let _ = avro::from_json(&schema, &damaged(json, &damage), &mut Vec::new());
        }
        let decoded = payload.decode();
        if accepted {
            prop_assert!(decoded.is_ok());
            prop_assert!(oracle_decode(&schema, &bytes).is_some());
        }
    }

    #[test]
    fn random_bytes_never_panic(
        ty in model::schema(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        let paths: Vec<FieldPath> = model::leaf_paths(&ty)
            .iter().map(|p| FieldPath::from_segments(p).unwrap()).collect();
        let fields = Fields::compile(&schema, &paths).unwrap();
        let mut found = Found::new();
        let _ = fields.find(&bytes, &mut found);
        let _ = fields.find_checked(&bytes, &mut found, &Limits::default());
        let _ = avro::from_json(&schema, &bytes, &mut Vec::new());
        let payload = Payload::new(bytes, Encoding::Registered(schema));
        let _ = payload.to_json(&mut Vec::new());
        let _ = payload.decode();
    }
}

/// NaN has many bit patterns and JSON one: compare what the oracle prints.
fn nan(schema: &Schema, bytes: &[u8]) -> String {
    oracle_decode(schema, bytes).expect("readable")
}

#[test]
fn a_tree_can_be_changed_and_written_back() {
    let schema = Schema::avro(
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null","bytes"]},{"name":"b","type":"int","default":7}]}"#,
        &[],
    )
    .unwrap();
    let tree = Value::Object(vec![("a".into(), Value::Bytes(vec![1, 2]))]);
    let mut out = Vec::new();
    tree.encode(&schema, &mut out).unwrap();
    assert_eq!(out, [2, 4, 1, 2, 14]);
    let wrong = Value::Object(vec![("a".into(), Value::Bool(true))]);
    let error = wrong.encode(&schema, &mut out).unwrap_err().to_string();
    assert_eq!(error, "field 'a': expected null or bytes, got a boolean");
    assert_eq!(out.len(), 5);
}
