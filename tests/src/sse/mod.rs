//! A stand-in for a public EventStreams server: server-sent events with resume by timestamp, and
//! everything that such a server does to its clients on a bad day.

mod connection;
mod history;
mod server;

pub use history::Position;
pub use server::{Request, SseServer};
