//! FileSource: the rows of CSV and JSON lines files as records, each once.
//!
//! Files are read in the order of their names, from this machine or from an object store, in blocks, so
//! that their size does not matter. A row becomes an event of the pinned schema; one that does not fit
//! becomes a record with a fault that says file, line and column. The position says which files are
//! done and which row comes next: it is stored in one transaction with the records before it.
//!
//! A file is known by its name, and has to be complete when it appears. One that changes while it is
//! read stops the source, since nobody can tell which of its rows are new.

mod body;
mod cell;
mod columns;
mod config;
mod consent;
mod counters;
mod done;
mod event;
mod file;
mod folder;
mod place;
mod position;
mod reader;
mod rows;
mod source;
mod store;
mod target;
mod time;

pub use config::{Delimiter, FileFormat, FileSourceConfig, FileSourceKeys, NullText, Quote};
pub use consent::Levels;
pub use place::FilePlace;
pub use source::FileSource;
pub use store::StoreKeys;
pub use time::TimeFormat;
