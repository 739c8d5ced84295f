//! All uploads of a task: requests run in the background, a bounded number at a time, and are heard of
//! when the sink asks.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use object_store::multipart::PartId;
use object_store::path::Path;
use penstock_connect::prometheus::IntGauge;
use penstock_connect::{Error, TopicPartition};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use crate::bucket::Bucket;
use crate::counters::Counters;
use crate::entry::{Content, PendingUpload};
use crate::partition::FileId;
use crate::upload::{Request, Session, Upload};

/// Requests that a task makes at a time.
const AT_A_TIME: usize = 16;

/// Uploads in parts of one partition at a time: the journal's entry names each. Other large files wait
/// for their end, and are put whole.
const IN_PARTS: usize = 100;

/// How long to wait for the store when uploads are given up.
const GIVE_UP: Duration = Duration::from_secs(10);

enum Progress {
    Begun(Session),
    Part(usize, PartId, usize),
    There,
}

struct News {
    file: FileId,
    progress: Result<Progress, Error>,
}

struct Sending {
    owner: TopicPartition,
    name: Arc<str>,
    upload: Upload,
    requests: Vec<AbortHandle>,
}

/// All uploads of a task.
pub(crate) struct Uploads {
    bucket: Bucket,
    part_bytes: usize,
    counters: Arc<Counters>,
    files: HashMap<FileId, Sending>,
    /// Files that may have a request to make.
    stirred: Vec<FileId>,
    held: usize,
    /// Those of them that go away by themselves: in requests, or of files that have ended.
    leaving: usize,
    /// Uploads that wait for the journal to name them.
    unnoted: usize,
    permits: Arc<Semaphore>,
    tasks: JoinSet<News>,
    /// Tasks that have not ended.
    running: Arc<AtomicUsize>,
    /// Joined while waiting, not told yet.
    heard: VecDeque<News>,
}

impl Uploads {
    pub(crate) fn new(bucket: Bucket, part_bytes: usize, counters: Arc<Counters>) -> Self {
        Self {
            bucket,
            part_bytes,
            counters,
            files: HashMap::new(),
            stirred: Vec::new(),
            held: 0,
            leaving: 0,
            unnoted: 0,
            permits: Arc::new(Semaphore::new(AT_A_TIME)),
            tasks: JoinSet::new(),
            running: Arc::default(),
            heard: VecDeque::new(),
        }
    }

    /// A file begins.
    pub(crate) fn open(&mut self, id: FileId, owner: TopicPartition, name: Arc<str>, path: Path) {
        let sending = Sending {
            owner,
            name,
            upload: Upload::new(path),
            requests: Vec::new(),
        };
        self.files.insert(id, sending);
    }

    /// Changes an upload, and keeps the sums.
    fn change<T>(&mut self, id: FileId, change: impl FnOnce(&mut Upload) -> T) -> Option<T> {
        let file = self.files.get_mut(&id)?;
        self.held -= file.upload.held();
        self.leaving -= file.upload.leaving();
        let changed = change(&mut file.upload);
        self.held += file.upload.held();
        self.leaving += file.upload.leaving();
        Some(changed)
    }

    fn forget(&mut self, id: FileId) -> Option<Sending> {
        let file = self.files.remove(&id)?;
        self.held -= file.upload.held();
        self.leaving -= file.upload.leaving();
        self.unnoted -= usize::from(file.upload.is_unnoted());
        Some(file)
    }

    /// Bytes of a file are final.
    pub(crate) fn push(&mut self, id: FileId, chunk: Bytes) {
        let part_bytes = self.part_bytes;
        let many = self.change(id, |upload| {
            upload.push(chunk);
            upload.waiting() > part_bytes
        });
        if many == Some(true) {
            self.stirred.push(id);
        }
    }

    /// All bytes of a file that came.
    pub(crate) fn content(&self, id: FileId) -> Content {
        let file = self.files.get(&id);
        file.map_or(Content::EMPTY, |file| file.upload.content())
    }

