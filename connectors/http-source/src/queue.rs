//! Events between the requests that brought them and the worker that writes them: bounded in number
//! and in bytes. Bytes are reserved as a body comes, and freed when the worker takes the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use penstock_connect::{Outcome, Record, Reply, SourceRecord};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::answer::Refusal;

/// After an event found its destination away, the gateway counts as not ready for this long.
const TROUBLE: Duration = Duration::from_secs(5);

/// Room that one poll fills at most.
const POLL_BYTES: usize = 4 << 20;
const POLL_EVENTS: usize = 5_000;

struct Waiting {
    record: SourceRecord,
    _room: OwnedSemaphorePermit,
}

/// The requests' end.
pub(crate) struct Queue {
    sender: mpsc::Sender<Waiting>,
    bytes: Arc<Semaphore>,
    started: Instant,
    /// Milliseconds after `started` until which there is trouble.
    trouble_until: AtomicU64,
}

/// The worker's end.
pub(crate) struct Waiters {
    receiver: mpsc::Receiver<Waiting>,
}

/// Reserved room in the queue.
pub(crate) struct Room(OwnedSemaphorePermit);

/// Makes a queue for so many events and bytes.
pub(crate) fn queue(events: usize, bytes: usize) -> (Queue, Waiters) {
    let (sender, receiver) = mpsc::channel(events);
    let queue = Queue {
        sender,
        bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        started: Instant::now(),
        trouble_until: AtomicU64::new(0),
    };
    (queue, Waiters { receiver })
}

impl Queue {
    /// Reserves room for bytes of a body; a refusal if there is none now.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Room, Refusal> {
        if self.sender.is_closed() {
            return Err(Refusal::stopping());
        }
        // A body is at most 1 GiB by configuration.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes)
            .try_acquire_many_owned(bytes)
            .map(Room)
            .map_err(|_| Refusal::busy())
    }

    /// Puts an event into the queue. The receiver gets its outcome; dropped, nobody knows it.
    pub(crate) fn offer(
        &self,
        record: Record,
        room: Room,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let (reply, outcome) = Reply::channel();
        let record = SourceRecord {
            record,
            fault: None,
            reply: Some(reply),
        };
        let waiting = Waiting {
            record,
            _room: room.0,
        };
        match self.sender.try_send(waiting) {
            Ok(()) => Ok(outcome),
            Err(TrySendError::Full(_)) => Err(Refusal::busy()),
            Err(TrySendError::Closed(_)) => Err(Refusal::stopping()),
        }
    }

    /// What the sender is to be told of an outcome.
    pub(crate) fn settle(&self, outcome: Option<Outcome>) -> Result<(), Refusal> {
        match outcome {
            Some(Outcome::Delivered | Outcome::Filtered { .. }) => Ok(()),
            Some(Outcome::Rejected(error)) => Err(error.into()),
            Some(Outcome::Unavailable { message }) => {
                self.note_trouble();
                Err(Refusal::unavailable(message))
            }
            None => {
                self.note_trouble();
                Err(Refusal::unknown())
            }
        }
    }

    fn note_trouble(&self) {
        let until = self.started.elapsed() + TROUBLE;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.trouble_until.fetch_max(until, Ordering::Relaxed);
    }

    /// Why senders had better go elsewhere now.
    pub(crate) fn unready(&self) -> Option<Refusal> {
        if self.sender.is_closed() {
            return Some(Refusal::stopping());
        }
        if self.sender.capacity() == 0 || self.bytes.available_permits() == 0 {
            return Some(Refusal::unavailable("Too many events wait to be written."));
        }
        let until = Duration::from_millis(self.trouble_until.load(Ordering::Relaxed));
        (self.started.elapsed() < until)
            .then(|| Refusal::unavailable("Events could not be written a moment ago."))
    }
}

