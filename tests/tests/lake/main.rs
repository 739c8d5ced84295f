//! Batch export, end to end: a worker, real object stores, and other people's readers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acceptance;
mod aws;
mod azure;
mod batches;
mod directory;
mod formats;
mod google;
mod guide;
mod killed_uploads;
mod kills;
mod large_events;
mod large_files;
mod late;
mod memory;
mod moments;
mod notices;
mod once;
mod refusals;
mod rights;
mod schedule;
mod silence;
mod small_files;
mod table;
mod vocabularies;
