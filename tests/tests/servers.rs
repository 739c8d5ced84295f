//! The real servers behave as the suites need them to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::{Estate, python};

const PRODUCE: &str = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
servers = {"bootstrap.servers": sys.argv[1]}
admin = AdminClient(servers)
admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
producer = Producer(servers | {"acks": "all"})
producer.produce("kept", b"one")
assert producer.flush(30) == 0
"#;

const CONSUME: &str = r#"
import sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "reader"})
consumer.assign([TopicPartition("kept", 0, 0)])
print(consumer.poll(30).value().decode())
consumer.close()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_has_its_records_when_it_is_restarted() {
    let estate = Estate::kafka().await;
    let servers = estate.bootstrap_servers().unwrap();
    let _ = python(PRODUCE, &[servers], estate.path());
    let mut broker = estate.broker().await;
    broker.kill();
    broker.restart().unwrap();
    assert_eq!(python(CONSUME, &[servers], estate.path()).trim(), "one");
}
