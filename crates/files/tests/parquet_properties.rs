//! Parquet files of generated Avro schemas and values, read back row for row.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

#[path = "../../formats/tests/model/mod.rs"]
mod model;

use std::sync::Arc;

use bytes::Bytes;
use model::{Ty, Val};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use penstock_connect::Record;
use penstock_files::{Compression, Content, Dialect, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema, Value};
use proptest::collection::vec;
use proptest::prelude::*;

fn spec(content: Content, row_group_bytes: usize) -> FileSpec {
    FileSpec {
        format: Format::Parquet,
        compression: Compression::Snappy,
        content,
        dialect: Dialect::default(),
        row_group_bytes,
    }
}

fn record(schema: &Arc<Schema>, bytes: Vec<u8>) -> Record {
    let payload = Payload::new(bytes, Encoding::Registered(Arc::clone(schema)));
    Record::new("events".into(), Some(payload))
}

fn encoded(value: &Val) -> Vec<u8> {
    let mut bytes = Vec::new();
    model::encode(value, &mut bytes);
    bytes
}

/// Never anything but null: such a field has no column.
fn is_nothing(ty: &Ty) -> bool {
    match ty {
        Ty::Null => true,
        Ty::Record(fields) => fields.iter().all(|(_, ty)| is_nothing(ty)),
        _ => false,
    }
}

/// Something that Parquet has no place for: a list, map or union of nothing.
fn has_no_place(ty: &Ty) -> bool {
    match ty {
        Ty::Array(item) | Ty::Map(item) => is_nothing(item) || has_no_place(item),
        Ty::Record(fields) => fields.iter().any(|(_, ty)| has_no_place(ty)),
        Ty::Union(branches) => branches
            .iter()
            .any(|ty| has_no_place(ty) || !matches!(ty, Ty::Null) && is_nothing(ty)),
        _ => false,
    }
}

/// Whether what was read is what the payload decodes to.
fn equal(ty: &Ty, read: &Field, value: &Value) -> bool {
    match (ty, read, value) {
        (_, Field::Null, Value::Null) => true,
        (Ty::Union(branches), read, value) if branches.iter().any(|ty| matches!(ty, Ty::Null)) => {
            let others: Vec<&Ty> = branches
                .iter()
                .filter(|ty| !matches!(ty, Ty::Null))
                .collect();
            match others.as_slice() {
                [one] => equal(one, read, value),
                _ => member(&others, read, value),
            }
        }
        (Ty::Union(branches), read, value) => {
            member(&branches.iter().collect::<Vec<_>>(), read, value)
        }
        (Ty::Record(fields), Field::Group(row), Value::Object(members)) => {
            fields_equal(fields, row, members)
        }
        (Ty::Array(item), Field::ListInternal(list), Value::Array(items)) => {
            list.len() == items.len()
                && std::iter::zip(list.elements(), items)
                    .all(|(read, value)| equal(item, read, value))
        }
        (Ty::Map(item), Field::MapInternal(map), Value::Object(members)) => {
            map.len() == members.len()
                && std::iter::zip(map.entries(), members).all(|((key, read), (name, value))| {
                    matches!(key, Field::Str(key) if key == name) && equal(item, read, value)
                })
        }
        (_, Field::Bool(read), Value::Bool(value)) => read == value,
        (_, Field::Int(read), Value::Int(value)) => i64::from(*read) == *value,
        (_, Field::Long(read), Value::Int(value)) => read == value,
        (_, Field::Float(read), Value::Double(value)) => {
            f64::from(*read).to_bits() == value.to_bits() || read.is_nan() && value.is_nan()
        }
        (_, Field::Double(read), Value::Double(value)) => {
            read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan()
        }
        (_, Field::Str(read), Value::Str(value)) => read == value,
        (_, Field::Bytes(read), Value::Bytes(value)) => read.data() == value,
        _ => false,
    }
}

/// One member of the group is there, and holds the value.
fn member(branches: &[&Ty], read: &Field, value: &Value) -> bool {
    let Field::Group(row) = read else {
        return false;
    };
    let members: Vec<_> = row.get_column_iter().collect();
    let mut present =
        std::iter::zip(branches, &members).filter(|(_, (_, read))| !matches!(read, Field::Null));
    let (Some((ty, (_, read))), None) = (present.next(), present.next()) else {
        return false;
    };
    members.len() == branches.len() && equal(ty, read, value)
}

