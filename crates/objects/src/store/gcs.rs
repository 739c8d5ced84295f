//! Google Cloud Storage.

use std::path::PathBuf;
use std::time::Duration;

use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder};
use penstock_connect::Error;
use penstock_connect::config::Secret;

use super::client::{self, Proxy};
use super::environment::variable;
use super::{Store, refused};

/// Where a bucket is and who may write to it.
#[derive(Clone, Debug)]
pub struct Gcs {
    /// The bucket's name.
    pub bucket: String,
    /// `http://127.0.0.1:4443`, where it is not at Google.
    pub endpoint: Option<String>,
    /// Who writes.
    pub credentials: GcsCredentials,
    /// The way to it.
    pub proxy: Proxy,
    /// Longest that it may say nothing.
    pub timeout: Duration,
}

/// Who writes.
#[derive(Clone, Debug)]
pub enum GcsCredentials {
    /// A file with the key of a service account, or that `gcloud` wrote.
    File(PathBuf),
    /// The key of a service account as JSON.
    Json(Secret),
    /// What the machine has: the file of `GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth
    /// application-default login` left, the machine's own account.
    Environment,
    /// Nobody: requests carry no token.
    Anonymous,
}

impl Gcs {
    /// A client for the bucket. Nothing is sent yet.
    pub fn store(&self) -> Result<Store, Error> {
        let name = format!("gs://{}", self.bucket);
        let bucket = penstock_gcs::Bucket::new(penstock_gcs::Access {
            endpoint: self
                .endpoint
                .clone()
                .unwrap_or_else(|| penstock_gcs::ENDPOINT.to_owned()),
            bucket: self.bucket.clone(),
            credentials: self.provider(&name)?,
            proxy: self.proxy.full_url(),
            timeout: self.timeout,
            connect_timeout: client::connect(self.timeout),
            retries: client::RETRIES,
            retry_for: client::retry_for(self.timeout),
            longest_pause: client::PAUSE,
        });
        let bucket = bucket.map_err(|error| refused(&name, error))?;
        Ok(Store::in_parts(bucket, name)
            .entered_with(self.origin())
            .waiting(self.timeout))
    }

    fn origin(&self) -> &'static str {
        match &self.credentials {
            GcsCredentials::File(_) => "gcs.credentials.path",
            GcsCredentials::Json(_) => "gcs.credentials.json",
            GcsCredentials::Environment => match variable("GOOGLE_APPLICATION_CREDENTIALS") {
                Some(_) => "GOOGLE_APPLICATION_CREDENTIALS",
                None => "gcloud's, or the machine's account",
            },
            GcsCredentials::Anonymous => "none",
        }
    }

    /// What gives the tokens of requests, if they carry any.
    fn provider(&self, name: &str) -> Result<Option<GcpCredentialProvider>, Error> {
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.bucket)
            .with_retry(client::retries(self.timeout))
            .with_client_options(client::options(&self.proxy, self.timeout, None));
        let builder = match &self.credentials {
            GcsCredentials::Anonymous => return Ok(None),
            GcsCredentials::File(path) => {
                builder.with_application_credentials(path.to_string_lossy())
            }
            GcsCredentials::Json(key) => builder.with_service_account_key(key.reveal()),
            GcsCredentials::Environment => match variable("GOOGLE_APPLICATION_CREDENTIALS") {
                Some(path) => builder.with_application_credentials(path),
                None => builder,
            },
        };
        let store = builder.build().map_err(|error| match &self.credentials {
            // The cause may quote the key.
            GcsCredentials::Json(_) => Error::never(format!(
                "{name}: the credentials are not the key of a service account as Google gives it (JSON)"
            )),
            _ => refused(name, error),
        })?;
        Ok(Some(store.credentials().clone()))
    }
}
