//! Keeps what became of each send, in the order of the sends.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::context::{log, passing_error};
use super::error::code_error;
use crate::{Delivery, Placed};

/// Context of a producer: its thread reports, the task waits.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the first of `slots`.
    first: usize,
    slots: VecDeque<Slot>,
    open: usize,
    failure: Option<RDKafkaErrorCode>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Open,
    Done(Placed),
    Failed(RDKafkaErrorCode),
}

impl Deliveries {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the place of a send; returns its number.
    pub(super) fn open(&self) -> usize {
        let mut state = self.state();
        state.slots.push_back(Slot::Open);
        state.open += 1;
        state.first + state.slots.len() - 1
    }

    /// Takes back the latest place: the send was refused.
    pub(super) fn cancel(&self) {
        let mut state = self.state();
        state.slots.pop_back();
        state.open -= 1;
    }

    fn close(&self, number: usize, outcome: Slot) {
        let mut state = self.state();
        let first = state.first;
        let Some(slot) = number
            .checked_sub(first)
            .and_then(|at| state.slots.get_mut(at))
        else {
            return;
        };
        *slot = outcome;
        state.open -= 1;
        if let Slot::Failed(code) = outcome {
            state.failure.get_or_insert(code);
        }
        if state.open == 0 || number == first {
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Those known without gaps, waiting for at least one while there is one to come.
    pub(super) fn wait_for_some(&self, timeout: Duration) -> Vec<Delivery> {
        let state = self.state();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                matches!(state.slots.front(), Some(Slot::Open))
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.take_known()
    }

    /// Waits until none is open; `false` when time is up.
    pub(super) fn wait_for_all(&self, deadline: Instant) -> bool {
        let state = self.state();
        let left = deadline.saturating_duration_since(Instant::now());
        let (_state, waited) = self
            .changed
            .wait_timeout_while(state, left, |state| state.open > 0)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Hands out those known without gaps.
    pub(super) fn take(&self) -> Vec<Delivery> {
        self.state().take_known()
    }

    /// How many sends are under way.
    pub(super) fn count_open(&self) -> usize {
        self.state().open
    }

    /// Whether something is under way or not handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.state().slots.is_empty()
    }

    /// The first failure since the last [`clear`](Self::clear).
    pub(super) fn failure(&self) -> Option<RDKafkaErrorCode> {
        self.state().failure
    }

    /// Forgets all: they belonged to a transaction that was dropped.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.first += state.slots.len();
        state.slots.clear();
        state.open = 0;
        state.failure = None;
    }
}

impl State {
    fn take_known(&mut self) -> Vec<Delivery> {
        let known = self
            .slots
            .iter()
            .take_while(|slot| !matches!(slot, Slot::Open))
            .count();
        self.first += known;
        if self.slots.len() == known {
            self.failure = None;
        }
        self.slots
            .drain(..known)
            .filter_map(|slot| match slot {
                Slot::Open => None,
                Slot::Done(placed) => Some(Ok(placed)),
                Slot::Failed(code) => Some(Err(code_error("writing a record", code))),
            })
            .collect()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        passing_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let outcome = match result {
            Ok(message) => Slot::Done(Placed {
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((e, _)) => {
                Slot::Failed(e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))
            }
        };
        self.close(number, outcome);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn deliveries_come_in_the_order_of_the_sends() {
        let deliveries = Deliveries::default();
        let numbers: Vec<_> = (0..3).map(|_| deliveries.open()).collect();
        let place = |offset| {
            Slot::Done(Placed {
                partition: 0,
                offset,
            })
        };
        deliveries.close(numbers[1], place(11));
        assert!(
            deliveries.wait_for_some(Duration::ZERO).is_empty(),
            "the first is still open"
        );
        deliveries.close(numbers[0], place(10));
        let offsets: Vec<_> = deliveries
            .wait_for_some(Duration::ZERO)
            .into_iter()
            .map(|d| d.unwrap().offset)
            .collect();
        assert_eq!(offsets, [10, 11]);
        deliveries.close(numbers[2], Slot::Failed(RDKafkaErrorCode::MessageTimedOut));
        assert!(deliveries.wait_for_all(Instant::now()));
        assert!(deliveries.take()[0].is_err());
    }

    #[test]
    fn a_late_report_of_a_dropped_transaction_is_ignored() {
        let deliveries = Deliveries::default();
        let old = deliveries.open();
        deliveries.clear();
        let new = deliveries.open();
        deliveries.close(old, Slot::Failed(RDKafkaErrorCode::PurgeQueue));
        assert_eq!((deliveries.count_open(), deliveries.failure()), (1, None));
        deliveries.close(
            new,
            Slot::Done(Placed {
                partition: 0,
                offset: 1,
            }),
        );
        assert_eq!(deliveries.take().len(), 1);
    }
}
