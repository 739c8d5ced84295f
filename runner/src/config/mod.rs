//! What users write: the worker's file and the connectors' files, parsed and checked as far as that
//! goes without connecting to anything.

mod client_settings;
mod connect_keys;
mod connector;
mod connector_spec;
pub(crate) mod converter_keys;
mod files;
mod json_file;
mod overrides;
mod secrets;
mod worker;

pub(crate) use connector::{ConnectorConfig, RawEvent, Seal, Tolerance, Until};
pub(crate) use connector_spec::{ConnectorSpec, TransformSpec};
pub(crate) use files::{Loaded, load, read, worker_alone};
pub(crate) use secrets::HIDDEN;
pub(crate) use worker::WorkerConfig;
