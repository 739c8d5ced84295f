//! `ValueToKey`: makes the key from fields of the value, as a JSON object named by their paths.

use penstock_connect::{Config, Placement, Problem, Record, RecordError, Settings, config};
use penstock_formats::{Encoding, FieldPath, Fields, Found, Payload, Slot, Value};

use crate::each::{Change, unreadable};
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;
use crate::values::Paths;

config! {
    /// Replaces the record's key with a JSON object of fields of its value, named by their paths:
    /// `{"wiki_id":"enwiki","page.page_id":1}`. The new key chooses the partition, whatever transforms
    /// before it chose. A record without one of the fields is rejected.
    pub(crate) struct ValueToKeyConfig {
        /// The fields, in the order that they have in the key.
        "fields" => fields: Paths,
    }
}

pub(crate) struct ValueToKey {
    fields: FieldSet,
    found: Found,
    /// `{"wiki_id":`, `,"page.page_id":` …
    names: Vec<String>,
}

impl ValueToKey {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        let paths = ValueToKeyConfig::read_all(settings)?.fields.0;
        let names = paths
            .iter()
            .enumerate()
            .map(|(at, path)| {
                let name = path.segments().collect::<Vec<_>>().join(".");
                format!(
                    "{}{}:",
                    if at == 0 { '{' } else { ',' },
                    serde_json::Value::from(name)
                )
            })
            .collect();
        Ok(Self {
            fields: FieldSet::new(Part::Value, paths, Presence::Required),
            found: Found::new(),
            names,
        })
    }
}

/// The one place of the field in the payload.
fn only<'a>(
    fields: &Fields,
    found: &'a Found,
    at: usize,
    path: &FieldPath,
) -> Result<&'a Slot, RecordError> {
    let mut slots = found.at(at);
    match (slots.next().filter(|slot| !slot.is_absent()), slots.next()) {
        (Some(slot), None) if !fields.field_type(at).list => Ok(slot),
        (None, _) => Err(RecordError::field(format!(
            "field '{path}', which the key is made of, is not there"
        ))),
        _ => Err(RecordError::field(format!(
            "field '{path}', which the key is made of, lies in a list or occurs more than once"
        ))),
    }
}

/// Appends JSON text. Characters that need not be escaped are not: equal values make equal keys.
fn append_normal(json: &[u8], key: &mut Vec<u8>) -> Result<(), RecordError> {
    if json.contains(&b'\\') {
        Value::from_json(json).map_err(unreadable)?.to_json(key);
    } else {
        key.extend_from_slice(json);
    }
    Ok(())
}

impl Change for ValueToKey {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(value) = &mut record.value else {
            return Err(RecordError::field(
                "a key cannot be made of a null value (a tombstone)",
            ));
        };
        let fields = self.fields.for_payload(value, |_| ())?.fields;
        value.find(fields, &mut self.found).map_err(unreadable)?;
        let mut key = Vec::with_capacity(64);
        for (at, (name, path)) in self.names.iter().zip(fields.paths()).enumerate() {
            key.extend_from_slice(name.as_bytes());
            let slot = only(fields, &self.found, at, path)?;
            append_normal(&slot.json(value.bytes()).map_err(unreadable)?, &mut key)?;
        }
        key.push(b'}');
        record.key = Some(Payload::new(key, Encoding::Json));
        // What an encrypter or router chose went by the former key: equal keys are to keep their order.
        record.placement = Placement::Key;
        Ok(())
    }
}
