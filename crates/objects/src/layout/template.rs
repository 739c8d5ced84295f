//! Aiven's name templates: `{{topic}}-{{partition}}-{{start_offset}}`.

use std::fmt::Write;

use penstock_connect::{ConfigValue, Record, RecordError};
use penstock_formats::Encoding;

use super::escape::{MAX_NAME, MAX_SEGMENT, check_segments, is_bare, push_escaped};
use super::pattern::Pattern;
use super::zone::Zone;
use crate::{Layout, NamedBy};

/// A template with `{{topic}}`, `{{partition}}`, `{{start_offset}}`, and perhaps `{{key}}` and
/// `{{timestamp:unit=yyyy}}` (`MM`, `dd`, `HH`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Partition { padding: bool },
    StartOffset { padding: bool },
    Timestamp(Pattern),
    Key,
}

impl NameTemplate {
    /// The template that there is when none is given.
    pub fn default_with(extension: &str) -> Self {
        let dash = || Part::Text("-".to_owned());
        let number = (
            Part::Partition { padding: false },
            Part::StartOffset { padding: false },
        );
        let mut parts = vec![Part::Topic, dash(), number.0, dash(), number.1];
        if !extension.is_empty() {
            parts.push(Part::Text(extension.to_owned()));
        }
        Self { parts }
    }

    fn has(&self, wanted: impl Fn(&Part) -> bool) -> bool {
        self.parts.iter().any(wanted)
    }

    /// Records of different keys lie in different files.
    pub fn by_key(&self) -> bool {
        self.has(|part| *part == Part::Key)
    }

    /// The date or time stands in names.
    pub fn has_timestamp(&self) -> bool {
        self.has(|part| matches!(part, Part::Timestamp(_)))
    }

    /// Two numbers, or a name and a number, next to one another could be read in two ways, and two files
    /// get one name.
    fn is_ambiguous(&self) -> bool {
        // Whether what comes before ends in digits of unknown number.
        let mut open = false;
        for part in &self.parts {
            match part {
                Part::Text(text) => open &= text.bytes().all(|byte| byte.is_ascii_digit()),
                // Padded offsets have all the digits that there can be.
                Part::StartOffset { padding: true } | Part::Timestamp(_) => {
                    if open {
                        return true;
                    }
                }
                Part::Topic | Part::Partition { .. } | Part::StartOffset { .. } | Part::Key => {
                    if open {
                        return true;
                    }
                    open = true;
                }
            }
        }
        false
    }
}

impl ConfigValue for NameTemplate {
    const KIND: &'static str = "a template (`{{topic}}-{{partition}}-{{start_offset}}`)";

    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let Some(close) = rest[open..].find("}}") else {
                return Err("has a {{ without its }}".to_owned());
            };
            parts.push(variable(rest[open + 2..open + close].trim())?);
            rest = &rest[open + close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self { parts };
        template.check()?;
        Ok(template)
    }
}

impl NameTemplate {
    fn check(&self) -> Result<(), String> {
        let topic = self.has(|part| *part == Part::Topic);
        let partition = self.has(|part| matches!(part, Part::Partition { .. }));
        let offset = self.has(|part| matches!(part, Part::StartOffset { .. }));
        if self.by_key() && !(topic && partition && offset) {
            return Err(
                "groups by key alone: such files hold only the last record of each key and are written \
                 over, so what was before is lost; with {{topic}}, {{partition}} and {{start_offset}} \
                 beside {{key}} each file has a name of its own"
                    .to_owned(),
            );
        }
        if !(topic && partition && offset) {
            return Err(
                "must have {{topic}}, {{partition}} and {{start_offset}}, or different files would get \
                 the same name"
                    .to_owned(),
            );
        }
        if self.is_ambiguous() {
            return Err(
                "needs something other than digits between its variables, or two files could get the \
                 same name"
                    .to_owned(),
            );
        }
        let mut sample = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => sample.push_str(text),
                _ => sample.push('0'),
            }
        }
        if sample.ends_with('/') {
            return Err("ends in a slash and so names no file".to_owned());
        }
        check_segments(sample.strip_prefix('/').unwrap_or(&sample))
    }
}

