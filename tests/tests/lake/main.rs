//! Batch export, end to end: a worker, real object stores, and other people's readers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acceptance;
mod aws;
mod azure;
mod batches;
mod faults;
mod google;
mod guide;
mod kills;
mod late;
mod memory;
mod moments;
mod notices;
mod once;
mod refusals;
mod schedule;
mod silence;
mod table;
mod vocabularies;
