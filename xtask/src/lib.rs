//! The project's tasks as a library: fetching and running the real servers that tests and
//! benchmarks talk to. The `xtask` binary is its command line; the end-to-end tests use it to
//! start brokers of their own.

pub mod bench;
mod error;
pub mod fetch;
pub mod licences;
pub mod lint;
pub mod paths;
pub mod ports;
pub mod process;
pub mod services;
pub mod suite;
pub mod tools;

pub use error::{Error, Result};
