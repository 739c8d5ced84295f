//! Temporary keys, from the security token service of an S3 server:
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, header};
use xtask::services::Minio;

use crate::Bucket;

const ASSUME_ROLE: &str = "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900";

/// Keys that are worth nothing without their session token.
#[derive(Debug, Clone)]
pub struct TemporaryKeys {
    /// The access key's id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session token.
    pub token: String,
}

impl TemporaryKeys {
    /// Keys for the server of an S3 bucket that its user asks for.
    ///
    /// # Panics
    /// When the server gives none.
    pub async fn assume(bucket: &Bucket) -> Self {
        let [(_, id), (_, secret)] = bucket.credentials()[..] else {
            panic!("{} is on no S3 server", bucket.name());
        };
        Self::ask(bucket.endpoint(), id, secret).await
    }

    /// As [`TemporaryKeys::assume`], for keys that may do no more than this policy allows.
    ///
    /// # Panics
    /// As [`TemporaryKeys::assume`].
    pub async fn limited(bucket: &Bucket, policy: &str) -> Self {
        let [(_, id), (_, secret)] = bucket.credentials()[..] else {
            panic!("{} is on no S3 server", bucket.name());
        };
        let policy = utf8_percent_encode(policy, NON_ALPHANUMERIC);
        Self::ask_for(
            &format!("{ASSUME_ROLE}&Policy={policy}"),
            bucket.endpoint(),
            (id, secret),
        )
        .await
    }

    pub(super) async fn ask(server: &str, id: &str, secret: &str) -> Self {
        Self::ask_for(ASSUME_ROLE, server, (id, secret)).await
    }

    async fn ask_for(form: &str, server: &str, (id, secret): (&str, &str)) -> Self {
        let credential = AwsCredential {
            key_id: id.to_owned(),
            secret_key: secret.to_owned(),
            token: None,
        };
        let body = Bytes::copy_from_slice(form.as_bytes());
        let mut request = HttpRequest::new(HttpRequestBody::from(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{server}/").parse().expect("an address");
        let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        AwsAuthorizer::new(&credential, "sts", Minio::REGION)
            .try_authorize(&mut request, None)
            .expect("the request can be signed");
        let answer = reqwest::Client::new()
            .post(format!("{server}/"))
            .headers(request.headers().clone())
            .body(body)
            .send()
            .await
            .expect("the token service answers");
        let status = answer.status();
        let text = answer.text().await.expect("the answer is text");
        assert!(status.is_success(), "{status} {text}");
        let part = |name: &str| {
            let value = part(&text, name);
            value
                .unwrap_or_else(|| panic!("no {name} in {text}"))
                .to_owned()
        };
        Self {
            id: part("AccessKeyId"),
            secret: part("SecretAccessKey"),
            token: part("SessionToken"),
        }
    }
}

/// What stands in the element of this name.
pub(super) fn part<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}
