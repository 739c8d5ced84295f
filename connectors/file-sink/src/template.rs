//! The `file` template: which path a partition's file has, and its name once it is complete.

use std::path::PathBuf;

use penstock_connect::config::ConfigValue;

/// A path with `{topic}` and `{partition}` in it. Two partitions never get the same path, and no
/// topic name leads out of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    /// Up to where the first offset goes in the name of a complete file.
    head: Vec<Part>,
    /// The extension, dot included; may be empty.
    extension: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Topic,
    Partition,
}

impl PathTemplate {
    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Path of the file that a partition's records are written to.
    pub fn active(&self, topic: &str, partition: i32) -> PathBuf {
        let mut path = self.render(topic, partition);
        path.push_str(&self.extension);
        path.into()
    }

    /// Path of a complete file whose first record has the offset `first`. Offsets have 20 digits, so
    /// that the order of names is the order of records.
    pub fn complete(&self, topic: &str, partition: i32, first: i64) -> PathBuf {
        let mut path = self.render(topic, partition);
        path.push_str(&format!("-{first:020}"));
        path.push_str(&self.extension);
        path.into()
    }

    fn render(&self, topic: &str, partition: i32) -> String {
        let mut path = String::with_capacity(self.text.len() + topic.len());
        for part in &self.head {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Topic => push_sanitised(topic, &mut path),
                Part::Partition => path.push_str(&partition.to_string()),
            }
        }
        path
    }
}

/// Letters and digits of any script, dots, dashes and underscores stay; everything else becomes the
/// percent form of its UTF-8 bytes. So do the dots of a name that has only dots: it would name a
/// directory. Different names stay different.
fn push_sanitised(topic: &str, path: &mut String) {
    let only_dots = topic.chars().all(|c| c == '.');
    for c in topic.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_') || (c == '.' && !only_dots) {
            path.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}

fn parse_parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, from) = rest.split_at(open);
        if from.starts_with('}') {
            return Err("has a } without its {".into());
        }
        let Some(close) = from.find('}') else {
            return Err("has a { without its }".into());
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        parts.push(match &from[1..close] {
            "topic" => Part::Topic,
            "partition" => Part::Partition,
            other => {
                return Err(format!(
                    "{{{other}}} is not known; use {{topic}} and {{partition}}"
                ));
            }
        });
        rest = &from[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Ok(parts)
}

/// A topic may end in digits, so a partition right behind it could be taken for a part of its name.
fn is_ambiguous(parts: &[Part]) -> bool {
    let mut since: Option<bool> = None;
    for part in parts {
        match part {
            Part::Literal(text) => {
                since = since.map(|apart| apart || text.chars().any(|c| !c.is_ascii_digit()));
            }
            Part::Topic | Part::Partition => {
                if since == Some(false) {
                    return true;
                }
                since = Some(false);
            }
        }
    }
    false
}

impl ConfigValue for PathTemplate {
    const KIND: &'static str = "a path with {topic} and {partition}";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".into());
        }
        if text.ends_with('/') {
            return Err("ends in a slash and so names no file".into());
        }
        let mut parts = parse_parts(text)?;
        if !parts.contains(&Part::Topic) || !parts.contains(&Part::Partition) {
            return Err(
                "must contain {topic} and {partition}, or several partitions would write the same \
                 file (out/{topic}-{partition}.jsonl)"
                    .into(),
            );
        }
        if is_ambiguous(&parts) {
            return Err(
                "needs something other than digits between {topic} and {partition}, or two partitions \
                 could get the same file"
                    .into(),
            );
        }
        let mut extension = String::new();
        if let Some(Part::Literal(tail)) = parts.last_mut() {
            let name = tail.rfind('/').map_or(0, |slash| slash + 1);
            let stem = [".gz", ".zst"]
                .iter()
                .find_map(|suffix| tail[name..].strip_suffix(suffix))
                .unwrap_or(&tail[name..]);
            let end = name + stem.rfind('.').unwrap_or(stem.len());
            extension = tail.split_off(end);
        }
        Ok(Self {
            text: text.to_owned(),
            head: parts,
            extension,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn template(text: &str) -> PathTemplate {
        PathTemplate::parse(text).unwrap()
    }

    #[test]
    fn names_follow_from_topic_partition_and_first_offset() {
        for (text, active, complete) in [
            (
                "out/{topic}-{partition}.jsonl",
                "out/a.b-7.jsonl",
                "out/a.b-7-00000000000000000042.jsonl",
            ),
            (
                "{topic}/{partition}.jsonl.gz",
                "a.b/7.jsonl.gz",
                "a.b/7-00000000000000000042.jsonl.gz",
            ),
            ("{partition}_{topic}", "7_a.b", "7_a.b-00000000000000000042"),
            (
                "x.d/{topic}/{partition}/v1.events.json.zst",
                "x.d/a.b/7/v1.events.json.zst",
                "x.d/a.b/7/v1.events-00000000000000000042.json.zst",
            ),
            (
                "{topic}/{partition}/events",
                "a.b/7/events",
                "a.b/7/events-00000000000000000042",
            ),
        ] {
            assert_eq!(template(text).active("a.b", 7), Path::new(active));
            assert_eq!(template(text).complete("a.b", 7, 42), Path::new(complete));
        }
    }

    #[test]
    fn topic_names_cannot_escape_the_directory() {
        let template = template("out/{topic}/{partition}.jsonl");
        for (topic, path) in [
            ("../../etc/passwd", "out/..%2F..%2Fetc%2Fpasswd/0.jsonl"),
            ("..", "out/%2E%2E/0.jsonl"),
            (".", "out/%2E/0.jsonl"),
            ("a\0b\\c", "out/a%00b%5Cc/0.jsonl"),
            ("100%", "out/100%25/0.jsonl"),
            ("événements-日本", "out/événements-日本/0.jsonl"),
        ] {
            assert_eq!(template.active(topic, 0), Path::new(path));
        }
    }

    proptest! {
        #[test]
        fn two_partitions_never_share_a_path_and_stay_in_the_directory(
            text in "(\\{topic\\}[-_/]\\{partition\\}|\\{partition\\}[-./]\\{topic\\}|\\{topic\\}1-2\\{partition\\})(\\.jsonl)?",
            a in ("[a1./%é-]{1,5}", 0..130i32), b in ("[a1./%é-]{1,5}", 0..130i32), first in 0..99i64,
        ) {
            let template = template(&format!("base/{text}"));
            prop_assert_eq!(a == b, template.active(&a.0, a.1) == template.active(&b.0, b.1));
            prop_assert_ne!(template.complete(&a.0, a.1, first), template.active(&b.0, b.1));
            let path = template.active(&a.0, a.1);
            prop_assert!(path.starts_with("base"));
            prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
}
