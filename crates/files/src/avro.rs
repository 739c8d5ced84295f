//! Avro object container files. The wire bytes of values go into blocks as they are, once they were
//! held to their schema: one malformed value would make its whole block unreadable.

use penstock_connect::{Error, Record, RecordError};
use sha2::{Digest, Sha256};

use crate::avro_block::{self, append_long};
use crate::avro_row::Row;
use crate::{Compression, FileSpec, FileWriter};

/// Plain bytes in a block.
const BLOCK: usize = 64 << 10;

const MAGIC: &[u8] = b"Obj\x01";

/// The marker behind each block.
type Sync = [u8; 16];

struct AvroFile {
    row: Row,
    compression: Compression,
    sync: Sync,
    /// The records of the block that is filling.
    block: Vec<u8>,
    records: i64,
    ready: Vec<u8>,
    drained: u64,
    failure: Option<std::io::Error>,
}

/// Begins a container file for records like this one.
pub(crate) fn begin(spec: &FileSpec, first: &Record) -> Result<Box<dyn FileWriter>, RecordError> {
    let row = Row::new(&spec.content, first)?;
    let sync = sync_marker(row.schema(), first);
    let mut ready = Vec::new();
    append_header(row.schema(), spec.compression, &sync, &mut ready);
    Ok(Box::new(AvroFile {
        row,
        compression: spec.compression,
        sync,
        block: Vec::new(),
        records: 0,
        ready,
        drained: 0,
        failure: None,
    }))
}

/// Follows from the schema and the first record, so that a file written again has the same one; the
/// first value is in it so that what comes later cannot hold it on purpose.
fn sync_marker(schema: &str, first: &Record) -> Sync {
    let mut hash = Sha256::new();
    hash.update(schema);
    hash.update([0]);
    if let Some(partition) = &first.origin().partition {
        hash.update(&*partition.topic);
        hash.update([0]);
        hash.update(partition.partition.to_be_bytes());
    }
    hash.update(first.origin().offset.to_be_bytes());
    if let Some(value) = &first.value {
        hash.update(value.bytes());
    }
    let digest = hash.finalize();
    let mut sync = Sync::default();
    let length = sync.len();
    sync.copy_from_slice(&digest[..length]);
    sync
}

fn append_header(schema: &str, compression: Compression, sync: &Sync, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    append_long(2, out);
    for (name, value) in [
        ("avro.codec", avro_block::codec(compression)),
        ("avro.schema", schema),
    ] {
        append_long(name.len() as i64, out);
        out.extend_from_slice(name.as_bytes());
        append_long(value.len() as i64, out);
        out.extend_from_slice(value.as_bytes());
    }
    append_long(0, out);
    out.extend_from_slice(sync);
}

impl AvroFile {
    fn end_block(&mut self) {
        if self.records == 0 {
            return;
        }
        append_long(self.records, &mut self.ready);
        if let Err(error) = avro_block::append(self.compression, &self.block, &mut self.ready) {
            self.failure.get_or_insert(error);
        }
        self.ready.extend_from_slice(&self.sync);
        self.records = 0;
        self.block.clear();
        self.block.shrink_to(2 * BLOCK);
    }
}

impl FileWriter for AvroFile {
    fn push(&mut self, record: &Record) -> Result<(), RecordError> {
        let start = self.block.len();
        self.row
            .append(record, &mut self.block)
            .inspect_err(|_| self.block.truncate(start))?;
        self.records += 1;
        if self.block.len() >= BLOCK {
            self.end_block();
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.block.capacity() + self.ready.capacity()
    }

    fn length(&self) -> u64 {
        self.drained + self.ready.len() as u64 + self.block.len() as u64
    }

    fn ready(&self) -> usize {
        self.ready.len()
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        self.drained += self.ready.len() as u64;
        if out.is_empty() {
            std::mem::swap(&mut self.ready, out);
        } else {
            out.append(&mut self.ready);
        }
    }

    fn shrink(&mut self) -> Result<(), Error> {
        self.block.shrink_to_fit();
        self.ready.shrink_to_fit();
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.end_block();
        if let Some(error) = self.failure.take() {
            return Err(
                Error::reconnect(format!("cannot compress a file: {error}")).with_source(error)
            );
        }
        out.append(&mut self.ready);
        Ok(())
    }
}
