//! The one thread that writes. Whatever is queued when it comes round goes into one atomic, durable
//! write batch: under load commits are shared, and a lone record waits for nothing but its own sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::apply::{Changed, apply};
use super::assignment::Slot;
use super::groups::Groups;
use super::outbox::Outbox;
use super::staged::Staged;
use super::store::{PARTITIONS, Store};
use super::topic_config::TopicConfig;
use super::topics::{Topic, Topics};
use crate::{Created, Error, ErrorKind, Placed, Result, Retry};

/// A commit takes at most this many bytes of records, so that the write batch stays small in memory.
const COMMIT_BYTES: usize = 32 << 20;

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

struct Thread {
    store: Arc<Store>,
    topics: Arc<Topics>,
    groups: Arc<Groups>,
}

/// A command that was checked and waits for the commit.
pub(super) enum Work {
    Drain {
        outbox: Arc<Outbox>,
        staged: Staged,
        bases: Vec<u64>,
    },
    Transaction {
        staged: Staged,
        bases: Vec<u64>,
        offsets: Option<GroupOffsets>,
        reply: Reply<Vec<Placed>>,
    },
    Offsets {
        offsets: GroupOffsets,
        reply: Reply<()>,
    },
    Create {
        topic: Option<Arc<Topic>>,
        name: Arc<str>,
        partitions: u32,
        config: TopicConfig,
        reply: Reply<Created>,
    },
    Delete {
        topic: Arc<Topic>,
        reply: Reply<()>,
    },
    DeleteGroup {
        group: Arc<str>,
        reply: Reply<()>,
    },
    Clean {
        cleaned: Cleaned,
        reply: Reply<()>,
    },
    Barrier {
        reply: Reply<()>,
    },
}

