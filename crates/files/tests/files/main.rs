//! Files as other people's readers see them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod avro;
mod compression;
mod csv;
mod docs;
mod json;
#[allow(dead_code)] // The part that edits values is for the crate it lies in.
#[path = "../../../formats/tests/model/mod.rs"]
mod model;
mod properties;
mod spec;
mod support;
