//! `DropHeaders`: takes headers away by name.

use penstock_connect::config::Names;
use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};

use crate::each::Change;

config! {
    /// Takes away every header with one of the names.
    #[check(check)]
    pub(crate) struct DropHeadersConfig {
        /// Names of the headers.
        "headers" => headers: Names,
    }
}

fn check(config: &DropHeadersConfig) -> Vec<(&'static str, String)> {
    if config.headers.0.is_empty() {
        vec![("headers", "is required".to_owned())]
    } else {
        vec![]
    }
}

pub(crate) struct DropHeaders(Vec<String>);

impl DropHeaders {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self(DropHeadersConfig::read_all(settings)?.headers.0))
    }
}

impl Change for DropHeaders {
    const READS_PAYLOADS: bool = false;

    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        record
            .headers
            .retain(|header| self.0.iter().all(|name| **name != *header.name));
        Ok(())
    }
}
