//! A file that takes records: its writer, and how much of it is in memory.

use bytes::Bytes;
use penstock_connect::{Error, Record, RecordError};
use penstock_files::{FileSpec, FileWriter};

/// Final bytes are taken out of a writer once they are so many, or it has grown by so many.
const DRAIN: usize = 64 << 10;

/// Room for the next of them and the record that makes them enough, so that they are not copied as they
/// grow.
const ROOM: usize = DRAIN + (4 << 10);

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

    /// The bytes that are final, once they are many. `roomy`: memory is not short, and the file may hold
    /// room for the next ones.
    pub(crate) fn drain(&mut self, roomy: bool) -> Option<Bytes> {
        if self.held < self.drain_at && self.writer.ready() < DRAIN {
            return None;
        }
        let room = if roomy { ROOM } else { 0 };
        Some(self.drain_all(Vec::with_capacity(room)))
    }

    fn drain_all(&mut self, mut out: Vec<u8>) -> Bytes {
        self.writer.drain(&mut out);
        self.held = self.writer.held() + OVERHEAD;
        self.drain_at = self.held + DRAIN;
        exact(out)
    }

    /// Gives back memory as far as the format can. Returns the bytes that became final.
    pub(crate) fn shrink(&mut self) -> Result<Bytes, Error> {
        self.writer.shrink()?;
        Ok(self.drain_all(Vec::new()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use penstock_files::Format;
    use penstock_formats::{Encoding, Payload};

    use super::*;

    #[test]
    fn room_for_the_next_bytes_stays_in_the_file_where_memory_is_not_short() {
        let value = Payload::new(&br#"{"a":"0123456789"}"#[..], Encoding::Json);
        let record = Record::new("t".into(), Some(value));
        for (roomy, held) in [(true, ROOM), (false, 0)] {
            let mut file = OpenFile::begin(&FileSpec::new(Format::JsonLines), &record).unwrap();
            let (mut chunks, mut lines) = (Vec::new(), 1);
            while chunks.len() < 3 {
                file.push(&record).unwrap();
                lines += 1;
                if let Some(chunk) = file.drain(roomy) {
                    assert_eq!(file.held(), held + OVERHEAD);
                    chunks.push(chunk);
                }
            }
            // What grows in its room is taken when it is as much as it should be.
            assert_eq!(chunks[2].len() >= DRAIN, roomy, "{}", chunks[2].len());
            assert!(chunks.iter().all(|chunk| chunk.len() < ROOM));
            let bytes = chunks.concat();
            assert_eq!(
                bytes,
                br#"{"a":"0123456789"}
"#
                .repeat(lines)
            );
        }
    }
}
