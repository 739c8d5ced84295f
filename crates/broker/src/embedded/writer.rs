//! The one thread that writes. Whatever is queued when it comes round goes into one atomic, durable
//! write batch: under load commits are shared, and a lone record waits for nothing but its own sync.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::assignment::Slot;
use super::commit::Thread;
use super::groups::Groups;
use super::outbox::Outbox;
use super::staged::Staged;
use super::store::Store;
use super::topic_config::TopicConfig;
use super::topics::{Topic, Topics};
use crate::{Created, Error, ErrorKind, Placed, Result, Retry};

/// Commands that may wait; a sender beyond that waits, too. Each client has one at a time.
const QUEUE: usize = 1024;

/// Answers one command.
pub(super) type Reply<T> = SyncSender<Result<T>>;

/// What is asked of the writer.
pub(super) enum Command {
    /// Write what a producer has sent.
    Drain(Arc<Outbox>),
    /// Records and offsets, all or nothing.
    Transaction {
        staged: Staged,
        producer: ProducerEpoch,
        offsets: Option<GroupOffsets>,
        reply: Reply<Vec<Placed>>,
    },
    /// Positions of a group.
    Offsets {
        offsets: GroupOffsets,
        reply: Reply<()>,
    },
    /// A new topic.
    Create {
        name: Arc<str>,
        partitions: u32,
        config: TopicConfig,
        reply: Reply<Created>,
    },
    /// A topic with its records and offsets.
    Delete { name: Arc<str>, reply: Reply<()> },
    /// A group's offsets.
    DeleteGroup { group: Arc<str>, reply: Reply<()> },
    /// What retention or compaction takes out.
    Clean { cleaned: Cleaned, reply: Reply<()> },
    /// Nothing; answered once all that was queued before is durable.
    Barrier { reply: Reply<()> },
}

/// The instance of a transactional producer; a newer one has a higher epoch.
#[derive(Clone, Debug)]
pub(super) struct ProducerEpoch {
    pub(super) id: Arc<str>,
    pub(super) mine: u64,
    pub(super) newest: Arc<AtomicU64>,
}

impl ProducerEpoch {
    pub(super) fn check(&self) -> Result<()> {
        if self.newest.load(Ordering::Acquire) == self.mine {
            return Ok(());
        }
        Err(Error::new(
            Retry::Fenced,
            ErrorKind::Fenced,
            format!(
                "another producer with transactional.id {:?} was opened: this one may write no more",
                self.id
            ),
        ))
    }
}

/// Positions to be stored for a group.
pub(super) struct GroupOffsets {
    pub(super) group: Arc<str>,
    /// The member and generation that must be current; `None` from outside the group.
    pub(super) member: Option<(u64, u64)>,
    pub(super) offsets: Vec<(Slot, u64)>,
}

/// A step of retention or compaction in one partition.
pub(super) struct Cleaned {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: u32,
    /// Base offsets of batches, with what they become; `None`: they go.
    pub(super) batches: Vec<(u64, Option<Vec<u8>>)>,
    /// Retention: where the partition begins now.
    pub(super) low: Option<u64>,
    /// Compaction is through: cleaned up to here, and the bytes that were dirty when it began.
    pub(super) through: Option<(u64, u64)>,
}

/// Sends commands to the writer thread; dropping it stops the thread once the queue is empty.
pub(super) struct Writer {
    queue: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        store: Arc<Store>,
        topics: Arc<Topics>,
        groups: Arc<Groups>,
    ) -> Result<Self> {
        let (queue, commands) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("penstock-log".to_owned())
            .spawn(move || {
                Thread {
                    store,
                    topics,
                    groups,
                    told: Cell::default(),
                }
                .run(&commands)
            })
            .map_err(|e| {
                Error::new(
                    Retry::Backoff,
                    ErrorKind::Other,
                    "the log's writer thread cannot be started",
                )
                .with_source(e)
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Queues a command. A stopped writer drops it, which its sender sees at the reply.
    pub(super) fn send(&self, command: Command) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(command);
        }
    }

    /// Queues a command and waits for its answer.
    pub(super) fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = sync_channel(1);
        self.send(command(reply));
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Checks that the thread comes round within this time.
    pub(super) fn is_alive(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let (reply, answer) = sync_channel(1);
        let Some(queue) = &self.queue else {
            return Err(stopped());
        };
        let mut command = Command::Barrier { reply };
        loop {
            match queue.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(stopped()),
                Err(TrySendError::Full(_)) if Instant::now() >= deadline => {
                    return Err(late(timeout));
                }
                Err(TrySendError::Full(back)) => {
                    command = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(late(timeout)),
            Err(RecvTimeoutError::Disconnected) => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::new(
        Retry::Never,
        ErrorKind::Storage,
        "the embedded log's writer has stopped; see the log above, and start the worker again",
    )
}

fn late(timeout: Duration) -> Error {
    Error::new(
        Retry::Backoff,
        ErrorKind::Unreachable,
        format!(
            "the embedded log has written nothing within {timeout:?}; the disk is slow or hangs"
        ),
    )
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn writer(room: usize) -> (Writer, Receiver<Command>) {
        let (queue, commands) = sync_channel(room);
        let writer = Writer {
            queue: Some(queue),
            thread: None,
        };
        (writer, commands)
    }

    #[test]
    fn a_writer_that_is_gone_or_does_not_come_round_is_not_alive() {
        let kind = |alive: Result<()>| alive.map_err(|error| error.kind);
        let (gone, commands) = writer(1);
        drop(commands);
        assert_eq!(kind(gone.is_alive(SOON)), Err(ErrorKind::Storage));

        let (hanging, commands) = writer(1);
        let late = Err(ErrorKind::Unreachable);
        assert_eq!(kind(hanging.is_alive(SOON)), late, "no answer");
        assert_eq!(kind(hanging.is_alive(SOON)), late, "no room in its queue");
        drop(commands);
        assert_eq!(kind(hanging.is_alive(SOON)), Err(ErrorKind::Storage));
    }
}
