//! Files that are a sequence of texts: JSON lines, JSON arrays, CSV, raw bytes.

use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::SchemaKind;

use crate::stream::Stream;
use crate::{Content, FileSpec, FileWriter, Timestamps};

/// How the records of a file follow one another.
pub(crate) trait Rows: Send {
    /// Appends what stands before the first record, whether or not one comes.
    fn head(&self, out: &mut Vec<u8>);

    /// Appends a record and what goes with it. On an error whatever was appended is taken back.
    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError>;

    /// Appends what stands behind the last record.
    fn tail(&self, out: &mut Vec<u8>);
}

/// A file of rows, compressed as a whole or not at all.
pub(crate) struct TextFile<R> {
    rows: R,
    stream: Stream,
}

impl<R: Rows + 'static> TextFile<R> {
    pub(crate) fn begin(rows: R, spec: &FileSpec) -> Box<dyn FileWriter> {
        let mut stream = Stream::new(spec.compression);
        rows.head(stream.plain());
        Box::new(Self { rows, stream })
    }
}

impl<R: Rows> FileWriter for TextFile<R> {
    fn push(&mut self, record: &Record) -> Result<(), RecordError> {
        let plain = self.stream.plain();
        let start = plain.len();
        self.rows
            .append(record, plain)
            .inspect_err(|_| plain.truncate(start))?;
        self.stream.advance();
        Ok(())
    }

    fn held(&self) -> usize {
        self.stream.held()
    }

    fn length(&self) -> u64 {
        self.stream.length()
    }

    fn ready(&self) -> usize {
        self.stream.ready()
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        self.stream.drain(out);
    }

    fn shrink(&mut self) -> Result<(), Error> {
        self.stream.shrink();
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.rows.tail(self.stream.plain());
        self.stream.finish(out)
    }
}

/// One JSON value a line.
pub(crate) struct JsonLines {
    pub(crate) content: Content,
    pub(crate) timestamps: Timestamps,
}

impl Rows for JsonLines {
    fn head(&self, _out: &mut Vec<u8>) {}

    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.content.append_json(record, self.timestamps, out)?;
        out.push(b'\n');
        Ok(())
    }

    fn tail(&self, _out: &mut Vec<u8>) {}
}

/// One JSON array, an item a line.
pub(crate) struct JsonArray {
    pub(crate) content: Content,
    pub(crate) timestamps: Timestamps,
    pub(crate) items: bool,
}

impl Rows for JsonArray {
    fn head(&self, out: &mut Vec<u8>) {
        out.push(b'[');
    }

    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.extend_from_slice(if self.items { b",\n" } else { b"\n" });
        self.content.append_json(record, self.timestamps, out)?;
        self.items = true;
        Ok(())
    }

    fn tail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n]");
    }
}

/// The values' bytes, with a separator behind each.
pub(crate) struct RawValues {
    pub(crate) separator: Arc<[u8]>,
}

impl Rows for RawValues {
    fn head(&self, _out: &mut Vec<u8>) {}

    fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let value = record.value.as_ref().ok_or_else(|| {
            RecordError::schema("a record without a value has no place in a file of raw bytes")
        })?;
        if value
            .schema()
            .is_some_and(|schema| schema.kind() == SchemaKind::Avro)
        {
            return Err(RecordError::schema(
                "a value of an Avro schema cannot be read back from a file of raw bytes: write Avro \
                 files, or read the topic with the ByteArrayConverter",
            ));
        }
        value.write_to(out);
        out.extend_from_slice(&self.separator);
        Ok(())
    }

    fn tail(&self, _out: &mut Vec<u8>) {}
}
