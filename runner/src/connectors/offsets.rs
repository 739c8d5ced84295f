//! Positions of connectors, seen and changed from outside: a group's offsets for what reads topics, the
//! stored position of each task for sources.

use std::sync::Arc;

use penstock_broker::{Broker, ErrorKind, TopicPartition, TopicPartitionOffset};
use serde::Deserialize;
use serde_json::{Value, json};

use super::changes::to_the_end;
use super::{ConnectorError, Connectors};
use crate::config::ConnectorSpec;
use crate::plugins::Kind;
use crate::services::Services;
use crate::status::State;
use crate::worker::blocking;
use crate::{journal, offsets};

/// One position that is to be changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOffset {
    partition: Value,
    /// `null`: the beginning.
    offset: Value,
}

/// Changes that were checked.
enum Change {
    Topics(Vec<TopicPartitionOffset>),
    Tasks(Vec<(usize, Option<Value>)>),
}

impl Connectors {
    /// `{"offsets":[{"partition":…,"offset":…}]}`.
    pub(crate) async fn offsets(&self, name: &str) -> Result<Value, ConnectorError> {
        let spec = self.get(name)?.spec;
        let offsets = blocking(&self.services, move |services| match spec.kind {
            Kind::Source => source_offsets(services, &spec),
            Kind::Sink | Kind::Pipeline => {
                let offsets = group_offsets(services, &spec)?;
                let shown = offsets.into_iter().map(|offset| {
                    json!({
                        "partition": {"kafka_topic": &*offset.topic, "kafka_partition": offset.partition},
                        "offset": {"kafka_offset": offset.offset},
                    })
                });
                Ok(shown.collect())
            }
        })
        .await?;
        Ok(json!({"offsets": offsets}))
    }

    /// Changes some positions of a connector that is stopped.
    pub(crate) async fn alter_offsets(
        self: &Arc<Self>,
        name: &str,
        new: Vec<NewOffset>,
    ) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move {
            let _one_at_a_time = this.changes.lock().await;
            let spec = this.stopped(&name)?;
            let checked = spec.clone();
            let change = blocking(&this.services, move |services| {
                Ok(check(services, &checked, new))
            })
            .await??;
            blocking(&this.services, move |services| match change {
                Change::Tasks(tasks) => tasks.into_iter().try_for_each(|(task, position)| {
                    let broker = services.broker.as_ref();
                    offsets::set(broker, &spec.common.name, task, position.as_ref())
                }),
                Change::Topics(offsets) => {
                    let group = services.group_of(&spec);
                    refuse_members(services, &spec, &group)?;
                    let partitions: Vec<_> = offsets.iter().map(journal_partition).collect();
                    forget(services, &spec, Some(&partitions))?;
                    services.broker.set_group_offsets(&group, &offsets)
                }
            })
            .await?;
            Ok(())
        })
        .await
    }

    /// Forgets all positions of a connector that is stopped.
    pub(crate) async fn reset_offsets(self: &Arc<Self>, name: &str) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move {
            let _one_at_a_time = this.changes.lock().await;
            let spec = this.stopped(&name)?;
            blocking(&this.services, move |services| match spec.kind {
                Kind::Source => (0..spec.tasks).try_for_each(|task| {
                    offsets::set(services.broker.as_ref(), &spec.common.name, task, None)
                }),
                Kind::Sink | Kind::Pipeline => {
                    let group = services.group_of(&spec);
                    refuse_members(services, &spec, &group)?;
                    forget(services, &spec, None)?;
                    services.broker.delete_group(&group)
                }
            })
            .await?;
            Ok(())
        })
        .await
    }

    fn stopped(&self, name: &str) -> Result<Arc<ConnectorSpec>, ConnectorError> {
        let settled = self
            .settled(name)
            .ok_or_else(|| ConnectorError::no_connector(name))?;
        if settled.state == State::Stopped {
            return Ok(settled.spec);
        }
        Err(ConnectorError::Refused(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
             specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        )))
    }
}

fn source_offsets(
    services: &Services,
    spec: &ConnectorSpec,
) -> penstock_broker::Result<Vec<Value>> {
    let mut found = Vec::new();
    for task in 0..spec.tasks {
        let broker = services.broker.as_ref();
        if let Some(position) = offsets::load(broker, &spec.common.name, task)? {
            found.push(json!({"partition": {"task": task}, "offset": position}));
        }
    }
    Ok(found)
}

