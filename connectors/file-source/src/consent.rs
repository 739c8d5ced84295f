//! Consent levels as people write them.

use penstock_connect::config::ConfigValue;
use penstock_formats::Value;

/// Consent levels, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(pub Vec<i32>);

/// Reads `1,2`, `[1, 2]`, `1;2`, `1|2` or `1 2`; nothing means that there are none. `None` for anything
/// else.
pub(crate) fn parse(text: &str) -> Option<Levels> {
    let text = text.trim();
    let inner = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => text,
    };
    let separator = |c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace();
    inner
        .split(separator)
        .filter(|level| !level.is_empty())
        .map(|level| level.parse().ok().filter(|level| *level >= 0))
        .collect::<Option<_>>()
        .map(Levels)
}

/// Levels in JSON: an array of numbers, one number, a text as above, or null.
pub(crate) fn from_json(value: &Value) -> Option<Levels> {
    let level = |value: &Value| match value {
        Value::Int(level) => i32::try_from(*level).ok().filter(|level| *level >= 0),
        _ => None,
    };
    match value {
        Value::Null => Some(Levels::default()),
        Value::Str(text) => parse(text),
        Value::Array(items) => items.iter().map(level).collect::<Option<_>>().map(Levels),
        other => level(other).map(|level| Levels(vec![level])),
    }
}

impl ConfigValue for Levels {
    const KIND: &'static str = "a list of consent levels (1,2)";

    fn parse(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| "must be consent levels such as 1,2".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_are_read_in_every_common_form_and_nothing_else() {
        for (text, levels) in [
            ("", Some(vec![])),
            ("  ", Some(vec![])),
            ("[]", Some(vec![])),
            ("2", Some(vec![2])),
            ("1,2", Some(vec![1, 2])),
            ("[1, 2]", Some(vec![1, 2])),
            ("1;2", Some(vec![1, 2])),
            ("0|3", Some(vec![0, 3])),
            ("1 2", Some(vec![1, 2])),
            ("1,high", None),
            ("-1", None),
            ("[1", None),
            ("1.5", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse(text).map(|levels| levels.0), levels, "{text:?}");
        }
    }

    #[test]
    fn levels_in_json_are_numbers_or_text() {
        for (json, levels) in [
            ("null", Some(vec![])),
            ("[1,2]", Some(vec![1, 2])),
            ("3", Some(vec![3])),
            ("\"1;2\"", Some(vec![1, 2])),
            ("[\"1\"]", None),
            ("{}", None),
            ("-1", None),
            ("true", None),
        ] {
            let value = Value::from_json(json.as_bytes()).unwrap();
            assert_eq!(from_json(&value).map(|levels| levels.0), levels, "{json}");
        }
    }
}
