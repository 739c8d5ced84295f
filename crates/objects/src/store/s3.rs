//! Amazon S3, and everything that speaks its protocol.

use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use penstock_connect::config::Secret;
use penstock_connect::{Error, choice};

use super::client::{self, Proxy};
use super::environment::variable;
use super::identity::{self, Identity};
use super::role::Role;
use super::{Store, refused};

/// Where a bucket is and who may write to it.
#[derive(Clone, Debug)]
pub struct S3 {
    /// The bucket's name.
    pub bucket: String,
    /// Its region. Without one: `AWS_REGION`, then `AWS_DEFAULT_REGION`, then the profile's.
    pub region: Option<String>,
    /// The region when nothing says one.
    pub default_region: &'static str,
    /// `http://127.0.0.1:9000`, where it is not at AWS. Without one: `AWS_ENDPOINT_URL_S3`, then
    /// `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path (`host/bucket/name`) or in the host's name. `None`: in the
    /// path where there is an endpoint. Before an IP address no name can stand, whatever this says.
    pub path_style: Option<bool>,
    /// Who writes.
    pub credentials: S3Credentials,
    /// The role that whoever writes assumes before.
    pub role: Option<Role>,
    /// How the store encrypts what it keeps.
    pub encryption: Option<S3Encryption>,
    /// The way to it.
    pub proxy: Proxy,
    /// Longest that it may say nothing.
    pub timeout: Duration,
    /// Whether the store knows `If-None-Match` on puts. S3 and MinIO do, some stores that speak like it
    /// do not.
    pub creates_only: bool,
}

/// Who writes.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    /// A key pair.
    Keys {
        /// The access key's id.
        id: String,
        /// The secret access key.
        secret: Secret,
        /// The session token of temporary keys.
        token: Option<Secret>,
    },
    /// What the machine has, in the order of the AWS SDKs: keys in the environment, a web identity
    /// (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`), the profile of `AWS_PROFILE` or `default` in
    /// `~/.aws/credentials`, the container's role, the machine's role.
    Environment,
    /// Nobody: requests are not signed.
    Anonymous,
}

choice! {
    /// How S3 encrypts what it keeps.
    pub enum SseAlgorithm {
        /// With keys of S3.
        S3 = "aes256",
        /// With a key of AWS KMS.
        Kms = "aws:kms",
        /// Twice, with a key of AWS KMS.
        DoubleKms = "aws:kms:dsse",
    }
}

/// How S3 encrypts what it keeps.
#[derive(Clone, Debug)]
pub enum S3Encryption {
    /// With keys that AWS holds; the key's id for KMS, unless it is the account's own.
    Aws(SseAlgorithm, Option<String>),
    /// With this key (32 bytes in base64), which S3 does not keep.
    Customer(Secret),
}

impl S3 {
    /// A client for the bucket. Nothing is sent yet.
    pub fn store(&self) -> Result<Store, Error> {
        let name = format!("s3://{}", self.bucket);
        let identity = self.identity()?;
        let plain_http = identity.asks_in_plain_http();
        let Identity {
            builder,
            mut origin,
            region: profile_region,
            role: profile_role,
        } = identity;
        let region = self
            .region
            .clone()
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or(profile_region);
        let region = region.as_deref().unwrap_or(self.default_region);
        let endpoint = self
            .endpoint
            .clone()
            .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
            .or_else(|| variable("AWS_ENDPOINT_URL"));
        let path_style = self.path_style.unwrap_or(endpoint.is_some())
            || endpoint.as_deref().is_some_and(client::is_ip_address);
        let mut builder = builder
            .with_bucket_name(&self.bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(!path_style)
            .with_retry(client::retries(self.timeout))
            .with_client_options(client::options(
                &self.proxy,
                self.timeout,
                endpoint.as_deref(),
            ))
            .with_http_connector(client::connector(self.timeout).with_plain_http(plain_http));
        if let Some(endpoint) = &endpoint {
            let endpoint = self.bucket_endpoint(endpoint, path_style);
            // The more special of the two: the environment may have set it.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        if !self.creates_only {
            builder = builder.with_conditional_put(S3ConditionalPut::Disabled);
        }
        if let Some(encryption) = &self.encryption {
            builder = encrypted(builder, encryption).map_err(|error| refused(&name, error))?;
        }
        for role in profile_role.iter().chain(&self.role) {
            let who = builder.clone().build();
            let who = who
                .map_err(|error| refused(&name, error))?
                .credentials()
                .clone();
            builder =
                builder.with_credentials(role.provider(who, region, &self.proxy, self.timeout)?);
            origin = format!("{origin} for {}", role.arn);
        }
        let store = builder.build().map_err(|error| refused(&name, error))?;
        Ok(Store::in_parts(store, name)
            .creating_only(self.creates_only)
            .entered_with(origin)
            .waiting(self.timeout))
    }

    fn identity(&self) -> Result<Identity, Error> {
        let (builder, origin) = match &self.credentials {
            S3Credentials::Environment => return identity::find(),
            S3Credentials::Keys { id, secret, token } => {
                let builder = AmazonS3Builder::new()
                    .with_access_key_id(id)
                    .with_secret_access_key(secret.reveal());
                let builder = match token {
                    Some(token) => builder.with_token(token.reveal()),
                    None => builder,
                };
                (builder, "aws.access.key.id")
            }
            S3Credentials::Anonymous => (AmazonS3Builder::new().with_skip_signature(true), "none"),
        };
        Ok(Identity {
            builder,
            origin: origin.to_owned(),
            region: None,
            role: None,
        })
    }

    /// The endpoint with the bucket in its host's name where requests name it so.
    fn bucket_endpoint(&self, endpoint: &str, path_style: bool) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        match endpoint.split_once("://") {
            Some((scheme, host)) if !path_style => {
                format!("{scheme}://{}.{host}", self.bucket)
            }
            _ => endpoint.to_owned(),
        }
    }
}

fn encrypted(
    builder: AmazonS3Builder,
    encryption: &S3Encryption,
) -> object_store::Result<AmazonS3Builder> {
    Ok(match encryption {
        S3Encryption::Customer(secret) => builder.with_ssec_encryption(secret.reveal()),
        S3Encryption::Aws(algorithm, id) => {
            let word = match algorithm {
                SseAlgorithm::S3 => "AES256",
                SseAlgorithm::Kms => "aws:kms",
                SseAlgorithm::DoubleKms => "aws:kms:dsse",
            };
            let builder = builder.with_config("aws_server_side_encryption".parse()?, word);
            match id {
                Some(id) => builder.with_config("aws_sse_kms_key_id".parse()?, id),
                None => builder,
            }
        }
    })
}
