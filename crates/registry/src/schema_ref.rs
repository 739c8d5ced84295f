//! `handle/name/x.y.z`: the name of one published, unchangeable schema.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A reference to one published schema: a path whose last segment is the version
/// (`streammachine/demo/1.0.2`, `mediawiki/page/change/1.1.0`).
///
/// The version is three numbers; the other segments hold ASCII letters, digits, `_` and `-`, so
/// that no two references share a [subject](SchemaRef::subject). One leading slash is accepted, as
/// JSON Schema `$id`s have it, and dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaRef(String);

/// A text that is not a schema reference, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a schema reference: {reason} (expected handle/name/x.y.z)")]
pub struct InvalidSchemaRef {
    text: String,
    reason: &'static str,
}

impl SchemaRef {
    /// Reads `handle/name/x.y.z`; at least one segment before the version.
    pub fn parse(text: &str) -> Result<Self, InvalidSchemaRef> {
        let invalid = |reason| InvalidSchemaRef {
            // A reference comes from a header: cut what is far too long to be one.
            text: text.chars().take(200).collect(),
            reason,
        };
        let path = text.strip_prefix('/').unwrap_or(text);
        if path.len() > 255 {
            return Err(invalid("it is longer than 255 characters"));
        }
        let Some((names, version)) = path.rsplit_once('/') else {
            return Err(invalid("it has no name before the version"));
        };
        if !is_version(version) {
            return Err(invalid("its last segment is not a version"));
        }
        for segment in names.split('/') {
            if segment.is_empty() {
                return Err(invalid("it has an empty segment"));
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !segment.chars().all(allowed) {
                return Err(invalid("a name may hold letters, digits, '_' and '-' only"));
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The reference as written, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject that holds the schema: the reference with dots for slashes,
    /// `streammachine.demo.1.0.2`.
    pub fn subject(&self) -> String {
        self.0.replace('/', ".")
    }

    /// The last segment, `1.0.2`.
    pub fn version(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

fn is_version(text: &str) -> bool {
    let mut parts = 0;
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        parts += 1;
    }
    parts == 3
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SchemaRef {
    type Err = InvalidSchemaRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SchemaRef {
    type Error = InvalidSchemaRef;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SchemaRef> for String {
    fn from(reference: SchemaRef) -> Self {
        reference.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_reference_has_one_dotted_subject() {
        for (text, subject, version) in [
            (
                "streammachine/demo/1.0.2",
                "streammachine.demo.1.0.2",
                "1.0.2",
            ),
            (
                "/mediawiki/page/change/1.1.0",
                "mediawiki.page.change.1.1.0",
                "1.1.0",
            ),
            ("error/2.1.0", "error.2.1.0", "2.1.0"),
        ] {
            let reference = SchemaRef::parse(text).unwrap();
            assert_eq!(reference.subject(), subject);
            assert_eq!(reference.version(), version);
            assert_eq!(reference.as_str(), text.trim_start_matches('/'));
        }
    }

    #[test]
    fn what_is_not_a_reference_says_why() {
        for (text, reason) in [
            ("1.0.2", "no name before"),
            ("a/b", "not a version"),
            ("a/b/1.0", "not a version"),
            ("a/b/1..0", "not a version"),
            ("a//1.0.0", "empty segment"),
            ("a/b.c/1.0.0", "letters, digits"),
            ("a/ b/1.0.0", "letters, digits"),
            ("//a/1.0.0", "empty segment"),
        ] {
            let error = SchemaRef::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
