//! The rounds of the writer's thread: what is queued is checked, written in one atomic, durable commit,
//! and answered.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::apply::{Changed, apply};
use super::groups::Groups;
use super::outbox::Outbox;
use super::staged::Staged;
use super::store::{PARTITIONS, Store};
use super::topic_config::TopicConfig;
use super::topics::{Topic, Topics};
use super::writer::{Cleaned, Command, GroupOffsets, Reply};
use crate::{Created, Error, ErrorKind, Placed, Result, Retry};

/// A commit takes at most this many bytes of records, so that the write batch stays small in memory.
const COMMIT_BYTES: usize = 32 << 20;

/// The log says once in this time that nothing can be written.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What the thread works with.
pub(super) struct Thread {
    pub(super) store: Arc<Store>,
    pub(super) topics: Arc<Topics>,
    pub(super) groups: Arc<Groups>,
    /// When the log last said that nothing can be written; `None` once something was.
    pub(super) told: Cell<Option<Instant>>,
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
    /// Commits what is queued, round by round, until nobody can send any more.
    pub(super) fn run(&self, commands: &Receiver<Command>) {
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
        let Err(e) = &written else {
            self.told.set(None);
            return written;
        };
        self.tell(e);
        // The store takes no more writes after one has failed until it is opened again.
        if let Err(e) = self.store.reopen() {
            tracing::error!("{e}");
        }
        written
    }

    /// Whoever wanted to write is told each time, and comes again: the log hears of it now and then.
    fn tell(&self, e: &Error) {
        if self.told.get().is_none_or(|at| at.elapsed() > TELL_AGAIN) {
            tracing::error!("{e}");
            self.told.set(Some(Instant::now()));
        }
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
