//! Wakes a thread that waits for records or for a change of its group.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Rings are not lost: one that comes before the wait ends the wait at once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    condvar: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condvar.notify_one();
    }

    /// Waits for a ring until `deadline`; `false` when time is up.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut rung, _) = self
            .condvar
            .wait_timeout_while(rung, left, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}
