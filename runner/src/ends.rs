//! Where the topics of a sink ended when it was created: with `read.until=end` it reads up to there.

use std::collections::BTreeMap;

use penstock_broker::{Result, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::config::{ConnectorSpec, Until};
use crate::services::Services;

/// One past the last record of each partition, by topic and partition; 0 where there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ends(BTreeMap<String, Vec<i64>>);

impl Ends {
    /// The ends of what the connector reads, as they are now; none if it reads without an end. Blocks.
    pub(crate) fn take(services: &Services, spec: &ConnectorSpec) -> Result<Option<Self>> {
        if spec.common.read_until != Until::End {
            return Ok(None);
        }
        let mut ends = BTreeMap::new();
        for topic in services.topics_of(spec)? {
            let Some(info) = services.broker.topic(&topic)? else {
                continue;
            };
            let of_topic = (0..info.partitions).map(|partition| {
                let (low, high) = services.watermarks(&topic, partition)?;
                Ok(if high > low { high } else { 0 })
            });
            let of_topic = of_topic.collect::<Result<_>>()?;
            ends.insert(topic, of_topic);
        }
        Ok(Some(Self(ends)))
    }

    /// Where a partition ends; 0 also if it was not there.
    pub(crate) fn of(&self, partition: &TopicPartition) -> i64 {
        let number = usize::try_from(partition.partition).unwrap_or(usize::MAX);
        let of_topic = self.0.get(&*partition.topic);
        of_topic
            .and_then(|ends| ends.get(number))
            .copied()
            .unwrap_or(0)
    }

    /// All partitions that had records, with their ends.
    pub(crate) fn all(&self) -> impl Iterator<Item = (TopicPartition, i64)> {
        self.0.iter().flat_map(|(topic, ends)| {
            let numbered = (0..).zip(ends).filter(|(_, end)| **end > 0);
            numbered.map(|(number, end)| (TopicPartition::new(topic.as_str(), number), *end))
        })
    }

    /// The topics that were there.
    pub(crate) fn topics(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}
