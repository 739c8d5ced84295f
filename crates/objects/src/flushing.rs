//! A flush: files that have ended become objects, step by step, and the journal always knows first.

use std::time::Duration;

use penstock_connect::{Error, FlushReason, Journal, JournalEntry, Need, Position, TopicPartition};
use tokio::time::Instant;

use crate::ObjectSink;
use crate::entry::LARGEST;
use crate::notice::notice;
use crate::rebuild::Ended;

/// How long files that have ended are waited for when their partitions go away. What is not there by
/// then is rebuilt by whoever has them next.
const CLOSE: Duration = Duration::from_secs(30);

/// How long a flush waits for room, so that nobody spins.
const ROOM: Duration = Duration::from_millis(100);

impl ObjectSink {
    pub(crate) async fn flush_for(
        &mut self,
        reason: FlushReason,
        journal: &mut dyn Journal,
    ) -> Result<(), Error> {
        if reason == FlushReason::Tick {
            if self.needs() == Need::Room {
                self.uploads.wait(Some(Instant::now() + ROOM)).await?;
            }
            self.look_at_clock(true);
        }
        if reason == FlushReason::End {
            for held in &mut self.partitions {
                held.books.end_all();
            }
        }
        let until = (reason == FlushReason::Close).then(|| Instant::now() + CLOSE);
        loop {
            self.hear()?;
            self.finish_ended()?;
            self.relieve()?;
            self.announce(journal)?;
            self.uploads.dispatch();
            let leaving: usize = self
                .partitions
                .iter()
                .map(|held| held.books.leaving())
                .sum();
            if reason == FlushReason::Tick || leaving == 0 {
                break;
            }
            if !self.uploads.wait(until).await? {
                if reason == FlushReason::End {
                    return Err(Error::reconnect(format!(
                        "{leaving} files did not get to {}",
                        self.plan.store.name()
                    )));
                }
                tracing::warn!(
                    connector = &*self.connector,
                    "{leaving} files are still on their way to {} as their partitions go: they are written again",
                    self.plan.store.name()
                );
                break;
            }
        }
        self.account();
        Ok(())
    }

    /// Takes note of what the store has answered.
    pub(crate) fn hear(&mut self) -> Result<(), Error> {
        for (partition, file) in self.uploads.hear()? {
            if let Some(place) = self.index.get(&partition) {
                self.partitions[*place].books.durable(file);
            }
        }
        Ok(())
    }

    /// Brings the files that have ended to their last byte.
    pub(crate) fn finish_ended(&mut self) -> Result<(), Error> {
        for held in &mut self.partitions {
            let (topic, number) = (&held.partition.topic, held.partition.partition);
            for ended in held.books.take_ended() {
                let file = match ended {
                    Ended::File(file) => file,
                    Ended::Short(file, rows) => {
                        tracing::warn!(
                            "{} was announced with {rows} records of {topic}-{number}, and only {} of them are still \
                             in the topic: it is written with those",
                            file.what.name,
                            file.what.rows
                        );
                        file
                    }
                    Ended::Vanished(what) => {
                        tracing::warn!(
                            "{} was announced with {} records of {topic}-{number}, and none of them came for it again \
                             (they have gone from the topic, or names are made in another way now): it is not written",
                            what.name,
                            what.rows
                        );
                        continue;
                    }
                };
                let id = file.id;
                let (file, body) = file.split();
                self.writing -= body.held();
                self.uploads.push(id, body.finish()?);
                let known = held.books.ended(file, self.uploads.content(id));
                self.uploads.end(id, known);
            }
        }
        Ok(())
    }

    /// Writes into the journal what has changed, with notices of the files that are durable; what was
    /// announced may become an object then.
    fn announce(&mut self, journal: &mut dyn Journal) -> Result<(), Error> {
        let mut pending = self.uploads.pending();
        let (mut entries, mut notices, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
        for (place, held) in self.partitions.iter().enumerate() {
            let mut uploads = pending.remove(&held.partition).unwrap_or_default();
            uploads.extend(held.left.iter().cloned());
            if !held.books.has_changed() && uploads == held.uploads {
                continue;
            }
            let Some(draft) = held.books.draft(uploads) else {
                continue;
            };
            let note = draft.entry.encode()?;
            if note.len() > LARGEST {
                return Err(too_large(&held.partition, note.len()));
            }
            if let Some(topic) = &self.plan.notices {
                for (_, file) in &draft.durable {
                    notices.push(notice(
                        topic,
                        &self.connector,
                        &held.partition,
                        self.plan.store.name(),
                        self.plan.files.format.extension().trim_start_matches('.'),
                        file,
                    )?);
                }
            }
            // A file that is rebuilt with the same bytes is in there already.
            if held.note.as_ref() != Some(&note) {
                entries.push(JournalEntry {
                    position: Position {
                        partition: held.partition.clone(),
                        offset: draft.entry.resume,
                    },
                    note: note.clone(),
                });
            }
            drafts.push((place, note, draft));
        }
        if !entries.is_empty() {
            journal.store(entries, notices)?;
        }
        for (place, note, draft) in drafts {
            let held = &mut self.partitions[place];
            held.books.stored(&draft);
            held.note = Some(note);
            held.uploads = draft.entry.uploads;
            for id in draft.announced {
                self.uploads.announce(id);
            }
            for (_, file) in draft.durable {
                self.counters.files.inc();
                self.counters.rows.inc_by(file.rows);
                let bytes = file.contents.last().map_or(0, |content| content.bytes);
                self.counters.bytes.inc_by(bytes);
            }
        }
        self.uploads.note();
        Ok(())
    }

    /// Up to where these partitions are durable.
    pub(crate) fn positions(&self, partitions: &[TopicPartition]) -> Vec<Position> {
        let position = |partition: &TopicPartition| {
            let held = &self.partitions[*self.index.get(partition)?];
            Some(Position {
                partition: partition.clone(),
                offset: held.books.position()?,
            })
        };
        partitions.iter().filter_map(position).collect()
    }
}

fn too_large(partition: &TopicPartition, bytes: usize) -> Error {
    let (topic, number) = (&partition.topic, partition.partition);
    Error::never(format!(
        "the journal's entry of {topic}-{number} would have {bytes} bytes, and a record may have {LARGEST}: let fewer \
         files be open at a time (max.open.files), or their names be shorter"
    ))
}
