//! The words that users of other connectors bring along, as groups of keys that the connectors of one
//! vendor share, and what they make of a [`Plan`](crate::Plan).

mod aiven;
mod classes;
mod confluent;
mod contents;
mod engine;

pub use aiven::{AivenKeys, OutputType, TimestampSource};
pub use classes::{
    AvroCodec, Directory, Extractor, FormatClass, ParquetCodec, Partitioner, Separator,
};
pub use confluent::ConfluentKeys;
pub use contents::Contents;
pub use engine::{EngineKeys, check_part, part_bytes, schedule};
