//! Which changes of a schema a subject accepts.
//!
//! *Backward* means that a reader with the new schema can read what was written with the old one,
//! *forward* the other way round, *full* both; the transitive levels ask this of every version, the
//! others of the latest.
//!
//! **Avro** follows the specification's schema resolution as Avro's own `SchemaCompatibility` does
//! (defaults, aliases of the reader, promotions, unions branch by branch, unqualified names), and
//! besides refuses a change of a decimal's scale, which would silently change every value.
//!
//! **JSON Schema** asks whether every document that the writer's schema accepts is accepted by the
//! reader's. What cannot be shown counts as incompatible. Checked are:
//! - types, with `integer` within `number`; `enum` and `const`;
//! - `properties` and `additionalProperties` as open and closed content: a property may be added to
//!   closed content (an open one may hold anything under that name already) and removed from open
//!   content; `required` may lose names; `patternProperties`, `propertyNames`, `min`/`maxProperties`
//!   and dependencies;
//! - the bounds of numbers, strings and arrays, which may be loosened; `multipleOf`; `pattern` and
//!   `format`, which may be dropped;
//! - `items` as one schema or a tuple, `additionalItems`, `uniqueItems`;
//! - `allOf`, `anyOf`, and `oneOf` whose branches exclude each other by type;
//! - `$ref` within the schema and to registered references;
//! - `not`, `if`/`then`/`else`, `contains` and all other keywords must stay as they are.
//!
//! A property added as required is incompatible even if it has a `default`: a validator does not
//! fill defaults in, so documents without it would be refused.

mod avro;
mod bounds;
mod json;
mod object;

use std::fmt;
use std::str::FromStr;

use penstock_formats::SchemaKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The compatibility that a subject asks of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityLevel {
    /// Anything goes.
    None,
    /// The new schema reads what the latest wrote.
    #[default]
    Backward,
    /// The new schema reads what every version wrote.
    BackwardTransitive,
    /// The latest schema reads what the new one writes.
    Forward,
    /// Every version reads what the new one writes.
    ForwardTransitive,
    /// Backward and forward.
    Full,
    /// Backward and forward, with every version.
    FullTransitive,
}

/// The text is no compatibility level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
)]
pub struct UnknownLevel;

impl CompatibilityLevel {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The name in the REST interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether every earlier version counts, not only the latest.
    pub fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    fn backward(self) -> bool {
        !matches!(self, Self::None | Self::Forward | Self::ForwardTransitive)
    }

    fn forward(self) -> bool {
        !matches!(self, Self::None | Self::Backward | Self::BackwardTransitive)
    }
}

impl fmt::Display for CompatibilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CompatibilityLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownLevel)
    }
}

/// Why a reader's schema cannot read what a writer's schema writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incompatibility {
    /// In the names of Confluent's messages, `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub(crate) kind: &'static str,
    /// JSON pointer into the reader's schema.
    pub(crate) path: String,
    /// What does not fit, with `{reader}` and `{writer}` for `new` and `old`.
    pub(crate) description: String,
}

impl Incompatibility {
    fn message(&self, reader: &str, writer: &str) -> String {
        let description = self
            .description
            .replace("{reader}", reader)
            .replace("{writer}", writer);
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        format!(
            "{{errorType:'{}', description:'{description}', path:'{path}'}}",
            self.kind
        )
    }
}

/// Chains of named types longer than this are not followed: the stack is bounded, the schema was
/// sent by a stranger.
const MAX_DEPTH: usize = 400;

fn too_complex(path: &str) -> Incompatibility {
    Incompatibility {
        kind: "TOO_COMPLEX",
        path: path.to_owned(),
        description: "The schemas are nested too deeply to be compared".to_owned(),
    }
}

/// A schema as the rules read it: its JSON, and the schemas that it refers to, all with their own.
#[derive(Debug, Clone)]
pub(crate) struct Comparable {
    pub(crate) kind: SchemaKind,
    /// Avro in [normal form](crate::content::normal_form), JSON Schema as written.
    pub(crate) schema: Value,
    /// By the name of the reference; references of references included.
    pub(crate) references: Vec<(String, Value)>,
}

/// What keeps `new` from following `old` at this level, as messages; none if nothing does.
pub(crate) fn check(level: CompatibilityLevel, new: &Comparable, old: &Comparable) -> Vec<String> {
    if level == CompatibilityLevel::None {
        return Vec::new();
    }
    if new.kind != old.kind {
        return vec![
            "{errorType:'SCHEMA_TYPE_CHANGED', description:'The new schema is of another schema type than the old one', path:'/'}"
                .to_owned(),
        ];
    }
    let can_read = |reader: &Comparable, writer: &Comparable| match new.kind {
        SchemaKind::Avro => avro::can_read(reader, writer),
        SchemaKind::Json => json::can_read(reader, writer),
    };
    let mut messages = Vec::new();
    if level.backward() {
        let found = can_read(new, old);
        messages.extend(found.iter().map(|i| i.message("new", "old")));
    }
    if level.forward() {
        let found = can_read(old, new);
        messages.extend(found.iter().map(|i| i.message("old", "new")));
    }
    messages.dedup();
    messages
}

#[cfg(test)]
mod tests;
