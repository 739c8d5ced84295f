//! When a record happened, out of one of its fields.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use penstock_connect::RecordError;
use penstock_formats::{FieldPath, Scalar};

use super::fields::Time;

const DAY: i64 = 86_400_000;

/// Milliseconds since the epoch that a field says: a number of them, one of Avro's dates and
/// timestamps, or ISO 8601 text (UTC where it names no offset).
pub(super) fn of_field(
    path: &FieldPath,
    value: &Scalar<'_>,
    time: Option<Time>,
) -> Result<i64, RecordError> {
    let refuse = |problem: &str| RecordError::field(format!("field {path} {problem}"));
    match (value, time) {
        (Scalar::Null, _) => Err(refuse("is null or missing, and names need its time")),
        (Scalar::Int(_), Some(Time::OfDay)) => Err(refuse("is a time of day, not a moment")),
        (Scalar::Int(days), Some(Time::Days)) => days
            .checked_mul(DAY)
            .ok_or_else(|| refuse("is beyond the calendar")),
        (Scalar::Int(number), Some(Time::Stamp { in_a_milli })) => {
            Ok(number.div_euclid(in_a_milli))
        }
        (Scalar::Int(number), None) => Ok(*number),
        (Scalar::Double(number), _) if number.is_finite() => Ok(*number as i64),
        (Scalar::Str(text), _) => {
            iso(text).ok_or_else(|| refuse("is text, but no ISO 8601 date and time"))
        }
        _ => Err(refuse(&format!("is {}, not a moment", value.kind()))),
    }
}

/// `2021-03-26T09:56:30.123+01:00`, any tail of it left out, or as Joda-Time's parser takes it with a
/// day of the year (`2021-085`) or of a week (`2021-W12-5`).
fn iso(text: &str) -> Option<i64> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    let date = iso_date(date)?;
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (&rest[..at], offset(&rest[at..])?),
        None => (rest, TimeDelta::zero()),
    };
    if text.len() > 10 && time.is_empty() {
        return None;
    }
    let moment = NaiveDateTime::new(date, iso_time(time)?).checked_sub_signed(offset)?;
    Some(moment.and_utc().timestamp_millis())
}

fn number(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let year = i32::try_from(number(parts.next()?, 4)?).ok()?;
    let (second, third) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    match (second, third) {
        (Some(week), day) if week.starts_with('W') => {
            let day = day.map_or(Some(1), |day| number(day, 1))?;
            let weekday =
                chrono::Weekday::try_from(u8::try_from(day.checked_sub(1)?).ok()?).ok()?;
            NaiveDate::from_isoywd_opt(year, number(&week[1..], 2)?, weekday)
        }
        (Some(day), None) if day.len() == 3 => NaiveDate::from_yo_opt(year, number(day, 3)?),
        (month, day) => NaiveDate::from_ymd_opt(
            year,
            month.map_or(Some(1), |month| number(month, 2))?,
            day.map_or(Some(1), |day| number(day, 2))?,
        ),
    }
}

fn iso_time(text: &str) -> Option<NaiveTime> {
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let (text, fraction) = match text.split_once(['.', ',']) {
        Some((text, fraction)) => (text, fraction),
        None => (text, "0"),
    };
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 2)?;
    let mut rest = [0; 2];
    for part in &mut rest {
        if let Some(text) = parts.next() {
            *part = number(text, 2)?;
        }
    }
    if parts.next().is_some() || fraction.is_empty() {
        return None;
    }
    let millis = format!("{fraction:0<3}");
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    NaiveTime::from_hms_milli_opt(hour, rest[0], rest[1], millis.get(..3)?.parse().ok()?)
}

/// `Z`, `+01`, `+0130`, `-01:30`.
fn offset(text: &str) -> Option<TimeDelta> {
    if matches!(text, "Z" | "z") {
        return Some(TimeDelta::zero());
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text[1..].replacen(':', "", 1);
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 2)?, 0),
        4 if digits.is_ascii() => (number(&digits[..2], 2)?, number(&digits[2..], 2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| TimeDelta::minutes(sign * i64::from(hours * 60 + minutes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn iso_texts_are_moments() {
        for (text, expected) in [
            ("2021-03-26T09:56:30Z", "2021-03-26T09:56:30.000Z"),
            ("2021-03-26T09:56:30", "2021-03-26T09:56:30.000Z"),
            ("2021-03-26 09:56:30.5", "2021-03-26T09:56:30.500Z"),
            ("2021-03-26T09:56:30.123456789Z", "2021-03-26T09:56:30.123Z"),
            ("2021-03-26T09:56:30,12+01:00", "2021-03-26T08:56:30.120Z"),
            ("2021-03-26T09:56-0330", "2021-03-26T13:26:00.000Z"),
            ("2021-03-26T09+02", "2021-03-26T07:00:00.000Z"),
            ("2021-03-26", "2021-03-26T00:00:00.000Z"),
            ("2021-03", "2021-03-01T00:00:00.000Z"),
            ("2021", "2021-01-01T00:00:00.000Z"),
            ("2021-085", "2021-03-26T00:00:00.000Z"),
            ("2021-W12-5T10:00Z", "2021-03-26T10:00:00.000Z"),
        ] {
            let moment = chrono::DateTime::from_timestamp_millis(iso(text).unwrap()).unwrap();
            let shown = moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            assert_eq!(shown, expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "26-03-2021",
            "2021-13-01",
            "2021-02-30",
            "2021-03-26T",
            "2021-03-26T25:00",
            "2021-03-26T09:56:30.",
            "2021-03-26T09:56:30+1",
            "2021-03-26T09:56:30+99:00",
            "20210326",
            "2021-W54-1",
            "2021-W12-8",
            "2021-03-26T09:56:30.日本",
            "２０２１-03-26",
        ] {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_in_the_unit_of_their_type_and_the_rest_is_rejected_without_its_value() {
        let path = FieldPath::parse("meta.at").unwrap();
        let micros = Some(Time::Stamp { in_a_milli: 1000 });
        for (value, time, expected) in [
            (Scalar::Int(1_616_752_590_123), None, Ok(1_616_752_590_123)),
            (
                Scalar::Double(1.616_752_590_123e12),
                None,
                Ok(1_616_752_590_123),
            ),
            (
                Scalar::Int(1_616_752_590_123_456),
                micros,
                Ok(1_616_752_590_123),
            ),
            (Scalar::Int(-1), micros, Ok(-1)),
            (Scalar::Int(18_712), Some(Time::Days), Ok(18_712 * DAY)),
            (Scalar::Str(Cow::Borrowed("1970-01-02")), None, Ok(DAY)),
            (
                Scalar::Int(1),
                Some(Time::OfDay),
                Err("field meta.at is a time of day, not a moment"),
            ),
            (
                Scalar::Null,
                None,
                Err("field meta.at is null or missing, and names need its time"),
            ),
            (
                Scalar::Bool(true),
                None,
                Err("field meta.at is a boolean, not a moment"),
            ),
            (
                Scalar::Str(Cow::Borrowed("ann@example.org")),
                None,
                Err("field meta.at is text, but no ISO 8601 date and time"),
            ),
        ] {
            let found = of_field(&path, &value, time).map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{value:?}");
        }
    }
}
