//! Who writes: a key pair, or what the machine has.

use penstock_connect::ConfigValue;
use penstock_connect::config::Secret;
use penstock_objects::store::S3Credentials;

/// A class of the AWS SDK for Java that finds credentials. All that look at the machine are one here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// What the machine has.
    Environment,
    /// A role, which other keys name.
    Role,
    /// Nobody: requests are not signed.
    Anonymous,
}

impl ConfigValue for Provider {
    const KIND: &'static str = "a class of the AWS SDK for Java";

    fn parse(text: &str) -> Result<Self, String> {
        match text.rsplit('.').next().unwrap_or(text) {
            "DefaultAWSCredentialsProviderChain"
            | "DefaultCredentialsProvider"
            | "EnvironmentVariableCredentialsProvider"
            | "WebIdentityTokenCredentialsProvider"
            | "WebIdentityTokenFileCredentialsProvider"
            | "ProfileCredentialsProvider"
            | "ContainerCredentialsProvider"
            | "EC2ContainerCredentialsProviderWrapper"
            | "InstanceProfileCredentialsProvider" => Ok(Self::Environment),
            "AwsAssumeRoleCredentialsProvider"
            | "STSAssumeRoleSessionCredentialsProvider"
            | "StsAssumeRoleCredentialsProvider" => Ok(Self::Role),
            // The keys that stand beside it are the credentials.
            "AivenAWSCredentialsProvider" => Ok(Self::Environment),
            "AnonymousAWSCredentials" | "AnonymousCredentialsProvider" => Ok(Self::Anonymous),
            _ => Err(format!(
                "names {text}, which cannot be loaded; without it the AWS SDKs' chain is followed \
                 (environment, web identity, profile, container, machine)"
            )),
        }
    }
}

/// What is wrong with a provider, by the key that names it, where `role` names a role or does not.
pub(crate) fn check_provider(
    key: &'static str,
    provider: Option<&Provider>,
    (role, given): (&'static str, bool),
) -> Option<(&'static str, String)> {
    match provider? {
        Provider::Role if !given => Some((role, format!("is required with {key}"))),
        Provider::Anonymous if given => Some((
            key,
            format!("names nobody, who can assume no role ({role})"),
        )),
        _ => None,
    }
}

/// Keys win over a provider.
pub(crate) fn credentials(
    id: Option<&String>,
    secret: Option<&Secret>,
    token: Option<&Secret>,
    provider: Option<&Provider>,
) -> S3Credentials {
    match (id, secret, provider) {
        (Some(id), Some(secret), _) => S3Credentials::Keys {
            id: id.clone(),
            secret: secret.clone(),
            token: token.cloned(),
        },
        (_, _, Some(Provider::Anonymous)) => S3Credentials::Anonymous,
        _ => S3Credentials::Environment,
    }
}
