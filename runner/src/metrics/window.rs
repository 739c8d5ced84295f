//! Rates and extremes over the last moments, as JMX metrics have them: a window of 30 to 60 seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const HALF: Duration = Duration::from_secs(30);

/// Count, sum, least and largest of what was observed in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    fn add(&mut self, value: f64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += value;
    }

    fn and(self, other: Self) -> Self {
        match (self.count, other.count) {
            (0, _) => other,
            (_, 0) => self,
            _ => Self {
                count: self.count + other.count,
                sum: self.sum + other.sum,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        }
    }

    pub(crate) fn average(&self) -> f64 {
        // Far fewer observations than an f64 counts exactly.
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }
}

/// Observations of the last 30 to 60 seconds, in two halves.
#[derive(Debug)]
pub(crate) struct Window(Mutex<Halves>);

#[derive(Debug)]
struct Halves {
    began: Instant,
    since: Instant,
    older: Summary,
    newer: Summary,
}

impl Default for Window {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Halves {
            began: now,
            since: now,
            older: Summary::default(),
            newer: Summary::default(),
        }))
    }
}

impl Halves {
    fn turn(&mut self, now: Instant) {
        let age = now.duration_since(self.since);
        if age < HALF {
            return;
        }
        self.older = if age < HALF * 2 {
            self.newer
        } else {
            Summary::default()
        };
        self.newer = Summary::default();
        self.since = now;
    }
}

impl Window {
    pub(crate) fn observe(&self, value: f64) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(Instant::now());
        halves.newer.add(value);
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(Instant::now());
        halves.older.and(halves.newer)
    }

    /// What was observed, per second.
    pub(crate) fn rate(&self) -> f64 {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        halves.turn(now);
        let covered = if halves.older.count > 0 {
            now.duration_since(halves.since) + HALF
        } else {
            now.duration_since(halves.since.max(halves.began))
        };
        halves.older.and(halves.newer).sum / covered.as_secs_f64().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_join_without_taking_an_empty_one_for_a_zero() {
        let mut one = Summary::default();
        one.add(4.0);
        one.add(2.0);
        let both = one.and(Summary::default());
        assert_eq!(
            (both.count, both.min, both.max, both.average()),
            (2, 2.0, 4.0, 3.0)
        );
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let now = Instant::now();
        let mut halves = Halves {
            began: now,
            since: now,
            older: Summary::default(),
            newer: Summary::default(),
        };
        halves.newer.add(1.0);
        halves.turn(now + HALF);
        assert_eq!((halves.older.count, halves.newer.count), (1, 0));
        halves.turn(now + HALF * 4);
        assert_eq!(halves.older.count, 0);
    }
}
