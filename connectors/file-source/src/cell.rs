//! A CSV value as the value that the schema wants in its place.

use chrono::{DateTime, NaiveTime, Timelike, Utc};
use penstock_formats::Value;
use penstock_formats::avro::{Time, TimeUnit};

use crate::time::{date, instant, time_of_day};

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellType {
    /// Text: also enums, UUIDs, and bytes as base64.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A boolean.
    Boolean,
    /// A date or time, written as ISO 8601 or as the integer that it is.
    Time(Time),
    /// A list or an object, written as JSON.
    Json,
    /// Several of these: JSON if it reads as such, otherwise text.
    Any,
}

/// A field that a column fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) kind: CellType,
    pub(crate) nullable: bool,
}

impl Cell {
    /// The value of a text; `None` if the field is to be left to its default. The error says what the
    /// text should be.
    pub(crate) fn read(self, text: &str, null: &str) -> Result<Option<Value>, &'static str> {
        if text == null {
            return Ok(match self.kind {
                _ if self.nullable => Some(Value::Null),
                CellType::Text if text.is_empty() => Some(Value::Str(String::new())),
                _ => None,
            });
        }
        if self.kind == CellType::Text {
            return Ok(Some(Value::Str(text.to_owned())));
        }
        let trimmed = text.trim();
        let value = match self.kind {
            CellType::Text => None,
            CellType::Integer => integer(trimmed),
            CellType::Number => number(trimmed),
            CellType::Boolean => boolean(trimmed),
            CellType::Time(time) => moment(trimmed, time),
            CellType::Json => Value::from_json(trimmed.as_bytes()).ok(),
            CellType::Any => Some(
                Value::from_json(trimmed.as_bytes())
                    .unwrap_or_else(|_| Value::Str(text.to_owned())),
            ),
        };
        value.map(Some).ok_or(match self.kind {
            CellType::Integer => "is not a whole number",
            CellType::Number => "is not a number",
            CellType::Boolean => "is neither true nor false",
            CellType::Time(Time::Date) => "is not a date such as 2024-05-01",
            CellType::Time(Time::OfDay(_)) => "is not a time of day such as 12:30:00",
            CellType::Time(Time::Stamp { .. }) => "is not a time such as 2024-05-01T12:30:00Z",
            CellType::Text | CellType::Json | CellType::Any => "is not JSON",
        })
    }
}

fn integer(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse() {
        return Some(Value::Int(number));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_long = digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_long && !digits.starts_with('0')).then(|| Value::Number(text.to_owned()))
}

fn number(text: &str) -> Option<Value> {
    match text {
        // As Avro's floats are written in JSON.
        "NaN" | "Infinity" | "-Infinity" => return Some(Value::Str(text.to_owned())),
        _ => {}
    }
    match Value::from_json(text.as_bytes()) {
        Ok(number @ (Value::Int(_) | Value::Double(_) | Value::Number(_))) => Some(number),
        // `.5`, `+1`, `1.`: not as JSON writes them.
        _ => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Double),
    }
}

fn boolean(text: &str) -> Option<Value> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || text == "1" {
        Some(Value::Bool(true))
    } else if is("false") || text == "0" {
        Some(Value::Bool(false))
    } else {
        None
    }
}

fn moment(text: &str, time: Time) -> Option<Value> {
    if let Ok(number) = text.parse() {
        return Some(Value::Int(number));
    }
    let number = match time {
        Time::Date => {
            let since = date(text)?.signed_duration_since(DateTime::UNIX_EPOCH.date_naive());
            Some(since.num_days())
        }
        Time::OfDay(unit) => of_day(time_of_day(text)?, unit),
        Time::Stamp { unit, .. } => stamp(instant(text)?, unit),
    };
    number.map(Value::Int)
}

