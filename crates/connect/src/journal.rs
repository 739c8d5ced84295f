//! What a sink writes down about a partition so that whoever has the partition next finds it.

use bytes::Bytes;

use crate::{Error, Position, Record, TopicPartition};

/// One partition's entry. It takes the place of the partition's entry before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Up to where the partition is durable as of this entry. The group's offset moves with it, in
    /// the same atomic act.
    pub position: Position,
    /// The sink's own note.
    pub note: Bytes,
}

/// A sink's durable memory, one entry for each partition of each connector. The runner keeps it
/// beside the group's offsets, so that a task which no longer has a partition cannot write to it.
/// Blocks: it is called on the task's own thread.
pub trait Journal: Send {
    /// The entries of these partitions; those without one are left out.
    fn load(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Bytes)>, Error>;

    /// Makes these entries durable and sends these notices (records for other topics), all or
    /// nothing. An error that asks to reconnect may mean that a partition is another task's now.
    fn store(&mut self, entries: Vec<JournalEntry>, notices: Vec<Record>) -> Result<(), Error>;
}

/// A journal in memory, for a sink that runs without a worker: in its own tests.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    entries: std::collections::BTreeMap<TopicPartition, JournalEntry>,
    notices: Vec<Record>,
}

impl MemoryJournal {
    /// The entry of a partition.
    pub fn entry(&self, partition: &TopicPartition) -> Option<&JournalEntry> {
        self.entries.get(partition)
    }

    /// All notices sent so far.
    pub fn notices(&self) -> &[Record] {
        &self.notices
    }
}

impl Journal for MemoryJournal {
    fn load(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Bytes)>, Error> {
        let entries = partitions.iter().filter_map(|partition| {
            let entry = self.entries.get(partition)?;
            Some((partition.clone(), entry.note.clone()))
        });
        Ok(entries.collect())
    }

    fn store(&mut self, entries: Vec<JournalEntry>, notices: Vec<Record>) -> Result<(), Error> {
        for entry in entries {
            self.entries.insert(entry.position.partition.clone(), entry);
        }
        self.notices.extend(notices);
        Ok(())
    }
}
