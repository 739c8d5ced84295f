//! Who may enter a bucket, and the way to it, as `ObjectSink`, `BatchExporter` and `FileSource` say it.

use std::path::PathBuf;

use penstock_connect::config::Secret;
use penstock_connect::{Error, config};

use super::patience::PatienceKeys;
use crate::store::{
    Azure, AzureCredentials, ConnectionString, Gcs, GcsCredentials, Proxy, Role, S3, S3Credentials,
    Store,
};

/// The stores that URLs name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Scheme {
    /// The store of URLs that begin so: `s3`, `s3a`, `gs`, `gcs`, `az`, `azure`.
    pub fn named(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" | "gcs" => Some(Self::Gcs),
            "az" | "azure" => Some(Self::Azure),
            _ => None,
        }
    }

    /// What its URLs begin with: `s3://`, `gs://`, `az://`.
    pub fn url(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Gcs => "gs://",
            Self::Azure => "az://",
        }
    }
}

config! {
    /// How to reach a bucket.
    pub struct AccessKeys {
        /// Address of the store, where it is not its vendor's.
        "endpoint" => endpoint: Option<String>,
        /// Region of an S3 bucket; that of the environment or profile, else `us-east-1`.
        "aws.region" => region: Option<String>,
        /// Id of an access key for S3. Without keys: the environment, a web identity, the profile of `AWS_PROFILE`, the container's role, the machine's.
        "aws.access.key.id" => aws_id: Option<String>,
        /// The secret access key.
        "aws.secret.access.key" => aws_secret: Option<Secret>,
        /// The session token of temporary keys.
        "aws.session.token" => aws_token: Option<Secret>,
        /// A role to assume before the bucket is entered, with the keys above or what stands for them: `arn:aws:iam::123456789012:role/lake-writer`.
        "aws.role.arn" => role: Option<String>,
        /// What the owner of the role asks for.
        "aws.role.external.id" => role_external_id: Option<String>,
        /// Name of the session, which the owner of the role sees; `penstock` without one.
        "aws.role.session.name" => role_session: Option<String>,
        /// Address of the security token service that gives the role's keys, where it is not that of AWS in the bucket's region.
        "aws.sts.endpoint" => role_endpoint: Option<String>,
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
        "proxy.password" => proxy_password: Option<Secret>;
        flatten patience: PatienceKeys,
    }
}

impl AccessKeys {
    /// A client for a bucket or container. Nothing is sent yet. `anonymous`: it is public, and entered
    /// without credentials where no keys are given.
    pub fn open(&self, scheme: Scheme, bucket: String, anonymous: bool) -> Result<Store, Error> {
        let proxy = Proxy {
            url: self.proxy.clone(),
            user: self.proxy_user.clone(),
            password: self.proxy_password.clone(),
        };
        match scheme {
            Scheme::S3 => S3 {
                bucket,
                region: self.region.clone(),
                default_region: "us-east-1",
                endpoint: self.endpoint.clone(),
                path_style: None,
                credentials: match (&self.aws_id, &self.aws_secret) {
                    (Some(id), Some(secret)) => S3Credentials::Keys {
                        id: id.clone(),
                        secret: secret.clone(),
                        token: self.aws_token.clone(),
                    },
                    _ if anonymous && self.role.is_none() => S3Credentials::Anonymous,
                    _ => S3Credentials::Environment,
                },
                role: self.role.as_ref().map(|arn| Role {
                    endpoint: self.role_endpoint.clone(),
                    ..Role::new(
                        arn,
                        self.role_session.as_deref(),
                        self.role_external_id.as_deref(),
                    )
                }),
                encryption: None,
                proxy,
                timeout: self.patience.timeout.0,
                creates_only: true,
            }
            .store(),
            Scheme::Gcs => Gcs {
                bucket,
                credentials: match (&self.gcs_path, &self.gcs_json) {
                    (Some(path), _) => GcsCredentials::File(path.clone()),
                    (None, Some(key)) => GcsCredentials::Json(key.clone()),
                    (None, None) if anonymous || self.endpoint.is_some() => {
                        GcsCredentials::Anonymous
                    }
                    (None, None) => GcsCredentials::Environment,
                },
                endpoint: self.endpoint.clone(),
                proxy,
                timeout: self.patience.timeout.0,
            }
            .store(),
            Scheme::Azure => self.azure(bucket, proxy)?.store(),
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
        let own = (self.azure_key.clone(), self.azure_sas.clone());
        let (credentials, origin) = match (own, (parsed.key, parsed.sas)) {
            ((Some(key), _), _) => (AzureCredentials::Key(key), "azure.account.key"),
            ((_, Some(sas)), _) => (AzureCredentials::Sas(sas), "azure.sas.token"),
            (_, (Some(key), _)) => (AzureCredentials::Key(key), "azure.connection.string"),
            (_, (_, Some(sas))) => (AzureCredentials::Sas(sas), "azure.connection.string"),
            _ => (
                AzureCredentials::Environment,
                "the environment's, or the managed identity",
            ),
        };
        Ok(Azure {
            container,
            account: parsed.account,
            endpoint: self.endpoint.clone().or(parsed.endpoint),
            credentials,
            origin,
            proxy,
            timeout: self.patience.timeout.0,
        })
    }

    /// What does not go together, whatever the store.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = check_pair(self.aws_id.as_ref(), self.aws_secret.as_ref());
        problems.extend(check_role(
            ("aws.role.arn", self.role.is_some()),
            &[
                ("aws.role.external.id", self.role_external_id.is_some()),
                ("aws.role.session.name", self.role_session.is_some()),
                ("aws.sts.endpoint", self.role_endpoint.is_some()),
            ],
        ));
        if self.gcs_path.is_some() && self.gcs_json.is_some() {
            problems.push((
                "gcs.credentials.json",
                "give either gcs.credentials.path or gcs.credentials.json, not both".to_owned(),
            ));
        }
        problems
    }

