//! The topics behind a worker, seen past it: filled before it starts, looked at after it stopped. The
//! embedded log has one owner at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_broker::{
    Broker, Header, Message, OutRecord, Producer, ProducerSpec, ReaderSpec, StartAt, TopicSpec,
};
use penstock_tests::{Deployment, Estate};

pub(crate) fn open(estate: &Estate, deployment: &Deployment) -> Arc<dyn Broker> {
    match estate.bootstrap_servers() {
        None => {
            let settings = EmbeddedSettings::new(deployment.path().join("data/log"));
            Arc::new(EmbeddedBroker::open(&settings).unwrap())
        }
        Some(servers) => {
            let given = BTreeMap::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
            Arc::new(KafkaBroker::new(client_config(&given).unwrap()).unwrap())
        }
    }
}

/// A record to be written: partition, key, value.
pub(crate) type Out = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

/// Makes a topic and writes records to it, each with the header `mine: kept`.
pub(crate) fn fill(broker: &dyn Broker, topic: &str, partitions: i32, records: &[Out]) {
    broker
        .create_topic(&TopicSpec::new(topic, partitions))
        .unwrap();
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    let headers = [Header {
        name: "mine".into(),
        value: Some("kept".into()),
    }];
    for (partition, key, value) in records {
        let mut out = OutRecord::new(topic, value.as_deref())
            .partition(*partition)
            .headers(&headers);
        out.key = key.as_deref();
        producer.send(out).unwrap();
    }
    for delivery in producer.flush(Duration::from_secs(60)).unwrap() {
        delivery.unwrap();
    }
}

/// Writes records in one transaction, behind which a marker takes an offset on Kafka.
pub(crate) fn transact(broker: &dyn Broker, topic: &str, records: &[Out], commit: bool) {
    let spec = ProducerSpec {
        transactional_id: Some("faults".into()),
        ..ProducerSpec::default()
    };
    let mut producer = broker.producer(spec).unwrap();
    producer.begin().unwrap();
    for (partition, key, value) in records {
        let mut out = OutRecord::new(topic, value.as_deref()).partition(*partition);
        out.key = key.as_deref();
        producer.send(out).unwrap();
    }
    if commit {
        producer.commit(None).unwrap();
    } else {
        producer.flush(Duration::from_secs(60)).unwrap();
        producer.abort().unwrap();
    }
}

/// A transaction that stays open, with a record in every partition of the topic.
pub(crate) fn begin(broker: &dyn Broker, topic: &str) -> Box<dyn Producer> {
    let spec = ProducerSpec {
        transactional_id: Some("somebody".into()),
        overrides: BTreeMap::from([("transaction.timeout.ms".into(), "300000".into())]),
        ..ProducerSpec::default()
    };
    let mut producer = broker.producer(spec).unwrap();
    producer.begin().unwrap();
    for partition in 0..broker.topic(topic).unwrap().unwrap().partitions {
        let out = OutRecord::new(topic, Some(b"{}")).key(b"somebody");
        producer.send(out.partition(partition)).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    producer
}

/// Every committed record of a topic, partition by partition; nothing if there is no such topic.
pub(crate) fn read(broker: &dyn Broker, topic: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    let Some(info) = broker.topic(topic).unwrap() else {
        return messages;
    };
    let mut reader = broker.reader(ReaderSpec::new("faults")).unwrap();
    for partition in 0..info.partitions {
        let (_, high) = reader.watermarks(topic, partition).unwrap();
        reader.assign(topic, partition, StartAt::Earliest).unwrap();
        while reader.position(topic, partition).unwrap() < high {
            messages.extend(reader.poll(1000, Duration::from_millis(500)).unwrap());
        }
        reader.unassign(topic, partition).unwrap();
    }
    messages
}

/// The offset that a connector's group has committed in partition 0.
pub(crate) fn committed(broker: &dyn Broker, connector: &str, topic: &str) -> Option<i64> {
    let group = format!("connect-{connector}");
    let offsets = broker.group_offsets(&group, &[topic]).unwrap();
    offsets
        .into_iter()
        .find(|offset| offset.partition == 0)
        .map(|offset| offset.offset)
}
