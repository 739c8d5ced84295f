//! Groups of keys that several connectors share: the words that users of other connectors bring along,
//! what they make of a [`Plan`](crate::Plan), and how to reach a bucket.

mod access;
mod aiven;
mod classes;
mod confluent;
mod contents;
mod engine;
mod patience;

pub use access::{AccessKeys, Scheme, check_pair, check_role};
pub use aiven::{AivenKeys, OutputType, TimestampSource};
pub use classes::{
    AvroCodec, Directory, Extractor, FormatClass, ParquetCodec, Partitioner, Separator,
};
pub use confluent::ConfluentKeys;
pub use contents::Contents;
pub use engine::{EngineKeys, check_part, part_bytes, schedule};
pub use patience::PatienceKeys;
