//! The real servers that tests talk to, on free loopback ports with small heaps.

mod kafka;
mod registry;
mod set;
mod shared;

pub use kafka::{Kafka, KafkaOptions};
pub use registry::Registry;
pub use set::{Fetched, Services};
pub use shared::Shared;

/// `host:port` of a Kafka broker.
pub const KAFKA_VARIABLE: &str = "PENSTOCK_TEST_KAFKA";
/// Base address of a Confluent-compatible schema registry.
pub const REGISTRY_VARIABLE: &str = "PENSTOCK_TEST_REGISTRY";
/// Interpreter with the Confluent and Tink clients.
pub const PYTHON_VARIABLE: &str = "PENSTOCK_TEST_PYTHON";

/// Options of every server's JVM: it starts quickly and stays small beside the code under test.
const SMALL_JVM: &[&str] = &[
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
];

/// How long a server may take to become ready on a machine that is busy compiling.
const READY_LIMIT: std::time::Duration = std::time::Duration::from_secs(180);
