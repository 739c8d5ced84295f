//! Large objects: a resumable upload for each.

use std::time::Instant;

use async_trait::async_trait;
use backon::BackoffBuilder;
use futures::FutureExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, MultipartId, MultipartUpload, PutMultipartOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode};

use crate::meta::{FIELDS, Resource};
use crate::objects::content_type;
use crate::request::{body, generic};
use crate::{Bucket, STORE};

/// The header that names the type of what will be uploaded.
const UPLOAD_TYPE: &str = "X-Upload-Content-Type";

/// What the service answers to an upload that is ended (client closed the request).
const ENDED: u16 = 499;

#[async_trait]
impl MultipartStore for Bucket {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default())
            .await
    }

    async fn create_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<MultipartId> {
        let content_type = content_type(&opts.attributes)?;
        let response = self
            .0
            .send(path.as_ref(), |http| {
                http.post(&self.0.uploads)
                    .query(&[("uploadType", "resumable"), ("name", path.as_ref())])
                    .query(&[("fields", FIELDS)])
                    .header(UPLOAD_TYPE, &content_type)
                    .header(CONTENT_LENGTH, 0)
            })
            .await?;
        let location = response.headers().get(LOCATION);
        let id = location
            .and_then(|location| location.to_str().ok())
            .ok_or_else(|| failed("the service began an upload without saying where"))?
            .to_owned();
        self.0.sessions.begin(id.clone());
        Ok(id)
    }

    /// Parts may be of any size, and may come in any order: each waits for those before it.
    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part_idx: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let session = self.0.sessions.find(path.as_ref(), id)?;
        let turn = session.turn(part_idx).await?;
        let mut progress = session.progress.lock().await;
        let bytes = progress.take(data);
        let (sent, length) = (progress.sent, bytes.content_length());
        self.send_bytes(path, id, sent, bytes).await?;
        progress.sent += length as u64;
        turn.done(part_idx);
        Ok(PartId {
            content_id: part_idx.to_string(),
        })
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let session = self.0.sessions.find(path.as_ref(), id)?;
        // Nothing can follow, whatever comes of it.
        self.0.sessions.end(id);
        let turn = session.turn(parts.len()).await?;
        let mut progress = session.progress.lock().await;
        let rest = progress.finish();
        let total = progress.sent + rest.len() as u64;
        let range = match rest.len() {
            0 => format!("bytes */{total}"),
            _ => format!("bytes {}-{}/{total}", progress.sent, total - 1),
        };
        let response = self
            .0
            .send(path.as_ref(), |http| {
                http.put(id)
                    .header(CONTENT_RANGE, &range)
                    .header(CONTENT_LENGTH, rest.len())
                    .body(rest.clone())
            })
            .await?;
        if response.status() == StatusCode::PERMANENT_REDIRECT {
            return Err(failed("the service does not have all bytes of the upload"));
        }
        let resource: Resource = response.json().await.map_err(generic)?;
        let size = resource.size()?;
        if size != total {
            // Not what was sent: it must not stay under this name.
            object_store::ObjectStoreExt::delete(self, path).await?;
            return Err(failed(format!(
                "{total} bytes were uploaded, and the object had {size}; it was deleted"
            )));
        }
        turn.done(parts.len());
        Ok(resource.put())
    }

    /// Also for uploads that another process began.
    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.0.sessions.end(id);
        let request = self.0.http.delete(id).header(CONTENT_LENGTH, 0);
        let ended = self.0.exchange(request).await;
        let ended = ended.map_err(|failure| failure.error)?;
        match ended.status() {
            status if status.is_success() || status.as_u16() == ENDED => Ok(()),
            // It is over already.
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
            status => Err(failed(format!(
                "the upload of {path} was not ended: {status}"
            ))),
        }
    }
}

impl Bucket {
    /// Sends bytes that begin at an offset of the upload. The service ignores bytes that it has
    /// already, so that they may be sent again when an answer is lost.
    async fn send_bytes(
        &self,
        path: &Path,
        id: &str,
        mut start: u64,
        mut bytes: PutPayload,
    ) -> Result<()> {
        let since = Instant::now();
        let mut pauses = self.0.patience().build();
        loop {
            let length = bytes.content_length();
            if length == 0 {
                return Ok(());
            }
            let range = format!("bytes {start}-{}/*", start + length as u64 - 1);
            let request = self
                .0
                .http
                .put(id)
                .header(CONTENT_RANGE, range)
                .header(CONTENT_LENGTH, length)
                .body(body(bytes.clone()));
            match self.0.send_once(path.as_ref(), request).await {
                Ok(response) => {
                    let has = received(&response)?;
                    let taken = has
                        .checked_sub(start)
                        .and_then(|taken| usize::try_from(taken).ok())
                        .filter(|taken| (1..=length).contains(taken));
                    let Some(taken) = taken else {
                        return Err(failed(format!(
                            "the service has {has} bytes of the upload after {start} and the next were sent"
                        )));
                    };
                    start = has;
                    bytes = behind(bytes, taken);
                }
                Err(failure) => match pauses.next() {
                    Some(pause) if failure.passing && self.0.has_patience(since) => {
                        tokio::time::sleep(pause).await;
                    }
                    _ => return Err(failure.error),
                },
            }
        }
    }
}

/// A payload without its first bytes.
fn behind(payload: PutPayload, mut taken: usize) -> PutPayload {
    let pieces = payload.into_iter().map(|mut piece| {
        let gone = taken.min(piece.len());
        taken -= gone;
        piece.split_off(gone)
    });
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// How many bytes of an upload the service has, from `Range: bytes=0-N`.
fn received(response: &Response) -> Result<u64> {
    if response.status() != StatusCode::PERMANENT_REDIRECT {
        return Err(failed("the upload ended before its last part"));
    }
    let range = response.headers().get(RANGE);
    let Some(range) = range.and_then(|range| range.to_str().ok()) else {
        return Ok(0);
    };
    let last = range
        .rsplit('-')
        .next()
        .and_then(|last| last.parse::<u64>().ok());
    last.map(|last| last + 1)
        .ok_or_else(|| failed("the service's answer does not say what it has of the upload"))
}

fn failed(what: impl Into<String>) -> Error {
    Error::Generic {
        store: STORE,
        source: what.into().into(),
    }
}

/// One upload by itself.
pub(crate) struct Upload {
    bucket: Bucket,
    path: Path,
    id: MultipartId,
    parts: usize,
}

impl Upload {
    pub(crate) async fn begin(
        bucket: &Bucket,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Self> {
        Ok(Self {
            id: bucket.create_multipart_opts(path, opts).await?,
            bucket: bucket.clone(),
            path: path.clone(),
            parts: 0,
        })
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Upload").field(&self.path).finish()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.parts;
        self.parts += 1;
        let (bucket, path, id) = (self.bucket.clone(), self.path.clone(), self.id.clone());
        async move {
            bucket.put_part(&path, &id, part, data).await?;
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts = (0..self.parts).map(|part| PartId {
            content_id: part.to_string(),
        });
        self.bucket
            .complete_multipart(&self.path, &self.id, parts.collect())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.bucket.abort_multipart(&self.path, &self.id).await
    }
}
