//! Field paths: `customer/id` or `customer.id`; a backslash takes the next character as it is.

use std::fmt;
use std::str::FromStr;

use crate::error::PathError;

/// The names that lead from the event to a field. Arrays on the way are not named: a path runs
/// through all their elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath {
    segments: Box<[Box<str>]>,
}

impl FieldPath {
    /// Parses `customer/id` or `customer.id`; `\.`, `\/` and `\\` stand for the characters themselves.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let malformed = |problem| PathError::Malformed {
            path: text.to_owned(),
            problem,
        };
        let mut segments = Vec::new();
        let mut segment = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some(escaped) => segment.push(escaped),
                    None => return Err(malformed("ends in a backslash that escapes nothing")),
                },
                '.' | '/' => segments.push(std::mem::take(&mut segment).into_boxed_str()),
                other => segment.push(other),
            }
        }
        segments.push(segment.into_boxed_str());
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(malformed("has an empty segment"));
        }
        Ok(Self {
            segments: segments.into(),
        })
    }

    /// A path of these names, taken literally.
    pub fn from_segments<S: AsRef<str>>(
        segments: impl IntoIterator<Item = S>,
    ) -> Result<Self, PathError> {
        let segments: Box<[Box<str>]> = segments
            .into_iter()
            .map(|segment| Box::from(segment.as_ref()))
            .collect();
        let path = Self { segments };
        if path.segments.is_empty() || path.segments.iter().any(|segment| segment.is_empty()) {
            return Err(PathError::Malformed {
                path: path.to_string(),
                problem: "has an empty segment",
            });
        }
        Ok(path)
    }

    /// The names, outermost first. Never empty.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.segments.iter().map(|segment| &**segment)
    }

    /// The field's own name, without its parents'.
    pub fn name(&self) -> &str {
        self.segments.last().map_or("", |segment| segment)
    }
}

/// Dotted, with dots, slashes and backslashes within names escaped, so that it parses back.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            for c in segment.chars() {
                if matches!(c, '.' | '/' | '\\') {
                    f.write_str("\\")?;
                }
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn both_separators_and_escapes_are_understood_and_display_parses_back() {
        for (text, segments, shown) in [
            ("id", vec!["id"], "id"),
            ("customer/id", vec!["customer", "id"], "customer.id"),
            ("customer.id", vec!["customer", "id"], "customer.id"),
            ("$schema", vec!["$schema"], "$schema"),
            (
                r"a\.b/c\/d.e\\f",
                vec!["a.b", "c/d", r"e\f"],
                r"a\.b.c\/d.e\\f",
            ),
        ] {
            let path = FieldPath::parse(text).unwrap();
            assert_eq!(path.segments().collect::<Vec<_>>(), segments);
            assert_eq!(path.to_string(), shown);
            assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
        }
    }

    #[test]
    fn an_empty_path_or_segment_or_a_dangling_backslash_is_refused() {
        for text in ["", ".", "a..b", "/a", "a.", r"a\"] {
            assert!(FieldPath::parse(text).is_err(), "{text:?}");
        }
        assert!(FieldPath::from_segments(Vec::<String>::new()).is_err());
    }
}
