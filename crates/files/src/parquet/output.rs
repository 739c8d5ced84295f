//! The file as the Parquet library writes it: row groups one after the other, then the footer.

use std::sync::Arc;

use ::parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use ::parquet::errors::Result;
use ::parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use ::parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{ColumnDescriptor, Type, TypePtr};

use super::column::Columns;
use crate::Compression;

/// Names the writer as other writers do theirs; readers look for faults of versions they know.
const CREATED_BY: &str = concat!("penstock version ", env!("CARGO_PKG_VERSION"));

/// Bytes that a chunk's footer entry, statistics and page index keep beside their structs.
const CHUNK_EXTRA: usize = 512;

/// Bytes that the library's write buffer takes.
const WRITE_BUFFER: usize = 8 * 1024;

/// A file under way. The library's writer begins with the first row group: until then a file is its
/// columns alone.
pub(super) struct Output {
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    columns: usize,
    writer: Option<SerializedFileWriter<Vec<u8>>>,
}

impl Output {
    pub(super) fn new(schema: TypePtr, columns: usize, compression: Compression) -> Self {
        let codec = match compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => Codec::GZIP(GzipLevel::default()),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
            Compression::Snappy => Codec::SNAPPY,
            Compression::Lz4 => Codec::LZ4_RAW,
        };
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(codec)
            .build();
        Self {
            schema,
            properties: Arc::new(properties),
            columns,
            writer: None,
        }
    }

    fn writer(&mut self) -> Result<&mut SerializedFileWriter<Vec<u8>>> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => {
                let schema = Arc::clone(&self.schema);
                let properties = Arc::clone(&self.properties);
                let writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
                Ok(empty.insert(writer))
            }
        }
    }

    /// Writes the columns as a row group and empties them.
    pub(super) fn close_row_group(&mut self, columns: &mut Columns) -> Result<()> {
        let writer = self.writer()?;
        let mut group = writer.next_row_group()?;
        columns.take(|column| {
            // The schema has as many leaves as there are columns.
            let Some(mut writer) = group.next_column()? else {
                return Ok(());
            };
            column.write(&mut writer)?;
            writer.close()
        })?;
        group.close()?;
        writer.flush()?;
        Ok(())
    }

    /// Bytes that are ready.
    pub(super) fn ready(&self) -> usize {
        let writer = self.writer.as_ref();
        writer.map_or(0, |writer| writer.inner().len())
    }

    /// Appends the bytes that are ready.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) {
        if let Some(writer) = &mut self.writer {
            // Its room is given back with its bytes.
            let mut ready = std::mem::take(writer.inner_mut());
            if out.is_empty() {
                *out = ready;
            } else {
                out.append(&mut ready);
            }
        }
    }

    /// Writes the footer.
    pub(super) fn finish(&mut self, metadata: Vec<KeyValue>) -> Result<()> {
        let writer = self.writer()?;
        for pair in metadata {
            writer.append_key_value_metadata(pair);
        }
        writer.finish()?;
        writer.flush()?;
        Ok(())
    }

    /// Bytes held in memory: those that are ready, and what the footer will be made of.
    pub(super) fn held(&self) -> usize {
        let schema = self.columns * 2 * (size_of::<Type>() + 64);
        let writer = self.writer.as_ref().map_or(0, |writer| {
            let groups = writer.flushed_row_groups().len();
            WRITE_BUFFER
                + self.columns * (size_of::<ColumnDescriptor>() + 128)
                + groups * self.row_group()
                + writer.inner().capacity()
        });
        schema + writer
    }

    /// Bytes that a row group leaves in memory until the file ends.
    pub(super) fn row_group(&self) -> usize {
        size_of::<RowGroupMetaData>()
            + self.columns * (size_of::<ColumnChunkMetaData>() + CHUNK_EXTRA)
    }
}
