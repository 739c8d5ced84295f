//! Aiven's name templates: `{{topic}}-{{partition}}-{{start_offset}}`.

use std::fmt::Write;

use penstock_connect::{ConfigValue, Record, RecordError};
use penstock_formats::Encoding;

use super::escape::{MAX_SEGMENT, check_segments, is_bare, push_escaped};
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

    /// A topic and a key without a slash between them, which neither has, could be read in two ways.
    fn mixes_texts(&self) -> bool {
        let mut since_slash = None;
        for part in &self.parts {
            match part {
                Part::Text(text) if text.contains('/') => since_slash = None,
                Part::Topic | Part::Key if since_slash.is_some_and(|other| other != part) => {
                    return true;
                }
                Part::Topic | Part::Key => since_slash = Some(part),
                _ => {}
            }
        }
        false
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
        if self.mixes_texts() {
            return Err(
                "needs a slash between {{topic}} and {{key}}, or two files could get the same name"
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
        let sample = self.sample();
        if sample.ends_with('/') {
            return Err("ends in a slash and so names no file".to_owned());
        }
        check_segments(sample.strip_prefix('/').unwrap_or(&sample))
    }

    /// Whether names with this before them can be written.
    pub(crate) fn check_behind(&self, prefix: &str) -> Result<(), String> {
        let sample = self.sample();
        if prefix.is_empty() && sample.starts_with('/') {
            return Err("begins with a slash".to_owned());
        }
        check_segments(&format!("{prefix}{sample}"))
    }

    /// A name of this form.
    fn sample(&self) -> String {
        let mut sample = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => sample.push_str(text),
                _ => sample.push('0'),
            }
        }
        sample
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
            if out.len() - start > MAX_SEGMENT {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_formats::Payload;

    const ALL: &str = "{{topic}}-{{partition}}-{{start_offset}}";

    fn record(key: Option<Payload>) -> Record {
        let mut record = Record::new("t".into(), None);
        record.key = key;
        record.timestamp = Some(1_616_752_590_123);
        record
    }

    fn text(key: &str) -> Option<Payload> {
        Some(Payload::new(key.to_owned(), Encoding::Text))
    }

    fn name(template: &str, of_records: bool, zone: &str, record: &Record) -> String {
        let layout = Templated {
            prefix: "events/".to_owned(),
            template: NameTemplate::parse(template).unwrap(),
            of_records,
            zone: Zone::parse(zone).unwrap(),
        };
        let mut path = String::new();
        let time = layout.path(record, &mut path).unwrap();
        assert_eq!(time.is_some(), of_records);
        let file = NamedBy {
            topic: "demo-2",
            partition: 3,
            first: 41,
        };
        // The clock is a day and an hour past the record.
        layout.name(
            &path,
            &layout.stamp(1_616_752_590_123 + 25 * 3_600_000),
            file,
        )
    }

    #[test]
    fn names_are_aiven_s() {
        let dated = "{{topic}}/{{timestamp:unit=yyyy}}-{{timestamp:unit=MM}}-{{timestamp:unit=dd}}/\
            {{partition:padding=true}}-{{start_offset:padding=true}}";
        for (template, of_records, zone, expected) in [
            (ALL, false, "UTC", "events/demo-2-3-41"),
            (
                "{{ topic }}/p{{partition:padding=false}}/{{start_offset:padding=true}}.gz",
                false,
                "UTC",
                "events/demo-2/p3/00000000000000000041.gz",
            ),
            (
                dated,
                false,
                "UTC",
                "events/demo-2/2021-03-27/0000000003-00000000000000000041",
            ),
            (
                dated,
                true,
                "UTC",
                "events/demo-2/2021-03-26/0000000003-00000000000000000041",
            ),
            (
                "{{timestamp:unit=YYYY}}{{timestamp:unit=HH}}/{{topic}}-{{partition}}-{{start_offset}}",
                true,
                "Asia/Tokyo",
                "events/202118/demo-2-3-41",
            ),
            (
                "{{key}}/{{timestamp:unit=dd}}/{{topic}}-{{partition}}-{{start_offset}}",
                true,
                "UTC",
                "events/k%2F1/26/demo-2-3-41",
            ),
        ] {
            let found = name(template, of_records, zone, &record(text("k/1")));
            assert_eq!(found, expected, "{template}");
        }
    }

    #[test]
    fn keys_stand_in_names_as_text() {
        let template = "{{key}}/{{topic}}-{{partition}}-{{start_offset}}";
        let json = |key: &str| Some(Payload::new(key.to_owned(), Encoding::Json));
        for (key, expected) in [
            (None, "null"),
            (text("ann"), "ann"),
            (text("..x"), "..x"),
            (json(r#""a b""#), "a b"),
            (json("7"), "7"),
            (json(r#"{"id":1}"#), "%7B%22id%22:1%7D"),
        ] {
            let found = name(template, false, "UTC", &record(key));
            assert_eq!(found, format!("events/{expected}/demo-2-3-41"));
        }
        let layout = Templated {
            prefix: String::new(),
            template: NameTemplate::parse(template).unwrap(),
            of_records: false,
            zone: Zone::UTC,
        };
        let long = "x".repeat(300);
        for (key, message) in [
            (
                text(""),
                "the key is empty or only dots, and cannot be a part of a name",
            ),
            (
                text(".."),
                "the key is empty or only dots, and cannot be a part of a name",
            ),
            (text(&long), "the key has 300 bytes: too many for a name"),
            (
                Some(Payload::new(vec![0_u8], Encoding::Bytes)),
                "the key is bytes, and names need text; give the connector a key.converter",
            ),
        ] {
            let error = layout.path(&record(key), &mut String::new()).unwrap_err();
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn templates_that_cannot_keep_files_apart_or_lead_elsewhere_are_refused() {
        for (template, message) in [
            (
                "{{topic}}-{{partition}}",
                "must have {{topic}}, {{partition}} and {{start_offset}}, or different files would get the \
                 same name",
            ),
            (
                "k{{key}}",
                "groups by key alone: such files hold only the last record of each key and are written \
                 over, so what was before is lost; with {{topic}}, {{partition}} and {{start_offset}} \
                 beside {{key}} each file has a name of its own",
            ),
            (
                "{{topic}}-{{partition}}{{start_offset}}",
                "needs something other than digits between its variables, or two files could get the same \
                 name",
            ),
            (
                "{{key}}-{{topic}}/{{partition}}-{{start_offset}}",
                "needs a slash between {{topic}} and {{key}}, or two files could get the same name",
            ),
            (
                "{{topic}}/{{partition}}//{{start_offset}}",
                "has two slashes with nothing between them",
            ),
            (
                "../{{topic}}-{{partition}}-{{start_offset}}",
                "has the part \"..\", which would lead to another directory",
            ),
            (
                "{{topic}}-{{partition}}-{{start_offset}}/",
                "ends in a slash and so names no file",
            ),
            ("{{topic}}-{{partition", "has a {{ without its }}"),
            (
                "{{offset}}",
                "{{offset}} is not known; there are topic, partition, start_offset, timestamp and key",
            ),
            (
                "{{timestamp:unit=mm}}",
                "{{timestamp:unit=mm}} is not known: timestamp takes unit=yyyy, MM, dd or HH",
            ),
            (
                "{{partition:pad=true}}",
                "{{partition:pad=true}} is not known: only padding=true or padding=false may follow",
            ),
            (
                "{{topic:padding=true}}",
                "{{topic:padding=true}} is not known: topic takes no parameter",
            ),
            (
                "{{partition:padding}}",
                "{{partition:padding}} has a parameter without a value",
            ),
        ] {
            assert_eq!(
                NameTemplate::parse(template).unwrap_err(),
                message,
                "{template}"
            );
        }
        let leading = NameTemplate::parse(&format!("/{ALL}")).unwrap();
        assert_eq!(
            leading.check_behind(""),
            Err("begins with a slash".to_owned())
        );
        assert_eq!(
            leading.check_behind("events/"),
            Err("has two slashes with nothing between them".to_owned())
        );
        assert_eq!(leading.check_behind("events"), Ok(()));
    }
}