impl Thread {
    fn run(&self, commands: &Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut work = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(command) = next {
                // What comes after a deletion must find the topic gone.
                let last = matches!(command, Command::Delete { .. });
                if let Some(accepted) = self.accept(command, &mut bytes) {
                    work.push(accepted);
                }
                next = if bytes < COMMIT_BYTES && !last {
                    commands.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(work);
        }
    }

    /// Checks a command and refuses it before anything is written.
    fn accept(&self, command: Command, bytes: &mut usize) -> Option<Work> {
        match command {
            Command::Drain(outbox) => {
                let staged = outbox.take();
                *bytes += staged.bytes();
                Some(Work::Drain {
                    outbox,
                    staged,
                    bases: Vec::new(),
                })
            }
            Command::Transaction {
                staged,
                producer,
                offsets,
                reply,
            } => {
                let checked = producer
                    .check()
                    .and_then(|()| {
                        match staged.batches.iter().find(|batch| batch.topic.is_deleted()) {
                            Some(batch) => Err(Error {
                                retry: Retry::Abort,
                                ..Error::unknown_topic(&batch.topic.name)
                            }),
                            None => Ok(()),
                        }
                    })
                    .and_then(|()| {
                        offsets
                            .as_ref()
                            .map_or(Ok(()), |offsets| self.begin_offsets(offsets))
                    });
                match checked {
                    Ok(()) => {
                        *bytes += staged.bytes();
                        Some(Work::Transaction {
                            staged,
                            bases: Vec::new(),
                            offsets,
                            reply,
                        })
                    }
                    Err(e) => refuse(&reply, e),
                }
            }
            Command::Offsets { offsets, reply } => match self.begin_offsets(&offsets) {
                Ok(()) => Some(Work::Offsets { offsets, reply }),
                Err(e) => refuse(&reply, e),
            },
            Command::Create {
                name,
                partitions,
                config,
                reply,
            } => Some(Work::Create {
                topic: None,
                name,
                partitions,
                config,
                reply,
            }),
            Command::Delete { name, reply } => match self.topics.expect(&name) {
                Ok(topic) => Some(Work::Delete { topic, reply }),
                Err(e) => refuse(&reply, e),
            },
            Command::DeleteGroup { group, reply } => match self.check_empty(&group) {
                Ok(()) => Some(Work::DeleteGroup { group, reply }),
                Err(e) => refuse(&reply, e),
            },
            Command::Clean { cleaned, reply } => Some(Work::Clean { cleaned, reply }),
            Command::Barrier { reply } => Some(Work::Barrier { reply }),
        }
    }

    fn check_empty(&self, group: &str) -> Result<()> {
        if self.groups.has_members(group) {
            return Err(Error::new(
                Retry::Backoff,
                ErrorKind::State,
                format!("group {group:?} has members; stop the tasks that read with it first"),
            ));
        }
        Ok(())
    }

    fn begin_offsets(&self, offsets: &GroupOffsets) -> Result<()> {
        match offsets.member {
            None => self.check_empty(&offsets.group),
            Some((member, generation)) => {
                let slots = offsets.offsets.iter().map(|(slot, _)| slot.clone());
                self.groups
                    .begin_commit(&offsets.group, member, generation, slots)
            }
        }
    }

    fn end_offsets(&self, offsets: &GroupOffsets) {
        if let Some((member, _)) = offsets.member {
            self.groups.end_commit(&offsets.group, member);
        }
    }

    fn commit(&self, mut work: Vec<Work>) {
        let mut changed = Changed::new();
        let written = if work.iter().all(|work| matches!(work, Work::Barrier { .. })) {
            Ok(())
        } else {
            self.write(&mut work, &mut changed)
        };
        if written.is_ok() {
            for ((_, partition), (topic, extent)) in &changed {
                topic.partitions[*partition as usize].set(*extent);
            }
        }
        for work in work {
            self.answer(work, &written);
        }
        if written.is_ok() {
            for (topic, _) in changed.values() {
                topic.ring();
            }
        }
    }

    fn write(&self, work: &mut [Work], changed: &mut Changed) -> Result<()> {
        let written = self.write_batch(work, changed);
        if let Err(e) = &written {
            tracing::error!("{e}");
            // The store takes no more writes after one has failed until it is opened again.
            if let Err(e) = self.store.reopen() {
                tracing::error!("{e}");
            }
        }
        written
    }

    fn write_batch(&self, work: &mut [Work], changed: &mut Changed) -> Result<()> {
        let write = self.store.write()?;
        (|| -> Result<(), redb::Error> {
            for work in work {
                apply(&write, work, changed)?;
            }
            let mut partitions = write.open_table(PARTITIONS)?;
            for ((id, partition), (_, extent)) in changed.iter() {
                partitions.insert((*id, *partition), extent.stored())?;
            }
            drop(partitions);
            write.commit()?;
            Ok(())
        })()
        .map_err(|e| self.store.error(e))
    }

    fn answer(&self, work: Work, written: &Result<()>) {
        let outcome = || match written {
            Ok(()) => Ok(()),
            Err(e) => Err(again(e)),
        };
        match work {
            Work::Drain {
                outbox,
                staged,
                bases,
            } => match written {
                Ok(()) => {
                    outbox.finish(staged.placed(&bases).map(|(topic, placed)| {
                        if topic.is_deleted() {
                            Err(Error::unknown_topic(&topic.name))
                        } else {
                            Ok(placed)
                        }
                    }));
                }
                Err(e) => outbox.finish((0..staged.len()).map(|_| Err(again(e)))),
            },
            Work::Transaction {
                staged,
                bases,
                offsets,
                reply,
            } => {
                offsets.iter().for_each(|offsets| self.end_offsets(offsets));
                // Nothing was written: the same transaction can be tried again after an abort.
                let result = outcome().map_err(|e| match e.retry {
                    Retry::Backoff => Error {
                        retry: Retry::Abort,
                        ..e
                    },
                    _ => e,
                });
                let _ = reply.send(
                    result.map(|()| staged.placed(&bases).map(|(_, placed)| placed).collect()),
                );
            }
            Work::Offsets { offsets, reply } => {
                self.end_offsets(&offsets);
                let _ = reply.send(outcome());
            }
            Work::Create { topic, reply, .. } => {
                let created = if topic.is_some() {
                    Created::New
                } else {
                    Created::Existed
                };
                if let (Some(topic), Ok(())) = (topic, written) {
                    self.topics.insert(topic);
                    self.groups.topics_changed(&self.topics);
                }
                let _ = reply.send(outcome().map(|()| created));
            }
            Work::Delete { topic, reply } => {
                if written.is_ok() {
                    self.topics.remove(&topic.name);
                    topic.mark_deleted();
                    self.groups.topics_changed(&self.topics);
                }
                let _ = reply.send(outcome());
            }
            Work::DeleteGroup { reply, .. }
            | Work::Clean { reply, .. }
            | Work::Barrier { reply } => {
                let _ = reply.send(outcome());
            }
        }
    }
}

fn refuse<T>(reply: &Reply<T>, error: Error) -> Option<Work> {
    let _ = reply.send(Err(error));
    None
}

/// The same error for one more caller.
fn again(e: &Error) -> Error {
    Error::new(e.retry, e.kind, e.message.clone())
}

#[cfg(test)]
mod tests {
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
