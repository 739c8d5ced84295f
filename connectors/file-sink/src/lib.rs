//! FileSink: records as JSON lines, one file for each topic and partition, exactly once.
//!
//! Beside every data file lies its sidecar (`FILE.position`), which holds the position in the partition and
//! the length of the file in one synced record. Data becomes durable first, the sidecar second; after
//! a kill the file is cut back to the length that the sidecar states and reading goes on from its
//! position. What was taken but not flushed is read again, what was flushed is not.

mod chunk;
mod config;
mod counters;
mod failure;
mod output;
mod place;
mod sidecar;
mod sink;
mod tail;
mod template;

pub use config::{Compression, FileSinkConfig, NullValues};
pub use sink::FileSink;
pub use template::PathTemplate;
