//! What users write: the worker's file and the connectors' files, parsed and checked as far as that
//! goes without connecting to anything.

mod connector;
mod connector_spec;
mod files;
mod worker;

pub(crate) use connector::{ConnectorConfig, RawEvent, Seal, Tolerance, Until};
pub(crate) use connector_spec::{ConnectorSpec, HIDDEN, TransformSpec};
pub(crate) use files::{Loaded, load, worker_alone};
pub(crate) use worker::WorkerConfig;

/// Keys below a converter that are known elsewhere or mean nothing here.
pub(crate) const ACCEPTED_CONVERTER_KEYS: &[&str] = &[
    "schema.registry.url",
    "basic.auth.credentials.source",
    "basic.auth.user.info",
    "use.latest.version",
    "schemas.cache.size",
    "schemas.cache.config",
    "enhanced.avro.schema.support",
    "connect.meta.data",
];