/// What the group of a sink or pipeline has committed to the topics that it reads.
fn group_offsets(
    services: &Services,
    spec: &ConnectorSpec,
) -> penstock_broker::Result<Vec<TopicPartitionOffset>> {
    let mut topics = services.topics_of(spec)?;
    let there: Vec<_> = services.broker.topics()?;
    topics.retain(|topic| there.iter().any(|info| *info.name == **topic));
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut offsets = services
        .broker
        .group_offsets(&services.group_of(spec), &topics)?;
    offsets.sort();
    Ok(offsets)
}

/// Fails while the group has members, here or elsewhere: before anything is changed.
fn refuse_members(
    services: &Services,
    spec: &ConnectorSpec,
    group: &str,
) -> penstock_broker::Result<()> {
    let as_they_are = group_offsets(services, spec)?;
    services.broker.set_group_offsets(group, &as_they_are)
}

/// Takes away what a sink has written down: otherwise it would go on from there.
fn forget(
    services: &Services,
    spec: &ConnectorSpec,
    partitions: Option<&[penstock_connect::TopicPartition]>,
) -> penstock_broker::Result<()> {
    if spec.kind != Kind::Sink {
        return Ok(());
    }
    journal::forget(services.broker.as_ref(), &spec.common.name, partitions)
}

fn journal_partition(offset: &TopicPartitionOffset) -> penstock_connect::TopicPartition {
    penstock_connect::TopicPartition {
        topic: offset.topic.clone(),
        partition: offset.partition,
    }
}

fn refused(message: impl Into<String>) -> ConnectorError {
    ConnectorError::Refused(message.into())
}

fn check(
    services: &Services,
    spec: &ConnectorSpec,
    new: Vec<NewOffset>,
) -> Result<Change, ConnectorError> {
    if new.is_empty() {
        return Err(refused("offsets: names no partition"));
    }
    if spec.kind == Kind::Source {
        let tasks = new.into_iter().map(|new| {
            let task = number(&new.partition, "task", "partition")?;
            let task = usize::try_from(task).ok().filter(|task| *task < spec.tasks);
            let task = task.ok_or_else(|| refused("partition: task: there is no such task"))?;
            Ok((task, Some(new.offset).filter(|offset| !offset.is_null())))
        });
        return Ok(Change::Tasks(tasks.collect::<Result<_, ConnectorError>>()?));
    }
    let topics = services.topics_of(spec)?;
    let offsets = new.into_iter().map(|new| {
        let topic = new.partition.get("kafka_topic").and_then(Value::as_str);
        let topic = topic.ok_or_else(|| refused("partition: kafka_topic is missing"))?;
        if !topics.iter().any(|known| known == topic) {
            return Err(refused(format!(
                "partition: the connector does not read {topic}"
            )));
        }
        let partition = number(&new.partition, "kafka_partition", "partition")?;
        let partition = i32::try_from(partition)
            .map_err(|_| refused("partition: kafka_partition is not a partition"))?;
        let place = TopicPartition::new(topic, partition);
        let (low, high) = ends(services.broker.as_ref(), &place)?;
        if new.offset.is_null() {
            return Ok(place.at(low));
        }
        let offset = number(&new.offset, "kafka_offset", "offset")?;
        if offset > high {
            return Err(refused(format!(
                "offset: {place} ends at {high}, before {offset}"
            )));
        }
        Ok(place.at(offset))
    });
    Ok(Change::Topics(
        offsets.collect::<Result<_, ConnectorError>>()?,
    ))
}

fn ends(broker: &dyn Broker, place: &TopicPartition) -> Result<(i64, i64), ConnectorError> {
    broker
        .watermarks(&place.topic, place.partition)
        .map_err(|error| match error.kind {
            ErrorKind::UnknownTopic => refused(format!("partition: there is no {place}")),
            _ => error.into(),
        })
}

/// A number of at least 0, also as text: Kafka Connect takes both.
fn number(object: &Value, key: &str, of: &str) -> Result<i64, ConnectorError> {
    let number = object.get(key).and_then(|value| match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    });
    number
        .filter(|number| *number >= 0)
        .ok_or_else(|| refused(format!("{of}: {key} is not a number of at least 0")))
}
