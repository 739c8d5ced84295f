//! SseSource: server-sent events as records, resumed where they were left.
//!
//! Each event is checked against the pinned schema and becomes a record; one that does not fit, or is
//! not JSON at all, becomes a record with a fault, for the error stream. The position is the id of the
//! last event, verbatim, which goes back to the server as `Last-Event-ID`. Ids that are made of
//! timestamps, as EventStreams' are, make a server send some events again: the ids of
//! [recent](recent) events lie beside it, and what is among them is dropped.
//!
//! That a server closes its connections from time to time is part of the protocol and handled here:
//! the source waits (what the server's `retry:` asked for, with jitter) and goes on. A server that
//! refuses, or cannot be reached, is an error for the worker, which supervises the task.

mod backoff;
mod config;
mod connection;
mod counters;
mod decoder;
mod event;
mod position;
mod recent;
mod source;

pub use config::{Since, SseSourceConfig, StreamUri};
pub use source::SseSource;
