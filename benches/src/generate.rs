//! Fills a topic with demo events and registers their schema.
#![allow(clippy::print_stdout)] // A command line program prints.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use penstock_bench::{Events, Format};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Fills a topic with demo events and registers their schema.
#[derive(Parser)]
struct Arguments {
    /// Kafka broker, `host:port`.
    #[arg(long)]
    bootstrap: String,
    /// Base address of the schema registry; needed unless the format is plain.
    #[arg(long, required_if_eq_any([("format", "avro"), ("format", "json")]))]
    registry: Option<String>,
    /// The topic, which has one partition.
    #[arg(long)]
    topic: String,
    /// How the events lie in the topic.
    #[arg(long)]
    format: Format,
    /// How many events.
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// How many distinct values the key field has.
    #[arg(long, default_value_t = 10_000)]
    keys: u32,
}

const AVRO_SCHEMA: &str =
    include_str!("../../tests/acceptance/demo/schemas/streammachine/demo/1.0.2.avsc");
const JSON_SCHEMA: &str = include_str!("../estate/demo-json.schema.json");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut frame = Vec::new();
    if let Some(registry) = &arguments.registry {
        let id = match arguments.format {
            Format::Avro => {
                register(registry, "streammachine.demo.1.0.2", "AVRO", AVRO_SCHEMA).await?
            }
            Format::Json | Format::Plain => {
                register(
                    registry,
                    "streammachine.demo-json.1.0.2",
                    "JSON",
                    JSON_SCHEMA,
                )
                .await?
            }
        };
        frame.push(0);
        frame.extend(id.to_be_bytes());
    }
    let bytes = fill(&arguments, &frame)?;
    println!(
        "{}: {} events of {} bytes",
        arguments.topic,
        arguments.events,
        bytes / arguments.events.max(1)
    );
    Ok(())
}

/// Registers a schema, or finds it; returns its id.
async fn register(
    registry: &str,
    subject: &str,
    kind: &str,
    schema: &str,
) -> Result<u32, Box<dyn Error>> {
    let body = serde_json::json!({"schemaType": kind, "schema": schema});
    let response = reqwest::Client::new()
        .post(format!("{registry}/subjects/{subject}/versions"))
        .json(&body)
        .send()
        .await?;
    let status = response.status();
    let answer: serde_json::Value = response.json().await?;
    match answer["id"].as_u64() {
        Some(id) => Ok(id.try_into()?),
        None => Err(format!("the registry did not take {subject}: {status} {answer}").into()),
    }
}

/// Writes the events; returns how many bytes they have in all, frames included.
fn fill(arguments: &Arguments, frame: &[u8]) -> Result<usize, Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.size", "500000")
        .create()?;
    let mut total = 0;
    let mut bytes = Vec::new();
    for event in Events::new(arguments.format, arguments.keys).take(arguments.events) {
        bytes.clear();
        bytes.extend_from_slice(frame);
        event.write(arguments.format, &mut bytes);
        total += bytes.len();
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&arguments.topic)
            .partition(0)
            .payload(&bytes);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(total)
}
