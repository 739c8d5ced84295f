//! Commits whose answers are late.
#![allow(clippy::unwrap_used)]

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::TopicPartition;
use crate::kafka::{KafkaBroker, client_config};

const LIMITS: TopicLimits = TopicLimits {
    partitions: 1,
    record_bytes: 1 << 20,
    batch_bytes: 1 << 20,
    compact: false,
};

/// A transactional producer that gives up waiting early, on a cluster that does as it is told.
fn producer(servers: &str) -> KafkaProducer {
    let given = [("bootstrap.servers".to_owned(), servers.to_owned())];
    let broker = KafkaBroker::new(client_config(&given.into()).unwrap()).unwrap();
    let client = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", "late")
        .create_with_context(Deliveries::new(1 << 20))
        .unwrap();
    let capacity = Capacity {
        buffer_bytes: 1 << 20,
        batch_bytes: 1 << 20,
    };
    let client = Idle::new(client, broker.cluster.closing.clone());
    let id = Some("late".to_owned());
    let long = Duration::from_secs(30);
    let mut producer = KafkaProducer::new(client, broker.cluster, id, capacity, long).unwrap();
    producer.timeout = Duration::from_secs(1);
    // This cluster tells nobody its settings.
    let topic = Topic::new(LIMITS, 1 << 20, None);
    producer.topics.insert("out".to_owned(), topic);
    producer
}

#[test]
fn a_commit_whose_answer_is_late_goes_on_when_it_is_called_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let mut producer = producer(&servers);
    let member: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("group.id", "group")
        .create()
        .unwrap();
    let metadata = member.group_metadata().unwrap();
    let metadata = GroupMetadata(Membership::Kafka(Arc::new(metadata)));
    let offsets = [TopicPartition::new("out", 0).at(1)];

    producer.begin().unwrap();
    producer.send(OutRecord::new("out", Some(b"v"))).unwrap();
    let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
    cluster.request_errors(RDKafkaApiKey::EndTxn, &[busy; 50]);
    let late = producer.commit(Some((&metadata, &offsets))).unwrap_err();
    assert_eq!(late.retry, Retry::Backoff, "{late}");
    cluster.clear_request_errors(RDKafkaApiKey::EndTxn);
    producer.timeout = Duration::from_secs(30);
    let deliveries = producer.commit(Some((&metadata, &offsets))).unwrap();
    assert_eq!(deliveries.len(), 1);
    // The next transaction has offsets of its own.
    producer.begin().unwrap();
    assert!(!producer.has_offsets);
    producer.abort().unwrap();
}
