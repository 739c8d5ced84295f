//! A bucket on a server with the JSON interface of Google Cloud Storage.

use bytes::Bytes;
use reqwest::{RequestBuilder, Response, Url};
use serde_json::{Value, json};

use super::Object;

#[derive(Debug)]
pub(super) struct Gcs {
    url: String,
    bucket: String,
    http: reqwest::Client,
}

impl Gcs {
    pub(super) async fn create(url: String, bucket: &str) -> Self {
        let http = reqwest::Client::new();
        let request = http.post(format!("{url}/storage/v1/b"));
        let _ = answer(request.json(&json!({ "name": bucket }))).await;
        Self {
            url,
            bucket: bucket.into(),
            http,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn list(&self, prefix: &str) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut page = String::new();
        loop {
            let url = format!("{}/storage/v1/b/{}/o", self.url, self.bucket);
            let query = [("prefix", prefix), ("pageToken", &page)];
            let url = Url::parse_with_params(&url, query).expect("an address");
            let listing: Value = answer(self.http.get(url))
                .await
                .json()
                .await
                .expect("a listing is JSON");
            let items = listing["items"].as_array().into_iter().flatten();
            objects.extend(items.map(|item| {
                let text = |key: &str| item[key].as_str().expect("objects have names and sizes");
                Object {
                    name: text("name").into(),
                    bytes: text("size").parse().expect("a size is a number"),
                }
            }));
            match listing["nextPageToken"].as_str() {
                Some(next) if !next.is_empty() => page = next.into(),
                _ => return objects,
            }
        }
    }

    pub(super) async fn get(&self, name: &str) -> Bytes {
        let mut url = Url::parse(&self.url).expect("an address");
        url.path_segments_mut()
            .expect("an address with a host")
            .extend(["download", "storage", "v1", "b", &self.bucket, "o", name]);
        url.set_query(Some("alt=media"));
        let object = answer(self.http.get(url)).await;
        object.bytes().await.expect("the object arrives whole")
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes) {
        let url = format!("{}/upload/storage/v1/b/{}/o", self.url, self.bucket);
        let query = [("uploadType", "media"), ("name", name)];
        let url = Url::parse_with_params(&url, query).expect("an address");
        let _ = answer(self.http.post(url).body(bytes)).await;
    }
}

async fn answer(request: RequestBuilder) -> Response {
    let answer = request.send().await.expect("the GCS server answers");
    answer
        .error_for_status()
        .unwrap_or_else(|error| panic!("{error}"))
}
