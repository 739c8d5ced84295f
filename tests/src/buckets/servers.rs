//! The servers behind: those that the test run has started, or one of this process's own.

use std::env;
use std::sync::OnceLock;

use xtask::paths::RunDir;
use xtask::services::{
    AZURE_KEY_VARIABLE, AZURE_VARIABLE, Azurite, FakeGcs, GCS_VARIABLE, Minio, S3_KEY_ID_VARIABLE,
    S3_SECRET_VARIABLE, S3_VARIABLE,
};

/// An S3 server and its user.
#[derive(Debug, Clone)]
pub(super) struct S3Server {
    pub(super) url: String,
    pub(super) key_id: String,
    pub(super) secret: String,
}

impl S3Server {
    pub(super) fn of(minio: &Minio) -> Self {
        Self {
            url: minio.url(),
            key_id: Minio::ACCESS_KEY_ID.into(),
            secret: Minio::SECRET_ACCESS_KEY.into(),
        }
    }
}

/// An Azure Blob server, its storage account in the address, and the account's key.
#[derive(Debug, Clone)]
pub(super) struct AzureServer {
    pub(super) url: String,
    pub(super) key: String,
}

pub(super) async fn s3() -> S3Server {
    if let Ok(url) = env::var(S3_VARIABLE) {
        return S3Server {
            url,
            key_id: variable(S3_KEY_ID_VARIABLE),
            secret: variable(S3_SECRET_VARIABLE),
        };
    }
    static OWN: OnceLock<(Minio, RunDir)> = OnceLock::new();
    let url = own(&OWN, Minio::start, Minio::url).await;
    S3Server {
        url,
        key_id: Minio::ACCESS_KEY_ID.into(),
        secret: Minio::SECRET_ACCESS_KEY.into(),
    }
}

pub(super) async fn gcs() -> String {
    if let Ok(url) = env::var(GCS_VARIABLE) {
        return url;
    }
    static OWN: OnceLock<(FakeGcs, RunDir)> = OnceLock::new();
    own(&OWN, FakeGcs::start, FakeGcs::url).await
}

pub(super) async fn azure() -> AzureServer {
    if let Ok(url) = env::var(AZURE_VARIABLE) {
        return AzureServer {
            url,
            key: variable(AZURE_KEY_VARIABLE),
        };
    }
    static OWN: OnceLock<(Azurite, RunDir)> = OnceLock::new();
    AzureServer {
        url: own(&OWN, Azurite::start, Azurite::url).await,
        key: Azurite::KEY.into(),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// A server that all tests of this process share; it ends with the process.
async fn own<S: Send + Sync>(
    held: &'static OnceLock<(S, RunDir)>,
    start: fn(&std::path::Path) -> xtask::Result<S>,
    url: fn(&S) -> String,
) -> String {
    let started = tokio::task::spawn_blocking(move || {
        let (server, _) = held.get_or_init(|| {
            let dir = RunDir::create().unwrap_or_else(|error| panic!("{error}"));
            let server = start(dir.path()).unwrap_or_else(|error| panic!("{error}"));
            (server, dir)
        });
        url(server)
    });
    started.await.expect("the server starts")
}
