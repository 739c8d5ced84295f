//! When files end.

use chrono::{Days, NaiveDate, TimeDelta, TimeZone};

use crate::{Rotation, Schedule};

/// A partition ends a file when it has come so many offsets past its first record: after a kill, that
/// far at most is read again.
const REACH: i64 = 10_000_000;

/// Parts that an upload may have, less five percent, since lengths are estimates until the file's end.
const PARTS: u64 = 9_500;

const DAY: i64 = 86_400_000;

/// The rotation of a plan in the units of the engine: milliseconds, and no limit as the largest number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) event_time: Option<i64>,
    pub(crate) idle: Option<i64>,
    pub(crate) schedules: [Option<Schedule>; 2],
    pub(crate) reach: i64,
}

impl Rules {
    pub(crate) fn new(rotation: &Rotation, part_bytes: usize) -> Self {
        let millis =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let largest = PARTS.saturating_mul(part_bytes as u64);
        Self {
            records: rotation.records.unwrap_or(u64::MAX),
            bytes: rotation.bytes.unwrap_or(largest).min(largest),
            event_time: rotation.event_time.map(millis),
            idle: rotation.idle.map(millis),
            schedules: [rotation.schedule, rotation.second_schedule],
            reach: REACH,
        }
    }

    /// The first moment after `now` at which files end.
    pub(crate) fn moment(&self, now: i64) -> Option<i64> {
        let schedules = self.schedules.iter().flatten();
        schedules.map(|schedule| schedule.next(now)).min()
    }

    /// A file of so many records and bytes ends now.
    pub(crate) fn full(&self, records: u64, bytes: u64) -> bool {
        records >= self.records || bytes >= self.bytes
    }
}

impl Schedule {
    /// The first of its moments after `now`, both in milliseconds since the epoch.
    pub(crate) fn next(&self, now: i64) -> i64 {
        let Some(local) = self.zone.timestamp_millis_opt(now).single() else {
            return i64::MAX;
        };
        let step = i64::try_from(self.interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let today = local.date_naive();
        let after = |days| today.checked_add_days(Days::new(days));
        if step % DAY == 0
            && let Some(day) = after(step.unsigned_abs() / DAY.unsigned_abs())
        {
            return self.start_of(day);
        }
        let start = self.start_of(today);
        let moment = start.saturating_add(((now - start) / step + 1).saturating_mul(step));
        match after(1) {
            // A day that is no multiple of the interval ends with a shorter step.
            Some(tomorrow) if step < DAY => moment.min(self.start_of(tomorrow)),
            _ => moment,
        }
    }

    /// The first moment of a day. Where clocks go forward at midnight, days begin later.
    fn start_of(&self, day: NaiveDate) -> i64 {
        let midnight = day.and_time(chrono::NaiveTime::MIN);
        (0..=12)
            .filter_map(|quarters| {
                let time = midnight.checked_add_signed(TimeDelta::minutes(15 * quarters))?;
                self.zone.from_local_datetime(&time).earliest()
            })
            .next()
            .map_or_else(
                || midnight.and_utc().timestamp_millis(),
                |start| start.timestamp_millis(),
            )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::layout::Zone;
    use penstock_connect::ConfigValue;
    use std::time::Duration;

    #[test]
    fn moments_lie_evenly_from_midnight_of_the_zone() {
        for (zone, minutes, now, expected) in [
            ("UTC", 60, "2026-01-05T10:20:00Z", "2026-01-05T11:00:00Z"),
            ("UTC", 60, "2026-01-05T11:00:00Z", "2026-01-05T12:00:00Z"),
            (
                "Asia/Kolkata",
                60,
                "2026-01-05T10:20:00Z",
                "2026-01-05T10:30:00Z",
            ),
            // The last step of a day is shorter.
            (
                "UTC",
                7 * 60,
                "2026-01-05T21:30:00Z",
                "2026-01-06T00:00:00Z",
            ),
            (
                "UTC",
                24 * 60,
                "2026-01-05T10:20:00Z",
                "2026-01-06T00:00:00Z",
            ),
            (
                "UTC",
                48 * 60,
                "2026-01-05T10:20:00Z",
                "2026-01-07T00:00:00Z",
            ),
            // A day of 23 hours, and one of 25.
            (
                "Europe/Berlin",
                6 * 60,
                "2026-03-29T20:30:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                "Europe/Berlin",
                24 * 60,
                "2026-10-25T10:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            // Clocks go forward at midnight: the day begins at one.
            (
                "Africa/Cairo",
                12 * 60,
                "2026-04-24T05:00:00Z",
                "2026-04-24T10:00:00Z",
            ),
        ] {
            let schedule = Schedule {
                interval: Duration::from_secs(minutes * 60),
                zone: Zone::parse(zone).unwrap(),
            };
            let now = chrono::DateTime::parse_from_rfc3339(now).unwrap();
            let next = schedule.next(now.timestamp_millis());
            let next = chrono::DateTime::from_timestamp_millis(next).unwrap();
            assert_eq!(
                next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                expected,
                "{zone} every {minutes} minutes after {now}"
            );
        }
    }

    #[test]
    fn of_two_schedules_the_next_moment_of_either_counts() {
        let every = |minutes: u64| {
            Some(Schedule {
                interval: Duration::from_secs(60 * minutes),
                zone: Zone::UTC,
            })
        };
        let rotation = Rotation {
            schedule: every(25),
            second_schedule: every(10),
            ..Rotation::default()
        };
        let rules = Rules::new(&rotation, 5 << 20);
        let minute = 60_000;
        let mut moments = vec![0];
        while moments.len() < 6 {
            moments.extend(
                rules
                    .moment(moments[moments.len() - 1] * minute)
                    .map(|at| at / minute),
            );
        }
        assert_eq!(moments, [0, 10, 20, 25, 30, 40]);
    }

    #[test]
    fn an_upload_never_needs_more_parts_than_stores_take() {
        let rotation = Rotation {
            bytes: Some(1 << 50),
            ..Rotation::default()
        };
        let rules = Rules::new(&rotation, 5 << 20);
        assert!(rules.bytes / (5 << 20) < 10_000);
        assert!(rules.full(1, 49 << 30) && !rules.full(u64::MAX - 1, 1 << 30));
    }
}
