//! How far the keys topic is folded, and waiting for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::KeyError;

/// Told by the thread that follows the topic, waited for by all others.
pub(crate) struct Progress {
    topic: String,
    state: Mutex<State>,
    moved: Condvar,
    /// The fold is close behind the topic's end: keys in memory may be used.
    fresh: AtomicBool,
    closed: AtomicBool,
}

struct State {
    positions: Vec<i64>,
    /// The fold cannot go on.
    failure: Option<KeyError>,
    /// What failed last, for a passing reason.
    trouble: Option<String>,
    /// When the topic was last read to its end, or as far as a poll went.
    alive: Instant,
}

/// Without a word from the broker for this long, keys in memory are not used: they may have been erased.
const STALE: Duration = Duration::from_secs(15);

impl Progress {
    pub(crate) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            state: Mutex::new(State {
                positions: Vec::new(),
                failure: None,
                trouble: None,
                alive: Instant::now(),
            }),
            moved: Condvar::new(),
            fresh: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything below these offsets is folded. `at_end`: and that is all there was.
    pub(crate) fn folded(&self, positions: &[i64], at_end: bool) {
        let mut state = self.lock();
        state.positions.clear();
        state.positions.extend_from_slice(positions);
        state.trouble = None;
        state.alive = Instant::now();
        drop(state);
        self.moved.notify_all();
        if at_end {
            self.fresh.store(true, Ordering::Release);
        }
    }

    /// The fold starts again from these positions.
    pub(crate) fn set_back(&self, positions: &[i64]) {
        self.fresh.store(false, Ordering::Release);
        let mut state = self.lock();
        state.positions.clear();
        state.positions.extend_from_slice(positions);
    }

    /// Grows as records are folded.
    pub(crate) fn distance(&self) -> i64 {
        self.lock().positions.iter().sum()
    }

    pub(crate) fn trouble(&self, error: &KeyError) {
        self.lock().trouble = Some(error.to_string());
    }

    pub(crate) fn fail(&self, error: KeyError) {
        self.fresh.store(false, Ordering::Release);
        self.lock().failure = Some(error);
        self.moved.notify_all();
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Acquire)
    }

    /// Notices that the following thread hangs; called now and then from another thread.
    pub(crate) fn check_alive(&self) {
        if self.lock().alive.elapsed() > STALE {
            self.fresh.store(false, Ordering::Release);
        }
    }

    pub(crate) fn close(&self) {
        self.fresh.store(false, Ordering::Release);
        self.closed.store(true, Ordering::Release);
        // Taking the lock makes sure that no waiter is between its check and its wait.
        drop(self.lock());
        self.moved.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits until every given partition is folded up to (without) the given offset.
    pub(crate) fn wait(&self, targets: &[(i32, i64)], deadline: Instant) -> Result<(), KeyError> {
        let mut state = self.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if self.is_closed() {
                return Err(KeyError::Closed);
            }
            let reached = |(partition, offset): &(i32, i64)| {
                let position = usize::try_from(*partition)
                    .ok()
                    .and_then(|p| state.positions.get(p));
                position.is_some_and(|position| position >= offset)
            };
            if targets.iter().all(reached) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(KeyError::Unavailable {
                    topic: self.topic.clone(),
                    reason: match &state.trouble {
                        Some(trouble) => format!("waited in vain for it to be read: {trouble}"),
                        None => "waited in vain for it to be read".to_owned(),
                    },
                });
            }
            state = self
                .moved
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
