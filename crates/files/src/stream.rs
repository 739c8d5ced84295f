//! The bytes of a file that is compressed as a whole, or not at all: collected, compressed in a
//! stream, handed out.
//!
//! A file is one gzip member, one Zstandard or LZ4 frame: readers that stop behind the first would
//! otherwise show a part of the file and no error. The encoder's state, which can be larger than a small
//! file, is there only once a chunk is full.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
use penstock_connect::Error;

use crate::Compression;

/// How many bytes are given to the encoder at a time.
const CHUNK: usize = 64 << 10;
/// Window of a Zstandard stream: what all files may take of memory counts, not the last percent.
const ZSTD_WINDOW_LOG: u32 = 19;

/// The bytes of one file.
pub(crate) struct Stream {
    compression: Compression,
    /// Not compressed yet; ready, if nothing is compressed.
    plain: Vec<u8>,
    encoder: Option<Encoder>,
    drained: u64,
    failure: Option<io::Error>,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Snappy(Box<snap::write::FrameEncoder<Vec<u8>>>),
    Lz4(lz4_flex::frame::FrameEncoder<Vec<u8>>),
}

impl Stream {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            compression,
            plain: Vec::new(),
            encoder: None,
            drained: 0,
            failure: None,
        }
    }

    /// Where the next bytes of the file are appended; [`Stream::advance`] follows.
    pub(crate) fn plain(&mut self) -> &mut Vec<u8> {
        &mut self.plain
    }

    /// Compresses what is a chunk or more.
    pub(crate) fn advance(&mut self) {
        if self.compression == Compression::None || self.plain.len() < CHUNK {
            return;
        }
        if let Err(error) = self.encode(None) {
            self.failure.get_or_insert(error);
        }
        self.plain.clear();
        self.plain.shrink_to(2 * CHUNK);
    }

    /// Gives all that is plain to the encoder, which is made if there is none; `whole` is the length of
    /// the file if that is known.
    fn encode(&mut self, whole: Option<u64>) -> io::Result<()> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => match Encoder::new(self.compression, whole)? {
                Some(encoder) => none.insert(encoder),
                None => return Ok(()),
            },
        };
        encoder.write_all(&self.plain)
    }

    pub(crate) fn held(&self) -> usize {
        let encoder = self
            .encoder
            .as_ref()
            .map_or(0, |encoder| encoder.state() + encoder.ready().capacity());
        self.plain.capacity() + encoder
    }

    /// Bytes that are final and were not drained.
    pub(crate) fn ready(&self) -> usize {
        match (&self.encoder, self.compression) {
            (Some(encoder), _) => encoder.ready().len(),
            (None, Compression::None) => self.plain.len(),
            (None, _) => 0,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        let ready = self.encoder.as_ref().map_or(0, |e| e.ready().len());
        self.drained + ready as u64 + self.plain.len() as u64
    }

    pub(crate) fn drain(&mut self, out: &mut Vec<u8>) {
        let ready = match (&mut self.encoder, self.compression) {
            (Some(encoder), _) => encoder.ready_mut(),
            (None, Compression::None) => &mut self.plain,
            (None, _) => return,
        };
        self.drained += ready.len() as u64;
        if out.is_empty() {
            std::mem::swap(ready, out);
        } else {
            out.append(ready);
        }
    }

    /// Gives back what is allocated and not used.
    pub(crate) fn shrink(&mut self) {
        self.plain.shrink_to_fit();
        if let Some(encoder) = &mut self.encoder {
            encoder.ready_mut().shrink_to_fit();
        }
    }

    /// Ends the stream and appends what was not drained.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let failed = |error: io::Error| {
            Error::reconnect(format!("cannot compress a file: {error}")).with_source(error)
        };
        if let Some(error) = self.failure.take() {
            return Err(failed(error));
        }
        let whole = self.encoder.is_none().then_some(self.plain.len() as u64);
        self.encode(whole).map_err(failed)?;
        match self.encoder.take() {
            Some(encoder) => out.append(&mut encoder.finish().map_err(failed)?),
            None => out.append(&mut self.plain),
        }
        self.plain = Vec::new();
        Ok(())
    }
}

impl Encoder {
    fn new(compression: Compression, whole: Option<u64>) -> io::Result<Option<Self>> {
        let out = Vec::new();
        Ok(Some(match compression {
            Compression::None => return Ok(None),
            // Without a name and a time in its header.
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                match whole {
                    Some(_) => encoder.set_pledged_src_size(whole)?,
                    None => encoder.window_log(ZSTD_WINDOW_LOG)?,
                }
                Self::Zstd(encoder)
            }
            Compression::Snappy => Self::Snappy(Box::new(snap::write::FrameEncoder::new(out))),
            Compression::Lz4 => {
                let frame = FrameInfo::new()
                    .block_size(BlockSize::Max64KB)
                    .block_mode(BlockMode::Independent)
                    .content_checksum(true);
                Self::Lz4(lz4_flex::frame::FrameEncoder::with_frame_info(frame, out))
            }
        }))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Snappy(encoder) => encoder.write_all(bytes),
            Self::Lz4(encoder) => encoder.write_all(bytes),
        }
    }

    fn ready(&self) -> &Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Zstd(encoder) => encoder.get_ref(),
            Self::Snappy(encoder) => encoder.get_ref(),
            Self::Lz4(encoder) => encoder.get_ref(),
        }
    }

    fn ready_mut(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Snappy(encoder) => encoder.get_mut(),
            Self::Lz4(encoder) => encoder.get_mut(),
        }
    }

    /// What the encoder itself takes of memory, roughly.
    fn state(&self) -> usize {
        match self {
            Self::Gzip(_) => 320 << 10,
            Self::Zstd(_) => 1600 << 10,
            Self::Snappy(_) => 180 << 10,
            Self::Lz4(_) => 160 << 10,
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Snappy(encoder) => encoder
                .into_inner()
                .map_err(snap::write::IntoInnerError::into_error),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
        }
    }
}
