//! The topics that connectors write: made before they are needed, with as many partitions as they
//! need.

use penstock_broker::{Result, TopicSpec};

use crate::config::ConnectorSpec;
use crate::services::Services;

/// Makes the topics that a connector writes, as far as its settings tell, and those for its rejects.
pub(crate) fn make(services: &Services, spec: &ConnectorSpec) -> Result<()> {
    make_missing(services, spec, &spec.writes)?;
    for (topic, replication) in [
        (&spec.common.dlq_topic, Some(spec.common.dlq_replication)),
        (&spec.common.error_stream_topic, services.replication()),
    ] {
        if let Some(topic) = topic {
            let mut wanted = TopicSpec::new(topic.clone(), 1);
            wanted.partitions = services.default_partitions();
            wanted.replication = replication;
            services.broker.create_topic(&wanted)?;
        }
    }
    Ok(())
}

/// Makes a topic as the worker makes them.
pub(crate) fn make_plain(services: &Services, topic: &str) -> Result<()> {
    let mut wanted = TopicSpec::new(topic, 1);
    wanted.partitions = services.default_partitions();
    wanted.replication = services.replication();
    services.broker.create_topic(&wanted).map(|_| ())
}

/// Makes topics for the records of a connector: a derived topic has as many partitions as its origin.
pub(crate) fn make_missing(
    services: &Services,
    spec: &ConnectorSpec,
    topics: &[String],
) -> Result<()> {
    if topics.is_empty() {
        return Ok(());
    }
    let inputs = services.topics_of(spec)?;
    let input_partitions = inputs
        .iter()
        .filter_map(|topic| services.broker.topic(topic).ok().flatten())
        .map(|topic| topic.partitions)
        .max();
    for topic in topics {
        let mut wanted = TopicSpec::new(topic.clone(), 1);
        wanted.partitions = input_partitions.or_else(|| services.default_partitions());
        wanted.replication = services.replication();
        services.broker.create_topic(&wanted)?;
    }
    Ok(())
}
