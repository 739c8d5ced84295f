//! The words of Confluent's connector.

use penstock_connect::config::{ByteSize, Secret};
use penstock_connect::{Error, choice, config};
use penstock_files::Compression;
use penstock_objects::Plan;
use penstock_objects::store::{Proxy, Role, S3, S3Encryption, SseAlgorithm};
use penstock_objects::vocabulary::{
    ConfluentKeys, EngineKeys, PatienceKeys, check_pair, check_part, check_role,
};

use crate::credentials::{Provider, check_provider, credentials};

choice! {
    /// How files of JSON and raw bytes are compressed.
    pub enum S3Compression {
        /// Not at all.
        None = "none",
        /// gzip; names end in `.gz`.
        Gzip = "gzip",
    }
}

config! {
    /// Writes records as files into Amazon S3, each record once, in the words of Confluent's connector.
    #[check(check)]
    pub struct ConfluentS3Config {
        /// The bucket.
        "s3.bucket.name" => bucket: String,
        /// The bucket's region; that of the environment or profile, else `us-west-2`.
        "s3.region" => region: Option<String>,
        /// Address of the store, where it is not AWS.
        "store.url" => endpoint: Option<String>,
        /// Whether the bucket stands in the path of addresses, not in the host's name. It does whatever this says where `store.url` is an IP address.
        "s3.path.style.access.enabled" => path_style: bool = "true",
        /// Whether to use the accelerated endpoint of AWS.
        "s3.wan.mode" => accelerated: bool = "false",
        /// Id of the access key. Without keys: the environment, a web identity, the profile of `AWS_PROFILE`, the container's role, the machine's.
        "aws.access.key.id" => key_id: Option<String>,
        /// The secret access key.
        "aws.secret.access.key" => key_secret: Option<Secret>,
        /// The session token of temporary keys.
        "aws.session.token" => session_token: Option<Secret>,
        /// Accepted for Kafka Connect where it is one of the AWS SDK's: all of these are one chain here.
        "s3.credentials.provider.class" => provider: Option<Provider>,
        /// A role to assume before the bucket is entered, with the keys above or what stands for them. Its keys come from the security token service of AWS in the bucket's region, or from the one that `AWS_ENDPOINT_URL_STS` names.
        "s3.credentials.provider.sts.role.arn" => role: Option<String>,
        /// What the owner of the role asks for.
        "s3.credentials.provider.sts.role.external.id" => role_external_id: Option<String>,
        /// Name of the session, which the owner of the role sees; `penstock` without one.
        "s3.credentials.provider.sts.role.session.name" => role_session: Option<String>,
        /// Size of the parts of large uploads. A file that is smaller is one put.
        "s3.part.size" => part_size: ByteSize = "5mb",
        /// How files of JSON and raw bytes are compressed.
        "s3.compression.type" => compression: S3Compression = "none",
        /// How S3 encrypts what it keeps.
        "s3.ssea.name" => sse: Option<SseAlgorithm>,
        /// Id of the KMS key.
        "s3.sse.kms.key.id" => sse_key_id: Option<String>,
        /// A key of one's own (32 bytes in base64) to encrypt with, which S3 does not keep.
        "s3.sse.customer.key" => sse_customer_key: Option<Secret>,
        /// Whether the store refuses to replace an object when asked to (`If-None-Match`). S3 and MinIO do.
        "s3.create.only" => creates_only: bool = "true",
        /// A proxy on the way to the store.
        "s3.proxy.url" => proxy_url: Option<String>,
        /// The user that the proxy asks for.
        "s3.proxy.user" => proxy_user: Option<String>,
        /// The password of that user.
        "s3.proxy.password" => proxy_password: Option<Secret>,
        /// Whether to tag objects with their offsets: that is not supported, see `notify.topic`.
        "s3.object.tagging" => tagging: bool = "false",
        /// Whether the schema's name stands in paths: only `NONE` is supported.
        "s3.schema.partition.affix.type" => schema_affix: String = "NONE";
        flatten storage: ConfluentKeys, engine: EngineKeys, patience: PatienceKeys;
        ignored {
            "s3.part.retries" => "requests are tried again in place, then the worker tries again",
            "s3.retry.backoff.ms" => "requests are tried again in place, then the worker tries again",
            "s3.send.digest" => "every request is signed over its content",
            "s3.http.send.expect.continue" => "requests are sent as they are",
            "s3.elastic.buffer.enable" => "buffers grow as they are filled",
            "s3.elastic.buffer.init.capacity" => "buffers grow as they are filled",
            "s3.compression.level" => "files are compressed at the usual level",
            "s3.object.behavior.on.tagging.error" => "objects are not tagged",
        };
        refused {
            "s3.acl.canned" => "objects get no ACL; let the bucket own its objects (Object Ownership: bucket owner enforced), or assume a role of its account (s3.credentials.provider.sts.role.arn)",
            "s3.object.tagging.key.value.pairs" => "objects are not tagged; notify.topic tells of each of them",
            "s3.sse.key" => "write s3.sse.customer.key",
            "s3.credentials.provider.sts.base." => "one role is assumed, not one for another; let the worker have the first by itself (a web identity, the machine's role) or by keys",
        };
        renamed {
            "s3.credentials.provider.access_key_id" => "aws.access.key.id",
            "s3.credentials.provider.secret_access_key" => "aws.secret.access.key",
            "s3.credentials.provider.sts.aws.access.key.id" => "aws.access.key.id",
            "s3.credentials.provider.sts.aws.secret.key.id" => "aws.secret.access.key",
        }
    }
}