    /// What is missing, or means nothing, for this store. `None` is this machine, which messages call
    /// `local`.
    pub fn check_for(
        &self,
        scheme: Option<Scheme>,
        local: &'static str,
    ) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        for (owner, key, given) in [
            (Scheme::S3, "aws.region", self.region.is_some()),
            (Scheme::S3, "aws.access.key.id", self.aws_id.is_some()),
            (
                Scheme::S3,
                "aws.secret.access.key",
                self.aws_secret.is_some(),
            ),
            (Scheme::S3, "aws.session.token", self.aws_token.is_some()),
            (Scheme::S3, "aws.role.arn", self.role.is_some()),
            (Scheme::Gcs, "gcs.credentials.path", self.gcs_path.is_some()),
            (Scheme::Gcs, "gcs.credentials.json", self.gcs_json.is_some()),
            (
                Scheme::Azure,
                "azure.account.name",
                self.azure_account.is_some(),
            ),
            (Scheme::Azure, "azure.account.key", self.azure_key.is_some()),
            (Scheme::Azure, "azure.sas.token", self.azure_sas.is_some()),
            (
                Scheme::Azure,
                "azure.connection.string",
                self.azure_connection.is_some(),
            ),
        ] {
            if given && Some(owner) != scheme {
                let place = scheme.map_or(local, Scheme::url);
                problems.push((key, format!("means nothing for {place}")));
            }
        }
        if scheme == Some(Scheme::Azure) {
            let mut push = |key, message: &str| problems.push((key, message.to_owned()));
            match &self.azure_connection {
                Some(text) => {
                    if let Err(message) = ConnectionString::parse(text.reveal()) {
                        push("azure.connection.string", message);
                    }
                }
                None if self.azure_account.is_none() => push(
                    "azure.account.name",
                    "is required (or azure.connection.string)",
                ),
                None => {}
            }
        }
        problems
    }
}

/// What is said of a role, by key and whether it is given, means nothing without one.
pub fn check_role(
    (role, given): (&'static str, bool),
    others: &[(&'static str, bool)],
) -> Vec<(&'static str, String)> {
    let meaningless = others.iter().filter(|(_, there)| *there && !given);
    meaningless
        .map(|(key, _)| (*key, format!("means nothing without {role}")))
        .collect()
}

/// Half of AWS's key pair is a mistake.
pub fn check_pair(id: Option<&String>, secret: Option<&Secret>) -> Vec<(&'static str, String)> {
    match (id, secret) {
        (Some(_), None) => vec![(
            "aws.secret.access.key",
            "is required with aws.access.key.id".to_owned(),
        )],
        (None, Some(_)) => vec![(
            "aws.access.key.id",
            "is required with aws.secret.access.key".to_owned(),
        )],
        _ => Vec::new(),
    }
}
