//! The stores that objects can go to, each made from typed credentials. Making one sends nothing;
//! whether it can be written is found out by [`Store::check`].

mod azure;
mod client;
mod environment;
mod failure;
mod gcs;
mod identity;
mod profile;
mod role;
mod s3;

use std::fmt;
use std::io::ErrorKind;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use penstock_connect::Error;

pub use azure::{Azure, AzureCredentials, ConnectionString};
pub use client::Proxy;
pub use gcs::{Gcs, GcsCredentials};
pub use role::Role;
pub use s3::{S3, S3Credentials, S3Encryption, SseAlgorithm};

/// So many processes may have been killed while they wrote one file.
const STAGED: u32 = 16;

/// The longest name of a file that file systems take, in bytes, less what is put behind it while it is
/// written.
const LONGEST_FILE: usize = 255 - "#16".len();

/// How long a store that was not told otherwise is waited for before somebody is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bucket, container or directory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    multipart: Option<Arc<dyn MultipartStore>>,
    /// The same as `objects`, where these are files.
    directory: Option<LocalFileSystem>,
    name: Arc<str>,
    origin: Arc<str>,
    creates_only: bool,
    patience: Duration,
}

impl Store {
    /// A store whose large objects are uploaded in parts. `name` is how it is called in messages:
    /// `s3://lake`.
    pub fn in_parts<S: ObjectStore + MultipartStore>(store: S, name: impl Into<Arc<str>>) -> Self {
        let store = Arc::new(store);
        Self {
            objects: store.clone(),
            multipart: Some(store),
            directory: None,
            name: name.into(),
            origin: "none".into(),
            creates_only: true,
            patience: PATIENCE,
        }
    }

    /// A store that stages and renames (a directory): it has uploads of its own, not parts.
    pub fn whole<S: ObjectStore>(store: S, name: impl Into<Arc<str>>) -> Self {
        Self {
            objects: Arc::new(store),
            multipart: None,
            directory: None,
            name: name.into(),
            origin: "none".into(),
            creates_only: true,
            patience: PATIENCE,
        }
    }

    /// A directory, which is made if it is not there.
    pub fn directory(path: &FilePath) -> Result<Self, Error> {
        let name = format!("file://{}", path.display());
        std::fs::create_dir_all(path)
            .map_err(|error| Error::never(format!("cannot make {name}: {error}")))?;
        let store =
            LocalFileSystem::new_with_prefix(path).map_err(|error| refused(&name, error))?;
        // What is under its name has to be there after a power cut too.
        let store = store.with_fsync(true);
        Ok(Self {
            directory: Some(store.clone()),
            ..Self::whole(store, name)
        })
    }

    /// Removes what killed processes have left of an object in a directory: files are written beside
    /// their name (`name#1`) and renamed.
    pub(crate) async fn unstage(&self, path: &Path) -> Result<(), Error> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let failed = |error| self.failure("cannot be written", error);
        let file = directory.path_to_filesystem(path).map_err(failed)?;
        for number in 1..=STAGED {
            let mut staged = file.clone().into_os_string();
            staged.push(format!("#{number}"));
            match tokio::fs::remove_file(&staged).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    let store = "LocalFileSystem";
                    let source = Box::new(error);
                    return Err(failed(object_store::Error::Generic { store, source }));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many bytes what lies between two slashes of a name may have.
    pub(crate) fn longest_part(&self) -> usize {
        match self.directory {
            Some(_) => LONGEST_FILE,
            None => usize::MAX,
        }
    }

    /// Says whether a single put can refuse to replace an object.
    #[must_use]
    pub(crate) fn creating_only(mut self, yes: bool) -> Self {
        self.creates_only = yes;
        self
    }

    /// Says how long one request of its client may take.
    #[must_use]
    pub(crate) fn waiting(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Says where the credentials come from, for messages: a configuration key, or what the machine has.
    #[must_use]
    pub(crate) fn entered_with(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Finds out whether objects whose names begin with `prefix` can be written, and looked for: an upload
    /// is begun and given up, so nothing is left behind.
    pub async fn check(&self, prefix: &str) -> Result<(), Error> {
        let failed = |error| self.failure("cannot be written", error);
        let path = Path::parse(format!("{prefix}.penstock"))
            .map_err(|error| failed(object_store::Error::InvalidPath { source: error }))?;
        let Some(parts) = &self.multipart else {
            let upload = self.objects.put_multipart(&path).await;
            return upload.map_err(failed)?.abort().await.map_err(failed);
        };
        let begun = match parts.create_multipart(&path).await {
            // Azure knows of an upload only when its blocks come; those that nobody commits it forgets.
            Ok(upload) if failure::is_azure(&self.name) => parts
                .put_part(&path, &upload, 0, PutPayload::from_static(b"-"))
                .await
                .map(|_| upload),
            begun => begun,
        };
        match begun {
            Ok(upload) => {
                // Left over, it is one of the unfinished uploads that the store cleans up.
                let _ = parts.abort_multipart(&path, &upload).await;
            }
            Err(object_store::Error::NotFound { .. }) => {
                return Err(failure::no_bucket(&self.name));
            }
            Err(error) => return Err(failed(error)),
        }
        match self.objects.head(&path).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(object_store::Error::PermissionDenied { .. }) => {
                Err(failure::no_reading(&self.name, &self.origin))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What went wrong, whether trying again can help, and what to do. `what` goes on from the store's
    /// name: "s3://lake {what}".
    pub fn failure(&self, what: &str, error: object_store::Error) -> Error {
        failure::explain(&self.name, &self.origin, what, error)
    }

    /// Puts, gets, lists, deletes.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Uploads in parts that outlive this process; `None` where `put_multipart` of
    /// [`objects`](Self::objects) stages and renames.
    pub fn multipart(&self) -> Option<&Arc<dyn MultipartStore>> {
        self.multipart.as_ref()
    }

    /// How it is called in messages: `s3://lake`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long one request may take. What takes longer has been tried in vain at least once.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// A single put can refuse to replace an object (`PutMode::Create`).
    pub fn creates_only(&self) -> bool {
        self.creates_only
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.name).finish()
    }
}

/// The client cannot be made from these settings.
fn refused(name: &str, error: object_store::Error) -> Error {
    Error::never(format!("{name} cannot be used: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_directory_is_tried_before_the_first_record_and_nothing_is_left_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let lake = directory.path().join("lake");
        let store = Store::directory(&lake).unwrap();
        store.check("").await.unwrap();
        assert_eq!(std::fs::read_dir(&lake).unwrap().count(), 0);
        std::fs::remove_dir(&lake).unwrap();
        std::fs::write(&lake, "").unwrap();
        let error = store.check("").await.unwrap_err();
        assert_eq!(error.retry, penstock_connect::Retry::Never);
        let path = lake.to_string_lossy();
        assert!(error.message.contains(&*path), "{error}");
    }
}
