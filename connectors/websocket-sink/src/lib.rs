//! WebSocketSink, the egress: streams as JSON for people who look on.
//!
//! Every viewer of `/ws/<topic>` (WebSocket) or `/sse/<topic>` (server-sent events) gets the values of
//! that topic as they come, from the moment of connecting. Nothing depends on a viewer: there is no
//! group and there are no commits, and one that reads too slowly loses the oldest frames and is told
//! how many (`{"penstock":{"dropped":3}}`). Values become JSON only while somebody watches.

mod admission;
mod config;
mod hub;
mod ring;
mod server;
mod sink;
mod view;

pub use config::WebSocketSinkConfig;
pub use sink::WebSocketSink;
pub use view::frames_lost;
