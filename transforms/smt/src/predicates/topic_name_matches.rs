//! `TopicNameMatches`: a pattern matches all of the topic's name.

use penstock_connect::{Config, Problem, Record, Settings, config};

use super::Predicate;
use crate::values::FullMatch;

config! {
    /// Holds for records whose topic name the pattern matches as a whole.
    pub(crate) struct TopicNameMatchesConfig {
        /// The pattern.
        "pattern" => pattern: FullMatch,
    }
}

pub(crate) struct TopicNameMatches(FullMatch);

impl TopicNameMatches {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self(TopicNameMatchesConfig::read_all(settings)?.pattern))
    }
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record) -> bool {
        self.0.matches(&record.topic)
    }
}
