//! Files of records: JSON lines, a JSON array, CSV, Avro container, Parquet and raw bytes, each with
//! the compressions that it allows.
//!
//! A [`FileSpec`] says what files look like; its [`FileWriter`]s take records and give out bytes as
//! they become final, so that a file of any size can be streamed from a small buffer. The same records
//! in the same order always give the same bytes: nothing in a file comes from a clock or from chance.

mod avro;
mod avro_block;
mod avro_row;
mod avro_schema;
mod columns;
mod csv;
mod json;
mod parquet;
mod spec;
mod stream;
mod text;
mod writer;

pub use spec::{
    Compression, Content, Csv, Dialect, FileSpec, Format, Member, Members, Timestamps,
    ValueEncoding,
};
pub use writer::FileWriter;
