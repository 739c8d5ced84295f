//! The floor: what encrypting events from topic to topic costs when a loop is written by hand for one
//! shape of event, on the same client library, with the same transactions and as many keys. It shares
//! no code with the worker. It runs until it is stopped.

mod keys;
mod read;
mod scan;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use keys::Keys;
use penstock_bench::Format;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A bare loop from topic to topic.
#[derive(Parser)]
struct Arguments {
    /// Kafka broker, `host:port`.
    #[arg(long)]
    bootstrap: String,
    /// The topic to read, which has one partition.
    #[arg(long)]
    from: String,
    /// The topic to write; without one events are only read.
    #[arg(long)]
    to: Option<String>,
    /// The consumer group.
    #[arg(long)]
    group: String,
    /// How the events lie in the topic.
    #[arg(long)]
    format: Format,
    /// What to do.
    #[arg(long, value_enum, default_value_t = Job::Encrypt)]
    job: Job,
    /// Milliseconds between commits.
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    /// Find three fields, encrypt them, name the key; exactly once by transactions.
    Encrypt,
    /// Copy; no transactions.
    Copy,
}

const FOREVER: Duration = Duration::from_secs(60);

struct Loop {
    arguments: Arguments,
    to: String,
    consumer: BaseConsumer,
    producer: BaseProducer,
    json: scan::Json,
    keys: Keys,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("group.id", &arguments.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    let Some(to) = arguments.to.clone() else {
        consumer.subscribe(&[&arguments.from])?;
        let interval = Duration::from_millis(arguments.commit_ms);
        return read::read(&consumer, &arguments.from, interval);
    };
    let mut producer = ClientConfig::new();
    producer
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("acks", "all");
    if arguments.job == Job::Encrypt {
        producer.set("transactional.id", &arguments.group);
    }
    let producer: BaseProducer = producer.create()?;
    if arguments.job == Job::Encrypt {
        producer.init_transactions(FOREVER)?;
    }
    consumer.subscribe(&[&arguments.from])?;
    Loop {
        arguments,
        to,
        consumer,
        producer,
        json: scan::Json::new(),
        keys: Keys::default(),
        scratch: Vec::new(),
        out: Vec::new(),
    }
    .run()
}

impl Loop {
    fn run(mut self) -> Result<(), Box<dyn Error>> {
        let interval = Duration::from_millis(self.arguments.commit_ms);
        let mut open: Option<(Instant, i64)> = None;
        let mut since_look = 0;
        loop {
            let message = self.consumer.poll(Duration::from_millis(10));
            if let Some(message) = &message {
                let message = message.as_ref().map_err(Clone::clone)?;
                let since = match open {
                    Some((since, _)) => since,
                    None => {
                        if self.arguments.job == Job::Encrypt {
                            self.producer.begin_transaction()?;
                        }
                        Instant::now()
                    }
                };
                open = Some((since, message.offset()));
                let event = message.payload().ok_or("an event without a value")?;
                let key = match self.arguments.job {
                    Job::Copy => {
                        self.out.clear();
                        self.out.extend_from_slice(event);
                        None
                    }
                    Job::Encrypt => {
                        let spots = match self.arguments.format {
                            Format::Avro => scan::find_avro(event),
                            Format::Json | Format::Plain => self.json.find(event),
                        };
                        let spots = spots.ok_or("an event of another shape")?;
                        let (scratch, out) = (&mut self.scratch, &mut self.out);
                        Some(
                            self.keys
                                .encrypt(self.arguments.format, event, &spots, scratch, out),
                        )
                    }
                };
                send(&self.producer, &self.to, key, &self.out)?;
            }
            // The clock and the delivery reports are looked at now and then.
            since_look += 1;
            if message.is_some() && since_look < 100 {
                continue;
            }
            since_look = 0;
            self.producer.poll(Duration::ZERO);
            match open {
                Some((since, offset)) if since.elapsed() >= interval => {
                    self.commit(offset + 1)?;
                    open = None;
                }
                _ => {}
            }
        }
    }

    fn commit(&self, offset: i64) -> Result<(), Box<dyn Error>> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.arguments.from, 0, Offset::Offset(offset))?;
        if self.arguments.job == Job::Copy {
            self.producer.flush(FOREVER)?;
            self.consumer.commit(&offsets, CommitMode::Sync)?;
            return Ok(());
        }
        let group = self.consumer.group_metadata().ok_or("not in the group")?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, FOREVER)?;
        self.producer.commit_transaction(FOREVER)?;
        Ok(())
    }
}

fn send(
    producer: &BaseProducer,
    topic: &str,
    key: Option<&str>,
    value: &[u8],
) -> Result<(), KafkaError> {
    let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic).partition(0).payload(value);
    record.key = key;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}
