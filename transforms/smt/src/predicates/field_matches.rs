//! `FieldMatches`: a pattern matches all of a field's value.

use std::cell::RefCell;

use penstock_connect::{Config, Problem, Record, Settings, choice, config};
use penstock_formats::{FieldPath, Found, Payload, Scalar};

use super::Predicate;
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;
use crate::values::FullMatch;

choice! {
    /// The part of the record that is looked at.
    pub(crate) enum Of {
        /// Its key.
        Key = "key",
        /// Its value.
        Value = "value",
    }
}

config! {
    /// Holds for records with a field whose text (numbers and booleans as JSON writes them) the pattern
    /// matches as a whole. Of a list, one element is enough. A record without the field, with null
    /// there, or that cannot be read does not match.
    pub(crate) struct FieldMatchesConfig {
        /// The field.
        "field" => field: FieldPath,
        /// The pattern.
        "pattern" => pattern: FullMatch,
        /// Where the field is: `value` or `key`.
        "of" => of: Of = "value",
    }
}

pub(crate) struct FieldMatches {
    part: Part,
    pattern: FullMatch,
    /// What is compiled and reused from record to record.
    search: RefCell<(FieldSet, Found)>,
}

impl FieldMatches {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        let config = FieldMatchesConfig::read_all(settings)?;
        let part = match config.of {
            Of::Key => Part::Key,
            Of::Value => Part::Value,
        };
        let fields = FieldSet::new(part, vec![config.field], Presence::Optional);
        Ok(Self {
            part,
            pattern: config.pattern,
            search: RefCell::new((fields, Found::new())),
        })
    }

    fn matches(&self, payload: &Payload) -> bool {
        let (fields, found) = &mut *self.search.borrow_mut();
        let Ok(fields) = fields.for_payload(payload, |_| ()) else {
            return false;
        };
        if fields.fields.find(payload.bytes(), found).is_err() {
            return false;
        }
        found
            .slots()
            .iter()
            .any(|slot| match slot.scalar(payload.bytes()) {
                Ok(Scalar::Str(text)) => self.pattern.matches(&text),
                Ok(Scalar::Bool(value)) => {
                    self.pattern.matches(if value { "true" } else { "false" })
                }
                Ok(Scalar::Int(number)) => self.pattern.matches(&number.to_string()),
                Ok(Scalar::Double(_)) => slot.json(payload.bytes()).is_ok_and(|json| {
                    std::str::from_utf8(&json).is_ok_and(|text| self.pattern.matches(text))
                }),
                Ok(Scalar::Null | Scalar::Bytes(_)) | Err(_) => false,
            })
    }
}

impl Predicate for FieldMatches {
    fn test(&self, record: &Record) -> bool {
        match self.part.of(record) {
            // A walk does not see edits that wait to be written into the bytes.
            Some(payload) if payload.is_edited() => {
                let mut flat = payload.clone();
                flat.flatten();
                self.matches(&flat)
            }
            Some(payload) => self.matches(payload),
            None => false,
        }
    }
}
