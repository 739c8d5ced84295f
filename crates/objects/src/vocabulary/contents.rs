//! What of a record stands in a file, as keys say it.

use penstock_connect::ConfigValue;
use penstock_files::{Content, Member};

/// A list of a record's parts: `value`, or `key,value,offset,timestamp,headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(pub Vec<Member>);

impl ConfigValue for Contents {
    const KIND: &'static str = "a list of `key`, `value`, `headers`, `offset`, `timestamp`";

    fn parse(text: &str) -> Result<Self, String> {
        let mut members = Vec::new();
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let member = Member::parse(word).map_err(|_| {
                format!("must list key, value, headers, offset and timestamp, not {word:?}")
            })?;
            if members.contains(&member) {
                return Err(format!("names {word} twice"));
            }
            members.push(member);
        }
        if members.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self(members))
    }
}

impl Contents {
    /// The value alone is written as it is; anything more is an object or row.
    pub fn plain(&self) -> Content {
        if self.0 == [Member::Value] {
            Content::Value
        } else {
            self.envelope()
        }
    }

    /// Always an object or row.
    pub fn envelope(&self) -> Content {
        Content::Envelope(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_value_alone_needs_no_envelope() {
        let parse = |text| Contents::parse(text).unwrap();
        assert_eq!(parse("value").plain(), Content::Value);
        assert_eq!(
            parse("value").envelope(),
            Content::Envelope(vec![Member::Value])
        );
        assert_eq!(
            parse("key, VALUE").plain(),
            Content::Envelope(vec![Member::Key, Member::Value])
        );
    }

    #[test]
    fn other_words_are_refused() {
        for (text, message) in [
            (
                "key,vlaue",
                "must list key, value, headers, offset and timestamp, not \"vlaue\"",
            ),
            ("key,key", "names key twice"),
            (" , ", "is empty"),
        ] {
            assert_eq!(Contents::parse(text).unwrap_err(), message);
        }
    }
}
