//! Properties of files over generated schemas and values.

use std::sync::Arc;

use penstock_connect::Record;
use penstock_files::{Compression, Content, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema};
use proptest::prelude::*;

use crate::avro;
use crate::model::{self, Ty, Val};
use crate::support::*;

fn schema_and_values() -> impl Strategy<Value = (Ty, Vec<Val>)> {
    model::schema().prop_flat_map(|ty| {
        let values = proptest::collection::vec(model::value(&ty), 1..6);
        (Just(ty), values)
    })
}

fn payloads(ty: &Ty, values: &[Val]) -> (Arc<Schema>, Vec<Payload>) {
    let schema = schema(&model::schema_text(ty));
    let payloads = values
        .iter()
        .map(|value| {
            let mut bytes = Vec::new();
            model::encode(value, &mut bytes);
            Payload::new(bytes, Encoding::Registered(Arc::clone(&schema)))
        })
        .collect();
    (schema, payloads)
}

fn records(payloads: &[Payload]) -> Vec<Record> {
    payloads
        .iter()
        .enumerate()
        .map(|(offset, payload)| {
            let mut record = full_record(payload.clone());
            record.key = Some(text("k"));
            record.timestamp = Some(offset as i64);
            record
        })
        .collect()
}

fn parsed(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The leaves of a value as a table has them.
fn cells(value: &serde_json::Value, ty: &Ty, out: &mut Vec<String>) {
    let only = |branches: &[Ty]| {
        let others: Vec<&Ty> = branches
            .iter()
            .filter(|ty| !matches!(ty, Ty::Null))
            .collect();
        match others.as_slice() {
            [Ty::Record(fields)] => Some(fields.clone()),
            _ => None,
        }
    };
    let fields = match ty {
        Ty::Record(fields) => Some(fields.clone()),
        Ty::Union(branches) => only(branches),
        _ => None,
    };
    match (fields, value) {
        (Some(fields), value) => fields.iter().for_each(|(name, ty)| {
            cells(value.get(name).unwrap_or(&serde_json::Value::Null), ty, out)
        }),
        (None, serde_json::Value::Null) => out.push(String::new()),
        (None, serde_json::Value::String(text)) => out.push(text.clone()),
        (None, other) => out.push(other.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_holds_what_the_payloads_render_as((ty, values) in schema_and_values(), compression in 0..5_usize) {
        let (_, payloads) = payloads(&ty, &values);
        let records = records(&payloads);
        let compression = COMPRESSIONS[compression];
        let expected: Vec<_> = payloads.iter().map(|payload| {
            let mut json = Vec::new();
            payload.to_json(&mut json).unwrap();
            parsed(&json)
        }).collect();

        let lines = file(&FileSpec { compression, ..FileSpec::new(Format::JsonLines) }, &records);
        let lines = decompressed(compression, &lines);
        let lines: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').map(parsed).collect();
        prop_assert_eq!(&lines, &expected);

        let spec = with_content(Format::Json, envelope(&ALL_MEMBERS));
        let array = parsed(&file(&FileSpec { compression: Compression::None, ..spec }, &records));
        for (position, item) in array.as_array().unwrap().iter().enumerate() {
            prop_assert_eq!(&item["value"], &expected[position]);
            prop_assert_eq!(&item["timestamp"], position);
        }
    }

    #[test]
    fn containers_hold_the_same_bytes_as_the_topic(
        (ty, values) in schema_and_values(), compression in 0..4_usize, enveloped: bool,
    ) {
        let (_, payloads) = payloads(&ty, &values);
        let compression = COMPRESSIONS[compression];
        let content = if enveloped { envelope(&[Member::Value]) } else { Content::Value };
        let spec = FileSpec { compression, content, ..FileSpec::new(Format::Avro) };
        let file = file(&spec, &records(&payloads));
        // A record around one value has the value's bytes.
        let topic: Vec<u8> = payloads.iter().flat_map(|payload| payload.bytes().to_vec()).collect();
        let container = avro::Container::read(&file);
        prop_assert_eq!(&container.blocks, &[(payloads.len() as i64, topic)]);
        prop_assert_eq!(avro::read(&file).1.len(), payloads.len());
    }

    #[test]
    fn tables_hold_every_leaf((ty, values) in schema_and_values()) {
        let (_, payloads) = payloads(&ty, &values);
        let spec = FileSpec::new(Format::Csv);
        let file = file(&spec, &records(&payloads));
        let mut reader = ::csv::Reader::from_reader(file.as_slice());
        let columns = reader.headers().unwrap().len();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), payloads.len());
        for (row, payload) in rows.iter().zip(&payloads) {
            let mut json = Vec::new();
            payload.to_json(&mut json).unwrap();
            let mut expected = Vec::new();
            cells(&parsed(&json), &ty, &mut expected);
            prop_assert_eq!(expected.len(), columns);
            for (cell, expected) in row.iter().zip(&expected) {
                // Numbers and containers as JSON: compared as what they mean.
                let same = cell == expected
                    || serde_json::from_str::<serde_json::Value>(cell).ok()
                        == serde_json::from_str(expected).ok();
                prop_assert!(same, "{} for {}", cell, expected);
            }
        }
    }

    #[test]
    fn draining_and_rejections_change_nothing(
        (ty, values) in schema_and_values(),
        format in 0..5_usize, compression in 0..5_usize,
        drains in any::<u64>(), rejected in any::<u64>(), cut in any::<prop::sample::Index>(),
    ) {
        let format = [Format::JsonLines, Format::Json, Format::Csv, Format::Avro, Format::Parquet][format];
        let spec = FileSpec { compression: COMPRESSIONS[compression], ..FileSpec::new(format) };
        prop_assume!(spec.check().is_ok());
        let (schema, payloads) = payloads(&ty, &values);
        let records = records(&payloads);
        prop_assume!(spec.begin(&records[0]).is_ok());
        let undisturbed = file(&spec, &records);

        let mut file = spec.begin(&records[0]).unwrap();
        let mut out = Vec::new();
        for (position, record) in records.iter().enumerate() {
            if rejected >> position & 1 == 1 {
                // A part of a value, unless all of it is one too.
                let bytes = record.value.as_ref().unwrap().bytes();
                let bytes = if bytes.is_empty() { vec![0] } else { bytes[..cut.index(bytes.len())].to_vec() };
                let part = Payload::new(bytes, Encoding::Registered(Arc::clone(&schema)));
                if part.decode().is_err() {
                    let before = (file.length(), file.held());
                    let bad = crate::support::record(0, part);
                    prop_assert!(file.push(&bad).is_err());
                    prop_assert_eq!(file.length(), before.0);
                }
            }
            file.push(record).unwrap();
            if drains >> position & 1 == 1 {
                file.drain(&mut out);
            }
        }
        file.finish(&mut out).unwrap();
        prop_assert!(out == undisturbed);
    }
}
