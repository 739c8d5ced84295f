//! The part of a record that a transform works on: `$Key` or `$Value`.

use penstock_connect::Record;
use penstock_formats::Payload;

/// Key or value of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record's key.
    Key,
    /// The record's value.
    Value,
}

impl Part {
    /// `key` or `value`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }

    pub(crate) fn of(self, record: &Record) -> Option<&Payload> {
        match self {
            Self::Key => record.key.as_ref(),
            Self::Value => record.value.as_ref(),
        }
    }

    pub(crate) fn of_mut(self, record: &mut Record) -> &mut Option<Payload> {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}
