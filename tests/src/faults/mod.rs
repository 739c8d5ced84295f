//! A way to an HTTP server that fails as told: a reverse proxy whose plan says which request meets
//! which fault. Requests are told apart by what they do to an object store (S3, Google Cloud
//! Storage and Azure Blob Storage), and counted, so that the same run meets the same faults.
//!
//! Requests are forwarded as they come, `Host` included, so that their signatures hold.

mod fault;
mod line;
mod operation;
mod proxy;

pub use fault::Fault;
pub use operation::Operation;
pub use proxy::{FaultProxy, Guard, Seen};
