//! Time zones and what clocks show in them.

use std::fmt;

use chrono::offset::MappedLocalTime;
use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
};
use chrono_tz::Tz;
use penstock_connect::ConfigValue;

/// A time zone by its name (`Europe/Paris`, `UTC`), or a distance from UTC (`+05:30`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// One of the time zone database.
    Named(Tz),
    /// Always so far from UTC.
    Fixed(FixedOffset),
}

impl ConfigValue for Zone {
    const KIND: &'static str = "a time zone (`Europe/Paris`, `UTC`, `+02:00`)";

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(seconds) = distance(text) {
            let fixed = FixedOffset::east_opt(seconds).filter(|_| seconds != 0);
            return Ok(fixed.map_or(Self::UTC, Self::Fixed));
        }
        match text {
            "Z" => Ok(Self::UTC),
            _ => text.parse().map(Self::Named).map_err(|_| {
                format!("must be a time zone such as Europe/Paris, UTC or +02:00, not {text:?}")
            }),
        }
    }
}

/// Seconds of `+02:00` or `-03:30`: at most 18 hours, as in Java.
fn distance(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let number = |digits: &str| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|_| two)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    (minutes < 60 && seconds <= 18 * 3600).then_some(sign * seconds)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Fixed(offset) => fmt::Display::fmt(offset, f),
        }
    }
}

impl TimeZone for Zone {
    type Offset = FixedOffset;

    fn from_offset(offset: &FixedOffset) -> Self {
        Self::Fixed(*offset)
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        match self {
            Self::Named(zone) => zone
                .offset_from_local_datetime(local)
                .map(|offset| offset.fix()),
            Self::Fixed(offset) => MappedLocalTime::Single(*offset),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> FixedOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix(),
            Self::Fixed(offset) => *offset,
        }
    }
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self::Named(Tz::UTC);

    /// What clocks show at a moment (milliseconds since the epoch), cut down to a multiple of `step`
    /// milliseconds of what they show. Where they jump over that, what they show after the jump.
    /// `None` for moments beyond the calendar.
    pub(crate) fn shown(self, moment: i64, step: i64) -> Option<NaiveDateTime> {
        let utc = DateTime::from_timestamp_millis(moment)?.naive_utc();
        let shown = utc.checked_add_signed(self.offset(&utc))?;
        if step <= 1 {
            return Some(shown);
        }
        // Towards zero, as Java divides.
        let cut = shown.and_utc().timestamp_millis() / step * step;
        let cut = DateTime::from_timestamp_millis(cut)?.naive_utc();
        if self.offset_from_local_datetime(&cut).earliest().is_some() {
            return Some(cut);
        }
        let before = self.offset(&cut.checked_sub_signed(TimeDelta::hours(24))?);
        let utc = cut.checked_sub_signed(before)?;
        utc.checked_add_signed(self.offset(&utc))
    }

    fn offset(self, utc: &NaiveDateTime) -> TimeDelta {
        let offset = self.offset_from_utc_datetime(utc);
        TimeDelta::seconds(offset.local_minus_utc().into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn shown(zone: &str, moment: &str, step: i64) -> String {
        let moment = DateTime::parse_from_rfc3339(moment).unwrap();
        let zone = Zone::parse(zone).unwrap();
        let shown = zone.shown(moment.timestamp_millis(), step).unwrap();
        shown.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
    }

    #[test]
    fn clocks_show_their_zone_s_time_cut_down_to_steps_of_it() {
        for (zone, moment, step, expected) in [
            (
                "UTC",
                "2026-03-01T10:59:59.999Z",
                HOUR,
                "2026-03-01T10:00:00.000",
            ),
            (
                "UTC",
                "2026-03-01T10:59:59.999Z",
                1,
                "2026-03-01T10:59:59.999",
            ),
            (
                "Asia/Kolkata",
                "2026-03-01T10:15:00Z",
                HOUR,
                "2026-03-01T15:00:00.000",
            ),
            (
                "Asia/Kolkata",
                "2026-03-01T18:45:00Z",
                24 * HOUR,
                "2026-03-02T00:00:00.000",
            ),
            (
                "America/New_York",
                "2026-01-01T03:00:00Z",
                24 * HOUR,
                "2025-12-31T00:00:00.000",
            ),
            (
                "+02:00",
                "2026-07-01T23:30:00Z",
                HOUR,
                "2026-07-02T01:00:00.000",
            ),
            (
                "-05:00",
                "2026-07-01T03:30:00Z",
                HOUR,
                "2026-06-30T22:00:00.000",
            ),
            (
                "+05:30",
                "2026-07-01T18:40:00Z",
                HOUR,
                "2026-07-02T00:00:00.000",
            ),
            // The hour that comes twice is one hour of the day.
            (
                "Europe/Paris",
                "2026-10-25T00:30:00Z",
                HOUR,
                "2026-10-25T02:00:00.000",
            ),
            (
                "Europe/Paris",
                "2026-10-25T01:30:00Z",
                HOUR,
                "2026-10-25T02:00:00.000",
            ),
            // 02:00 is never shown on the day that clocks go forward.
            (
                "Europe/Paris",
                "2026-03-29T00:59:59Z",
                HOUR,
                "2026-03-29T01:00:00.000",
            ),
            (
                "Europe/Paris",
                "2026-03-29T01:00:00Z",
                HOUR,
                "2026-03-29T03:00:00.000",
            ),
            (
                "Europe/Paris",
                "2026-03-29T01:30:00Z",
                2 * HOUR,
                "2026-03-29T03:00:00.000",
            ),
            (
                "America/New_York",
                "2026-03-08T07:30:00Z",
                2 * HOUR,
                "2026-03-08T03:00:00.000",
            ),
            (
                "UTC",
                "1969-12-31T23:30:00Z",
                HOUR,
                "1970-01-01T00:00:00.000",
            ),
        ] {
            assert_eq!(
                shown(zone, moment, step),
                expected,
                "{zone} {moment} {step}"
            );
        }
        assert!(Zone::UTC.shown(i64::MAX, HOUR).is_none());
    }

    #[test]
    fn zones_have_names_or_a_distance_from_utc() {
        for (text, name) in [
            ("UTC", "UTC"),
            ("Z", "UTC"),
            ("+00:00", "UTC"),
            ("Europe/Berlin", "Europe/Berlin"),
            ("-03:00", "-03:00"),
            ("+05:30", "+05:30"),
            ("-00:45", "-00:45"),
        ] {
            assert_eq!(Zone::parse(text).unwrap().to_string(), name, "{text}");
        }
        for text in [
            "Europe/Atlantis",
            "+18:01",
            "+05:60",
            "+5:30",
            "+05:+3",
            "PST",
            "",
        ] {
            assert_eq!(
                Zone::parse(text).unwrap_err(),
                format!("must be a time zone such as Europe/Paris, UTC or +02:00, not {text:?}")
            );
        }
    }
}
