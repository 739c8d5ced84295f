//! A file that takes records: its writer, and how much of it is in memory.

use bytes::Bytes;
use penstock_connect::{Error, Record, RecordError};
use penstock_files::{FileSpec, FileWriter};

/// Final bytes are taken out of a writer once it has grown by so many.
const DRAIN: usize = 64 << 10;

/// A file's share of tables, names and the like.
const OVERHEAD: usize = 1 << 10;

/// A file that takes records.
pub(crate) struct OpenFile {
    writer: Box<dyn FileWriter>,
    /// What the writer was last seen to hold.
    held: usize,
    drain_at: usize,
}

impl OpenFile {
    /// Begins a file with its first record.
    pub(crate) fn begin(spec: &FileSpec, first: &Record) -> Result<Self, RecordError> {
        let mut file = Self {
            writer: spec.begin(first)?,
            held: 0,
            drain_at: DRAIN,
        };
        file.push(first)?;
        Ok(file)
    }

    /// Takes a record, or rejects it and is as it was before.
    pub(crate) fn push(&mut self, record: &Record) -> Result<(), RecordError> {
        self.writer.push(record)?;
        self.held = self.writer.held() + OVERHEAD;
        Ok(())
    }

    /// Length of the file so far.
    pub(crate) fn length(&self) -> u64 {
        self.writer.length()
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The bytes that are final, once they are many.
    pub(crate) fn drain(&mut self) -> Option<Bytes> {
        (self.held >= self.drain_at).then(|| self.drain_all())
    }

    fn drain_all(&mut self) -> Bytes {
        let mut out = Vec::new();
        self.writer.drain(&mut out);
        self.held = self.writer.held() + OVERHEAD;
        self.drain_at = self.held + DRAIN;
        exact(out)
    }

    /// Gives back memory as far as the format can. Returns the bytes that became final.
    pub(crate) fn shrink(&mut self) -> Result<Bytes, Error> {
        self.writer.shrink()?;
        Ok(self.drain_all())
    }

    /// Ends the file and returns its last bytes.
    pub(crate) fn finish(mut self) -> Result<Bytes, Error> {
        let mut out = Vec::new();
        self.writer.drain(&mut out);
        self.writer.finish(&mut out)?;
        Ok(exact(out))
    }
}

/// Bytes that take no more memory than they are long.
fn exact(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}