    /// A file has ended; its object holds one of these contents.
    pub(crate) fn end(&mut self, id: FileId, known: Vec<Content>) {
        self.change(id, |upload| upload.end(known));
        self.stirred.push(id);
    }

    /// The journal names the file.
    pub(crate) fn announce(&mut self, id: FileId) {
        self.change(id, Upload::announce);
        self.stirred.push(id);
    }

    /// Uploads that a kill would leave behind, by partition, for the journal.
    pub(crate) fn pending(&self) -> HashMap<&TopicPartition, Vec<PendingUpload>> {
        let mut pending: HashMap<_, Vec<_>> = HashMap::new();
        for file in self.files.values() {
            if let Some(id) = file.upload.pending() {
                pending.entry(&file.owner).or_default().push(PendingUpload {
                    name: file.name.clone(),
                    id,
                });
            }
        }
        for uploads in pending.values_mut() {
            uploads.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        }
        pending
    }

    /// Some upload waits for the journal to name it.
    pub(crate) fn unnoted(&self) -> bool {
        self.unnoted > 0
    }

    /// The journal names all uploads.
    pub(crate) fn note(&mut self) {
        if std::mem::take(&mut self.unnoted) == 0 {
            return;
        }
        for (id, file) in &mut self.files {
            if file.upload.is_unnoted() {
                file.upload.note();
                self.stirred.push(*id);
            }
        }
    }

