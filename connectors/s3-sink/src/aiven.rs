//! The words of Aiven's connector.

use std::time::Duration;

use penstock_connect::config::{ByteSize, Secret};
use penstock_connect::{Error, config};
use penstock_files::Compression;
use penstock_objects::Plan;
use penstock_objects::layout::Zone;
use penstock_objects::store::{Proxy, Role, S3, S3Encryption, SseAlgorithm};
use penstock_objects::vocabulary::{
    AivenKeys, EngineKeys, PatienceKeys, TimestampSource, check_pair, check_part, check_role,
};

use crate::credentials::{Provider, check_provider, credentials};

config! {
    /// Writes records as files into Amazon S3, each record once, in the words of Aiven's connector. Without
    /// `file.compression.type` files are compressed with gzip, as there.
    #[check(check)]
    pub struct AivenS3Config {
        /// The bucket.
        "aws.s3.bucket.name" => bucket: String,
        /// The bucket's region; that of the environment or profile, else `us-east-1`.
        "aws.s3.region" => region: Option<String>,
        /// Address of the store, where it is not AWS.
        "aws.s3.endpoint" => endpoint: Option<String>,
        /// Id of the access key. Without keys: the environment, a web identity, the profile of `AWS_PROFILE`, the container's role, the machine's.
        "aws.access.key.id" => key_id: Option<String>,
        /// The secret access key.
        "aws.secret.access.key" => key_secret: Option<Secret>,
        /// The session token of temporary keys.
        "aws.session.token" => session_token: Option<Secret>,
        /// Accepted for Kafka Connect where it is one of the AWS SDK's: all of these are one chain here.
        "aws.credentials.provider" => provider: Option<Provider>,
        /// A role to assume before the bucket is entered, with the keys above or what stands for them.
        "aws.sts.role.arn" => role: Option<String>,
        /// What the owner of the role asks for.
        "aws.sts.role.external.id" => role_external_id: Option<String>,
        /// Name of the session, which the owner of the role sees; `penstock` without one.
        "aws.sts.role.session.name" => role_session: Option<String>,
        /// Seconds that a session lasts, from 900 to 43200; it is renewed in time.
        "aws.sts.role.session.duration" => role_seconds: u32 = "3600",
        /// Address of the security token service, where it is not that of AWS in the bucket's region.
        "aws.sts.config.endpoint" => role_endpoint: Option<String>,
        /// Size of the parts of large uploads. A file that is smaller is one put.
        "aws.s3.part.size.bytes" => part_size: ByteSize = "5242880",
        /// How S3 encrypts what it keeps.
        "aws.s3.sse.algorithm" => sse: Option<SseAlgorithm>,
        /// Whether the store refuses to replace an object when asked to (`If-None-Match`). S3 and MinIO do.
        "s3.create.only" => creates_only: bool = "true",
        /// The connector's older word for `file.name.timestamp.timezone`.
        "timestamp.timezone" => old_zone: Option<Zone>,
        /// The connector's older word for `file.name.timestamp.source`.
        "timestamp.source" => old_source: Option<TimestampSource>;
        flatten names: AivenKeys, engine: EngineKeys, patience: PatienceKeys;
        ignored {
            "aws.s3.backoff." => "requests are tried again in place, then the worker tries again",
            "aws.s3.bucket.check" => "the bucket is always looked at before the first record",
        };
        renamed {
            "aws.s3.prefix" => "file.name.prefix",
            "aws_access_key_id" => "aws.access.key.id",
            "aws_secret_access_key" => "aws.secret.access.key",
            "aws_s3_bucket" => "aws.s3.bucket.name",
            "aws_s3_endpoint" => "aws.s3.endpoint",
            "aws_s3_region" => "aws.s3.region",
            "aws_s3_prefix" => "file.name.prefix",
            "output_compression" => "file.compression.type",
            "output_fields" => "format.output.fields",
        }
    }
}

fn check(config: &AivenS3Config) -> Vec<(&'static str, String)> {
    let mut problems = check_pair(config.key_id.as_ref(), config.key_secret.as_ref());
    let role = ("aws.sts.role.arn", config.role.is_some());
    problems.extend(check_role(
        role,
        &[
            (
                "aws.sts.role.external.id",
                config.role_external_id.is_some(),
            ),
            ("aws.sts.role.session.name", config.role_session.is_some()),
            ("aws.sts.config.endpoint", config.role_endpoint.is_some()),
        ],
    ));
    problems.extend(check_provider(
        "aws.credentials.provider",
        config.provider.as_ref(),
        role,
    ));
    if !(900..=43_200).contains(&config.role_seconds) {
        let message = "must be from 900 to 43200 (15 minutes to 12 hours)".to_owned();
        problems.push(("aws.sts.role.session.duration", message));
    }
    if let Err(message) = check_part(config.part_size) {
        problems.push(("aws.s3.part.size.bytes", message));
    }
    problems
}

impl AivenS3Config {
    /// What the engine does.
    pub fn plan(&self) -> Result<Plan, Error> {
        let store = S3 {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            default_region: "us-east-1",
            endpoint: self.endpoint.clone(),
            path_style: None,
            credentials: credentials(
                self.key_id.as_ref(),
                self.key_secret.as_ref(),
                self.session_token.as_ref(),
                self.provider.as_ref(),
            ),
            role: self.role.as_ref().map(|arn| Role {
                duration: Duration::from_secs(self.role_seconds.into()),
                endpoint: self.role_endpoint.clone(),
                ..Role::new(
                    arn,
                    self.role_session.as_deref(),
                    self.role_external_id.as_deref(),
                )
            }),
            encryption: self.sse.map(|sse| S3Encryption::Aws(sse, None)),
            proxy: Proxy::default(),
            timeout: self.patience.timeout.0,
            creates_only: self.creates_only,
        };
        let mut names = self.names.clone();
        names.zone = self.old_zone.unwrap_or(names.zone);
        names.source = self.old_source.unwrap_or(names.source);
        names.plan(
            store.store()?,
            &self.engine,
            self.part_size,
            Compression::Gzip,
        )
    }
}
