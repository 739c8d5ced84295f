//! Where in a bucket records lie: Confluent's partitioners, Aiven's name templates, and the batch
//! exporter's names.

mod batches;
mod escape;
mod fields;
mod moment;
mod partitioned;
mod pattern;
mod template;
mod zone;

pub use batches::Batches;
pub use partitioned::{EventTime, Names, Partitioned, TimePath};
pub use pattern::Pattern;
pub use template::{NameTemplate, Templated};
pub use zone::Zone;

pub use escape::check_prefix;
