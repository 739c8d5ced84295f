//! Brokers to test, names that nobody else uses, and reading everything there is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_broker::{
    Broker, Consumer, ConsumerSpec, Header, Message, OutRecord, Polled, Producer, ProducerSpec,
    ReaderSpec, StartAt, TopicPartition, TopicPartitionOffset, TopicSpec,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

/// Longer than anything that works takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
pub(crate) const MOMENT: Duration = Duration::from_millis(300);

/// A broker under test.
pub(crate) struct Fixture {
    pub(crate) broker: Arc<dyn Broker>,
    /// What another process opens it with, see [`open`].
    pub(crate) address: String,
    _directory: Option<tempfile::TempDir>,
}

impl Fixture {
    pub(crate) fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("embedded:{}", directory.path().display());
        Self {
            broker: open(&address),
            address,
            _directory: Some(directory),
        }
    }

    pub(crate) fn kafka() -> Option<Self> {
        static KAFKA: OnceLock<Option<Arc<dyn Broker>>> = OnceLock::new();
        let address = format!("kafka:{}", required_kafka()?);
        let broker = KAFKA.get_or_init(|| Some(open(&address))).clone()?;
        Some(Self {
            broker,
            address,
            _directory: None,
        })
    }

    /// A broker that was opened elsewhere.
    pub(crate) fn of(broker: Arc<dyn Broker>, address: String) -> Self {
        Self {
            broker,
            address,
            _directory: None,
        }
    }

    pub(crate) fn topic(&self, name: &str, partitions: i32) -> String {
        let name = unique(name);
        self.broker
            .create_topic(&TopicSpec::new(&name, partitions))
            .unwrap();
        name
    }

    pub(crate) fn producer(&self) -> Box<dyn Producer> {
        self.broker
            .producer(ProducerSpec {
                client_id: unique("producer"),
                ..ProducerSpec::default()
            })
            .unwrap()
    }

    pub(crate) fn transactional(&self, id: &str) -> Box<dyn Producer> {
        let transactional_id = Some(id.to_owned());
        self.broker
            .producer(ProducerSpec {
                client_id: unique("producer"),
                transactional_id,
                ..ProducerSpec::default()
            })
            .unwrap()
    }

    pub(crate) fn member(&self, group: &str, topic: &str) -> Box<dyn Consumer> {
        self.broker
            .consumer(ConsumerSpec::new(group, vec![topic.to_owned()]))
            .unwrap()
    }

    /// Sends `values` to `partition` and waits for them; returns their offsets.
    pub(crate) fn fill(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Vec<i64> {
        let mut producer = self.producer();
        for value in values {
            producer
                .send(OutRecord::new(topic, Some(value.as_ref())).partition(partition))
                .unwrap();
        }
        let deliveries = producer.flush(LIMIT).unwrap();
        deliveries
            .into_iter()
            .map(|delivery| delivery.unwrap().offset)
            .collect()
    }

    /// All committed records of a topic, partition by partition.
    pub(crate) fn read_all(&self, topic: &str) -> Vec<Message> {
        let mut all = Vec::new();
        for partition in 0..self.broker.topic(topic).unwrap().unwrap().partitions {
            all.extend(self.read_partition(topic, partition));
        }
        all
    }

    /// All committed records of a partition.
    pub(crate) fn read_partition(&self, topic: &str, partition: i32) -> Vec<Message> {
        let mut reader = self
            .broker
            .reader(ReaderSpec::new(unique("reader")))
            .unwrap();
        reader.assign(topic, partition, StartAt::Earliest).unwrap();
        let end = self.end(topic, partition);
        let mut all = Vec::new();
        let deadline = Instant::now() + LIMIT;
        while reader.position(topic, partition).unwrap() < end {
            all.extend(reader.poll(1000, MOMENT).unwrap());
            assert!(
                Instant::now() < deadline,
                "{topic}-{partition}: position never reaches {end}"
            );
        }
        all
    }

    /// What a reader of committed records sees of a topic within a moment, also while a transaction is
    /// open there.
    pub(crate) fn visible(&self, topic: &str) -> Vec<Message> {
        let mut reader = self
            .broker
            .reader(ReaderSpec::new(unique("reader")))
            .unwrap();
        for partition in 0..self.broker.topic(topic).unwrap().unwrap().partitions {
            reader.assign(topic, partition, StartAt::Earliest).unwrap();
        }
        let mut seen = Vec::new();
        let until = Instant::now() + MOMENT;
        while Instant::now() < until {
            seen.extend(reader.poll(1000, MOMENT).unwrap());
        }
        seen
    }

    /// The end of a partition, records of open transactions included: Kafka answers a commit before
    /// readers of committed records see it.
    fn end(&self, topic: &str, partition: i32) -> i64 {
        let Some(server) = self.address.strip_prefix("kafka:") else {
            return self.broker.watermarks(topic, partition).unwrap().1;
        };
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", server)
            .set("isolation.level", "read_uncommitted")
            .create()
            .unwrap();
        client.fetch_watermarks(topic, partition, LIMIT).unwrap().1
    }
}

