//! How long to wait before connecting again.

use std::time::Duration;

use rand::Rng;

/// Connections in a row that brought no event, after which the worker is told.
const FRUITLESS: u32 = 5;

/// Pauses that grow while connections bring nothing.
pub(crate) struct Backoff {
    base: Duration,
    longest: Duration,
    fruitless: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, longest: Duration) -> Self {
        Self {
            base,
            longest,
            fruitless: 0,
        }
    }

    /// The server asked for this pause (`retry:`).
    pub(crate) fn set_base(&mut self, base: Duration) {
        self.base = base.min(self.longest);
    }

    /// An event came: the connection was worth it.
    pub(crate) fn event(&mut self) {
        self.fruitless = 0;
    }

    /// A connection ended. One that lasted was worth it, even on a quiet stream.
    pub(crate) fn ended(&mut self, lasted: Duration) {
        if lasted > self.longest {
            self.fruitless = 0;
        } else {
            self.fruitless += 1;
        }
    }

    /// Whether it is time that somebody hears of it.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.fruitless >= FRUITLESS
    }

    /// The pause before the next connection, with jitter, so that the clients of a server that was
    /// away do not all come at once.
    pub(crate) fn pause(&self) -> Duration {
        let doublings = self.fruitless.saturating_sub(1).min(16);
        let pause = self.base.saturating_mul(1 << doublings).min(self.longest);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_an_event_comes() {
        let base = Duration::from_millis(1000);
        let mut backoff = Backoff::new(base, base * 3);
        let within = |pause: Duration, whole: Duration| pause >= whole / 2 && pause < whole;
        for whole in [base, base, base * 2, base * 3, base * 3] {
            assert!(within(backoff.pause(), whole), "{whole:?}");
            backoff.ended(Duration::ZERO);
        }
        assert!(backoff.is_hopeless());
        backoff.event();
        assert!(!backoff.is_hopeless());
        for _ in 0..9 {
            backoff.ended(base * 4);
        }
        assert!(!backoff.is_hopeless());
        backoff.set_base(Duration::from_secs(3600));
        assert!(within(backoff.pause(), base * 3));
    }
}
