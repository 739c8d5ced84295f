//! Kafka Connect's single-message transforms and predicates by their Java class names, and `SetField`.
//!
//! They work in place on the bytes of Avro and JSON payloads where the schema stays, and on a decoded
//! tree where it changes. Fields may be nested (`page.page_id`).
//!
//! Values become other values of the same schema where that schema takes them. A transform that needs
//! another Avro schema derives it, once per writer schema, without an id: a converter that writes JSON
//! or a sink that writes files takes such records as they are.

mod cast;
mod catalogue;
mod convert;
mod derive;
mod drop_headers;
mod each;
mod extract_field;
mod field_set;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_date;
mod mask_field;
mod part;
pub mod predicates;
mod regex_router;
mod replace_field;
mod set_field;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;
mod values;

pub use catalogue::{
    PredicateClass, SUPPORTED, SUPPORTED_PREDICATES, TransformClass, changes_topic,
    check_predicate, check_transform, names, predicate, predicate_names, transform,
};
pub use part::Part;
pub use predicates::Predicate;