/// Where Kafka is, if the tests are to run against it. In CI it must be there.
fn required_kafka() -> Option<String> {
    match std::env::var("PENSTOCK_TEST_KAFKA") {
        Ok(address) if !address.is_empty() => Some(address),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!(
                "PENSTOCK_TEST_KAFKA is not set: CI runs the suite on real Kafka, too (cargo xtask test)"
            )
        }
        _ => {
            eprintln!(
                "not run: PENSTOCK_TEST_KAFKA (host:port) is not set; cargo xtask services start gives one"
            );
            None
        }
    }
}

/// Opens `embedded:DIRECTORY` or `kafka:HOST:PORT`.
pub(crate) fn open(address: &str) -> Arc<dyn Broker> {
    match address.split_once(':').unwrap() {
        ("embedded", directory) => {
            let settings = EmbeddedSettings {
                cleaning_interval: Duration::from_millis(50),
                ..EmbeddedSettings::new(directory)
            };
            Arc::new(EmbeddedBroker::open(&settings).unwrap())
        }
        (_, server) => {
            let properties = BTreeMap::from([("bootstrap.servers".to_owned(), server.to_owned())]);
            Arc::new(KafkaBroker::new(client_config(&properties).unwrap()).unwrap())
        }
    }
}

/// A name that no other test and no earlier run has.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:x}-{:x}-{count}", now_ms(), std::process::id())
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

pub(crate) fn header(name: &str, value: Option<&'static [u8]>) -> Header {
    Header {
        name: name.into(),
        value: value.map(Bytes::from_static),
    }
}

/// Values as text, for comparing.
pub(crate) fn values(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|m| String::from_utf8_lossy(m.value.as_deref().unwrap_or(b"null")).into_owned())
        .collect()
}

/// The next offset of each partition after these messages.
pub(crate) fn next_offsets(messages: &[Message]) -> Vec<TopicPartitionOffset> {
    let mut next = BTreeMap::new();
    for m in messages {
        next.insert(
            TopicPartition::new(m.topic.clone(), m.partition),
            m.offset + 1,
        );
    }
    next.into_iter()
        .map(|(partition, offset)| partition.at(offset))
        .collect()
}

/// Polls until `count` messages have come; assignments and revocations are taken as they come.
pub(crate) fn collect(consumer: &mut dyn Consumer, count: usize) -> Vec<Message> {
    let mut all = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while all.len() < count {
        assert!(
            Instant::now() < deadline,
            "{} of {count} messages came",
            all.len()
        );
        match consumer.poll(1000, MOMENT).unwrap() {
            Polled::Messages(messages) => all.extend(messages),
            Polled::Revoked { .. } => consumer.release().unwrap(),
            Polled::Assigned(_) | Polled::Idle => {}
        }
    }
    all
}

/// Polls until the member has `count` partitions. Fails on messages: they would be lost here.
pub(crate) fn until_assigned(consumer: &mut dyn Consumer, count: usize) -> Vec<TopicPartition> {
    let deadline = Instant::now() + LIMIT;
    while consumer.assignment().len() < count {
        assert!(Instant::now() < deadline, "{count} partitions never came");
        match consumer.poll(1, MOMENT).unwrap() {
            Polled::Messages(messages) => {
                panic!("{} messages before the assignment", messages.len())
            }
            Polled::Revoked { .. } => consumer.release().unwrap(),
            Polled::Assigned(_) | Polled::Idle => {}
        }
    }
    consumer.assignment()
}

/// Tries until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "never so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
