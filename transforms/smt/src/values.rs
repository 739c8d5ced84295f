//! Kinds of configuration values that only transforms have.

use penstock_connect::config::{ConfigValue, Names};
use penstock_formats::FieldPath;
use regex::Regex;

/// Text that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl ConfigValue for Text {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

/// Field paths, none within another; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths(pub(crate) Vec<FieldPath>);

impl ConfigValue for Paths {
    const KIND: &'static str = "a comma-separated list of field paths";

    fn parse(text: &str) -> Result<Self, String> {
        let names = Names::parse(text)?.0;
        if names.is_empty() {
            return Err("is empty".into());
        }
        let paths: Vec<FieldPath> = names
            .iter()
            .map(|name| FieldPath::parse(name).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        for (at, path) in paths.iter().enumerate() {
            let around = |other: &FieldPath| {
                let (mut inner, mut outer) = (path.segments(), other.segments());
                outer.len() <= inner.len() && outer.all(|segment| inner.next() == Some(segment))
            };
            if let Some((_, other)) = paths
                .iter()
                .enumerate()
                .find(|(i, other)| *i != at && around(other))
            {
                return Err(format!(
                    "names {path}, which lies in {other} that is named too"
                ));
            }
        }
        Ok(Self(paths))
    }
}

/// `a:b,c:d`: pairs in order, no left side twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl ConfigValue for Pairs {
    const KIND: &'static str = "a comma-separated list of pairs (a:b)";

    fn parse(text: &str) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in Names::parse(text)?.0 {
            let (left, right) = item
                .split_once(':')
                .map(|(left, right)| (left.trim(), right.trim()))
                .filter(|(left, right)| !left.is_empty() && !right.is_empty())
                .ok_or_else(|| format!("{item:?} is not a pair such as a:b"))?;
            if pairs.iter().any(|(known, _)| known == left) {
                return Err(format!("names {left:?} twice"));
            }
            pairs.push((left.to_owned(), right.to_owned()));
        }
        Ok(Self(pairs))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// A regular expression that has to match all of a text, as Java's `matches`.
#[derive(Clone, Debug)]
pub(crate) struct FullMatch(Regex);

impl FullMatch {
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl ConfigValue for FullMatch {
    const KIND: &'static str = <Regex as ConfigValue>::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        // By itself first, so that messages show the pattern as it was written.
        <Regex as ConfigValue>::parse(text)?;
        <Regex as ConfigValue>::parse(&format!(r"\A(?:{text})\z")).map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_within_another_is_refused() {
        assert!(Paths::parse("a.b, a.c, ab").is_ok());
        for (text, message) in [
            ("a.b,a", "names a.b, which lies in a that is named too"),
            ("a.b,a/b", "names a.b, which lies in a.b that is named too"),
            ("", "is empty"),
        ] {
            assert_eq!(Paths::parse(text).unwrap_err(), message);
        }
    }

    #[test]
    fn pairs_need_both_sides() {
        let pairs = Pairs::parse("a:b, c : d").unwrap();
        assert_eq!(
            pairs.0,
            [("a".into(), "b".into()), ("c".into(), "d".into())]
        );
        for text in ["a", "a:", ":b", "a:b,a:c"] {
            assert!(Pairs::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_all_of_a_text() {
        let pattern = FullMatch::parse("a|ab").unwrap();
        for (text, matches) in [
            ("a", true),
            ("ab", true),
            ("abc", false),
            ("xa", false),
            ("a\n", false),
        ] {
            assert_eq!(pattern.matches(text), matches, "{text}");
        }
        assert!(FullMatch::parse("a)(b").is_err());
    }
}
