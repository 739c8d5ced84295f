//! Values put together to an event: fields by path, what is known of the event itself, and the schema.

use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::{Encoding, FieldPath, Payload, Value};

use crate::config::FileSourceKeys;
use crate::consent::Levels;
use crate::target::Target;

/// Members of an object.
pub(crate) type Members = Vec<(String, Value)>;

/// Makes records of rows.
pub(crate) struct EventMaker {
    topic: Arc<str>,
    pub(crate) target: Target,
    contract: Option<(FieldPath, String)>,
    timestamp: Option<FieldPath>,
    timestamp_record: bool,
    consent: Option<FieldPath>,
    levels: Option<Levels>,
}

impl EventMaker {
    pub(crate) fn new(config: &FileSourceKeys, target: Target) -> Result<Self, Error> {
        let with_schema = matches!(target, Target::Schema { .. });
        let meta = |field: &FieldPath, key: &str, wanted: Option<&str>| match wanted {
            _ if target.has(field) => Ok(Some(field.clone())),
            Some(wanted) if with_schema => Err(Error::never(format!(
                "{wanted}: the schema {} has no field {field} ({key}) for it",
                target.name()
            ))),
            Some(_) => Ok(Some(field.clone())),
            None => Ok(None),
        };
        let consent = match (&config.consent_column, &config.consent_levels) {
            (Some(_), _) => Some("consent.column"),
            (None, Some(_)) => Some("consent.levels"),
            (None, None) => None,
        };
        let contract = match &config.contract {
            None => None,
            Some(contract) => meta(
                &config.contract_field,
                "meta.contract.ref",
                Some("contract"),
            )?
            .map(|field| (field, contract.to_string())),
        };
        // Without a place in the event, the time may still be the record's.
        let timestamp = match (&config.timestamp_column, config.timestamp_record) {
            (None, _) => None,
            (Some(_), true) => meta(&config.timestamp_field, "meta.timestamp", None)?,
            (Some(_), false) => {
                let column = Some("timestamp.column");
                meta(&config.timestamp_field, "meta.timestamp", column)?
            }
        };
        Ok(Self {
            topic: config.topic.as_str().into(),
            contract,
            timestamp,
            timestamp_record: config.timestamp_record,
            consent: meta(&config.consent_field, "meta.consent.levels", consent)?,
            levels: config.consent_levels.clone(),
            target,
        })
    }

    /// The topic that records go to.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The fields that are filled without a column.
    pub(crate) fn filled(&self) -> impl Iterator<Item = &FieldPath> {
        let contract = self.contract.as_ref().map(|(field, _)| field);
        contract
            .into_iter()
            .chain(&self.timestamp)
            .chain(&self.consent)
    }

    /// The record of a row's values.
    pub(crate) fn record(
        &self,
        mut members: Members,
        timestamp: Option<i64>,
        levels: Option<Levels>,
    ) -> Result<Record, RecordError> {
        if let Some((field, contract)) = &self.contract {
            put(&mut members, field, Value::Str(contract.clone()));
        }
        if let (Some(field), Some(timestamp)) = (&self.timestamp, timestamp) {
            put(&mut members, field, Value::Int(timestamp));
        }
        if let Some(field) = &self.consent {
            let levels = levels.or_else(|| self.levels.clone());
            // Nothing said means that there is no consent.
            let unsaid = levels.is_none() && get(&members, field).is_none();
            if let Some(Levels(levels)) = levels.or_else(|| unsaid.then(Levels::default)) {
                let levels = levels.into_iter().map(|level| Value::Int(level.into()));
                put(&mut members, field, Value::Array(levels.collect()));
            }
        }
        let event = Value::Object(members);
        let mut bytes = Vec::with_capacity(512);
        let encoding = match &self.target {
            Target::Json => {
                event.to_json(&mut bytes);
                Encoding::Json
            }
            Target::Schema {
                reference, schema, ..
            } => {
                event.encode(schema, &mut bytes).map_err(|error| {
                    RecordError::schema(format!("the row does not fit {reference}: {error}"))
                })?;
                Encoding::Registered(Arc::clone(schema))
            }
        };
        let mut record = Record::new(Arc::clone(&self.topic), Some(Payload::new(bytes, encoding)));
        record.timestamp = timestamp.filter(|_| self.timestamp_record);
        Ok(record)
    }
}

/// The value at a path.
pub(crate) fn get<'m>(members: &'m Members, field: &FieldPath) -> Option<&'m Value> {
    let mut segments = field.segments();
    let first = segments.next()?;
    let mut here = &members.iter().find(|(name, _)| name == first)?.1;
    for segment in segments {
        here = here.get(segment)?;
    }
    Some(here)
}

/// Takes the value at a path out.
pub(crate) fn take(members: &mut Members, field: &FieldPath) -> Option<Value> {
    let mut here = members;
    let mut segments = field.segments().peekable();
    loop {
        let segment = segments.next()?;
        let place = here.iter().position(|(name, _)| name == segment)?;
        if segments.peek().is_none() {
            return Some(here.remove(place).1);
        }
        match &mut here[place].1 {
            Value::Object(below) => here = below,
            _ => return None,
        }
    }
}

/// Puts a value at a path, with the objects that it lies in.
pub(crate) fn put(members: &mut Members, field: &FieldPath, value: Value) {
    let mut here = members;
    let mut segments = field.segments().peekable();
    while let Some(segment) = segments.next() {
        let place = match here.iter().position(|(name, _)| name == segment) {
            Some(place) => place,
            None => {
                here.push((segment.to_owned(), Value::Null));
                here.len() - 1
            }
        };
        let slot = &mut here[place].1;
        if segments.peek().is_none() {
            *slot = value;
            return;
        }
        if !matches!(slot, Value::Object(_)) {
            *slot = Value::Object(Vec::new());
        }
        let Value::Object(below) = slot else { return };
        here = below;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_put_taken_and_found_by_path() {
        let path = |text: &str| FieldPath::parse(text).unwrap();
        let mut members = Members::new();
        put(&mut members, &path("a.b"), Value::Int(1));
        put(&mut members, &path("a.c"), Value::Int(2));
        put(&mut members, &path("d"), Value::Int(3));
        put(&mut members, &path("a.b"), Value::Int(4));
        let json = |members: &Members| {
            let mut out = Vec::new();
            Value::Object(members.clone()).to_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(json(&members), r#"{"a":{"b":4,"c":2},"d":3}"#);
        assert_eq!(get(&members, &path("a.c")), Some(&Value::Int(2)));
        assert_eq!(get(&members, &path("d.e")), None);
        assert_eq!(take(&mut members, &path("a.b")), Some(Value::Int(4)));
        assert_eq!(take(&mut members, &path("a.b")), None);
        assert_eq!(take(&mut members, &path("d.e")), None);
        put(&mut members, &path("d.e"), Value::Null);
        assert_eq!(json(&members), r#"{"a":{"c":2},"d":{"e":null}}"#);
    }
}
