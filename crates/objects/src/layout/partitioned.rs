//! Confluent's names: `<dir>/<topic>/<partition path>/<topic>+<partition>+<first offset><extension>`,
//! the path from the Kafka partition, from fields, from a time, or from fields and a time.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;
use penstock_connect::{Record, RecordError};
use penstock_formats::{FieldPath, Scalar};

use super::escape::{MAX_SEGMENT, check_segments, is_bare, push_escaped};
use super::fields::FieldReader;
use super::moment;
use super::pattern::Pattern;
use super::zone::Zone;
use crate::{Layout, NamedBy};

/// When a record happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// When it is written: names follow the clock.
    Wallclock,
    /// The record's timestamp.
    Record,
    /// A field of the value: milliseconds, one of Avro's dates and timestamps, or ISO 8601 text.
    Field(FieldPath),
}

/// The part of a path that a time gives.
#[derive(Clone, Debug)]
pub struct TimePath {
    /// What is written.
    pub pattern: Pattern,
    /// Times are cut down to multiples of so many milliseconds first.
    pub step: i64,
    /// The time zone that the time is written in.
    pub zone: Zone,
}

impl TimePath {
    /// Whether what it writes can stand in a name. The message is about the pattern.
    pub fn check(&self) -> Result<(), String> {
        let mut sample = String::new();
        self.write(0, &mut sample);
        check_segments(&sample)
    }

    fn write(&self, moment: i64, out: &mut String) -> Option<()> {
        let time = self.zone.shown(moment, self.step)?;
        self.pattern.write(&time, out);
        Some(())
    }
}

/// What names are made of. Without fields and time the path is `partition=<Kafka partition>`.
#[derive(Clone, Debug)]
pub struct Names {
    /// What names begin with, delimiter included.
    pub prefix: String,
    /// Stands between the parts of a path: `/`.
    pub delimiter: String,
    /// Stands between the parts of a file's name: `+`.
    pub file_delimiter: String,
    /// Least digits of offsets in names.
    pub digits: usize,
    /// What names end with.
    pub extension: String,
    /// Fields whose values stand in the path, before the time.
    pub fields: Vec<FieldPath>,
    /// Whether `<field>=` stands before a field's value.
    pub labels: bool,
    /// The part that a time gives.
    pub time: Option<TimePath>,
    /// When a record happened.
    pub event_time: EventTime,
    /// Path of records without a value, which have no fields.
    pub tombstones: String,
}

/// Confluent's names.
pub struct Partitioned {
    names: Names,
    reader: FieldReader,
    /// The moment (cut down) that was written last, and what it made.
    last: Mutex<Option<(NaiveDateTime, String)>>,
}

impl Partitioned {
    /// Names made so.
    pub fn new(names: Names) -> Self {
        let mut paths = names.fields.clone();
        if let EventTime::Field(path) = &names.event_time {
            paths.push(path.clone());
        }
        Self {
            reader: FieldReader::new(paths),
            names,
            last: Mutex::new(None),
        }
    }

    fn separate(&self, start: usize, out: &mut String) {
        if out.len() > start {
            out.push_str(&self.names.delimiter);
        }
    }

    fn push_field(
        &self,
        path: &FieldPath,
        value: &Scalar<'_>,
        out: &mut String,
    ) -> Result<(), RecordError> {
        let names = &self.names;
        let refuse = |problem: &str| RecordError::field(format!("field {path} {problem}"));
        if names.labels {
            push_escaped(&path.to_string(), &names.delimiter, out);
            out.push('=');
        }
        match value {
            Scalar::Str(text) if !names.labels && is_bare(text) => {
                return Err(refuse(
                    "is empty or only dots, and cannot be a part of a name by itself",
                ));
            }
            Scalar::Str(text) => push_escaped(text, &names.delimiter, out),
            Scalar::Int(number) => {
                // Writing to a text cannot fail.
                let _ = write!(out, "{number}");
            }
            Scalar::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Scalar::Null => return Err(refuse("is null or missing, and names need it")),
            other => {
                let problem = format!(
                    "is {}; text, integers and booleans can be parts of names",
                    other.kind()
                );
                return Err(refuse(&problem));
            }
        }
        Ok(())
    }

    /// Appends what a moment makes of the pattern; most records share it with the one before.
    fn push_time(&self, time: &TimePath, moment: i64, out: &mut String) -> Result<(), RecordError> {
        let Some(shown) = time.zone.shown(moment, time.step) else {
            return Err(RecordError::field(
                "the record's time is beyond the calendar",
            ));
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((known, text)) if *known == shown => out.push_str(text),
            last => {
                let start = out.len();
                time.pattern.write(&shown, out);
                *last = Some((shown, out[start..].to_owned()));
            }
        }
        Ok(())
    }
}

/// Directories take no longer parts of names.
fn check_segments_of(path: &str) -> Result<(), RecordError> {
    if path.len() <= MAX_SEGMENT {
        return Ok(());
    }
    match path.split('/').find(|part| part.len() > MAX_SEGMENT) {
        Some(long) => Err(RecordError::field(format!(
            "a part of the name would have {} bytes; {MAX_SEGMENT} are possible",
            long.len()
        ))),
        None => Ok(()),
    }
}

impl Layout for Partitioned {
    fn path(&self, record: &Record, out: &mut String) -> Result<Option<i64>, RecordError> {
        let names = &self.names;
        let start = out.len();
        let mut event_time = match names.event_time {
            EventTime::Record => Some(record.timestamp.ok_or_else(|| {
                RecordError::field("the record has no timestamp, and names need its time")
            })?),
            EventTime::Wallclock | EventTime::Field(_) => None,
        };
        if record.value.is_none() {
            out.push_str(&names.tombstones);
            return Ok(event_time);
        }
        let mut at = 0;
        self.reader.read(record, |path, value, time| {
            if at < names.fields.len() {
                self.separate(start, out);
                self.push_field(path, value, out)?;
            } else {
                event_time = Some(moment::of_field(path, value, time)?);
            }
            at += 1;
            Ok(())
        })?;
        if let (Some(time), Some(moment)) = (&names.time, event_time) {
            self.separate(start, out);
            self.push_time(time, moment, out)?;
        }
        check_segments_of(&out[start..])?;
        Ok(event_time)
    }

    fn stamp(&self, clock: i64) -> String {
        let mut out = String::new();
        if let (EventTime::Wallclock, Some(time)) = (&self.names.event_time, &self.names.time) {
            time.write(clock, &mut out);
        }
        out
    }

    fn name(&self, path: &str, stamp: &str, file: NamedBy<'_>) -> String {
        let names = &self.names;
        let mut out = names.prefix.clone();
        out.push_str(file.topic);
        out.push_str(&names.delimiter);
        let start = out.len();
        out.push_str(path);
        if !stamp.is_empty() && path != names.tombstones {
            self.separate(start, &mut out);
            out.push_str(stamp);
        }
        let (delimiter, digits) = (&names.file_delimiter, names.digits);
        // Writing to a text cannot fail.
        let _ = if out.len() == start {
            write!(out, "partition={}", file.partition)
        } else {
            Ok(())
        };
        let _ = write!(
            out,
            "{}{}{delimiter}{}{delimiter}{:0digits$}{}",
            names.delimiter, file.topic, file.partition, file.first, names.extension
        );
        out
    }
}

#[cfg(test)]
mod tests;
