//! The real servers that tests talk to, on free loopback ports with small heaps.

mod azure;
mod kafka;
mod objects;
mod probe;
mod registry;
mod security;
mod set;
mod shared;

pub use azure::Azurite;
pub use kafka::{Kafka, KafkaOptions};
pub use objects::{FakeGcs, Minio};
pub use registry::Registry;
pub use security::KafkaSecurity;
pub use set::{Fetched, Services};
pub use shared::Shared;

/// `host:port` of a Kafka broker.
pub const KAFKA_VARIABLE: &str = "PENSTOCK_TEST_KAFKA";
/// Base address of a Confluent-compatible schema registry.
pub const REGISTRY_VARIABLE: &str = "PENSTOCK_TEST_REGISTRY";
/// Base address of an S3 server, whose user has the keys of [`S3_KEY_ID_VARIABLE`] and
/// [`S3_SECRET_VARIABLE`].
pub const S3_VARIABLE: &str = "PENSTOCK_TEST_S3";
/// Access key id of the S3 server's user.
pub const S3_KEY_ID_VARIABLE: &str = "PENSTOCK_TEST_S3_ACCESS_KEY_ID";
/// Secret access key of the S3 server's user.
pub const S3_SECRET_VARIABLE: &str = "PENSTOCK_TEST_S3_SECRET_ACCESS_KEY";
/// Base address of a server with the JSON interface of Google Cloud Storage.
pub const GCS_VARIABLE: &str = "PENSTOCK_TEST_GCS";
/// Base address of an Azure Blob server, the storage account included, whose key is
/// [`AZURE_KEY_VARIABLE`].
pub const AZURE_VARIABLE: &str = "PENSTOCK_TEST_AZURE";
/// Key of the Azure server's storage account, [`Azurite::ACCOUNT`].
pub const AZURE_KEY_VARIABLE: &str = "PENSTOCK_TEST_AZURE_ACCOUNT_KEY";
/// Interpreter with other people's clients and file readers.
pub const PYTHON_VARIABLE: &str = "PENSTOCK_TEST_PYTHON";

/// Names and values of environment variables.
type Variables = Vec<(&'static str, String)>;

/// Options of every server's JVM: it starts quickly and stays small beside the code under test.
const SMALL_JVM: &[&str] = &[
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
];

/// How long a server may take to become ready on a machine that is busy compiling.
const READY_LIMIT: std::time::Duration = std::time::Duration::from_secs(180);
