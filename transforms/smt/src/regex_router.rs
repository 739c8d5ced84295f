//! `RegexRouter`: a new topic from the old one's name by pattern and replacement.

use std::sync::Arc;

use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use regex::{Captures, Regex};

use crate::each::Change;
use crate::values::{FullMatch, Text};

config! {
    /// Sends records whose topic name the pattern matches as a whole to another topic, whose name is
    /// made by replacing what the pattern matches. Others stay where they are.
    #[check(check)]
    pub(crate) struct RegexRouterConfig {
        /// The pattern.
        "regex" => regex: RoutePattern,
        /// What it is replaced with; `$1` and `${name}` stand for groups, `\$` for a dollar sign.
        "replacement" => replacement: Text,
    }
}

/// A pattern as a whole, and as it is replaced: from the left, as much as it takes.
#[derive(Clone, Debug)]
pub(crate) struct RoutePattern {
    whole: FullMatch,
    first: Regex,
}

impl penstock_connect::ConfigValue for RoutePattern {
    const KIND: &'static str = <Regex as penstock_connect::ConfigValue>::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            whole: FullMatch::parse(text)?,
            first: <Regex as penstock_connect::ConfigValue>::parse(text)?,
        })
    }
}

/// A part of a replacement in Java's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Group(usize),
}

fn check(config: &RegexRouterConfig) -> Vec<(&'static str, String)> {
    match parse_replacement(&config.replacement.0, &config.regex.first) {
        Ok(_) => vec![],
        Err(problem) => vec![("replacement", problem)],
    }
}

fn push(parts: &mut Vec<Part>, c: char) {
    match parts.last_mut() {
        Some(Part::Literal(text)) => text.push(c),
        _ => parts.push(Part::Literal(c.into())),
    }
}

/// As `java.util.regex.Matcher.appendReplacement` reads it: a group number takes as many digits as
/// there are groups.
fn parse_replacement(text: &str, regex: &Regex) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => push(
                &mut parts,
                chars
                    .next()
                    .ok_or("ends in a backslash that escapes nothing")?,
            ),
            '$' if chars.peek() == Some(&'{') => {
                let name: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let group = regex
                    .capture_names()
                    .position(|known| known == Some(name.as_str()))
                    .ok_or_else(|| {
                        format!("names the group {name:?}, which the pattern does not have")
                    })?;
                parts.push(Part::Group(group));
            }
            '$' => {
                let mut digit = || {
                    chars
                        .next_if(char::is_ascii_digit)
                        .and_then(|c| c.to_digit(10))
                };
                let first = digit()
                    .ok_or("has a $ without a group behind it; write \\$ for a dollar sign")?;
                let mut group = first as usize;
                if group >= regex.captures_len() {
                    return Err(format!(
                        "names the group {group}, which the pattern does not have"
                    ));
                }
                while let Some(next) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + next as usize;
                    if longer >= regex.captures_len() {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                parts.push(Part::Group(group));
            }
            other => push(&mut parts, other),
        }
    }
    Ok(parts)
}

pub(crate) struct RegexRouter {
    pattern: RoutePattern,
    replacement: Vec<Part>,
    /// The last topic and where it goes: records of one topic come together.
    last: Option<(Arc<str>, Arc<str>)>,
}

impl RegexRouter {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        let problem = settings.problem("replacement", "");
        let config = RegexRouterConfig::read_all(settings)?;
        let replacement = parse_replacement(&config.replacement.0, &config.regex.first)
            .map_err(|message| vec![Problem { message, ..problem }])?;
        Ok(Self {
            pattern: config.regex,
            replacement,
            last: None,
        })
    }

    fn route(&self, topic: &Arc<str>) -> Result<Arc<str>, RecordError> {
        if !self.pattern.whole.matches(topic) {
            return Ok(topic.clone());
        }
        let expand = |captures: &Captures<'_>| {
            let mut out = String::new();
            for part in &self.replacement {
                match part {
                    Part::Literal(text) => out.push_str(text),
                    Part::Group(group) => {
                        out.push_str(captures.get(*group).map_or("", |found| found.as_str()))
                    }
                }
            }
            out
        };
        checked_topic(&self.pattern.first.replacen(topic, 1, expand))
    }
}

/// A topic that records may be sent to: a legal name, and none of the worker's own.
pub(crate) fn checked_topic(name: &str) -> Result<Arc<str>, RecordError> {
    let legal = !name.is_empty()
        && name.len() <= 249
        && !matches!(name, "." | "..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if !legal {
        return Err(RecordError::field(format!(
            "{name:?} is no topic name: 1 to 249 letters, digits, dots, dashes and underscores"
        )));
    }
    if name.starts_with("_penstock.") {
        return Err(RecordError::field(format!(
            "{name} is an internal topic of the worker"
        )));
    }
    Ok(name.into())
}

impl Change for RegexRouter {
    const READS_PAYLOADS: bool = false;

    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let known = self.last.as_ref().filter(|(from, _)| *from == record.topic);
        let to = match known {
            Some((_, to)) => to.clone(),
            None => {
                let to = self.route(&record.topic)?;
                self.last = Some((record.topic.clone(), to.clone()));
                to
            }
        };
        record.topic = to;
        Ok(())
    }
}
