//! `RecordIsTombstone`: the record's value is null.

use penstock_connect::{Config, Problem, Record, Settings, config};

use super::Predicate;

config! {
    /// Holds for records whose value is null.
    pub(crate) struct RecordIsTombstoneConfig {}
}

pub(crate) struct RecordIsTombstone;

impl RecordIsTombstone {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        RecordIsTombstoneConfig::read_all(settings).map(|_| Self)
    }
}

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record) -> bool {
        record.value.is_none()
    }
}
