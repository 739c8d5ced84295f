//! What the machine has to enter S3 with, in the order of the AWS SDKs: keys in the environment, a web
//! identity, a profile, the container's role, the machine's role.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use penstock_connect::Error;

use super::environment::{beginning_with, variable};
use super::profile::{Profile, Source};
use super::role::Role;

/// The first that was found.
pub(super) struct Identity {
    /// A builder that has it.
    pub(super) builder: AmazonS3Builder,
    /// What it is called in messages.
    pub(super) origin: String,
    /// The region that a profile names, whoever writes.
    pub(super) region: Option<String>,
    /// The role that a profile names, which it is exchanged for.
    pub(super) role: Option<Role>,
}

impl Identity {
    /// Whether it is had from a token service that speaks plain HTTP.
    pub(super) fn asks_in_plain_http(&self) -> bool {
        let service = self
            .builder
            .get_config_value(&AmazonS3ConfigKey::StsEndpoint);
        service.is_some_and(|url| url.starts_with("http://"))
    }
}

/// Looks at the environment and at profiles. Nothing is sent yet.
pub(super) fn find() -> Result<Identity, Error> {
    let found = |builder, origin: &str| {
        Ok(Identity {
            builder,
            origin: origin.to_owned(),
            region: None,
            role: None,
        })
    };
    if variable("AWS_ACCESS_KEY_ID").is_some() {
        return found(environment(), "AWS_ACCESS_KEY_ID");
    }
    if variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        let role = variable("AWS_ROLE_ARN")
            .ok_or_else(|| missing("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"))?;
        return found(web_identity(), &format!("the web identity for {role}"));
    }
    let (mut region, mut role, mut keys) = (None, None, None);
    if let Some(profile) = Profile::find()? {
        let source;
        region = profile.region().map(str::to_owned);
        (role, source) = match profile.role()? {
            Some((role, source)) => (Some(role), source),
            None => (None, Source::Profile(profile)),
        };
        keys = match source {
            Source::Profile(profile) => {
                let origin = format!("the AWS profile {}", profile.name());
                let provider = profile.provider()?;
                provider.map(|provider| (environment().with_credentials(provider), origin))
            }
            Source::Machine => None,
        };
    }
    let (builder, origin) = keys.map_or_else(of_the_machine, Ok)?;
    Ok(Identity {
        builder,
        origin,
        region,
        role,
    })
}

/// The role of the container, or else of the machine.
fn of_the_machine() -> Result<(AmazonS3Builder, String), Error> {
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    if variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some() {
        return Ok((environment(), "the container's role".to_owned()));
    }
    if variable(FULL).is_some() {
        return match variable(TOKEN) {
            Some(_) => Ok((environment(), "the container's role".to_owned())),
            None => Err(missing(FULL, TOKEN)),
        };
    }
    if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(Error::never(
            "there are no credentials for S3: give aws.access.key.id and aws.secret.access.key, or let the \
             environment, a profile or a role have some (the machine's is not asked, since \
             AWS_EC2_METADATA_DISABLED says so)",
        ));
    }
    let builder = match variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        Some(url) => environment().with_metadata_endpoint(url.trim_end_matches('/')),
        None => environment(),
    };
    Ok((builder, "the machine's role".to_owned()))
}

/// A web identity is exchanged for keys at the security token service: that of AWS, or the one whose
/// address the environment gives.
fn web_identity() -> AmazonS3Builder {
    match variable("AWS_ENDPOINT_URL_STS").or_else(|| variable("AWS_ENDPOINT_URL")) {
        Some(url) => environment().with_config(AmazonS3ConfigKey::StsEndpoint, url),
        None => environment(),
    }
}

/// What the environment sets, but for the token service, which a web identity alone asks.
fn environment() -> AmazonS3Builder {
    let set = beginning_with("AWS_");
    set.fold(
        AmazonS3Builder::new(),
        |builder, (name, value)| match name.parse() {
            Ok(AmazonS3ConfigKey::StsEndpoint) | Err(_) => builder,
            Ok(key) => builder.with_config(key, value),
        },
    )
}

fn missing(there: &str, missing: &str) -> Error {
    Error::never(format!(
        "the environment has {there} and no {missing}: set both, or neither"
    ))
}
