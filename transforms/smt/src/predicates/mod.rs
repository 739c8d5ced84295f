//! Predicates: which records a transform is applied to.

mod field_matches;
mod has_header_key;
mod record_is_tombstone;
mod topic_name_matches;

pub(crate) use field_matches::{FieldMatches, FieldMatchesConfig};
pub(crate) use has_header_key::{HasHeaderKey, HasHeaderKeyConfig};
pub(crate) use record_is_tombstone::{RecordIsTombstone, RecordIsTombstoneConfig};
pub(crate) use topic_name_matches::{TopicNameMatches, TopicNameMatchesConfig};

use penstock_connect::Record;

/// Says of a record whether something holds.
pub trait Predicate: Send {
    /// Whether it holds.
    fn test(&self, record: &Record) -> bool;
}
