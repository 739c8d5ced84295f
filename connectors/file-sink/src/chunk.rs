//! Turns lines into the bytes of a file: as they are, or as one gzip member or zstd frame for each
//! chunk, so that every chunk boundary is a place where the file may end.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use zstd::bulk::Compressor;

use crate::config::Compression;

/// Encodes chunks; the compression context is shared by all files of a task.
pub(crate) enum ChunkEncoder {
    Plain,
    Gzip,
    Zstd(Compressor<'static>),
}

impl ChunkEncoder {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => {
                let mut compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
                compressor.include_checksum(true)?;
                Self::Zstd(compressor)
            }
        })
    }

    /// How many bytes of lines make a chunk: enough for compression to see repetition.
    pub(crate) fn chunk_size(&self) -> usize {
        match self {
            Self::Plain => 64 << 10,
            Self::Gzip | Self::Zstd(_) => 256 << 10,
        }
    }

    /// Appends the encoded lines to `out`. On an error nothing is appended.
    pub(crate) fn encode(&mut self, lines: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Plain => out.extend_from_slice(lines),
            Self::Gzip => {
                let mut member = GzEncoder::new(Vec::new(), flate2::Compression::default());
                member.write_all(lines)?;
                out.extend_from_slice(&member.finish()?);
            }
            Self::Zstd(compressor) => out.extend_from_slice(&compressor.compress(lines)?),
        }
        Ok(())
    }
}
