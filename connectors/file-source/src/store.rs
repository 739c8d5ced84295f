//! The store that files are in, by its URL and credentials.

use std::path::PathBuf;

use penstock_connect::config::Secret;
use penstock_connect::{Error, config};
use penstock_objects::Store;
use penstock_objects::store::{
    Azure, AzureCredentials, Gcs, GcsCredentials, Proxy, S3, S3Credentials,
};

use crate::place::{Bucket, Scheme};

config! {
    /// How to reach the store that files are in.
    #[check(check)]
    pub struct StoreKeys {
        /// Address of the store, where it is not at AWS, Google or Azure (`http://127.0.0.1:9000`).
        "store.url" => endpoint: Option<String>,
        /// Read a public bucket, without credentials.
        "store.anonymous" => anonymous: bool = "false",
        /// Region of an S3 bucket. Without it, `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's.
        "s3.region" => region: Option<String>,
        /// The bucket stands in the path of an S3 URL, not in the name of its host.
        "s3.path.style.access.enabled" => path_style: bool = "true",
        /// Access key for S3. Without it, what the AWS SDKs would find: environment, web identity, profile, role.
        "aws.access.key.id" => access_key: Option<String>,
        /// The access key's secret.
        "aws.secret.access.key" => secret_key: Option<Secret>,
        /// Session token of temporary keys.
        "aws.session.token" => session_token: Option<Secret>,
        /// File with the key of a Google service account. Without it, what Google's clients would find.
        "gcs.credentials.path" => gcs_file: Option<PathBuf>,
        /// The key of a Google service account as JSON.
        "gcs.credentials.json" => gcs_json: Option<Secret>,
        /// Azure storage account; needed with `az://`.
        "azblob.account.name" => account: Option<String>,
        /// Key of the Azure storage account. Without it, what the environment has, or the managed identity.
        "azblob.account.key" => account_key: Option<Secret>,
        /// A shared access signature for Azure.
        "azblob.sas.token" => sas: Option<Secret>,
    }
}

/// Where a bucket is in no region at all, this one is named.
const REGION: &str = "us-east-1";

impl StoreKeys {
    /// A client for the bucket. Nothing is sent yet.
    pub(crate) fn open(&self, bucket: &Bucket) -> Result<Store, Error> {
        match bucket.scheme {
            Scheme::S3 => S3 {
                bucket: bucket.name.clone(),
                region: self.region.clone(),
                default_region: REGION,
                endpoint: self.endpoint.clone(),
                path_style: self.path_style,
                credentials: match (&self.access_key, &self.secret_key) {
                    (Some(id), Some(secret)) => S3Credentials::Keys {
                        id: id.clone(),
                        secret: secret.clone(),
                        token: self.session_token.clone(),
                    },
                    _ if self.anonymous => S3Credentials::Anonymous,
                    _ => S3Credentials::Environment,
                },
                encryption: None,
                proxy: Proxy::default(),
                creates_only: true,
            }
            .store(),
            Scheme::Gcs => Gcs {
                bucket: bucket.name.clone(),
                endpoint: self.endpoint.clone(),
                credentials: match (&self.gcs_file, &self.gcs_json) {
                    (Some(path), _) => GcsCredentials::File(path.clone()),
                    (None, Some(key)) => GcsCredentials::Json(key.clone()),
                    (None, None) if self.anonymous => GcsCredentials::Anonymous,
                    (None, None) => GcsCredentials::Environment,
                },
                proxy: Proxy::default(),
            }
            .store(),
            Scheme::Azure => Azure {
                container: bucket.name.clone(),
                account: self.account.clone().ok_or_else(|| {
                    Error::never("azblob.account.name: is required with az:// in file")
                })?,
                endpoint: self.endpoint.clone(),
                credentials: match (&self.account_key, &self.sas) {
                    (Some(key), _) => AzureCredentials::Key(key.clone()),
                    (None, Some(sas)) => AzureCredentials::Sas(sas.clone()),
                    (None, None) => AzureCredentials::Environment,
                },
                proxy: Proxy::default(),
            }
            .store(),
        }
    }
}

fn check(config: &StoreKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    match (&config.access_key, &config.secret_key) {
        (Some(_), None) => problems.push((
            "aws.access.key.id",
            "needs aws.secret.access.key beside it".to_owned(),
        )),
        (None, Some(_)) => problems.push((
            "aws.secret.access.key",
            "needs aws.access.key.id beside it".to_owned(),
        )),
        _ => {}
    }
    if config.session_token.is_some() && config.access_key.is_none() {
        problems.push((
            "aws.session.token",
            "needs aws.access.key.id beside it".to_owned(),
        ));
    }
    for (key, other, both) in [
        (
            "gcs.credentials.json",
            "gcs.credentials.path",
            config.gcs_file.is_some() && config.gcs_json.is_some(),
        ),
        (
            "azblob.sas.token",
            "azblob.account.key",
            config.account_key.is_some() && config.sas.is_some(),
        ),
    ] {
        if both {
            let message = format!("says in another way what {other} says; keep one of them");
            problems.push((key, message));
        }
    }
    problems
}