fn of_day(time: NaiveTime, unit: TimeUnit) -> Option<i64> {
    let nanos =
        i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond());
    Some(match unit {
        TimeUnit::Millis => nanos / 1_000_000,
        TimeUnit::Micros => nanos / 1_000,
        TimeUnit::Nanos => nanos,
    })
}

fn stamp(time: DateTime<Utc>, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Millis => Some(time.timestamp_millis()),
        TimeUnit::Micros => Some(time.timestamp_micros()),
        TimeUnit::Nanos => time.timestamp_nanos_opt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: CellType = CellType::Time(Time::Stamp {
        unit: TimeUnit::Micros,
        utc: true,
    });

    fn read(kind: CellType, text: &str) -> Result<Option<Value>, &'static str> {
        let nullable = false;
        Cell { kind, nullable }.read(text, "")
    }

    #[test]
    fn values_are_read_as_the_schema_has_them() {
        use CellType::{Any, Boolean, Integer, Json, Number, Text};
        let number = |text: &str| Value::Number(text.to_owned());
        let text = |text: &str| Value::Str(text.to_owned());
        for (kind, written, value) in [
            (Text, " a ", text(" a ")),
            (Text, "1", text("1")),
            (Integer, " 12 ", Value::Int(12)),
            (Integer, "-3", Value::Int(-3)),
            (
                Integer,
                "99999999999999999999",
                number("99999999999999999999"),
            ),
            (Number, "1.5", Value::Double(1.5)),
            (Number, "1e3", Value::Double(1000.0)),
            (Number, ".5", Value::Double(0.5)),
            (Number, "NaN", text("NaN")),
            (Boolean, "TRUE", Value::Bool(true)),
            (Boolean, "0", Value::Bool(false)),
            (
                Json,
                "[1,2]",
                Value::Array(vec![Value::Int(1), Value::Int(2)]),
            ),
            (Any, "1", Value::Int(1)),
            (Any, "007", text("007")),
            (CellType::Time(Time::Date), "1970-01-11", Value::Int(10)),
            (CellType::Time(Time::Date), "1969-12-31", Value::Int(-1)),
            (
                CellType::Time(Time::OfDay(TimeUnit::Millis)),
                "00:01:00.5",
                Value::Int(60_500),
            ),
            (STAMP, "1970-01-01T00:00:01Z", Value::Int(1_000_000)),
            (STAMP, "17", Value::Int(17)),
        ] {
            assert!(
                read(kind, written) == Ok(Some(value)),
                "{kind:?} {written:?}"
            );
        }
    }

    #[test]
    fn values_of_another_type_are_told_by_what_they_should_be() {
        for (kind, written, problem) in [
            (CellType::Integer, "1.5", "is not a whole number"),
            (CellType::Integer, "12a", "is not a whole number"),
            (CellType::Number, "a", "is not a number"),
            (CellType::Number, "inf", "is not a number"),
            (CellType::Boolean, "yes", "is neither true nor false"),
            (CellType::Json, "[1,", "is not JSON"),
            (
                CellType::Time(Time::Date),
                "01/02/2024",
                "is not a date such as 2024-05-01",
            ),
            (STAMP, "noon", "is not a time such as 2024-05-01T12:30:00Z"),
        ] {
            assert!(read(kind, written) == Err(problem), "{kind:?} {written:?}");
        }
    }

    #[test]
    fn the_null_text_is_null_where_null_may_stand() {
        use CellType::{Integer, Text};
        let empty = Some(Value::Str(String::new()));
        for (kind, nullable, text, null, value) in [
            (Text, true, "", "", Some(Value::Null)),
            (Text, false, "", "", empty.clone()),
            (Text, true, "", "NA", empty),
            (Text, false, "NA", "NA", None),
            (Integer, true, "NA", "NA", Some(Value::Null)),
            (Integer, false, "", "", None),
        ] {
            let read = Cell { kind, nullable }.read(text, null);
            assert!(read == Ok(value), "{kind:?} {nullable} {text:?} {null:?}");
        }
    }
}
