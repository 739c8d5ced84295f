//! Avro and JSON payloads, read and edited in place; Confluent framing; JSON to Avro and back.
//!
//! A payload stays what it is on the wire: bytes and a schema. [`Fields`] is a set of paths
//! compiled once per writer schema into a program that skips what nobody asked for and notes where
//! the wanted values lie ([`Found`], [`Slot`]). A slot adds a new value to the payload's [`Edits`] (byte
//! ranges and new bytes), and [`Payload`] emits the untouched segments with the edits between them. A decoded
//! [`Value`] exists only for those who ask for one.
//!
//! ```
//! use std::sync::Arc;
//! use penstock_formats::{EditBuffer, Encoding, FieldPath, Fields, Found, Payload, Scalar};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fields = Fields::schemaless_json(&[FieldPath::parse("customer/email")?]);
//! let mut payload = Payload::new(&br#"{"customer":{"email":"a@b.c"}}"#[..], Encoding::Json);
//! let mut found = Found::new();
//! fields.find(payload.bytes(), &mut found)?;
//! let slot = found.first(0).ok_or("no email")?;
//! let mut buffer = EditBuffer::new();
//! let mut edits = buffer.begin();
//! slot.replace(&fields, &Scalar::Str("hidden".into()), &mut edits)?;
//! payload.edit(&found, edits)?;
//! payload.flatten();
//! assert_eq!(payload.bytes(), &br#"{"customer":{"email":"hidden"}}"#[..]);
//! # Ok(())
//! # }
//! ```

pub mod avro;
mod edit;
mod error;
mod fields;
mod found;
pub mod frame;
mod input;
pub mod json;
mod names;
mod path;
mod payload;
mod scalar;
mod schema;
mod trie;
mod value;

pub use edit::{EditBuffer, Edits};
pub use error::{EditError, FormatError, PathError, SchemaError};
pub use fields::{FieldType, Fields, Limits, ScalarKind};
pub use found::{Found, Slot};
pub use path::FieldPath;
pub use payload::{Encoding, Payload};
pub use scalar::Scalar;
pub use schema::{Schema, SchemaKind};
pub use value::Value;
