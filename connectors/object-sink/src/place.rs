//! Where files go, as a URL, and who may write there.

use std::path::PathBuf;

use penstock_connect::config::Secret;
use penstock_connect::{ConfigValue, Error, config};
use penstock_objects::store::{
    Azure, AzureCredentials, ConnectionString, Gcs, GcsCredentials, Proxy, S3, S3Credentials, Store,
};

/// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///directory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    kind: Kind,
    /// The bucket, or the directory.
    place: String,
    /// What names begin with: empty, or ending in a slash.
    prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3,
    Gcs,
    Azure,
    Directory,
}

impl Kind {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Directory => "file",
        }
    }
}

impl ConfigValue for StoreUrl {
    const KIND: &'static str = "`s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///directory`";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or \
                 file:///directory, not {text:?}"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        let kind = match scheme {
            "s3" | "s3a" => Kind::S3,
            "gs" | "gcs" => Kind::Gcs,
            "az" | "azure" => Kind::Azure,
            "file" => Kind::Directory,
            _ => return Err(expected()),
        };
        if kind == Kind::Directory {
            return match rest.strip_prefix('/') {
                Some(path) if !path.is_empty() => Ok(Self {
                    kind,
                    place: rest.to_owned(),
                    prefix: String::new(),
                }),
                _ => Err(expected()),
            };
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(expected());
        }
        let prefix = prefix.trim_end_matches('/');
        penstock_objects::layout::check_prefix(prefix)?;
        Ok(Self {
            kind,
            place: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        })
    }
}

config! {
    /// Where files go.
    #[check(check)]
    pub struct PlaceKeys {
        /// Where files go: a bucket with a prefix, or a directory.
        "url" => url: StoreUrl,
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

fn check(config: &PlaceKeys) -> Vec<(&'static str, String)> {
    let kind = config.url.kind;
    let mut problems = Vec::new();
    for (owner, key, given) in [
        (Kind::S3, "aws.region", config.region.is_some()),
        (Kind::S3, "aws.access.key.id", config.aws_id.is_some()),
        (
            Kind::S3,
            "aws.secret.access.key",
            config.aws_secret.is_some(),
        ),
        (Kind::S3, "aws.session.token", config.aws_token.is_some()),
        (Kind::Gcs, "gcs.credentials.path", config.gcs_path.is_some()),
        (Kind::Gcs, "gcs.credentials.json", config.gcs_json.is_some()),
        (
            Kind::Azure,
            "azure.account.name",
            config.azure_account.is_some(),
        ),
        (Kind::Azure, "azure.account.key", config.azure_key.is_some()),
        (Kind::Azure, "azure.sas.token", config.azure_sas.is_some()),
        (
            Kind::Azure,
            "azure.connection.string",
            config.azure_connection.is_some(),
        ),
    ] {
        if given && owner != kind {
            let scheme = kind.scheme();
            problems.push((key, format!("means nothing for {scheme}://")));
        }
    }
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
    if kind == Kind::Azure {
        match &config.azure_connection {
            Some(text) => {
                if let Err(message) = ConnectionString::parse(text.reveal()) {
                    push("azure.connection.string", message);
                }
            }
            None if config.azure_account.is_none() => {
                push(
                    "azure.account.name",
                    "is required (or azure.connection.string)",
                );
            }
            None => {}
        }
    }
    problems
}

impl PlaceKeys {
    /// What names begin with: empty, or ending in a slash.
    pub fn prefix(&self) -> &str {
        &self.url.prefix
    }

    /// A client for the store. Nothing is sent yet.
    pub fn store(&self) -> Result<Store, Error> {
        let place = self.url.place.clone();
        let proxy = Proxy {
            url: self.proxy.clone(),
            user: self.proxy_user.clone(),
            password: self.proxy_password.clone(),
        };
        match self.url.kind {
            Kind::Directory => Store::directory(place.as_ref()),
            Kind::S3 => S3 {
                bucket: place,
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
                    _ => S3Credentials::Environment,
                },
                encryption: None,
                proxy,
                creates_only: true,
            }
            .store(),
            Kind::Gcs => Gcs {
                bucket: place,
                credentials: match (&self.gcs_path, &self.gcs_json) {
                    (Some(path), _) => GcsCredentials::File(path.clone()),
                    (None, Some(json)) => GcsCredentials::Json(json.clone()),
                    (None, None) if self.endpoint.is_some() => GcsCredentials::Anonymous,
                    (None, None) => GcsCredentials::Environment,
                },
                endpoint: self.endpoint.clone(),
                proxy,
            }
            .store(),
            Kind::Azure => self.azure(place, proxy)?.store(),
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_name_a_store_a_place_and_a_prefix() {
        for (text, scheme, place, prefix) in [
            ("s3://lake", "s3", "lake", ""),
            ("s3://lake/", "s3", "lake", ""),
            ("s3a://lake/events/raw/", "s3", "lake", "events/raw/"),
            ("gs://lake/events", "gs", "lake", "events/"),
            ("az://container/events", "az", "container", "events/"),
            ("file:///var/lake", "file", "/var/lake", ""),
        ] {
            let url = StoreUrl::parse(text).unwrap();
            assert_eq!(
                (url.kind.scheme(), url.place.as_str(), url.prefix.as_str()),
                (scheme, place, prefix),
                "{text}"
            );
        }
        for text in [
            "lake",
            "s3://",
            "s3:///x",
            "http://host/x",
            "file://",
            "file:///",
            "file://rel",
        ] {
            assert_eq!(
                StoreUrl::parse(text).unwrap_err(),
                format!(
                    "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or \
                     file:///directory, not {text:?}"
                )
            );
        }
        assert_eq!(
            StoreUrl::parse("s3://lake/a/../b").unwrap_err(),
            "has the part \"..\", which would lead to another directory"
        );
    }
}
