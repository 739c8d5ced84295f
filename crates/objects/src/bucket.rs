//! What is asked of the store, each with its doubts settled: an object is there with the bytes that
//! were announced, or it is not, or it is somebody else's.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use penstock_connect::Error;
use tokio::sync::Mutex;

use crate::Store;
use crate::entry::Content;
use crate::upload::Session;

/// How often a request is made whose outcome is not known, or that somebody else's was in the way of.
/// The store's client has tried often before it says so.
const ATTEMPTS: usize = 3;

/// Bytes that are read at a time of an object that is compared.
const RANGE: u64 = 8 << 20;

/// A store, asked in the engine's terms. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bucket(pub(crate) Store);

impl Bucket {
    /// Whether the object is there with one of these contents. An object with another one is an error.
    pub(crate) async fn holds(&self, path: &Path, known: &[Content]) -> Result<bool, Error> {
        let unknown = |error| {
            let what = format!(
                "cannot say whether {path} is there (to ask that needs the right to list and to read)"
            );
            self.0.failure(&what, error)
        };
        let there = match self.0.objects().head(path).await {
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(unknown(error)),
            Ok(there) => there,
        };
        if !known.iter().any(|content| content.bytes == there.size) {
            return Err(self.foreign(path));
        }
        let Some(content) = self.content(path, &there).await.map_err(unknown)? else {
            return Ok(false);
        };
        if known.contains(&content) {
            Ok(true)
        } else {
            Err(self.foreign(path))
        }
    }

    /// What an object holds, read range by range, so that a connection that breaks costs one of them.
    /// `None` if it has gone.
    async fn content(
        &self,
        path: &Path,
        there: &ObjectMeta,
    ) -> Result<Option<Content>, StoreError> {
        let mut checksum = crc32fast::Hasher::new();
        let mut from = 0;
        while from < there.size {
            let range = from..there.size.min(from + RANGE);
            from = range.end;
            let mut attempts = 0;
            checksum = loop {
                match self
                    .read(path, there, range.clone(), checksum.clone())
                    .await
                {
                    Ok(checksum) => break checksum,
                    Err(StoreError::NotFound { .. }) => return Ok(None),
                    Err(error) => {
                        attempts += 1;
                        if attempts >= ATTEMPTS || matches!(error, StoreError::Precondition { .. })
                        {
                            return Err(error);
                        }
                    }
                }
            };
        }
        Ok(Some(Content {
            bytes: there.size,
            checksum: checksum.finalize(),
        }))
    }

    /// Adds a range of an object to a checksum. It is an error if the object is another one by now.
    async fn read(
        &self,
        path: &Path,
        there: &ObjectMeta,
        range: Range<u64>,
        checksum: crc32fast::Hasher,
    ) -> Result<crc32fast::Hasher, StoreError> {
        let options = GetOptions::new()
            .with_range(Some(range))
            .with_if_match(there.e_tag.clone());
        let pieces = self
            .0
            .objects()
            .get_opts(path, options)
            .await?
            .into_stream();
        let add = |mut checksum: crc32fast::Hasher, piece: Bytes| async move {
            checksum.update(&piece);
            Ok(checksum)
        };
        pieces.try_fold(checksum, add).await
    }

    fn foreign(&self, path: &Path) -> Error {
        Error::never(format!(
            "{} has an object {path} already, and not the one that is to be written there: it is something else's, or the \
             topic was made anew; move it away or change the prefix of the names, and restart the task",
            self.0.name()
        ))
    }

    /// Puts an object. One that is there already stays if it has one of the contents.
    pub(crate) async fn put(
        &self,
        path: &Path,
        payload: PutPayload,
        known: &[Content],
    ) -> Result<(), Error> {
        let mode = if self.0.creates_only() {
            PutMode::Create
        } else if self.holds(path, known).await? {
            return Ok(());
        } else {
            PutMode::Overwrite
        };
        let mut attempts = 0;
        loop {
            let options = PutOptions::from(mode.clone());
            let put = self.0.objects().put_opts(path, payload.clone(), options);
            let Err(error) = put.await else {
                return Ok(());
            };
            attempts += 1;
            if self.settle(path, known, error, attempts).await? {
                return Ok(());
            }
        }
    }

