//! Topics: made, waited for, checked.

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use memchr::memmem;
use penstock_bench::KEY_FIELD_MARK;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::PATIENCE;

const REQUEST: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn admin(
    bootstrap: &str,
) -> Result<AdminClient<rdkafka::client::DefaultClientContext>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
}

pub(crate) async fn create(bootstrap: &str, names: &[String]) -> Result<(), Box<dyn Error>> {
    let topics: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(REQUEST));
    for made in admin(bootstrap)?.create_topics(&topics, &options).await? {
        made.map_err(|(topic, code)| format!("topic {topic} was not made: {code}"))?;
    }
    Ok(())
}

pub(crate) async fn delete(bootstrap: &str, names: &[String]) -> Result<(), Box<dyn Error>> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for gone in admin(bootstrap)?
        .delete_topics(&names, &AdminOptions::new())
        .await?
    {
        gone.map_err(|(topic, code)| format!("topic {topic} was not deleted: {code}"))?;
    }
    Ok(())
}

#[derive(Args)]
pub(crate) struct Wait {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    topic: String,
    /// The offset.
    #[arg(long)]
    offset: i64,
    /// The process that commits; waiting ends with an error when it has ended.
    #[arg(long)]
    process: u32,
}

impl Wait {
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        // Offsets of an open transaction do not count, and are not waited for.
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.group)
            .set("isolation.level", "read_uncommitted")
            .create()?;
        let start = Instant::now();
        loop {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition(&self.topic, 0);
            let committed = consumer.committed_offsets(partitions, REQUEST);
            let committed = committed.ok().and_then(|list| {
                let offset = list.find_partition(&self.topic, 0)?.offset();
                offset.to_raw()
            });
            if committed.is_some_and(|offset| offset >= self.offset) {
                return Ok(());
            }
            self.check_process()
                .map_err(|error| format!("{error} at offset {committed:?}"))?;
            if start.elapsed() > PATIENCE {
                return Err(format!("group {} is only at offset {committed:?}", self.group).into());
            }
            thread::sleep(POLL);
        }
    }

    /// An error when the process that commits has ended.
    pub(crate) fn check_process(&self) -> Result<(), String> {
        let process = Path::new("/proc").join(self.process.to_string());
        if process.exists() {
            return Ok(());
        }
        Err(format!("process {} ended", self.process))
    }
}

#[derive(Args)]
pub(crate) struct Check {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    /// How many records there have to be.
    #[arg(long)]
    records: usize,
    /// No plaintext of the key field may be left.
    #[arg(long)]
    encrypted: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let consumer = reader(&self.bootstrap, &self.topic, Offset::Beginning)?;
        let plaintext = memmem::Finder::new(KEY_FIELD_MARK);
        let mut records = 0;
        loop {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => {
                    records += 1;
                    let value = message.payload().unwrap_or_default();
                    if self.encrypted && plaintext.find(value).is_some() {
                        let offset = message.offset();
                        return Err(format!("{} has plaintext at {offset}", self.topic).into());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(error.into()),
                None => return Err("nothing came".into()),
            }
        }
        if records == self.records {
            return Ok(());
        }
        Err(format!(
            "{} has {records} records instead of {}",
            self.topic, self.records
        )
        .into())
    }
}

/// Reads partition 0; says when its end is reached.
pub(crate) fn reader(
    bootstrap: &str,
    topic: &str,
    from: Offset,
) -> Result<BaseConsumer, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "probe")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, from)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}
