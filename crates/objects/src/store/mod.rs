//! The stores that objects can go to, each made from typed credentials.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;

/// A bucket, container or directory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    multipart: Option<Arc<dyn MultipartStore>>,
    name: Arc<str>,
    creates_only: bool,
}

impl Store {
    /// A store whose large objects are uploaded in parts. `name` is how it is called in messages:
    /// `s3://lake`.
    pub fn in_parts<S: ObjectStore + MultipartStore>(store: S, name: impl Into<Arc<str>>) -> Self {
        let store = Arc::new(store);
        Self {
            objects: store.clone(),
            multipart: Some(store),
            name: name.into(),
            creates_only: true,
        }
    }

    /// A store that stages and renames (a directory): it has uploads of its own, not parts.
    pub fn whole<S: ObjectStore>(store: S, name: impl Into<Arc<str>>) -> Self {
        Self {
            objects: Arc::new(store),
            multipart: None,
            name: name.into(),
            creates_only: true,
        }
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
