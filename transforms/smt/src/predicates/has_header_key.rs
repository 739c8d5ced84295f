//! `HasHeaderKey`: the record has a header of that name.

use penstock_connect::{Config, Problem, Record, Settings, config};

use super::Predicate;

config! {
    /// Holds for records that have a header of that name.
    pub(crate) struct HasHeaderKeyConfig {
        /// Name of the header.
        "name" => name: String,
    }
}

pub(crate) struct HasHeaderKey(String);

impl HasHeaderKey {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self(HasHeaderKeyConfig::read_all(settings)?.name))
    }
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> bool {
        record.header(&self.0).is_some()
    }
}
