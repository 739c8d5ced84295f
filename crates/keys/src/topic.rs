//! The keys topic: how it is made, and what its settings must be for the election to hold.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_broker::{Broker, TopicInfo, TopicSpec};

use crate::config::KeyStoreConfig;
use crate::error::KeyError;

/// Compaction leaves records alone that are younger than this; see Invariant 3 of [`crate::fold`].
pub(crate) const COMPACTION_LAG: Duration = Duration::from_secs(60);
/// Deletions can be read for this long.
const DELETE_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// A shorter one would have every worker read the topic anew after a short stop.
const LEAST_DELETE_RETENTION_MS: i64 = 60 * 60 * 1000;
/// What was erased is out of the topic within about twice this time: a segment rolls at this age, given
/// a record to roll at, and is then compacted.
pub(crate) const SEGMENT: Duration = Duration::from_secs(60 * 60);

/// The keys topic as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeysTopic {
    pub(crate) partitions: i32,
    pub(crate) delete_retention: Duration,
}

/// Makes the topic if there is none, and checks what there is.
pub(crate) fn prepare(broker: &dyn Broker, config: &KeyStoreConfig) -> Result<KeysTopic, KeyError> {
    let failed = |doing: &str| {
        let doing = format!("{doing} keys topic {:?}", config.topic);
        move |error| KeyError::broker(doing, error)
    };
    let mut info = broker.topic(&config.topic).map_err(failed("looking for"))?;
    if info.is_none() {
        create(broker, config).map_err(failed("making"))?;
        info = broker.topic(&config.topic).map_err(failed("looking for"))?;
    }
    let info = info.ok_or_else(|| KeyError::Unavailable {
        topic: config.topic.clone(),
        reason: "it was made, and is not there yet".to_owned(),
    })?;
    let settings = broker
        .topic_config(&config.topic)
        .map_err(failed("reading the settings of"))?;
    let problems = problems(&info, &settings);
    if !problems.is_empty() {
        return Err(KeyError::TopicSettings {
            topic: config.topic.clone(),
            problems,
        });
    }
    Ok(KeysTopic {
        partitions: info.partitions,
        delete_retention: Duration::from_millis(
            number(&settings, "delete.retention.ms").map_or(0, i64::unsigned_abs),
        ),
    })
}

fn create(broker: &dyn Broker, config: &KeyStoreConfig) -> penstock_broker::Result<()> {
    let spec = |replication: Option<i32>| {
        let mut spec = TopicSpec::new(&config.topic, config.partitions)
            .config("cleanup.policy", "compact")
            .config("message.timestamp.type", "LogAppendTime")
            .config("unclean.leader.election.enable", "false")
            .config(
                "min.compaction.lag.ms",
                COMPACTION_LAG.as_millis().to_string(),
            )
            .config("max.compaction.lag.ms", SEGMENT.as_millis().to_string())
            .config("segment.ms", SEGMENT.as_millis().to_string())
            .config("delete.retention.ms", DELETE_RETENTION_MS.to_string());
        spec.replication = replication;
        if replication.is_some_and(|copies| copies >= 3) {
            spec = spec.config("min.insync.replicas", "2");
        }
        spec
    };
    if config.replication.is_none() && broker.kind() == "kafka" {
        // Three copies where there are three nodes: the broker's default may be one.
        match broker.create_topic(&spec(Some(3))) {
            Err(e) if e.retry == penstock_broker::Retry::Never => {}
            made => return made.map(|_| ()),
        }
    }
    broker.create_topic(&spec(config.replication)).map(|_| ())
}

/// What is wrong, and the setting that would be right.
fn problems(info: &TopicInfo, settings: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    let text = |key: &str| settings.get(key).map_or("", String::as_str);
    let mut wants = |key: &str, right: &str, why: &str| {
        problems.push(format!(
            "{key} is {:?} and must be {right}, {why}",
            text(key)
        ));
    };
    if text("cleanup.policy") != "compact" {
        wants(
            "cleanup.policy",
            "\"compact\"",
            "or keys are lost when they are old",
        );
    }
    if text("message.timestamp.type") != "LogAppendTime" {
        wants(
            "message.timestamp.type",
            "\"LogAppendTime\"",
            "so that workers' clocks do not decide which key is the current one",
        );
    }
    if text("unclean.leader.election.enable") == "true" {
        wants(
            "unclean.leader.election.enable",
            "\"false\"",
            "or a failing broker loses keys",
        );
    }
    if info.replication >= 3 && number(settings, "min.insync.replicas").is_none_or(|n| n < 2) {
        wants(
            "min.insync.replicas",
            "at least 2",
            "or a failing broker loses keys",
        );
    }
    let lag = i64::try_from(COMPACTION_LAG.as_millis()).unwrap_or(i64::MAX);
    if number(settings, "min.compaction.lag.ms").is_none_or(|ms| ms < lag) {
        wants(
            "min.compaction.lag.ms",
            &format!("at least {lag}"),
            "or a worker that reads during a compaction sees other keys than the rest",
        );
    }
    if number(settings, "delete.retention.ms").is_none_or(|ms| ms < LEAST_DELETE_RETENTION_MS) {
        wants(
            "delete.retention.ms",
            &format!("at least {LEAST_DELETE_RETENTION_MS}"),
            "or a worker that was stopped does not learn what was erased",
        );
    }
    problems
}

fn number(settings: &BTreeMap<String, String>, key: &str) -> Option<i64> {
    settings.get(key)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let right = [
            ("cleanup.policy", "compact"),
            ("message.timestamp.type", "LogAppendTime"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
            ("min.compaction.lag.ms", "60000"),
            ("delete.retention.ms", "86400000"),
        ];
        right
            .iter()
            .chain(changes)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn topic(replication: i32) -> TopicInfo {
        TopicInfo {
            name: "_penstock.keys".into(),
            partitions: 8,
            replication,
        }
    }

    #[test]
    fn a_topic_as_it_must_be_is_accepted() {
        assert!(problems(&topic(3), &settings(&[])).is_empty());
        assert!(problems(&topic(1), &settings(&[("min.insync.replicas", "1")])).is_empty());
    }

    #[test]
    fn each_wrong_setting_is_named_with_the_right_one() {
        let cases = [
            (
                ("cleanup.policy", "compact,delete"),
                "cleanup.policy is \"compact,delete\" and must be \"compact\"",
            ),
            (
                ("message.timestamp.type", "CreateTime"),
                "must be \"LogAppendTime\"",
            ),
            (
                ("unclean.leader.election.enable", "true"),
                "must be \"false\"",
            ),
            (
                ("min.insync.replicas", "1"),
                "min.insync.replicas is \"1\" and must be at least 2",
            ),
            (("min.compaction.lag.ms", "0"), "must be at least 60000"),
            (("delete.retention.ms", "1000"), "must be at least 3600000"),
        ];
        for (change, message) in cases {
            let problems = problems(&topic(3), &settings(&[change]));
            assert_eq!(problems.len(), 1, "{change:?}: {problems:?}");
            assert!(problems[0].contains(message), "{change:?}: {problems:?}");
        }
    }
}
