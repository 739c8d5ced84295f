//! Google Cloud Storage over its JSON API, behind `object_store`'s traits.
//!
//! `object_store`'s own client writes through the XML API. The JSON API does what that cannot: a large
//! upload takes parts of any size, and fake-gcs-server, against which people test, serves only this one
//! for writing. Credentials still come from `object_store`.
//!
//! Sources: <https://cloud.google.com/storage/docs/json_api/v1> and
//! <https://cloud.google.com/storage/docs/performing-resumable-uploads>.

mod meta;
mod objects;
mod request;
mod sessions;
mod uploads;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::gcp::GcpCredentialProvider;

use sessions::Sessions;

/// Where the service is unless an endpoint is given.
pub const ENDPOINT: &str = "https://storage.googleapis.com";

/// The name that `object_store`'s errors have for a store.
const STORE: &str = "GCS";

/// How a bucket is reached.
#[derive(Clone)]
pub struct Access {
    /// Scheme, host and port: [`ENDPOINT`], or that of an emulator.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// Who asks; `None` asks without a name.
    pub credentials: Option<GcpCredentialProvider>,
    /// URL of a proxy, user and password included.
    pub proxy: Option<String>,
    /// A request fails when nothing of it has moved for so long.
    pub timeout: Duration,
    /// Longest that a connection may take.
    pub connect_timeout: Duration,
    /// How often a request is tried again when the service is busy or away.
    pub retries: usize,
    /// How long after its start a request is not tried again any more.
    pub retry_for: Duration,
    /// Longest pause between two tries; the first is a tenth of a second.
    pub longest_pause: Duration,
}

/// A bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    access: Access,
    /// `{endpoint}/storage/v1/b/{bucket}/o`
    objects: String,
    /// `{endpoint}/upload/storage/v1/b/{bucket}/o`
    uploads: String,
    sessions: Sessions,
}

impl Bucket {
    /// A bucket; nothing is asked of the service yet. An error means that the proxy's URL is not one.
    pub fn new(access: Access) -> object_store::Result<Self> {
        let mut http = penstock_transfer::client(access.connect_timeout)
            // 308 means "go on" in a resumable upload.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(proxy) = &access.proxy {
            http = http.proxy(reqwest::Proxy::all(proxy).map_err(request::generic)?);
        }
        let http = http.build().map_err(request::generic)?;
        let (endpoint, bucket) = (
            access.endpoint.trim_end_matches('/'),
            request::encode(&access.bucket),
        );
        Ok(Self(Arc::new(Inner {
            http,
            objects: format!("{endpoint}/storage/v1/b/{bucket}/o"),
            uploads: format!("{endpoint}/upload/storage/v1/b/{bucket}/o"),
            access,
            sessions: Sessions::default(),
        })))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gs://{}", self.0.access.bucket)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket")
            .field(&self.0.access.bucket)
            .finish()
    }
}
