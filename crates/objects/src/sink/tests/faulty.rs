//! A store in memory that fails when told to, counts what is asked of it, and remembers uploads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// It fails and nothing has happened.
    Before,
    /// It has happened, and the answer is lost.
    After,
    /// It is refused for good.
    Denied,
    /// It never ends.
    Hangs,
}

type Rule = Box<dyn FnMut(&str, &str) -> Fault + Send>;

#[derive(Default)]
struct Inner {
    rule: Option<Rule>,
    asked: BTreeMap<String, usize>,
    uploads: BTreeMap<String, usize>,
}

/// The store. Clones share everything.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) memory: Arc<InMemory>,
    inner: Arc<Mutex<Inner>>,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self {
            memory: Arc::new(InMemory::new()),
            inner: Arc::default(),
        }
    }

    /// From now on `rule` says, by kind of request and name of the object, what happens.
    pub(crate) fn rule(&self, rule: impl FnMut(&str, &str) -> Fault + Send + 'static) {
        self.inner.lock().unwrap().rule = Some(Box::new(rule));
    }

    /// From now on the first so many requests of a kind have this fault.
    pub(crate) fn fail(&self, kind: &'static str, times: usize, fault: Fault) {
        let mut asked = 0;
        self.rule(move |what, _| {
            asked += usize::from(what == kind);
            if what == kind && asked <= times {
                fault
            } else {
                Fault::None
            }
        });
    }

    /// From now on every request of a kind has this fault.
    pub(crate) fn fail_always(&self, kind: &'static str, fault: Fault) {
        self.fail(kind, usize::MAX, fault);
    }

    pub(crate) fn well(&self) {
        self.inner.lock().unwrap().rule = None;
    }

    /// How often a kind of request was made.
    pub(crate) fn asked(&self, what: &str) -> usize {
        let inner = self.inner.lock().unwrap();
        inner.asked.get(what).copied().unwrap_or(0)
    }

    /// Unfinished uploads, and how many parts each has.
    pub(crate) fn uploads(&self) -> Vec<usize> {
        self.inner
            .lock()
            .unwrap()
            .uploads
            .values()
            .copied()
            .collect()
    }

    async fn before(&self, what: &str, path: &Path) -> Result<bool> {
        let fault = {
            let mut inner = self.inner.lock().unwrap();
            *inner.asked.entry(what.to_owned()).or_default() += 1;
            match &mut inner.rule {
                Some(rule) => rule(what, path.as_ref()),
                None => Fault::None,
            }
        };
        // Requests end in another order than they began.
        tokio::task::yield_now().await;
        match fault {
            Fault::None => Ok(false),
            Fault::After => Ok(true),
            Fault::Before => Err(away()),
            Fault::Denied => Err(Error::PermissionDenied {
                path: path.to_string(),
                source: "403".into(),
            }),
            Fault::Hangs => std::future::pending().await,
        }
    }
}

fn away() -> Error {
    Error::Generic {
        store: "Faulty",
        source: "connection reset".into(),
    }
}

fn after<T>(lost: bool, answer: Result<T>) -> Result<T> {
    if lost { Err(away()) } else { answer }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let lost = self.before("put", location).await?;
        after(lost, self.memory.put_opts(location, payload, opts).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = if options.head { "head" } else { "get" };
        let lost = self.before(what, location).await?;
        after(lost, self.memory.get_opts(location, options).await)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let lost = self.before("create", path).await?;
        let id = self.memory.create_multipart(path).await?;
        self.inner.lock().unwrap().uploads.insert(id.clone(), 0);
        after(lost, Ok(id))
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part_idx: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let lost = self.before("part", path).await?;
        let part = self.memory.put_part(path, id, part_idx, data).await?;
        *self
            .inner
            .lock()
            .unwrap()
            .uploads
            .entry(id.clone())
            .or_default() += 1;
        let part = PartId {
            content_id: format!("{part_idx}{}", part.content_id),
        };
        after(lost, Ok(part))
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let lost = self.before("complete", path).await?;
        if !self.inner.lock().unwrap().uploads.contains_key(id) {
            return Err(no_such_upload(path));
        }
        let ids: Vec<String> = parts.iter().map(|part| part.content_id.clone()).collect();
        let expected: Vec<String> = (0..parts.len()).map(|index| index.to_string()).collect();
        assert_eq!(ids, expected, "parts in their order");
        let put = self.memory.complete_multipart(path, id, parts).await;
        self.inner.lock().unwrap().uploads.remove(id);
        after(lost, put)
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let lost = self.before("abort", path).await?;
        if self.inner.lock().unwrap().uploads.remove(id).is_none() {
            return Err(no_such_upload(path));
        }
        after(lost, self.memory.abort_multipart(path, id).await)
    }
}

fn no_such_upload(path: &Path) -> Error {
    Error::NotFound {
        path: path.to_string(),
        source: "NoSuchUpload".into(),
    }
}