impl Room {
    /// Splits off room for an event of the body, as far as there is any left.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.0.num_permits());
        // Never more than there is, so there is always something to split off.
        let part = self.0.split(bytes);
        Self(part.unwrap_or_else(|| unreachable!("at most as much is split off as there is")))
    }

    /// Adds room that was reserved for more of the same body.
    pub(crate) fn merge(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

impl Waiters {
    /// Waits for an event, and gives it with all that wait behind it, up to a bound; nothing once the
    /// other end is gone. Cancel-safe.
    pub(crate) async fn take(&mut self) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut next = self.receiver.recv().await;
        while let Some(waiting) = next {
            bytes += waiting.record.record.size();
            records.push(waiting.record);
            if bytes >= POLL_BYTES || records.len() >= POLL_EVENTS {
                break;
            }
            next = self.receiver.try_recv().ok();
        }
        records
    }

    /// Takes in nothing more; those who wait are told to come again.
    pub(crate) fn close(&mut self) {
        self.receiver.close();
        while let Ok(waiting) = self.receiver.try_recv() {
            if let Some(reply) = waiting.record.reply {
                reply.send(Outcome::Unavailable {
                    message: Refusal::stopping().text,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::StatusCode;
    use penstock_connect::RecordError;
    use penstock_formats::{Encoding, Payload};

    fn record(size: usize) -> Record {
        let value = Payload::new(vec![b' '; size], Encoding::Bytes);
        Record::new("t".into(), Some(value))
    }

    fn offer(queue: &Queue, size: usize) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let room = queue.reserve(size)?;
        queue.offer(record(size), room)
    }

    #[tokio::test]
    async fn everything_that_waits_is_taken_at_once() {
        let (queue, mut waiters) = queue(10, 100);
        let _outcomes: Vec<_> = (0..3).map(|_| offer(&queue, 1).unwrap()).collect();
        assert_eq!(waiters.take().await.len(), 3);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_until_the_worker_takes() {
        for (events, bytes) in [(1, 100), (100, 10)] {
            let (queue, mut waiters) = queue(events, bytes);
            let _first = offer(&queue, 10).unwrap();
            let refusal = offer(&queue, 10).unwrap_err();
            assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
            assert!(queue.unready().is_some());
            waiters.take().await;
            assert!(offer(&queue, 10).is_ok());
        }
    }

    #[tokio::test]
    async fn a_sender_that_hangs_up_frees_no_room() {
        let (queue, mut waiters) = queue(10, 10);
        drop(offer(&queue, 10).unwrap());
        assert!(offer(&queue, 10).is_err());
        waiters.take().await;
        assert!(offer(&queue, 10).is_ok());
    }

    #[tokio::test]
    async fn a_poll_is_bounded_in_bytes() {
        let (queue, mut waiters) = queue(10, 100 << 20);
        for _ in 0..3 {
            drop(offer(&queue, POLL_BYTES / 2 + 1).unwrap());
        }
        assert_eq!(waiters.take().await.len(), 2);
        assert_eq!(waiters.take().await.len(), 1);
    }

    #[tokio::test]
    async fn closing_tells_those_who_wait_and_those_who_come() {
        let (queue, mut waiters) = queue(10, 100);
        let outcome = offer(&queue, 1).unwrap();
        waiters.close();
        let refusal = queue.settle(outcome.await.ok()).unwrap_err();
        assert_eq!(refusal, Refusal::stopping());
        assert_eq!(offer(&queue, 1).unwrap_err(), Refusal::stopping());
    }

    #[test]
    fn outcomes_become_answers() {
        let (queue, _waiters) = queue(1, 1);
        let rejected = |error| queue.settle(Some(Outcome::Rejected(error))).unwrap_err();
        assert_eq!(queue.settle(Some(Outcome::Delivered)), Ok(()));
        let filtered = Outcome::Filtered { reason: "test" };
        assert_eq!(queue.settle(Some(filtered)), Ok(()));
        assert_eq!(rejected(RecordError::field("f")).status, 400);
        let large = RecordError::new(penstock_connect::RecordErrorKind::TooLarge, "l");
        assert_eq!(rejected(large).status, 413);
        assert!(queue.unready().is_none());
        assert_eq!(queue.settle(None).unwrap_err().status, 503);
        assert!(queue.unready().is_some());
    }
}
