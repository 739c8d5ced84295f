//! A container on an Azure Blob server.

use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder,
};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use xtask::services::Azurite;

use super::servers::AzureServer;

#[derive(Debug)]
pub(super) struct Azure {
    server: AzureServer,
    client: MicrosoftAzure,
}

impl Azure {
    pub(super) async fn create(server: AzureServer, container: &str) -> Self {
        let client = MicrosoftAzureBuilder::new()
            .with_endpoint(server.url.clone())
            .with_allow_http(true)
            .with_account(Azurite::ACCOUNT)
            .with_access_key(&server.key)
            .with_container_name(container)
            .build()
            .expect("the settings are complete");
        create_container(&server, container).await;
        Self { server, client }
    }

    pub(super) fn server(&self) -> &AzureServer {
        &self.server
    }

    pub(super) fn client(&self) -> &MicrosoftAzure {
        &self.client
    }
}

async fn create_container(server: &AzureServer, container: &str) {
    let url = format!("{}/{container}?restype=container", server.url);
    let key = AzureAccessKey::try_new(&server.key).expect("the key is base64");
    let credential = AzureCredential::AccessKey(key);
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = url.parse().expect("an address");
    AzureAuthorizer::new(&credential, Azurite::ACCOUNT)
        .try_authorize(&mut request)
        .expect("the request can be signed");
    let answer = reqwest::Client::new()
        .put(&url)
        .headers(request.headers().clone())
        .body("")
        .send()
        .await
        .expect("the Azure server answers");
    let status = answer.status();
    let body = answer.text().await.expect("the answer is text");
    assert!(status.is_success(), "{url}: {status} {body}");
}
