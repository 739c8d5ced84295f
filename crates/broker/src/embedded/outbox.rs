//! What a producer without a transaction has sent and the writer has not written yet.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::staged::Staged;
use super::topics::Topic;
use crate::{Delivery, Error, ErrorKind, OutRecord, Result, Retry};

/// A send waits while this many bytes are not written yet.
const LIMIT_BYTES: usize = 8 << 20;

/// Shared by one producer and the writer. While the writer works on one load, the next gathers here.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    staged: Staged,
    /// The writer knows that there is something.
    announced: bool,
    /// Records that the writer has taken.
    in_flight: usize,
    done: VecDeque<Delivery>,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record; `true` if the writer has to be told.
    pub(super) fn push(
        &self,
        topic: &Arc<Topic>,
        partition: u32,
        record: &OutRecord<'_>,
        timestamp: i64,
    ) -> bool {
        let state = self.state();
        let mut state = self
            .changed
            .wait_while(state, |state| {
                state.announced && state.staged.bytes() > LIMIT_BYTES
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.staged.push(topic, partition, record, timestamp);
        !std::mem::replace(&mut state.announced, true)
    }

    /// Takes the load, for the writer.
    pub(super) fn take(&self) -> Staged {
        let mut state = self.state();
        state.announced = false;
        let staged = std::mem::take(&mut state.staged);
        state.in_flight += staged.len();
        self.changed.notify_all();
        staged
    }

    /// Says what became of the load taken, in the order of its sends.
    pub(super) fn finish(&self, deliveries: impl Iterator<Item = Delivery>) {
        let mut state = self.state();
        let before = state.done.len();
        state.done.extend(deliveries);
        state.in_flight -= state.done.len() - before;
        self.changed.notify_all();
    }

    /// The deliveries known, waiting for at least one.
    pub(super) fn poll(&self, timeout: Duration) -> Vec<Delivery> {
        let idle = |state: &State| state.in_flight == 0 && state.staged.is_empty();
        let state = self.state();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                state.done.is_empty() && !idle(state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.done.drain(..).collect()
    }

    /// Waits until all is written.
    pub(super) fn flush(&self, timeout: Duration) -> Result<Vec<Delivery>> {
        let state = self.state();
        let (mut state, waited) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                state.in_flight > 0 || !state.staged.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Error::new(
                Retry::Backoff,
                ErrorKind::Unreachable,
                format!(
                    "{} records were not written to the embedded log within {timeout:?}; the disk is slow or full",
                    state.in_flight + state.staged.len()
                ),
            ));
        }
        Ok(state.done.drain(..).collect())
    }

    pub(super) fn has_open_deliveries(&self) -> bool {
        let state = self.state();
        state.in_flight > 0 || !state.staged.is_empty() || !state.done.is_empty()
    }
}
