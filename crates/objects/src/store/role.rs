//! A role of AWS that is assumed: whoever there is exchanges what it has for temporary keys of the role,
//! at a security token service: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, Uri, header};
use object_store::CredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
};
use penstock_connect::Error;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use super::client::{self, Proxy};
use super::environment::variable;
use super::failure;

/// How long before they run out keys are renewed.
const EARLY: Duration = Duration::from_secs(300);

/// Least time from one renewal to the next, while the keys from before are good.
const PAUSE: Duration = Duration::from_secs(1);

/// A role that is assumed.
#[derive(Clone, Debug)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/lake-writer`.
    pub arn: String,
    /// The session's name, which the owner of the role sees.
    pub session: String,
    /// What the owner of the role asks for, so that nobody assumes it for a stranger.
    pub external_id: Option<String>,
    /// How long keys are good for.
    pub duration: Duration,
    /// Address of the token service. Without one: `AWS_ENDPOINT_URL_STS`, then `AWS_ENDPOINT_URL`, then
    /// that of AWS in the bucket's region.
    pub endpoint: Option<String>,
}

/// How long keys are good for where nobody says it: as long as they may be for who has a role already.
const SESSION: Duration = Duration::from_secs(3600);

impl Role {
    /// A role whose keys come from where the environment says, for an hour. The session is called `penstock`
    /// without a name.
    pub fn new(arn: &str, session: Option<&str>, external_id: Option<&str>) -> Self {
        Self {
            arn: arn.to_owned(),
            session: session.unwrap_or("penstock").to_owned(),
            external_id: external_id.map(str::to_owned),
            duration: SESSION,
            endpoint: None,
        }
    }

    /// What gives the role's keys to whoever has those of `source`. Nothing is sent yet.
    pub(super) fn provider(
        &self,
        source: AwsCredentialProvider,
        region: &str,
        proxy: &Proxy,
        timeout: Duration,
    ) -> Result<AwsCredentialProvider, Error> {
        let service = self
            .endpoint
            .clone()
            .or_else(|| variable("AWS_ENDPOINT_URL_STS"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| service_in(region));
        let invalid = || Error::never(format!("{service:?} is no address of a token service"));
        let url = Url::parse(&service).map_err(|_| invalid())?;
        let options = client::options(proxy, timeout, Some(&service));
        let client = client::connector(timeout)
            .connect(&options)
            .map_err(|error| Error::never("no client for the token service").with_source(error))?;
        Ok(Arc::new(RoleProvider {
            uri: url.as_str().parse().map_err(|_| invalid())?,
            region: region_of(&url).unwrap_or_else(|| region.to_owned()),
            body: self.form(),
            service,
            source,
            client,
            keys: Mutex::new(None),
            renewing: tokio::sync::Mutex::new(()),
        }))
    }

    fn form(&self) -> String {
        let seconds = self.duration.as_secs().to_string();
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.arn)
            .append_pair("RoleSessionName", &self.session)
            .append_pair("DurationSeconds", &seconds);
        if let Some(id) = &self.external_id {
            form.append_pair("ExternalId", id);
        }
        form.finish()
    }
}

/// The token service of AWS in a region.
fn service_in(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://sts.{region}.{domain}")
}

/// The region for which requests to a token service of AWS are signed, if it is one.
fn region_of(service: &Url) -> Option<String> {
    let host = service.host_str()?;
    let rest = host
        .strip_prefix("sts.")
        .or_else(|| host.strip_prefix("sts-fips."))?;
    if rest == "amazonaws.com" {
        return Some("us-east-1".to_owned());
    }
    let (region, domain) = rest.split_once('.')?;
    ["amazonaws.com", "amazonaws.com.cn"]
        .contains(&domain)
        .then(|| region.to_owned())
}

/// Why a role has no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoleError {
    /// What the service answers, which says why.
    #[error("{0}")]
    Refused(String),
    /// It does not answer.
    #[error("the token service {service} does not answer ({})", reason(.source))]
    Away {
        /// Its address.
        service: String,
        /// Why there is no answer.
        source: HttpError,
    },
    /// It is something else.
    #[error("{service} does not answer as a token service does: {reason}")]
    Strange {
        /// Its address.
        service: String,
        /// What there is instead.
        reason: String,
    },
}

