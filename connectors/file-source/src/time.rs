//! Times as they stand in files.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use penstock_connect::config::ConfigValue;

/// How the time of an event is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Milliseconds since the epoch, or ISO 8601.
    Auto,
    /// Seconds since the epoch, perhaps with a fraction.
    EpochSeconds,
    /// Milliseconds since the epoch.
    EpochMillis,
    /// A pattern, as `strftime` has them.
    Pattern(String),
}

impl ConfigValue for TimeFormat {
    const KIND: &'static str = "`auto`, `epoch.s`, `epoch.ms` or a pattern (%d/%m/%Y %H:%M:%S)";

    fn parse(text: &str) -> Result<Self, String> {
        let is_pattern =
            text.contains('%') && !StrftimeItems::new(text).any(|item| item == Item::Error);
        match text {
            "auto" => Ok(Self::Auto),
            "epoch.s" => Ok(Self::EpochSeconds),
            "epoch.ms" => Ok(Self::EpochMillis),
            _ if is_pattern => Ok(Self::Pattern(text.to_owned())),
            _ => Err(format!(
                "must be auto, epoch.s, epoch.ms or a pattern such as %d/%m/%Y %H:%M:%S, not {text:?}"
            )),
        }
    }
}

impl TimeFormat {
    /// The time in milliseconds since the epoch; `None` if the text is not of this form.
    pub(crate) fn millis(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        match self {
            Self::Auto => match text.parse() {
                Ok(millis) => Some(millis),
                Err(_) => instant(text).map(|time| time.timestamp_millis()),
            },
            Self::EpochMillis => text.parse().ok(),
            Self::EpochSeconds => match text.parse::<i64>() {
                Ok(seconds) => seconds.checked_mul(1000),
                Err(_) => {
                    let millis = text.parse::<f64>().ok()? * 1000.0;
                    // Whole numbers of this size are exact.
                    (millis.abs() < 9e15).then_some(millis.round() as i64)
                }
            },
            Self::Pattern(pattern) => DateTime::parse_from_str(text, pattern)
                .map(|time| time.to_utc())
                .or_else(|_| NaiveDateTime::parse_from_str(text, pattern).map(|t| t.and_utc()))
                .or_else(|_| {
                    NaiveDate::parse_from_str(text, pattern)
                        .map(|date| date.and_time(NaiveTime::MIN).and_utc())
                })
                .ok()
                .map(|time| time.timestamp_millis()),
        }
    }

    /// How to write it, for errors.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Auto => {
                "milliseconds since the epoch or an ISO 8601 time such as 2024-05-01T12:00:00Z"
                    .to_owned()
            }
            Self::EpochSeconds => "seconds since the epoch".to_owned(),
            Self::EpochMillis => "milliseconds since the epoch".to_owned(),
            Self::Pattern(pattern) => format!("a time of the form {pattern}"),
        }
    }
}

/// An ISO 8601 date with or without time; without a time zone in UTC.
pub(crate) fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for zoned in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, zoned) {
            return Some(time.to_utc());
        }
    }
    for local in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, local) {
            return Some(time.and_utc());
        }
    }
    date(text).map(|date| date.and_time(NaiveTime::MIN).and_utc())
}

/// `2024-05-01`.
pub(crate) fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}

/// `12:30` or `12:30:00.250`.
pub(crate) fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"]
        .into_iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_as_their_format_says() {
        let noon = Some(1_714_564_800_000);
        for (format, text, millis) in [
            ("auto", "1714564800000", noon),
            ("auto", " 1714564800000 ", noon),
            ("auto", "-1", Some(-1)),
            ("auto", "2024-05-01T12:00:00Z", noon),
            ("auto", "2024-05-01T14:00:00+02:00", noon),
            ("auto", "2024-05-01T14:00:00.000+0200", noon),
            ("auto", "2024-05-01 12:00:00", noon),
            ("auto", "2024-05-01 14:00:00+02", noon),
            ("auto", "2024-05-01T12:00", noon),
            ("auto", "2024-05-01T12:00:00.25", Some(1_714_564_800_250)),
            ("auto", "2024-05-01", Some(1_714_521_600_000)),
            ("auto", "yesterday", None),
            ("auto", "", None),
            ("auto", "2024-13-01", None),
            ("epoch.ms", "1714564800000", noon),
            ("epoch.ms", "2024-05-01", None),
            ("epoch.s", "1714564800", noon),
            ("epoch.s", "1714564800.5", Some(1_714_564_800_500)),
            ("epoch.s", "1e300", None),
            ("epoch.s", "9223372036854775807", None),
            ("%d/%m/%Y %H:%M", "01/05/2024 12:00", noon),
            ("%d/%m/%Y %H:%M %z", "01/05/2024 14:00 +0200", noon),
            ("%d.%m.%Y", "01.05.2024", Some(1_714_521_600_000)),
            ("%d.%m.%Y", "2024-05-01", None),
        ] {
            let parsed = TimeFormat::parse(format).unwrap().millis(text);
            assert_eq!(parsed, millis, "{format} {text:?}");
        }
    }

    #[test]
    fn patterns_that_nobody_can_read_are_refused() {
        assert!(TimeFormat::parse("%Q").is_err());
        assert!(TimeFormat::parse("dd/MM").is_err());
    }
}
