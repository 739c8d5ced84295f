//! What a Penstock plugin is written against.
//!
//! A plugin is a [`Source`], a [`Sink`] or a [`Transform`], with one configuration struct made by
//! [`config!`]. It sees [`Record`]s whose payloads stay wire bytes, and knows nothing of the runner,
//! of Kafka or of other plugins.

mod budget;
pub mod config;
mod error;
mod journal;
mod metrics;
mod outcome;
pub mod properties;
mod record;
mod sink;
mod source;
mod transform;

pub use budget::{Budget, BudgetHolder};
pub use config::{Config, ConfigKey, ConfigValue};
pub use error::{Error, RecordError, RecordErrorKind, Retry};
pub use journal::{Journal, JournalEntry, MemoryJournal};
pub use metrics::Metrics;
pub use outcome::{Outcome, Reply};
pub use properties::{Problem, Settings};
pub use record::{Header, Origin, Placement, Record, TopicPartition};
pub use sink::{FlushReason, Need, Position, Sink, SinkMode, StartAt};
pub use source::{Source, SourceBatch, SourceRecord};
pub use transform::{Outputs, Transform};

#[doc(hidden)]
pub use prometheus;

/// Which task of which connector a plugin instance serves; labels its metrics and messages.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The connector's `name`.
    pub connector: std::sync::Arc<str>,
    /// Number of the task within the connector, from 0.
    pub task: usize,
    /// How many tasks the connector has.
    pub tasks: usize,
    /// Where the plugin's own counters go.
    pub metrics: Metrics,
    /// The bytes that buffers may take in the whole worker.
    pub budget: Budget,
}