    /// Bytes of a file that wait for more.
    pub(crate) fn waiting(&self, id: FileId) -> usize {
        self.files.get(&id).map_or(0, |file| file.upload.waiting())
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Those of them that are on their way out.
    pub(crate) fn leaving(&self) -> usize {
        self.leaving
    }

    /// Makes all requests that can be made.
    pub(crate) fn dispatch(&mut self) {
        let part_bytes = self.part_bytes;
        for id in std::mem::take(&mut self.stirred) {
            let part_bytes = if self.may_begin(id) {
                part_bytes
            } else {
                usize::MAX
            };
            while let Some(request) = self.change(id, |upload| upload.next(part_bytes)).flatten() {
                let Some(file) = self.files.get_mut(&id) else {
                    break;
                };
                file.requests.retain(|request| !request.is_finished());
                let running = Running::new(&self.running);
                let (bucket, permits) = (self.bucket.clone(), self.permits.clone());
                let (path, counters) = (file.upload.path().clone(), self.counters.clone());
                file.requests.push(self.tasks.spawn(async move {
                    let _running = running;
                    // The semaphore is never closed.
                    let _permit = permits.acquire_owned().await;
                    let _waiting = Waiting::new(&counters.requests);
                    let since = Instant::now();
                    let progress = run_and_tell(&bucket, &path, request).await;
                    let seconds = since.elapsed().as_secs_f64();
                    counters.upload_seconds.observe(seconds);
                    News { file: id, progress }
                }));
            }
        }
    }

    /// Whether a file may be uploaded in parts, or is so already.
    fn may_begin(&self, id: FileId) -> bool {
        let Some(file) = self.files.get(&id) else {
            return true;
        };
        if !file.upload.is_whole() || file.upload.waiting() <= self.part_bytes {
            return true;
        }
        let in_parts = |other: &&Sending| !other.upload.is_whole() && other.owner == file.owner;
        self.files.values().filter(in_parts).count() < IN_PARTS
    }

    /// Takes note of what has happened. Returns the files whose objects are there now.
    pub(crate) fn hear(&mut self) -> Result<Vec<(TopicPartition, FileId)>, Error> {
        let mut there = Vec::new();
        while let Some(joined) = self.tasks.try_join_next() {
            self.join(joined)?;
        }
        while let Some(news) = self.heard.pop_front() {
            let id = news.file;
            // A file that was dropped meanwhile is of no interest, not even its failure.
            if !self.files.contains_key(&id) {
                continue;
            }
            let progress = news
                .progress
                .inspect_err(|_| self.counters.upload_failures.inc())?;
            match progress {
                Progress::Begun(session) => {
                    self.change(id, |upload| upload.begun(session));
                    let unnoted = self
                        .files
                        .get(&id)
                        .is_some_and(|file| file.upload.is_unnoted());
                    self.unnoted += usize::from(unnoted);
                }
                Progress::Part(index, part, bytes) => {
                    self.change(id, |upload| upload.arrived(index, part, bytes));
                }
                Progress::There => {
                    there.extend(self.forget(id).map(|file| (file.owner, id)));
                    continue;
                }
            }
            self.stirred.push(id);
        }
        Ok(there)
    }

    fn join(&mut self, joined: Result<News, JoinError>) -> Result<(), Error> {
        match joined {
            Ok(news) => self.heard.push_back(news),
            Err(error) if error.is_panic() => {
                return Err(Error::reconnect("an upload panicked").with_source(error));
            }
            // Its file was dropped.
            Err(_) => {}
        }
        Ok(())
    }

    /// Something has happened.
    pub(crate) fn has_news(&self) -> bool {
        !self.heard.is_empty() || self.tasks.len() > self.running.load(Ordering::Relaxed)
    }

    /// Requests are under way.
    pub(crate) fn in_flight(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Waits until something has happened, at most until then. Says whether it has.
    pub(crate) async fn wait(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        while self.heard.is_empty() {
            let joined = match until {
                Some(until) => timeout_at(until, self.tasks.join_next()).await.ok(),
                None => Some(self.tasks.join_next().await),
            };
            match joined.flatten() {
                Some(joined) => self.join(joined)?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Drops files, and gives up what was uploaded of them, as far as the store answers soon. What is
    /// left is in the journal.
    pub(crate) async fn drop_files(&mut self, ids: impl Iterator<Item = FileId>) {
        let mut given_up = Vec::new();
        for id in ids {
            let Some(file) = self.forget(id) else {
                continue;
            };
            for request in &file.requests {
                request.abort();
            }
            if let Some(id) = file.upload.id() {
                given_up.push((file.upload.path().clone(), Session::Named(id.clone())));
            }
        }
        let bucket = self.bucket.clone();
        let aborts = futures::stream::iter(given_up)
            .map(|(path, session)| {
                let bucket = bucket.clone();
                async move { bucket.abort(&path, &session).await }
            })
            .buffer_unordered(AT_A_TIME)
            .for_each(|aborted| async {
                if let Err(error) = aborted {
                    tracing::warn!("{error}; whoever has the partition next tries again");
                }
            });
        if timeout(GIVE_UP, aborts).await.is_err() {
            tracing::warn!(
                "{} does not answer; unfinished uploads are given up by whoever has the partition next",
                self.bucket.0.name()
            );
        }
    }
}

/// Makes a request; says so where the store lets it wait.
async fn run_and_tell(bucket: &Bucket, path: &Path, request: Request) -> Result<Progress, Error> {
    let what = request.what();
    let mut answer = pin!(run(bucket, path, request));
    let patience = bucket.0.patience();
    if let Ok(answer) = timeout(patience, &mut answer).await {
        return answer;
    }
    tracing::warn!(
        "{} has not done what it was asked for since {} ms: {what} {path}; it is waited for, and asked again",
        bucket.0.name(),
        patience.as_millis()
    );
    answer.await
}

async fn run(bucket: &Bucket, path: &Path, request: Request) -> Result<Progress, Error> {
    match request {
        Request::Begin => bucket.begin(path).await.map(Progress::Begun),
        Request::Part {
            session,
            index,
            payload,
        } => {
            let bytes = payload.content_length();
            let id = bucket.part(path, &session, index, payload).await?;
            Ok(Progress::Part(index, id, bytes))
        }
        Request::Complete {
            session,
            parts,
            known,
        } => {
            bucket.complete(path, &session, parts, &known).await?;
            Ok(Progress::There)
        }
        Request::Put { payload, known } => {
            bucket.put(path, payload, &known).await?;
            Ok(Progress::There)
        }
    }
}

/// Counts a request for as long as it is under way.
struct Waiting(IntGauge);

impl Waiting {
    fn new(count: &IntGauge) -> Self {
        count.inc();
        Self(count.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts a task for as long as it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
