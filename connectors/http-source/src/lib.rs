//! HttpSource, the gateway: takes events in over HTTP and answers once each one is durable.
//!
//! A request becomes one record (`POST /event`) or several (`POST /v1/events`), which wait in a
//! bounded queue until the worker takes all that is there at once: what came in while one batch was
//! written is the next batch. The answer carries the outcome of the record, so a sender that got
//! `204` need not send again, and one that got `503` may.
//!
//! The whole payload is checked before it is taken in, against the schema that the request names.
//! Refusals say what is wrong and where; they never repeat a value of the event.

mod answer;
mod batch;
mod body;
mod config;
mod counters;
mod event;
mod intake;
mod queue;
mod schemas;
mod server;
mod source;

pub use config::HttpSourceConfig;
pub use source::HttpSource;
