//! A bucket on an S3 server.

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use xtask::services::Minio;

use super::servers::S3Server;

#[derive(Debug)]
pub(super) struct S3 {
    server: S3Server,
    address: String,
    client: AmazonS3,
}

impl S3 {
    pub(super) async fn create(server: S3Server, bucket: &str) -> Self {
        let client = AmazonS3Builder::new()
            .with_endpoint(&server.url)
            .with_allow_http(true)
            .with_region(Minio::REGION)
            .with_bucket_name(bucket)
            .with_access_key_id(&server.key_id)
            .with_secret_access_key(&server.secret)
            .build()
            .expect("the settings are complete");
        let address = format!("{}/{bucket}", server.url);
        let s3 = Self {
            server,
            address,
            client,
        };
        let _ = s3.call(Method::PUT, &s3.address).await;
        s3
    }

    pub(super) fn server(&self) -> &S3Server {
        &self.server
    }

    pub(super) fn client(&self) -> &AmazonS3 {
        &self.client
    }

    pub(super) async fn unfinished(&self) -> Vec<String> {
        let url = format!("{}?uploads=", self.address);
        let uploads = self.call(Method::GET, &url).await;
        let names = uploads.split("<Key>").skip(1);
        names
            .filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()))
            .collect()
    }

    /// A request about the bucket, signed; returns the answer's body.
    async fn call(&self, method: Method, url: &str) -> String {
        let credential = AwsCredential {
            key_id: self.server.key_id.clone(),
            secret_key: self.server.secret.clone(),
            token: None,
        };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().expect("an address");
        AwsAuthorizer::new(&credential, "s3", Minio::REGION)
            .try_authorize(&mut request, None)
            .expect("the request can be signed");
        let answer = reqwest::Client::new()
            .request(method, url)
            .headers(request.headers().clone())
            .send()
            .await
            .expect("the S3 server answers");
        let status = answer.status();
        let body = answer.text().await.expect("the answer is text");
        assert!(status.is_success(), "{url}: {status} {body}");
        body
    }
}