    /// After a request that failed, and may have made the object appear all the same: whether it is
    /// there. An error if it is not and trying again makes no sense.
    async fn settle(
        &self,
        path: &Path,
        known: &[Content],
        error: StoreError,
        attempts: usize,
    ) -> Result<bool, Error> {
        if is_refusal(&error) {
            return Err(self.failed(path, error));
        }
        let there = self.holds(path, known).await?;
        if !there && attempts >= ATTEMPTS {
            return Err(self.failed(path, error));
        }
        Ok(there)
    }

    fn failed(&self, path: &Path, error: StoreError) -> Error {
        self.0
            .failure(&format!("cannot be written ({path})"), error)
    }

    /// Begins an upload in parts.
    pub(crate) async fn begin(&self, path: &Path) -> Result<Session, Error> {
        let session = match self.0.multipart() {
            Some(store) => {
                let id = store.create_multipart(path).await;
                id.map(|id| Session::Named(id.into()))
            }
            None => {
                let upload = self.0.objects().put_multipart(path).await;
                upload.map(|upload| Session::Staged(Arc::new(Mutex::new(upload))))
            }
        };
        session.map_err(|error| self.failed(path, error))
    }

    /// Uploads a part. Those of a staged upload come one after the other, and once.
    pub(crate) async fn part(
        &self,
        path: &Path,
        session: &Session,
        index: usize,
        payload: PutPayload,
    ) -> Result<PartId, Error> {
        let failed = |error| self.failed(path, error);
        let (id, store) = match (session, self.0.multipart()) {
            (Session::Named(id), Some(store)) => (id.to_string(), store),
            (Session::Named(_), None) => return Err(failed(no_uploads())),
            (Session::Staged(upload), _) => {
                let part = upload.lock().await.put_part(payload);
                part.await.map_err(failed)?;
                return Ok(PartId {
                    content_id: String::new(),
                });
            }
        };
        let mut first = None;
        for _ in 0..ATTEMPTS {
            match store.put_part(path, &id, index, payload.clone()).await {
                Ok(part) => return Ok(part),
                // Where parts come in order, one that is sent again is told of the first failure only.
                Err(error) => {
                    let error = first.get_or_insert(error);
                    if is_refusal(error) || matches!(error, StoreError::NotFound { .. }) {
                        break;
                    }
                }
            }
        }
        Err(failed(first.unwrap_or_else(no_uploads)))
    }

    /// Makes the object of an upload appear.
    pub(crate) async fn complete(
        &self,
        path: &Path,
        session: &Session,
        parts: Vec<PartId>,
        known: &[Content],
    ) -> Result<(), Error> {
        // This request replaces whatever is there: ask before.
        if self.holds(path, known).await? {
            self.abort(path, session).await?;
            return Ok(());
        }
        let completed = match (session, self.0.multipart()) {
            (Session::Named(id), Some(store)) => {
                let id = id.to_string();
                store.complete_multipart(path, &id, parts).await
            }
            (Session::Staged(upload), _) => upload.lock().await.complete().await,
            (Session::Named(_), None) => Err(no_uploads()),
        };
        if let Err(error) = completed {
            // A second attempt would find no upload where the first one has succeeded.
            self.settle(path, known, error, ATTEMPTS).await?;
        }
        Ok(())
    }

    /// Gives an upload up. One that is gone already is no error. The name of a staged upload, which has
    /// ended with its process, stands for the file that it has left.
    pub(crate) async fn abort(&self, path: &Path, session: &Session) -> Result<(), Error> {
        let aborted = match (session, self.0.multipart()) {
            (Session::Named(id), Some(store)) => store.abort_multipart(path, &id.to_string()).await,
            (Session::Staged(upload), _) => upload.lock().await.abort().await,
            (Session::Named(_), None) => return self.0.unstage(path).await,
        };
        match aborted {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => {
                let what = format!("cannot give up an unfinished upload of {path}");
                Err(self.0.failure(&what, error))
            }
        }
    }
}

/// The same request would be refused again.
fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::InvalidPath { .. }
    )
}

/// A journal that was written for a store with uploads in parts, and a plan for one without.
fn no_uploads() -> StoreError {
    StoreError::NotSupported {
        source: "the store has no uploads in parts".into(),
    }
}