/// `partition:padding=true`
fn variable(text: &str) -> Result<Part, String> {
    let (name, parameter) = match text.split_once(':') {
        Some((name, parameter)) => {
            let (key, value) = parameter
                .split_once('=')
                .ok_or_else(|| format!("{{{{{text}}}}} has a parameter without a value"))?;
            (name.trim(), Some((key.trim(), value.trim())))
        }
        None => (text, None),
    };
    let padding = || match parameter {
        None | Some(("padding", "false")) => Ok(false),
        Some(("padding", "true")) => Ok(true),
        Some(_) => Err(format!(
            "{{{{{text}}}}} is not known: only padding=true or padding=false may follow"
        )),
    };
    match name {
        "topic" | "key" if parameter.is_some() => Err(format!(
            "{{{{{text}}}}} is not known: {name} takes no parameter"
        )),
        "topic" => Ok(Part::Topic),
        "key" => Ok(Part::Key),
        "partition" => Ok(Part::Partition {
            padding: padding()?,
        }),
        "start_offset" => Ok(Part::StartOffset {
            padding: padding()?,
        }),
        "timestamp" => match parameter {
            Some(("unit", unit @ ("yyyy" | "YYYY" | "MM" | "dd" | "HH"))) => {
                Pattern::parse(&unit.replace('Y', "y")).map(Part::Timestamp)
            }
            _ => Err(format!(
                "{{{{{text}}}}} is not known: timestamp takes unit=yyyy, MM, dd or HH"
            )),
        },
        _ => Err(format!(
            "{{{{{text}}}}} is not known; there are topic, partition, start_offset, timestamp and key"
        )),
    }
}

/// Names from a template.
pub struct Templated {
    /// Stands before each name.
    pub prefix: String,
    /// The template.
    pub template: NameTemplate,
    /// Whether times are the records' own, or those of the clock.
    pub of_records: bool,
    /// The time zone of times in names.
    pub zone: Zone,
}

/// Between the parts of a path, which has a time first and a key after it. No key has it: it is escaped.
const SEPARATOR: char = '/';

impl Templated {
    /// The units of a moment, in the order of the template.
    fn times(&self, moment: i64, out: &mut String) -> Option<()> {
        let time = self.zone.shown(moment, 1)?;
        for part in &self.template.parts {
            if let Part::Timestamp(pattern) = part {
                pattern.write(&time, out);
                out.push(SEPARATOR);
            }
        }
        Some(())
    }
}

impl Layout for Templated {
    fn path(&self, record: &Record, out: &mut String) -> Result<Option<i64>, RecordError> {
        let mut event_time = None;
        if self.of_records {
            event_time = Some(record.timestamp.ok_or_else(|| {
                RecordError::field("the record has no timestamp, and names need its time")
            })?);
        }
        if let Some(moment) = event_time {
            self.times(moment, out)
                .ok_or_else(|| RecordError::field("the record's time is beyond the calendar"))?;
        }
        if self.template.by_key() {
            let start = out.len();
            push_key(record, out)?;
            let topic = record
                .origin()
                .partition
                .as_ref()
                .map_or("", |origin| &origin.topic);
            if out.len() - start > MAX_SEGMENT
                || self.prefix.len() + topic.len() + out.len() + 256 > MAX_NAME
            {
                return Err(RecordError::field(format!(
                    "the key has {} bytes: too many for a name",
                    out.len() - start
                )));
            }
        }
        Ok(event_time)
    }

    fn stamp(&self, clock: i64) -> String {
        let mut out = String::new();
        if !self.of_records {
            self.times(clock, &mut out);
        }
        out
    }

    fn name(&self, path: &str, stamp: &str, file: NamedBy<'_>) -> String {
        let mut times = if self.of_records { path } else { stamp }.split(SEPARATOR);
        let key = path.rsplit(SEPARATOR).next().unwrap_or_default();
        let mut out = self.prefix.clone();
        for part in &self.template.parts {
            // Writing to a text cannot fail.
            let _ = match part {
                Part::Text(text) => out.write_str(text),
                Part::Topic => out.write_str(file.topic),
                Part::Partition { padding: false } => write!(out, "{}", file.partition),
                Part::Partition { padding: true } => write!(out, "{:010}", file.partition),
                Part::StartOffset { padding: false } => write!(out, "{}", file.first),
                Part::StartOffset { padding: true } => write!(out, "{:020}", file.first),
                Part::Timestamp(_) => out.write_str(times.next().unwrap_or_default()),
                Part::Key => out.write_str(key),
            };
        }
        out
    }
}

/// The key as it stands in names: text as it is, `null` for none, anything else as JSON.
fn push_key(record: &Record, out: &mut String) -> Result<(), RecordError> {
    let Some(key) = &record.key else {
        out.push_str("null");
        return Ok(());
    };
    let mut json = Vec::new();
    let text = match key.encoding() {
        Encoding::Bytes => {
            return Err(RecordError::field(
                "the key is bytes, and names need text; give the connector a key.converter",
            ));
        }
        _ => {
            key.to_json(&mut json).map_err(RecordError::malformed)?;
            match serde_json::from_slice::<serde_json::Value>(&json) {
                Ok(serde_json::Value::String(text)) => text,
                _ => String::from_utf8(json).map_err(RecordError::malformed)?,
            }
        }
    };
    if is_bare(&text) {
        return Err(RecordError::field(
            "the key is empty or only dots, and cannot be a part of a name",
        ));
    }
    push_escaped(&text, "/", out);
    Ok(())
}