fn check(config: &ConfluentS3Config) -> Vec<(&'static str, String)> {
    let mut problems = check_pair(config.key_id.as_ref(), config.key_secret.as_ref());
    problems.extend(config.storage.check_with(&config.engine));
    let role = (
        "s3.credentials.provider.sts.role.arn",
        config.role.is_some(),
    );
    problems.extend(check_role(
        role,
        &[
            (
                "s3.credentials.provider.sts.role.external.id",
                config.role_external_id.is_some(),
            ),
            (
                "s3.credentials.provider.sts.role.session.name",
                config.role_session.is_some(),
            ),
        ],
    ));
    problems.extend(check_provider(
        "s3.credentials.provider.class",
        config.provider.as_ref(),
        role,
    ));
    if let Err(message) = check_part(config.part_size) {
        problems.push(("s3.part.size", message));
    }
    if config.accelerated && config.endpoint.is_some() {
        let message = "cannot be used with store.url".to_owned();
        problems.push(("s3.wan.mode", message));
    }
    if config.sse_customer_key.is_some() && config.sse.is_some() {
        let message = "cannot be used with s3.ssea.name: S3 encrypts in one way".to_owned();
        problems.push(("s3.sse.customer.key", message));
    }
    if config.tagging {
        let message = "is not supported: objects are not tagged; notify.topic tells the offsets of each of them";
        problems.push(("s3.object.tagging", message.to_owned()));
    }
    if !config.schema_affix.eq_ignore_ascii_case("NONE") {
        let message = "is not supported but for NONE: paths do not name schemas".to_owned();
        problems.push(("s3.schema.partition.affix.type", message));
    }
    problems
}

impl ConfluentS3Config {
    /// What the engine does.
    pub fn plan(&self) -> Result<Plan, Error> {
        let accelerated = self
            .accelerated
            .then(|| "https://s3-accelerate.amazonaws.com".to_owned());
        let encryption = match (&self.sse_customer_key, self.sse) {
            (Some(key), _) => Some(S3Encryption::Customer(key.clone())),
            (None, Some(sse)) => Some(S3Encryption::Aws(sse, self.sse_key_id.clone())),
            (None, None) => None,
        };
        let store = S3 {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            default_region: "us-west-2",
            endpoint: self.endpoint.clone().or(accelerated),
            path_style: Some(self.path_style && !self.accelerated),
            credentials: credentials(
                self.key_id.as_ref(),
                self.key_secret.as_ref(),
                self.session_token.as_ref(),
                self.provider.as_ref(),
            ),
            role: self.role.as_ref().map(|arn| {
                Role::new(
                    arn,
                    self.role_session.as_deref(),
                    self.role_external_id.as_deref(),
                )
            }),
            encryption,
            proxy: Proxy {
                url: self.proxy_url.clone(),
                user: self.proxy_user.clone(),
                password: self.proxy_password.clone(),
            },
            timeout: self.patience.timeout.0,
            creates_only: self.creates_only,
        };
        let compression = match self.compression {
            S3Compression::None => Compression::None,
            S3Compression::Gzip => Compression::Gzip,
        };
        self.storage
            .plan(store.store()?, &self.engine, self.part_size, compression)
    }
}
