//! Where files are: a path, a directory or a pattern, on this machine or in a store.

use std::fmt;

use glob::{MatchOptions, Pattern};
use penstock_connect::config::ConfigValue;
use penstock_objects::vocabulary::Scheme;

/// A bucket or container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) scheme: Scheme,
    pub(crate) name: String,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    text: String,
    /// `None`: this machine.
    pub(crate) bucket: Option<Bucket>,
    /// Everything before the first part with a wildcard, without slash at its end (`/` itself aside).
    pub(crate) base: String,
    /// The rest.
    pub(crate) pattern: Option<Pattern>,
}

/// A star stays within its part of the path, and finds no hidden names.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

impl FilePlace {
    /// Whether the file at this path below the base is meant. Without a pattern all are, except those
    /// that are hidden or, as Hadoop's side files, begin with an underscore.
    pub(crate) fn includes(&self, below: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.matches_with(below, MATCHING),
            None => !below.split('/').any(|part| part.starts_with(['.', '_'])),
        }
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ConfigValue for FilePlace {
    const KIND: &'static str = "a path or pattern, or a URL (s3://bucket/prefix, gs://, az://)";

    fn parse(text: &str) -> Result<Self, String> {
        let (bucket, path) = match text.split_once("://") {
            None => (None, text),
            Some(("file", path)) => (None, path),
            Some((scheme, rest)) => {
                let scheme = Scheme::named(scheme).ok_or_else(|| {
                    format!("must be a path, or begin with s3://, gs:// or az://, not {scheme}://")
                })?;
                let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
                if name.is_empty() {
                    return Err("names no bucket".to_owned());
                }
                let name = name.to_owned();
                (Some(Bucket { scheme, name }), path)
            }
        };
        if path.is_empty() && bucket.is_none() {
            return Err("is empty".to_owned());
        }
        let wild = path
            .split('/')
            .position(|part| part.contains(['*', '?', '[']));
        let parts: Vec<&str> = path.split('/').collect();
        let (base, pattern) = parts.split_at(wild.unwrap_or(parts.len()));
        let pattern = match pattern.join("/") {
            pattern if pattern.is_empty() => None,
            pattern => Some(
                Pattern::new(&pattern)
                    .map_err(|error| format!("is not a pattern that can be used: {error}"))?,
            ),
        };
        let from_root = path.starts_with('/') && bucket.is_none();
        let base: Vec<&str> = base
            .iter()
            .copied()
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        let base = format!("{}{}", if from_root { "/" } else { "" }, base.join("/"));
        Ok(Self {
            text: text.to_owned(),
            bucket,
            base,
            pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_split_before_the_first_wildcard() {
        for (text, bucket, base, pattern) in [
            ("in", None, "in", None),
            ("./in/", None, "in", None),
            ("/data/in/a.csv", None, "/data/in/a.csv", None),
            ("file:///data/in", None, "/data/in", None),
            ("*.csv", None, "", Some("*.csv")),
            ("in/2024-*/a.csv", None, "in", Some("2024-*/a.csv")),
            ("/*.csv", None, "/", Some("*.csv")),
            ("s3://lake", Some("lake"), "", None),
            ("s3://lake/in/", Some("lake"), "in", None),
            ("gs://lake/in/**/*.gz", Some("lake"), "in", Some("**/*.gz")),
        ] {
            let place = FilePlace::parse(text).unwrap();
            let found = place.bucket.as_ref().map(|bucket| bucket.name.as_str());
            assert_eq!(found, bucket, "{text}");
            assert_eq!(place.base, base, "{text}");
            assert_eq!(place.pattern.as_ref().map(Pattern::as_str), pattern);
        }
    }

    #[test]
    fn patterns_stay_within_their_parts_and_directories_leave_out_side_files() {
        for (place, below, included) in [
            ("in", "a.csv", true),
            ("in", "b/a.csv", true),
            ("in", ".a.csv.swp", false),
            ("in", "_SUCCESS", false),
            ("in", "_temporary/a.csv", false),
            ("in/*.csv", "a.csv", true),
            ("in/*.csv", "b/a.csv", false),
            ("in/*.csv", ".a.csv", false),
            ("in/_*.csv", "_a.csv", true),
            ("in/**/*.csv", "a.csv", true),
            ("in/**/*.csv", "b/c/a.csv", true),
            ("in/part-?.csv", "part-1.csv", true),
            ("in/part-[0-4].csv", "part-5.csv", false),
        ] {
            let parsed = FilePlace::parse(place).unwrap();
            assert_eq!(parsed.includes(below), included, "{place} {below}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (text, expected) in [
            (
                "http://x/a.csv",
                "must be a path, or begin with s3://, gs:// or az://, not http://",
            ),
            ("s3:///a.csv", "names no bucket"),
            ("", "is empty"),
        ] {
            assert_eq!(FilePlace::parse(text).unwrap_err(), expected);
        }
        assert!(FilePlace::parse("in/a[.csv").is_err());
    }
}
