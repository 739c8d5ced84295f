//! How far the records of a partition have come in their own time.
//!
//! That is the greatest time that came, unless most of the records behind it say otherwise. One record
//! of the year 3000 would stop the clock for good: files that begin behind it would wait for a time that
//! never comes. So the clock goes back when most times lie far behind it, and a time that was refuted in
//! this way moves it no more: a device whose clock is wrong sends such times again and again.
//!
//! The clock follows from the records and their order alone, so that a replay ends the same files.

use serde::{Deserialize, Serialize};

/// So many far records set the clock, if nothing comes between them.
const ENOUGH: u32 = 16;

/// Times are far from each other if a day, or the rotation interval if that is longer, lies between
/// them: late records and gaps within it are usual.
const DAY: i64 = 86_400_000;

/// What a record's time did to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    Stays,
    Forth,
    Back,
}

/// The clock. Times are milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventClock {
    #[serde(
        rename = "stream_time",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    now: Option<i64>,
    /// The greatest time that was refuted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refuted: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    far: Option<Far>,
}

/// Records that are far from the clock on one side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Far {
    ahead: bool,
    /// How many they are, less twice those that came between them.
    weight: u32,
    greatest: i64,
}

impl EventClock {
    pub(crate) fn now(&self) -> Option<i64> {
        self.now
    }

    /// A record of this time came; `interval` is that of the rotation.
    pub(crate) fn see(&mut self, time: i64, interval: i64) -> Tick {
        let Some(now) = self.now else {
            self.now = Some(time);
            return Tick::Forth;
        };
        let far = interval.max(DAY);
        let behind = now.saturating_sub(time) > far;
        let was_refuted = || {
            self.refuted
                .is_some_and(|refuted| time <= refuted.saturating_add(far))
        };
        let ahead = time.saturating_sub(now) > far && was_refuted();
        if !behind && !ahead {
            self.far = self.far.and_then(Far::contradicted);
            if time <= now {
                return Tick::Stays;
            }
            self.now = Some(time);
            return Tick::Forth;
        }
        let first = Far {
            ahead,
            weight: 1,
            greatest: time,
        };
        let far = match self.far {
            Some(far) if far.ahead == ahead => far.confirmed(time),
            Some(far) => far.contradicted().unwrap_or(first),
            None => first,
        };
        if far.weight < ENOUGH {
            self.far = Some(far);
            return Tick::Stays;
        }
        self.far = None;
        self.now = Some(far.greatest);
        if ahead {
            return Tick::Forth;
        }
        self.refuted = self.refuted.max(Some(now));
        Tick::Back
    }
}

impl Far {
    fn confirmed(self, time: i64) -> Self {
        Self {
            weight: self.weight + 1,
            greatest: self.greatest.max(time),
            ..self
        }
    }

    /// Two of three records have to be far for it to become weightier.
    fn contradicted(self) -> Option<Self> {
        let weight = self.weight.checked_sub(2).filter(|weight| *weight > 0)?;
        Some(Self { weight, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR_3000: i64 = 32_503_680_000_000;

    fn run(clock: &mut EventClock, times: impl IntoIterator<Item = i64>) -> Vec<Tick> {
        let ticks = times.into_iter().map(|time| clock.see(time, HOUR));
        ticks.collect()
    }

    #[test]
    fn late_records_leave_the_clock_where_it_is() {
        let mut clock = EventClock::default();
        run(&mut clock, [HOUR, 30 * HOUR, 10 * HOUR, 29 * HOUR]);
        // Very late ones, too, as long as others come between them.
        run(&mut clock, (0..50).flat_map(|_| [HOUR, 30 * HOUR]));
        assert_eq!(clock.now(), Some(30 * HOUR));
    }

    #[test]
    fn a_gap_of_any_length_moves_the_clock_at_once() {
        let mut clock = EventClock::default();
        assert_eq!(run(&mut clock, [0, 900 * DAY]), [Tick::Forth; 2]);
    }

    #[test]
    fn the_records_behind_one_that_set_the_clock_wrong_set_it_right() {
        let mut clock = EventClock::default();
        run(&mut clock, [0, YEAR_3000]);
        let ticks = run(&mut clock, 1..=i64::from(ENOUGH));
        assert_eq!(ticks.last(), Some(&Tick::Back));
        assert!(
            ticks[..ticks.len() - 1]
                .iter()
                .all(|tick| *tick == Tick::Stays)
        );
        assert_eq!(clock.now(), Some(i64::from(ENOUGH)));
    }

    #[test]
    fn times_that_were_refuted_move_the_clock_only_when_all_records_have_them() {
        let mut clock = EventClock::default();
        let broken = (0..500).map(|at| if at % 5 == 0 { YEAR_3000 + at } else { at });
        let ticks = run(&mut clock, broken);
        let back = ticks.iter().filter(|tick| **tick == Tick::Back);
        assert_eq!(back.count(), 1, "after the first of them");
        assert_eq!(clock.now(), Some(499));
        run(&mut clock, (0..i64::from(ENOUGH)).map(|at| YEAR_3000 + at));
        assert_eq!(clock.now(), Some(YEAR_3000 + 15));
    }

    #[test]
    fn the_journal_keeps_all_of_it() {
        let mut clock = EventClock::default();
        run(&mut clock, [YEAR_3000]);
        run(&mut clock, 0..20);
        run(&mut clock, [YEAR_3000]);
        let text = serde_json::to_string(&clock).unwrap_or_default();
        assert_eq!(
            text,
            r#"{"stream_time":19,"refuted":32503680000000,"far":{"ahead":true,"weight":1,"greatest":32503680000000}}"#
        );
        assert_eq!(serde_json::from_str(&text).ok(), Some(clock));
    }
}
