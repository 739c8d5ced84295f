//! A file's bytes: fetched in blocks with one block read ahead, decompressed, each block held against
//! the version that was there at first.

use std::io;
use std::sync::Arc;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use penstock_objects::Store;
use tokio::io::{AsyncBufRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use crate::done::version;
use crate::rows::Input;

/// Bytes of one request. Two are under way or in memory at a time.
pub(crate) const BLOCK: u64 = 2 << 20;

/// Bytes that a decompressor gives at a time.
const UNPACKED: usize = 64 << 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the name's ending, and the name without it.
    pub(crate) fn of(name: &str) -> (Self, &str) {
        let endings = [
            (".gz", Self::Gzip),
            (".gzip", Self::Gzip),
            (".zst", Self::Zstd),
            (".zstd", Self::Zstd),
        ];
        endings
            .into_iter()
            .find_map(|(ending, compression)| Some((compression, name.strip_suffix(ending)?)))
            .unwrap_or((Self::None, name))
    }
}

/// Why a file's bytes cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is not there.
    #[error("it is not there any more")]
    Gone,
    /// It is not the one that it was.
    #[error("it changed while it was read")]
    Changed,
    /// The store fails.
    #[error("{0}")]
    Store(#[source] object_store::Error),
    /// The request was given up.
    #[error("{0}")]
    Task(#[source] tokio::task::JoinError),
    /// It is not compressed as its name says, or damaged.
    #[error("{0}")]
    Damaged(#[source] io::Error),
}

impl BodyError {
    /// What a reader of the bytes was told.
    pub(crate) fn of(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Damaged)
    }

    fn store(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Gone,
            object_store::Error::Precondition { .. } => Self::Changed,
            other => Self::Store(other),
        }
    }
}

/// One version of a file in its store.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    store: Arc<dyn ObjectStore>,
    location: Path,
    pub(crate) size: u64,
    pub(crate) etag: Option<String>,
    /// What it is known by besides its name, once it is done.
    pub(crate) version: u32,
    pub(crate) compression: Compression,
}

impl Body {
    /// The version that is there now.
    pub(crate) async fn look(
        store: &Store,
        location: &Path,
        compression: Compression,
    ) -> Result<Self, BodyError> {
        let meta = store
            .objects()
            .head(location)
            .await
            .map_err(BodyError::store)?;
        Ok(Self {
            store: Arc::clone(store.objects()),
            location: location.clone(),
            size: meta.size,
            version: version(&meta),
            etag: meta.e_tag,
            compression,
        })
    }

    /// Its bytes from `offset` on; `None` if it is compressed and so has to be read from its beginning.
    pub(crate) fn enter(&self, offset: u64) -> Option<Input> {
        match self.compression {
            Compression::None => Some(Box::pin(StreamReader::new(Box::pin(self.blocks(offset))))),
            Compression::Gzip | Compression::Zstd => None,
        }
    }

    /// Its bytes, decompressed.
    pub(crate) fn read(&self) -> Input {
        let stored = StreamReader::new(Box::pin(self.blocks(0)));
        match self.compression {
            Compression::None => Box::pin(stored),
            Compression::Gzip => {
                let mut decoder = GzipDecoder::new(stored);
                decoder.multiple_members(true);
                Box::pin(BufReader::with_capacity(UNPACKED, decoder))
            }
            Compression::Zstd => {
                let mut decoder = ZstdDecoder::new(stored);
                decoder.multiple_members(true);
                Box::pin(BufReader::with_capacity(UNPACKED, decoder))
            }
        }
    }

    fn blocks(&self, offset: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let body = self.clone();
        let size = self.size;
        let starts = stream::iter((offset..size).step_by(BLOCK as usize));
        starts
            .map(move |start| {
                let body = body.clone();
                let block = async move { body.block(start).await };
                AbortOnDropHandle::new(tokio::spawn(block))
            })
            .buffered(2)
            .map(|block| block.unwrap_or_else(|error| Err(BodyError::Task(error))))
            .map_err(io::Error::other)
    }

    async fn block(&self, start: u64) -> Result<Bytes, BodyError> {
        let end = self.size.min(start + BLOCK);
        let options = GetOptions::new().with_range(Some(start..end));
        let answer = self.store.get_opts(&self.location, options).await;
        let answer = answer.map_err(BodyError::store)?;
        // Not every store heeds `If-Match`; all of them say what they send.
        if !self.is_of(&answer.meta) {
            return Err(BodyError::Changed);
        }
        let bytes = answer.bytes().await.map_err(BodyError::store)?;
        if bytes.len() as u64 != end - start {
            return Err(BodyError::Changed);
        }
        Ok(bytes)
    }

    fn is_of(&self, meta: &ObjectMeta) -> bool {
        meta.size == self.size && meta.e_tag == self.etag
    }
}

/// What a text file begins with, if it is not UTF-8.
const OTHER_ENCODINGS: [(&[u8], &str); 4] = [
    (&[0xFF, 0xFE, 0, 0], "UTF-32"),
    (&[0, 0, 0xFE, 0xFF], "UTF-32"),
    (&[0xFF, 0xFE], "UTF-16"),
    (&[0xFE, 0xFF], "UTF-16"),
];

/// Looks at the first bytes of a file: drops the byte order mark of UTF-8, and says how many bytes that
/// is; names the encoding that it has instead.
pub(crate) async fn skip_mark(mut input: Input) -> io::Result<Result<(Input, u64), &'static str>> {
    let mut first = [0; 4];
    let mut length = 0;
    while length < first.len() {
        match input.read(&mut first[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    let first = &first[..length];
    if let Some((_, name)) = OTHER_ENCODINGS
        .iter()
        .find(|(mark, _)| first.starts_with(mark))
    {
        return Ok(Err(name));
    }
    let rest = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first);
    let skipped = (first.len() - rest.len()) as u64;
    let whole: Input = Box::pin(prepend(rest.to_vec(), input));
    Ok(Ok((whole, skipped)))
}

fn prepend(first: Vec<u8>, rest: Input) -> impl AsyncBufRead + Send {
    io::Cursor::new(first).chain(rest)
}
