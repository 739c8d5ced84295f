//! Whole objects: put, get, list, copy, delete.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult,
    GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RANGE};

use crate::Bucket;
use crate::meta::{FIELDS, Page, Resource, Rewrite};
use crate::request::{body, encode, generic};
use crate::uploads::Upload;

/// What an object is unless its attributes say otherwise.
const ANY_BYTES: &str = "application/octet-stream";

/// Deletions under way at a time.
const DELETIONS: usize = 16;

#[async_trait]
impl ObjectStore for Bucket {
    /// A create that is sent again after its answer was lost finds its own object and says that it
    /// exists: compare what lies there.
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let content_type = content_type(&opts.attributes)?;
        let generation = match &opts.mode {
            PutMode::Overwrite => None,
            PutMode::Create => Some("0".to_owned()),
            PutMode::Update(version) => Some(version.version.clone().unwrap_or_default()),
        };
        let sent = self
            .0
            .send(location.as_ref(), |http| {
                let mut request = http
                    .post(&self.0.uploads)
                    .query(&[("uploadType", "media"), ("name", location.as_ref())])
                    .query(&[("fields", FIELDS)])
                    .header(CONTENT_TYPE, &content_type)
                    .header(CONTENT_LENGTH, payload.content_length())
                    .body(body(payload.clone()));
                if let Some(generation) = &generation {
                    request = request.query(&[("ifGenerationMatch", generation)]);
                }
                request
            })
            .await;
        let response = sent.map_err(|error| match error {
            Error::Precondition { path, source } if opts.mode == PutMode::Create => {
                Error::AlreadyExists { path, source }
            }
            error => error,
        })?;
        Ok(response.json::<Resource>().await.map_err(generic)?.put())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload::begin(self, location, opts).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let url = format!("{}/{}", self.0.objects, encode(location.as_ref()));
        let response = self
            .0
            .send(location.as_ref(), |http| {
                let mut request = http.get(&url).query(&[("fields", FIELDS)]);
                if let Some(version) = &options.version {
                    request = request.query(&[("generation", version)]);
                }
                request
            })
            .await?;
        let meta = response.json::<Resource>().await.map_err(generic)?.meta()?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..meta.size,
            Some(range) => range.as_range(meta.size).map_err(generic)?,
        };
        let bytes = if options.head || range.is_empty() {
            futures::stream::empty().boxed()
        } else {
            // The generation that was looked at, whatever is written meanwhile.
            let response = self
                .0
                .send(location.as_ref(), |http| {
                    let mut request = http.get(&url).query(&[("alt", "media")]);
                    if let Some(generation) = &meta.version {
                        request = request.query(&[("generation", generation)]);
                    }
                    if !matches!(options.range, None | Some(GetRange::Offset(0))) {
                        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
                        request = request.header(RANGE, bytes);
                    }
                    request
                })
                .await?;
            response.bytes_stream().map_err(generic).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes),
            meta,
            range,
            attributes: Attributes::default(),
            extensions: object_store::Extensions::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        locations
            .map(move |location| {
                let bucket = bucket.clone();
                async move {
                    let location = location?;
                    let url = format!("{}/{}", bucket.0.objects, encode(location.as_ref()));
                    bucket
                        .0
                        .send(location.as_ref(), |http| http.delete(&url))
                        .await?;
                    Ok(location)
                }
            })
            .buffered(DELETIONS)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.clone().pages(directory(prefix), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        // The service's own offset includes the object of that name.
        let from = offset.clone();
        self.clone()
            .pages(directory(prefix), Some(offset.to_string()))
            .try_filter(move |meta| futures::future::ready(meta.location != from))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = directory(prefix);
        let mut listed = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
            extensions: object_store::Extensions::default(),
        };
        let mut token = None;
        loop {
            let page = self
                .page(&prefix, Some("/"), None, token.as_deref())
                .await?;
            for directory in page.prefixes {
                listed.common_prefixes.push(Path::parse(directory)?);
            }
            for resource in page.items {
                listed.objects.push(resource.meta()?);
            }
            token = page.next_page_token;
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bucket = encode(&self.0.access.bucket);
        let (source, target) = (encode(from.as_ref()), encode(to.as_ref()));
        let url = format!(
            "{}/{source}/rewriteTo/b/{bucket}/o/{target}",
            self.0.objects
        );
        let mut token = None;
        loop {
            let sent = self
                .0
                .send(from.as_ref(), |http| {
                    let mut request = http.post(&url).body("");
                    if options.mode == CopyMode::Create {
                        request = request.query(&[("ifGenerationMatch", "0")]);
                    }
                    if let Some(token) = &token {
                        request = request.query(&[("rewriteToken", token)]);
                    }
                    request
                })
                .await;
            let response = sent.map_err(|error| match error {
                Error::Precondition { source, .. } => Error::AlreadyExists {
                    path: to.to_string(),
                    source,
                },
                error => error,
            })?;
            let step: Rewrite = response.json().await.map_err(generic)?;
            if step.done {
                return Ok(());
            }
            token = step.rewrite_token;
        }
    }
}

impl Bucket {
    /// All objects whose names begin so, page by page.
    fn pages(self, prefix: String, from: Option<String>) -> BoxStream<'static, Result<ObjectMeta>> {
        struct Listing {
            bucket: Bucket,
            ready: VecDeque<Resource>,
            token: Option<String>,
            begun: bool,
        }
        let listing = Listing {
            bucket: self,
            ready: VecDeque::new(),
            token: None,
            begun: false,
        };
        futures::stream::try_unfold(listing, move |mut listing| {
            let (prefix, from) = (prefix.clone(), from.clone());
            async move {
                while listing.ready.is_empty() && (!listing.begun || listing.token.is_some()) {
                    let page = listing
                        .bucket
                        .page(&prefix, None, from.as_deref(), listing.token.as_deref())
                        .await?;
                    listing.begun = true;
                    listing.ready = page.items.into();
                    listing.token = page.next_page_token;
                }
                match listing.ready.pop_front() {
                    Some(resource) => Ok(Some((resource.meta()?, listing))),
                    None => Ok(None),
                }
            }
        })
        .boxed()
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<&str>,
        token: Option<&str>,
    ) -> Result<Page> {
        let fields = format!("items({FIELDS}),prefixes,nextPageToken");
        let optional = [
            ("delimiter", delimiter),
            ("startOffset", from),
            ("pageToken", token),
        ];
        let response = self
            .0
            .send(prefix, |http| {
                let mut request = http
                    .get(&self.0.objects)
                    .query(&[("prefix", prefix), ("fields", &fields)]);
                for (name, value) in optional {
                    if let Some(value) = value {
                        request = request.query(&[(name, value)]);
                    }
                }
                request
            })
            .await?;
        response.json().await.map_err(generic)
    }
}

/// Prefixes are whole segments: `foo/bar` is one of `foo/bar/x`, not of `foo/bar_baz`.
fn directory(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.as_ref().is_empty() => format!("{prefix}/"),
        _ => String::new(),
    }
}

/// The content type that the attributes give; others are not supported.
pub(crate) fn content_type(attributes: &Attributes) -> Result<String> {
    let mut content_type = ANY_BYTES.to_owned();
    for (attribute, value) in attributes {
        match attribute {
            Attribute::ContentType => value.as_ref().clone_into(&mut content_type),
            other => {
                return Err(Error::NotSupported {
                    source: format!("the attribute {other:?}").into(),
                });
            }
        }
    }
    Ok(content_type)
}
