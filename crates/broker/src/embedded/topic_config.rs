//! Topic settings by Kafka's names: which there are, their defaults, and the ones the log acts on.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Kafka's topic settings with their defaults. Those that concern replicas and segment files are
/// accepted and shown, and have nothing to act on here.
const DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "1"),
    ("flush.ms", "0"),
    ("index.interval.bytes", "4096"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// The settings of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TopicConfig {
    given: BTreeMap<String, String>,
    pub(super) compact: bool,
    /// Records older than `retention_ms` or beyond `retention_bytes` go.
    pub(super) delete: bool,
    pub(super) log_append_time: bool,
    pub(super) max_message_bytes: usize,
    pub(super) retention_ms: Option<i64>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) delete_retention_ms: i64,
    pub(super) min_compaction_lag_ms: i64,
    /// The oldest uncleaned record is cleaned at this age at the latest: `max.compaction.lag.ms`, or
    /// the age at which a Kafka segment would roll.
    pub(super) max_compaction_lag_ms: i64,
    pub(super) min_cleanable_dirty_ratio: f64,
}

impl TopicConfig {
    /// Checks what was given and fills in the defaults.
    pub(super) fn new(topic: &str, given: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unknown) = given.keys().find(|key| default(key).is_none()) {
            let names: Vec<_> = DEFAULTS.iter().map(|(key, _)| *key).collect();
            let hint = crate::suggest::nearest(unknown, &names)
                .map_or(String::new(), |near| format!("; did you mean {near:?}?"));
            return Err(Error::invalid(format!(
                "topic {topic:?}: there is no topic setting {unknown:?}{hint}"
            )));
        }
        let settings = Settings { topic, given };
        let (mut compact, mut delete) = (false, false);
        for policy in settings.text("cleanup.policy").split(',') {
            match policy.trim() {
                "compact" => compact = true,
                "delete" => delete = true,
                _ => {
                    return Err(
                        settings.refuse("cleanup.policy", "compact, delete or both with a comma")
                    );
                }
            }
        }
        let log_append_time = match settings.text("message.timestamp.type") {
            "CreateTime" => false,
            "LogAppendTime" => true,
            _ => {
                return Err(
                    settings.refuse("message.timestamp.type", "CreateTime or LogAppendTime")
                );
            }
        };
        let retention_ms = settings.number::<i64>("retention.ms", "milliseconds, -1 for ever")?;
        let retention_bytes =
            settings.number::<i64>("retention.bytes", "bytes, -1 for no limit")?;
        let lag = settings.number::<i64>("max.compaction.lag.ms", "milliseconds")?;
        let segment = settings.number::<i64>("segment.ms", "milliseconds")?;
        Ok(Self {
            compact,
            delete,
            log_append_time,
            max_message_bytes: settings.number("max.message.bytes", "bytes")?,
            retention_ms: Some(retention_ms).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(retention_bytes).ok(),
            delete_retention_ms: settings.number("delete.retention.ms", "milliseconds")?,
            min_compaction_lag_ms: settings.number("min.compaction.lag.ms", "milliseconds")?,
            max_compaction_lag_ms: lag.min(segment),
            min_cleanable_dirty_ratio: settings
                .number("min.cleanable.dirty.ratio", "a number from 0 to 1")?,
            given: given.clone(),
        })
    }

    /// All settings, defaults included.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = DEFAULTS
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        all.extend(self.given.clone());
        all
    }

    /// The settings that were given, one `key=value` a line.
    pub(super) fn to_lines(&self) -> String {
        self.given
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect()
    }

    /// Reads what [`to_lines`](Self::to_lines) wrote.
    pub(super) fn from_lines(topic: &str, lines: &str) -> Result<Self> {
        let given = lines.lines().filter_map(|line| line.split_once('='));
        Self::new(
            topic,
            &given
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

fn default(key: &str) -> Option<&'static str> {
    DEFAULTS
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, value)| *value)
}

struct Settings<'a> {
    topic: &'a str,
    given: &'a BTreeMap<String, String>,
}

impl Settings<'_> {
    fn text(&self, key: &str) -> &str {
        self.given
            .get(key)
            .map(String::as_str)
            .or_else(|| default(key))
            .unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, key: &str, expected: &str) -> Result<T> {
        self.text(key)
            .trim()
            .parse()
            .map_err(|_| self.refuse(key, expected))
    }

    fn refuse(&self, key: &str, expected: &str) -> Error {
        let (topic, value) = (self.topic, self.text(key));
        Error::invalid(format!(
            "topic {topic:?}: {key}={value} is not valid; expected {expected}"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn defaults_are_shown_and_survive_storage() {
        let config = TopicConfig::new(
            "t",
            &given(&[
                ("cleanup.policy", "compact, delete"),
                ("retention.ms", "-1"),
            ]),
        )
        .unwrap();
        assert!(config.compact && config.delete && config.retention_ms.is_none());
        assert_eq!(config.all()["max.message.bytes"], "1048588");
        assert_eq!(
            TopicConfig::from_lines("t", &config.to_lines()).unwrap(),
            config
        );
    }

    #[test]
    fn settings_that_do_not_exist_or_fit_are_refused_by_name() {
        let cases = [
            (
                ("cleanup.polcy", "compact"),
                "no topic setting \"cleanup.polcy\"; did you mean \"cleanup.policy\"?",
            ),
            (
                ("cleanup.policy", "shrink"),
                "cleanup.policy=shrink is not valid; expected compact, delete or both",
            ),
            (
                ("message.timestamp.type", "Now"),
                "message.timestamp.type=Now is not valid",
            ),
            (
                ("retention.ms", "1h"),
                "retention.ms=1h is not valid; expected milliseconds",
            ),
        ];
        for (pair, message) in cases {
            let error = TopicConfig::new("t", &given(&[pair])).unwrap_err();
            assert!(error.message.contains(message), "{}", error.message);
        }
    }
}
