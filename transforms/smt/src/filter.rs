//! `Filter`: drops every record that reaches it; a predicate says which ones do.

use async_trait::async_trait;
use penstock_connect::{Config, Outputs, Problem, Record, Settings, Transform, config};

config! {
    /// Drops every record. With `transforms.NAME.predicate`, those that the predicate holds for (or
    /// does not, with `negate`).
    pub(crate) struct FilterConfig {}
}

pub(crate) struct Filter;

impl Filter {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        FilterConfig::read_all(settings).map(|_| Self)
    }
}

#[async_trait]
impl Transform for Filter {
    fn apply(&mut self, _index: usize, record: Record, out: &mut Outputs) {
        out.filter(record, "filter");
    }
}
