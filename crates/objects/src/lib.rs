//! Batch export to object stores: one engine, which the connectors' vocabularies configure with a
//! [`Plan`].
//!
//! Every record lies in the bucket once, whatever happens in between. A file is named by what is in it
//! and closed for a reason; before its upload completes, the partition's entry in the sink's journal
//! says which records it holds, and only then can the object appear. A replay therefore knows what
//! each path already holds, skips it, and writes an object that was announced but never appeared again
//! under the same name with the same records.

mod bucket;
mod counters;
mod entry;
mod event_clock;
mod flushing;
pub mod layout;
mod naming;
mod notice;
mod open_file;
mod partition;
mod plan;
mod pressure;
mod rebuild;
mod replay;
mod rotation;
mod sink;
pub mod store;
mod upload;
mod uploads;
pub mod vocabulary;

pub use plan::{Layout, NamedBy, NullValues, Plan, Rotation, Schedule};
pub use sink::ObjectSink;
pub use store::Store;