fn fields_equal(fields: &[(String, Ty)], row: &Row, members: &[(String, Value)]) -> bool {
    let mut columns = row.get_column_iter();
    let all = std::iter::zip(fields, members)
        .filter(|((_, ty), _)| !is_nothing(ty))
        .all(|((name, ty), (_, value))| {
            columns
                .next()
                .is_some_and(|(column, read)| column == name && equal(ty, read, value))
        });
    all && columns.next().is_none()
}

fn schema_and_values() -> impl Strategy<Value = (Ty, Vec<(Val, bool, bool)>)> {
    model::schema().prop_flat_map(|ty| {
        let values = vec((model::value(&ty), any::<bool>(), any::<bool>()), 1..12);
        (Just(ty), values)
    })
}

/// The file's bytes, and its length before the end. Of a value with the first flag, a broken copy is
/// pushed as well and must be rejected; after one with the second flag the file is drained.
fn write(spec: &FileSpec, schema: &Arc<Schema>, values: &[(Val, bool, bool)]) -> (Vec<u8>, u64) {
    let mut file = spec
        .begin(&record(schema, encoded(&values[0].0)))
        .expect("a place for the schema");
    let mut out = Vec::new();
    for (value, broken, drain) in values {
        if *broken {
            let length = file.length();
            let mut bytes = encoded(value);
            bytes.push(0);
            assert!(file.push(&record(schema, bytes)).is_err());
            assert_eq!(file.length(), length);
        }
        file.push(&record(schema, encoded(value))).unwrap();
        if *drain {
            file.drain(&mut out);
        }
    }
    let length = file.length();
    file.finish(&mut out).unwrap();
    (out, length)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_what_the_payloads_decode_to(
        (ty, values) in schema_and_values(),
        row_group_bytes in 1..400_usize,
    ) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        let spec_of = |bytes| spec(Content::Value, bytes);
        if has_no_place(&ty) || is_nothing(&ty) {
            prop_assert!(spec_of(row_group_bytes).begin(&record(&schema, encoded(&values[0].0))).is_err());
            return Ok(());
        }
        let (bytes, length) = write(&spec_of(row_group_bytes), &schema, &values);
        let again = write(&spec_of(row_group_bytes), &schema, &values);
        prop_assert_eq!(&again, &(bytes.clone(), length));
        let (_, in_one_group) = write(&spec_of(usize::MAX), &schema, &values);
        prop_assert_eq!(length, in_one_group);

        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let mut rows = reader.get_row_iter(None).unwrap();
        for (value, ..) in &values {
            let row = rows.next().expect("a row").unwrap();
            let payload = Payload::new(encoded(value), Encoding::Registered(Arc::clone(&schema)));
            let Value::Object(members) = payload.decode().unwrap() else { unreachable!() };
            let Ty::Record(fields) = &ty else { unreachable!() };
            prop_assert!(fields_equal(fields, &row, &members), "{row} is not {:?}", value);
        }
        prop_assert!(rows.next().is_none());
    }

    #[test]
    fn a_value_in_an_envelope_is_a_group_that_may_be_null(
        (ty, values) in schema_and_values(),
        offsets in vec(any::<i64>(), 12),
    ) {
        let schema = Arc::new(Schema::avro(&model::schema_text(&ty), &[]).unwrap());
        prop_assume!(!has_no_place(&ty) && !is_nothing(&ty));
        let spec = spec(Content::Envelope(vec![Member::Offset, Member::Value]), 100);
        let mut file = spec.begin(&record(&schema, encoded(&values[0].0))).unwrap();
        let mut expected = Vec::new();
        for ((value, tombstone, _), offset) in values.iter().zip(offsets) {
            let mut record = record(&schema, encoded(value));
            if *tombstone {
                record.value = None;
            }
            record.set_origin(penstock_connect::Origin { index: 0, partition: None, offset });
            file.push(&record).unwrap();
            let value = record.value.map(|value| value.decode().unwrap());
            expected.push((offset, value.unwrap_or(Value::Null)));
        }
        let mut out = Vec::new();
        file.finish(&mut out).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
        let mut rows = reader.get_row_iter(None).unwrap();
        for (offset, value) in expected {
            let columns = rows.next().expect("a row").unwrap().into_columns();
            prop_assert_eq!(&columns[0], &("offset".to_owned(), Field::Long(offset)));
            prop_assert!(equal(&ty, &columns[1].1, &value));
        }
        prop_assert!(rows.next().is_none());
    }
}
