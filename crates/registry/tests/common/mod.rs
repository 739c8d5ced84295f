//! An embedded registry on a free loopback port, and plain HTTP against it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock_registry::{RegistryClient, RegistryConfig, Store, serve};
use serde_json::Value;
use tokio::sync::oneshot;

/// A running registry; it stops when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) path: PathBuf,
    _dir: Option<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.redb");
        Self::start_at(&path, Some(dir)).await
    }

    pub(crate) async fn start_at(path: &Path, dir: Option<tempfile::TempDir>) -> Self {
        let store = Arc::new(Store::open(path).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            serve(store, listener, shutdown).await.unwrap();
        });
        Self {
            url,
            path: path.to_owned(),
            _dir: dir,
            stop: Some(stop),
            task: Some(task),
        }
    }

    /// Stops and gives the store's file back.
    pub(crate) async fn stop(mut self) -> (PathBuf, Option<tempfile::TempDir>) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
        (self.path.clone(), self._dir.take())
    }

    pub(crate) fn client(&self) -> RegistryClient {
        client_of(&self.url)
    }

    /// Status and body of a request; bodies are JSON texts.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request =
            reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("PUT", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask("DELETE", path, None).await
    }
}

pub(crate) fn client_of(url: &str) -> RegistryClient {
    let mut config = RegistryConfig::new([url]);
    config.max_wait = Duration::from_secs(3);
    RegistryClient::new(config).unwrap()
}

/// The value of a variable that names a real service. Without it a test says so and ends, except
/// in CI, where services are not optional.
pub(crate) fn service(variable: &str, what: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("{variable} must name {what} in CI")
        }
        _ => {
            eprintln!("not run: {variable} does not name {what}");
            None
        }
    }
}