/// Why a request has no answer.
fn reason(error: &HttpError) -> String {
    if error.kind() == HttpErrorKind::Timeout {
        return "nothing came in the time of store.timeout.ms".to_owned();
    }
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

impl From<RoleError> for object_store::Error {
    fn from(error: RoleError) -> Self {
        Self::Generic {
            store: "STS",
            source: Box::new(error),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    assume_role_result: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    credentials: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: DateTime<Utc>,
}

/// Keys of the role.
#[derive(Clone, Debug)]
struct Keys {
    credential: Arc<AwsCredential>,
    until: Instant,
    /// When others were last asked for.
    asked: Instant,
}

impl Keys {
    fn are_good(&self) -> bool {
        self.until > Instant::now()
    }

    fn are_fresh(&self) -> bool {
        self.until > Instant::now() + EARLY || (self.are_good() && self.asked.elapsed() < PAUSE)
    }
}

#[derive(Debug)]
struct RoleProvider {
    service: String,
    uri: Uri,
    /// Requests are signed for it.
    region: String,
    body: String,
    source: AwsCredentialProvider,
    client: HttpClient,
    keys: Mutex<Option<Keys>>,
    /// Held by who asks for keys: one at a time.
    renewing: tokio::sync::Mutex<()>,
}

impl RoleProvider {
    fn keys(&self) -> Option<Keys> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    fn put(&self, keys: Keys) -> Arc<AwsCredential> {
        let credential = keys.credential.clone();
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
        credential
    }

    async fn assume(&self) -> object_store::Result<Keys> {
        let source = self.source.get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::from(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        AwsAuthorizer::new(&source, "sts", &self.region).try_authorize(&mut request, None)?;
        let away = |source| RoleError::Away {
            service: self.service.clone(),
            source,
        };
        let asked = Instant::now();
        let answer = self.client.execute(request).await.map_err(away)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(away)?;
        let text = String::from_utf8_lossy(&body);
        let strange = |reason| RoleError::Strange {
            service: self.service.clone(),
            reason,
        };
        if !status.is_success() {
            let refused = text.contains(failure::TOKEN_SERVICE);
            return Err(match refused {
                true => RoleError::Refused(text.into_owned()),
                false => strange(format!("status {status}")),
            }
            .into());
        }
        // The parser's message may quote the keys.
        let answer: Answer =
            quick_xml::de::from_str(&text).map_err(|_| strange("it gives no keys".to_owned()))?;
        let given = answer.assume_role_result.credentials;
        let left = (given.expiration - Utc::now()).to_std().unwrap_or_default();
        Ok(Keys {
            credential: Arc::new(AwsCredential {
                key_id: given.access_key_id,
                secret_key: given.secret_access_key,
                token: Some(given.session_token),
            }),
            until: asked + left,
            asked,
        })
    }
}

#[async_trait]
impl CredentialProvider for RoleProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let keys = self.keys();
        if let Some(keys) = keys.as_ref().filter(|keys| keys.are_fresh()) {
            return Ok(keys.credential.clone());
        }
        let _renewing = match (self.renewing.try_lock(), keys) {
            (Ok(renewing), _) => renewing,
            (Err(_), Some(keys)) if keys.are_good() => return Ok(keys.credential),
            (Err(_), _) => self.renewing.lock().await,
        };
        let keys = self.keys();
        if let Some(keys) = keys.as_ref().filter(|keys| keys.are_fresh()) {
            return Ok(keys.credential.clone());
        }
        match (self.assume().await, keys) {
            (Ok(keys), _) => Ok(self.put(keys)),
            // Those from before serve on until they have run out.
            (Err(error), Some(keys)) if keys.are_good() => {
                tracing::warn!("the keys of a role cannot be renewed yet: {error}");
                let asked = Instant::now();
                Ok(self.put(Keys { asked, ..keys }))
            }
            (Err(error), _) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_are_signed_for_the_region_of_the_service() {
        for (service, region) in [
            ("https://sts.amazonaws.com", Some("us-east-1")),
            ("https://sts.eu-north-1.amazonaws.com/", Some("eu-north-1")),
            (
                "https://sts-fips.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            (
                "https://sts.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            ("http://minio.internal:9000", None),
            ("https://sts.corp.example.com", None),
        ] {
            let url = Url::parse(service).unwrap();
            assert_eq!(region_of(&url).as_deref(), region, "{service}");
        }
        for region in ["eu-north-1", "cn-north-1"] {
            let url = Url::parse(&service_in(region)).unwrap();
            assert_eq!(region_of(&url).as_deref(), Some(region));
        }
    }

    #[test]
    fn what_is_asked_for_is_the_role_under_the_session_s_name() {
        let role = Role {
            arn: "arn:aws:iam::123456789012:role/lake-writer".to_owned(),
            session: "penstock".to_owned(),
            external_id: Some("a b&c".to_owned()),
            duration: Duration::from_secs(900),
            endpoint: None,
        };
        assert_eq!(
            role.form(),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flake-writer&\
             RoleSessionName=penstock&DurationSeconds=900&ExternalId=a+b%26c"
        );
    }
}
