//! Files in object stores and directories, in Penstock's own words ([`ObjectSinkConfig`]), and batches of
//! a stream every so many seconds ([`BatchExporter`]).

mod batch;
mod place;
mod sink;

pub use batch::{BatchExporter, BatchExporterConfig};
pub use penstock_objects::ObjectSink;
pub use place::{PlaceKeys, StoreUrl};
pub use sink::ObjectSinkConfig;
