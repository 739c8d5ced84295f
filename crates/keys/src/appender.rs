//! The thread that writes to the keys topic: it makes keys for all who wait at once, and carries out
//! erasures and upkeep.

mod create;
mod erase;
mod roots;
mod upkeep;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use penstock_broker::{OutRecord, Producer, ProducerSpec, Retry};
use tokio::sync::oneshot;

pub(crate) use create::Wanted;
pub(crate) use erase::Target;

use crate::data_key::DataKey;
use crate::error::KeyError;
use crate::link::KeyLink;
use crate::mac::{Digest, partition_of};
use crate::shared::Shared;

use upkeep::Upkeep;

/// How long the thread sleeps when nobody wants anything.
const TICK: Duration = Duration::from_secs(1);

/// What callers ask of the thread.
pub(crate) enum Request {
    /// The current keys of these scopes, in order.
    Create {
        wanted: Vec<Wanted>,
        reply: oneshot::Sender<Result<Vec<Arc<DataKey>>, KeyError>>,
    },
    /// Erase keys; the number of keys erased.
    Erase {
        target: Target,
        reply: oneshot::Sender<Result<usize, KeyError>>,
    },
}

/// A record to be written; no value is a tombstone.
pub(crate) struct Outgoing {
    partition: i32,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// Writes to the keys topic: acks=all, idempotent, outside of transactions.
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    producer: Option<Box<dyn Producer>>,
    /// Own candidates that landed void; removed once nobody waits.
    litter: Vec<Outgoing>,
}

impl Outgoing {
    fn tombstone(scope: &Digest, link: KeyLink, partitions: i32) -> Self {
        Self {
            partition: partition_of(scope, partitions),
            key: link.to_string().into_bytes(),
            value: None,
        }
    }
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            producer: None,
            litter: Vec::new(),
        }
    }

    /// Serves requests until all senders are gone.
    pub(crate) fn start(self, requests: Receiver<Request>) -> Result<JoinHandle<()>, KeyError> {
        let topic = self.shared.config.topic.clone();
        std::thread::Builder::new()
            .name("penstock-keys-w".to_owned())
            .spawn(move || self.run(&requests))
            .map_err(|e| KeyError::Unavailable {
                topic,
                reason: format!("no thread can be started to write it: {e}"),
            })
    }

    fn run(mut self, requests: &Receiver<Request>) {
        let mut upkeep = Upkeep::new();
        loop {
            match requests.recv_timeout(TICK) {
                Ok(first) => self.serve(first, requests),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.tidy();
            self.shared.progress.check_alive();
            upkeep.run(&mut self);
        }
    }

    /// Serves this request and all that wait behind it: keys for all of them cost one round trip.
    fn serve(&mut self, first: Request, requests: &Receiver<Request>) {
        let mut wanted = Vec::new();
        let mut replies = Vec::new();
        let mut erasures = Vec::new();
        for request in std::iter::once(first).chain(requests.try_iter()) {
            match request {
                Request::Create {
                    wanted: some,
                    reply,
                } => {
                    replies.push((some.len(), reply));
                    wanted.extend(some);
                }
                Request::Erase { target, reply } => erasures.push((target, reply)),
            }
        }
        if !wanted.is_empty() {
            // A caller that has gone away needs no answer.
            match self.create(&wanted) {
                Ok(keys) => {
                    let mut keys = keys.into_iter();
                    for (count, reply) in replies {
                        let _ = reply.send(Ok(keys.by_ref().take(count).collect()));
                    }
                }
                Err(error) => {
                    for (_, reply) in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
        for (target, reply) in erasures {
            let _ = reply.send(self.erase(&target));
        }
    }

    /// Removes own void candidates. If that fails, upkeep does it.
    fn tidy(&mut self) {
        if self.litter.is_empty() {
            return;
        }
        let litter = std::mem::take(&mut self.litter);
        if let Err(error) = self.write(&litter) {
            tracing::debug!("void candidates are removed later: {error}");
        }
    }

    /// Writes records, in order within a partition, and returns their places once all are durable. After
    /// an error it is unknown which are.
    fn write(&mut self, records: &[Outgoing]) -> Result<Vec<(i32, i64)>, KeyError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut producer = match self.producer.take() {
            Some(producer) => producer,
            None => self
                .shared
                .broker
                .producer(self.producer_spec())
                .map_err(|e| self.failed(e))?,
        };
        let topic = &self.shared.config.topic;
        for record in records {
            let out = OutRecord::new(topic, record.value.as_deref())
                .key(&record.key)
                .partition(record.partition);
            producer.send(out).map_err(|e| self.failed(e))?;
        }
        let deadline = self.shared.deadline();
        let mut places = Vec::with_capacity(records.len());
        while places.len() < records.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match producer.flush(left) {
                Ok(deliveries) => {
                    if deliveries.is_empty() && left.is_zero() {
                        return Err(self.late());
                    }
                    for delivery in deliveries {
                        let placed = delivery.map_err(|e| self.failed(e))?;
                        places.push((placed.partition, placed.offset));
                    }
                }
                Err(e) if e.retry == Retry::Backoff && !left.is_zero() => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        // Only a producer without loose ends is used again.
        self.producer = Some(producer);
        Ok(places)
    }

    fn producer_spec(&self) -> ProducerSpec {
        ProducerSpec {
            client_id: self.shared.config.client_id.clone(),
            ..ProducerSpec::default()
        }
    }

    fn failed(&self, error: penstock_broker::Error) -> KeyError {
        KeyError::broker(
            format!("writing to topic {:?}", self.shared.config.topic),
            error,
        )
    }

    fn late(&self) -> KeyError {
        KeyError::Unavailable {
            topic: self.shared.config.topic.clone(),
            reason: "waited in vain for a record to be durable".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
