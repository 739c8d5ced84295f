//! `InsertHeader`: adds a header with a fixed value.

use std::sync::Arc;

use bytes::Bytes;
use penstock_connect::{Config, Header, Problem, Record, RecordError, Settings, config};

use crate::each::Change;
use crate::values::Text;

config! {
    /// Adds a header with a fixed value; headers of the same name stay.
    pub(crate) struct InsertHeaderConfig {
        /// Name of the header.
        "header" => header: String,
        /// Its value.
        "value.literal" => value: Text,
    }
}

pub(crate) struct InsertHeader {
    name: Arc<str>,
    value: Bytes,
}

impl InsertHeader {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        let config = InsertHeaderConfig::read_all(settings)?;
        Ok(Self {
            name: config.header.into(),
            value: config.value.0.into_bytes().into(),
        })
    }
}

impl Change for InsertHeader {
    const READS_PAYLOADS: bool = false;

    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        record.headers.push(Header {
            name: self.name.clone(),
            value: Some(self.value.clone()),
        });
        Ok(())
    }
}
