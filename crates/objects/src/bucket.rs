//! What is asked of the store, each with its doubts settled: an object is there with the bytes that
//! were announced, or it is not, or it is somebody else's.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use penstock_connect::Error;
use tokio::sync::Mutex;

use crate::Store;
use crate::entry::Content;
use crate::upload::Session;

/// How often a request is made whose outcome is not known, or that somebody else's was in the way of.
/// The store's client has tried often before it says so.
const ATTEMPTS: usize = 3;

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
        let content = match self.0.objects().get(path).await {
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(unknown(error)),
            Ok(object) => object.into_stream(),
        };
        let read = content.try_fold(
            (crc32fast::Hasher::new(), 0),
            |(mut checksum, bytes), chunk| async move {
                checksum.update(&chunk);
                Ok((checksum, bytes + chunk.len() as u64))
            },
        );
        let (checksum, bytes) = read.await.map_err(unknown)?;
        let content = Content {
            bytes,
            checksum: checksum.finalize(),
        };
        if known.contains(&content) {
            Ok(true)
        } else {
            Err(self.foreign(path))
        }
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
        let refused = matches!(
            error,
            StoreError::PermissionDenied { .. }
                | StoreError::Unauthenticated { .. }
                | StoreError::NotSupported { .. }
                | StoreError::NotImplemented { .. }
                | StoreError::InvalidPath { .. }
        );
        if refused {
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

    /// Uploads a part. Those of a staged upload come one after the other.
    pub(crate) async fn part(
        &self,
        path: &Path,
        session: &Session,
        index: usize,
        payload: PutPayload,
    ) -> Result<PartId, Error> {
        let part = match (session, self.0.multipart()) {
            (Session::Named(id), Some(store)) => {
                store.put_part(path, &id.to_string(), index, payload).await
            }
            (Session::Staged(upload), _) => {
                let part = upload.lock().await.put_part(payload);
                part.await.map(|()| PartId {
                    content_id: String::new(),
                })
            }
            (Session::Named(_), None) => Err(no_uploads()),
        };
        part.map_err(|error| self.failed(path, error))
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

    /// Gives an upload up. One that is gone already is no error.
    pub(crate) async fn abort(&self, path: &Path, session: &Session) -> Result<(), Error> {
        let aborted = match (session, self.0.multipart()) {
            (Session::Named(id), Some(store)) => store.abort_multipart(path, &id.to_string()).await,
            (Session::Staged(upload), _) => upload.lock().await.abort().await,
            (Session::Named(_), None) => Ok(()),
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

/// A journal that was written for a store with uploads in parts, and a plan for one without.
fn no_uploads() -> StoreError {
    StoreError::NotSupported {
        source: "the store has no uploads in parts".into(),
    }
}
