//! The subject under which a converter registers a record's schema, as Confluent's serializers
//! name it.

use std::str::FromStr;

/// How a subject is named. Parses from the short names and from Confluent's Java class names
/// (`io.confluent.kafka.serializers.subject.TopicNameStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum SubjectStrategy {
    /// `<topic>-key` or `<topic>-value`.
    #[default]
    TopicName,
    /// The record's full name, whatever the topic.
    RecordName,
    /// `<topic>-<record full name>`.
    TopicRecordName,
}

/// Why there is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A strategy by record name met a schema that has none.
    #[error(
        "{strategy} needs a named schema: an Avro record, enum or fixed, or a JSON Schema with a title"
    )]
    NoRecordName {
        /// The strategy that asked.
        strategy: &'static str,
    },
    /// The text names no strategy.
    #[error(
        "'{0}' is no subject name strategy: use TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy"
    )]
    Unknown(String),
}

impl SubjectStrategy {
    /// The subject of a schema in `topic`. `record_name` is the Avro full name or the title of the
    /// JSON Schema.
    pub fn subject(
        self,
        topic: &str,
        is_key: bool,
        record_name: Option<&str>,
    ) -> Result<String, SubjectError> {
        let named = || {
            record_name
                .filter(|name| !name.is_empty())
                .ok_or(SubjectError::NoRecordName {
                    strategy: self.name(),
                })
        };
        Ok(match self {
            Self::TopicName => format!("{topic}-{}", if is_key { "key" } else { "value" }),
            Self::RecordName => named()?.to_owned(),
            Self::TopicRecordName => format!("{topic}-{}", named()?),
        })
    }

    /// The name without its Java package.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopicName => "TopicNameStrategy",
            Self::RecordName => "RecordNameStrategy",
            Self::TopicRecordName => "TopicRecordNameStrategy",
        }
    }
}

impl FromStr for SubjectStrategy {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let class = text.trim().rsplit('.').next().unwrap_or_default();
        let short = class.strip_suffix("Strategy").unwrap_or(class);
        [Self::TopicName, Self::RecordName, Self::TopicRecordName]
            .into_iter()
            .find(|s| {
                s.name()
                    .trim_end_matches("Strategy")
                    .eq_ignore_ascii_case(short)
            })
            .ok_or_else(|| SubjectError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn strategies_parse_from_class_names_and_short_names_and_name_subjects() {
        for (text, key, value) in [
            (
                "io.confluent.kafka.serializers.subject.TopicNameStrategy",
                "t-key",
                "t-value",
            ),
            ("TopicName", "t-key", "t-value"),
            (
                "io.confluent.kafka.serializers.subject.RecordNameStrategy",
                "ns.R",
                "ns.R",
            ),
            ("TopicRecordNameStrategy", "t-ns.R", "t-ns.R"),
            ("topicrecordname", "t-ns.R", "t-ns.R"),
        ] {
            let strategy: SubjectStrategy = text.parse().unwrap();
            assert_eq!(strategy.subject("t", true, Some("ns.R")).unwrap(), key);
            assert_eq!(strategy.subject("t", false, Some("ns.R")).unwrap(), value);
        }
    }

    #[test]
    fn a_record_strategy_refuses_a_schema_without_a_name() {
        let strategy = SubjectStrategy::RecordName;
        assert!(strategy.subject("t", false, None).is_err());
        assert!("ReferenceStrategy".parse::<SubjectStrategy>().is_err());
    }
}
