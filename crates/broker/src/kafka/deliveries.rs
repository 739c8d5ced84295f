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
use super::limits::Refused;
use crate::{Delivery, Error, Placed, Retry};

/// Context of a producer: its thread reports, the task waits.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    state: Mutex<State>,
    changed: Condvar,
    /// A record of this size is alone in its batch.
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the first of `slots`.
    first: usize,
    slots: VecDeque<Slot>,
    open: usize,
    failure: Option<RDKafkaErrorCode>,
    /// The largest record that the broker has refused for what its topic takes.
    refused: Option<Refused>,
    /// Number of the send that somebody waits for.
    awaited: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Open,
    Done(Placed),
    Failed {
        code: RDKafkaErrorCode,
        /// Sent again, it will be taken, or refused for what is known of its topic then.
        again: bool,
    },
}

impl Deliveries {
    /// Of a producer whose batches hold so many bytes.
    pub(super) fn new(batch_bytes: usize) -> Self {
        Self {
            batch_bytes,
            ..Self::default()
        }
    }

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
        if let Slot::Failed { code, .. } = outcome {
            state.failure.get_or_insert(code);
        }
        if state.open == 0 || number == first || state.awaited == Some(number) {
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

    /// Waits until a send is no longer open; `false` when time is up.
    pub(super) fn wait_for(&self, number: usize, deadline: Instant) -> bool {
        let mut state = self.state();
        state.awaited = Some(number);
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut state, waited) = self
            .changed
            .wait_timeout_while(state, left, |state| state.is_open(number))
            .unwrap_or_else(PoisonError::into_inner);
        state.awaited = None;
        !waited.timed_out()
    }

    /// The largest record that was refused for what its topic takes, once.
    pub(super) fn take_refused(&self) -> Option<Refused> {
        self.state().refused.take()
    }

    fn note_refused(&self, refused: Refused) {
        let mut state = self.state();
        if state
            .refused
            .as_ref()
            .is_none_or(|known| known.bytes < refused.bytes)
        {
            state.refused = Some(refused);
        }
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
    fn is_open(&self, number: usize) -> bool {
        let slot = number
            .checked_sub(self.first)
            .and_then(|at| self.slots.get(at));
        matches!(slot, Some(Slot::Open))
    }

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
                Slot::Failed { code, again } => Some(Err(failed(code, again))),
            })
            .collect()
    }
}

fn failed(code: RDKafkaErrorCode, again: bool) -> Error {
    let e = code_error("writing a record", code);
    let retry = if again { Retry::Backoff } else { e.retry };
    Error { retry, ..e }
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
            Err((e, message)) => {
                let code = e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                let keyless = message.key().is_none();
                let teaches = Refused::teaches(code, keyless);
                let bytes = message.payload_len() + message.key_len();
                if teaches {
                    self.note_refused(Refused {
                        topic: message.topic().to_owned(),
                        bytes,
                        keyless,
                        code,
                    });
                }
                // Of a batch that is too large nobody knows which record is.
                let again = teaches && bytes < self.batch_bytes;
                Slot::Failed { code, again }
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
        let code = RDKafkaErrorCode::MessageTimedOut;
        deliveries.close(numbers[2], Slot::Failed { code, again: false });
        assert!(deliveries.wait_for_all(Instant::now()));
        assert!(deliveries.take()[0].is_err());
    }

    #[test]
    fn a_late_report_of_a_dropped_transaction_is_ignored() {
        let deliveries = Deliveries::default();
        let old = deliveries.open();
        deliveries.clear();
        let new = deliveries.open();
        let code = RDKafkaErrorCode::PurgeQueue;
        deliveries.close(old, Slot::Failed { code, again: false });
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
