//! The broker's clock, estimated: windows end by it, and workers' clocks may be off.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the broker's clock is ahead of this machine's, learnt from the stamps of own records. The
/// estimate only decides when to append a candidate; which key is current is decided by stamps alone.
#[derive(Debug, Default)]
pub(crate) struct BrokerClock {
    ahead_ms: AtomicI64,
}

impl BrokerClock {
    /// Milliseconds since the epoch by the broker's clock.
    pub(crate) fn now(&self) -> i64 {
        local_now().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// A record that was sent at `sent` and acknowledged by `acknowledged` (this machine's clock) was
    /// stamped `stamp`: moves the estimate as little as fits that.
    pub(crate) fn observe(&self, sent: i64, acknowledged: i64, stamp: i64) {
        let (least, most) = (
            stamp.saturating_sub(acknowledged),
            stamp.saturating_sub(sent),
        );
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        // A clock that was set in between makes `most` the smaller one.
        self.ahead_ms
            .store(ahead.max(least).min(most), Ordering::Relaxed);
    }
}

/// Milliseconds since the epoch by this machine's clock.
pub(crate) fn local_now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_moves_only_as_far_as_a_stamp_forces_it() {
        let clock = BrokerClock::default();
        let ahead = || clock.ahead_ms.load(Ordering::Relaxed);
        clock.observe(100, 110, 105);
        assert_eq!(ahead(), 0);
        clock.observe(100, 110, 160);
        assert_eq!(ahead(), 50);
        clock.observe(200, 220, 255);
        assert_eq!(ahead(), 50);
        clock.observe(200, 220, 190);
        assert_eq!(ahead(), -10);
    }
}
