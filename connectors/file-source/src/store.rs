//! The store that files are in: how to reach it, with the keys that the sinks for stores have.

use std::path::PathBuf;

use penstock_connect::config::Secret;
use penstock_connect::{Error, config};
use penstock_objects::Store;
use penstock_objects::store::{
    Azure, AzureCredentials, ConnectionString, Gcs, GcsCredentials, Proxy, S3, S3Credentials,
};

use crate::place::{Bucket, Scheme};

config! {
    /// How to reach the store that files are in.
    #[check(check)]
    pub struct StoreKeys {
        /// Address of the store, where it is not its vendor's.
        "endpoint" => endpoint: Option<String>,
        /// Whether the bucket is public, and read without credentials.
        "anonymous" => anonymous: bool = "false",
        /// Region of an S3 bucket; that of the environment or profile, else `us-east-1`.
        "aws.region" => region: Option<String>,
        /// Id of an access key for S3. Without keys: the environment, a web identity, the profile of `AWS_PROFILE`, the container's role, the machine's.
        "aws.access.key.id" => aws_id: Option<String>,
        /// The secret access key.
        "aws.secret.access.key" => aws_secret: Option<Secret>,
        /// The session token of temporary keys.
        "aws.session.token" => aws_token: Option<Secret>,
        /// File with the key of a service account for GCS, or one that `gcloud` wrote. Without credentials: the file of `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's, the machine's account; none at all where `endpoint` is given.
        "gcs.credentials.path" => gcs_path: Option<PathBuf>,
        /// The key of a service account as JSON.
        "gcs.credentials.json" => gcs_json: Option<Secret>,
        /// The storage account for Azure.
        "azure.account.name" => azure_account: Option<String>,
        /// The account's key. Without credentials: the environment, or the machine's managed identity.
        "azure.account.key" => azure_key: Option<Secret>,
        /// A shared access signature.
        "azure.sas.token" => azure_sas: Option<Secret>,
        /// Instead of all that: a connection string.
        "azure.connection.string" => azure_connection: Option<Secret>,
        /// A proxy on the way to the store.
        "proxy.url" => proxy: Option<String>,
        /// The user that the proxy asks for.
        "proxy.user" => proxy_user: Option<String>,
        /// The password of that user.
        "proxy.password" => proxy_password: Option<Secret>,
    }
}

impl StoreKeys {
    /// A client for the bucket. Nothing is sent yet.
    pub(crate) fn open(&self, bucket: &Bucket) -> Result<Store, Error> {
        let name = bucket.name.clone();
        let proxy = Proxy {
            url: self.proxy.clone(),
            user: self.proxy_user.clone(),
            password: self.proxy_password.clone(),
        };
        match bucket.scheme {
            Scheme::S3 => S3 {
                bucket: name,
                region: self.region.clone(),
                default_region: "us-east-1",
                endpoint: self.endpoint.clone(),
                path_style: self.endpoint.is_some(),
                credentials: match (&self.aws_id, &self.aws_secret) {
                    (Some(id), Some(secret)) => S3Credentials::Keys {
                        id: id.clone(),
                        secret: secret.clone(),
                        token: self.aws_token.clone(),
                    },
                    _ if self.anonymous => S3Credentials::Anonymous,
                    _ => S3Credentials::Environment,
                },
                encryption: None,
                proxy,
                creates_only: true,
            }
            .store(),
            Scheme::Gcs => Gcs {
                bucket: name,
                endpoint: self.endpoint.clone(),
                credentials: match (&self.gcs_path, &self.gcs_json) {
                    (Some(path), _) => GcsCredentials::File(path.clone()),
                    (None, Some(key)) => GcsCredentials::Json(key.clone()),
                    (None, None) if self.anonymous || self.endpoint.is_some() => {
                        GcsCredentials::Anonymous
                    }
                    (None, None) => GcsCredentials::Environment,
                },
                proxy,
            }
            .store(),
            Scheme::Azure => self.azure(name, proxy)?.store(),
        }
    }

    fn azure(&self, container: String, proxy: Proxy) -> Result<Azure, Error> {
        let parsed = match &self.azure_connection {
            Some(text) => ConnectionString::parse(text.reveal())
                .map_err(|message| Error::never(format!("azure.connection.string {message}")))?,
            None => ConnectionString {
                account: self.azure_account.clone().unwrap_or_default(),
                endpoint: None,
                key: None,
                sas: None,
            },
        };
        let key = self.azure_key.clone().or(parsed.key);
        let sas = self.azure_sas.clone().or(parsed.sas);
        Ok(Azure {
            container,
            account: parsed.account,
            endpoint: self.endpoint.clone().or(parsed.endpoint),
            credentials: match (key, sas) {
                (Some(key), _) => AzureCredentials::Key(key),
                (None, Some(sas)) => AzureCredentials::Sas(sas),
                (None, None) => AzureCredentials::Environment,
            },
            proxy,
        })
    }

    /// What is missing, or means nothing, for files in this bucket (`None`: on this machine).
    pub(crate) fn check_for(&self, bucket: Option<&Bucket>) -> Vec<(&'static str, String)> {
        let scheme = bucket.map(|bucket| bucket.scheme);
        let mut problems = Vec::new();
        let aws = Some(Scheme::S3);
        let (gcs, azure) = (Some(Scheme::Gcs), Some(Scheme::Azure));
        for (owner, key, given) in [
            (aws, "aws.region", self.region.is_some()),
            (aws, "aws.access.key.id", self.aws_id.is_some()),
            (aws, "aws.secret.access.key", self.aws_secret.is_some()),
            (aws, "aws.session.token", self.aws_token.is_some()),
            (gcs, "gcs.credentials.path", self.gcs_path.is_some()),
            (gcs, "gcs.credentials.json", self.gcs_json.is_some()),
            (azure, "azure.account.name", self.azure_account.is_some()),
            (azure, "azure.account.key", self.azure_key.is_some()),
            (azure, "azure.sas.token", self.azure_sas.is_some()),
            (
                azure,
                "azure.connection.string",
                self.azure_connection.is_some(),
            ),
        ] {
            if given && owner != scheme {
                let place = scheme.map_or("files on this machine", Scheme::url);
                problems.push((key, format!("means nothing for {place}")));
            }
        }
        if scheme == azure && self.azure_account.is_none() && self.azure_connection.is_none() {
            let message = "is required (or azure.connection.string)";
            problems.push(("azure.account.name", message.to_owned()));
        }
        problems
    }
}

fn check(config: &StoreKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut push = |key, message: &str| problems.push((key, message.to_owned()));
    match (&config.aws_id, &config.aws_secret) {
        (Some(_), None) => push(
            "aws.secret.access.key",
            "is required with aws.access.key.id",
        ),
        (None, Some(_)) => push(
            "aws.access.key.id",
            "is required with aws.secret.access.key",
        ),
        _ => {}
    }
    if config.gcs_path.is_some() && config.gcs_json.is_some() {
        push(
            "gcs.credentials.json",
            "give either gcs.credentials.path or gcs.credentials.json, not both",
        );
    }
    if let Some(text) = &config.azure_connection
        && let Err(message) = ConnectionString::parse(text.reveal())
    {
        push("azure.connection.string", message);
    }
    problems
}
