//! Buckets of a test's own, on MinIO, on fake-gcs-server and on Azurite: filled and looked at over the
//! servers' own interfaces, without a line of ours.

mod azure;
mod client;
mod gcs;
mod s3;
mod servers;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use xtask::services::{Azurite, Minio};

use self::azure::Azure;
use self::gcs::Gcs;
use self::s3::S3;

/// A bucket that no other test knows, empty at first.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    store: Store,
}

#[derive(Debug)]
enum Store {
    S3(S3),
    Gcs(Gcs),
    Azure(Azure),
}

/// What a listing tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name in the bucket.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

impl Bucket {
    /// A bucket on MinIO.
    ///
    /// # Panics
    /// When the server does not start or refuses the bucket.
    pub async fn s3() -> Self {
        let name = unique_name();
        let server = servers::s3().await;
        let store = Store::S3(S3::create(server, &name).await);
        Self { name, store }
    }

    /// A bucket on this S3 server.
    ///
    /// # Panics
    /// When the server refuses the bucket.
    pub async fn on(minio: &Minio) -> Self {
        let name = unique_name();
        let server = servers::S3Server::of(minio);
        let store = Store::S3(S3::create(server, &name).await);
        Self { name, store }
    }

    /// A bucket on fake-gcs-server.
    ///
    /// # Panics
    /// As [`Bucket::s3`].
    pub async fn gcs() -> Self {
        let name = unique_name();
        let url = servers::gcs().await;
        let store = Store::Gcs(Gcs::create(url, &name).await);
        Self { name, store }
    }

    /// A container on Azurite.
    ///
    /// # Panics
    /// As [`Bucket::s3`].
    pub async fn azure() -> Self {
        let name = unique_name();
        let server = servers::azure().await;
        let store = Store::Azure(Azure::create(server, &name).await);
        Self { name, store }
    }

    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bucket as our connectors name it: `s3://name`, `gs://name`, `az://name`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match &self.store {
            Store::S3(_) => "s3",
            Store::Gcs(_) => "gs",
            Store::Azure(_) => "az",
        };
        format!("{scheme}://{}", self.name)
    }

    /// The lines of a properties file that let our connectors in.
    #[must_use]
    pub fn keys(&self) -> String {
        match &self.store {
            Store::S3(s3) => format!(
                "aws.region={}\naws.access.key.id={}\naws.secret.access.key={}\n",
                Minio::REGION,
                s3.server().key_id,
                s3.server().secret
            ),
            Store::Gcs(_) => String::new(),
            Store::Azure(azure) => format!(
                "azure.account.name={}\nazure.account.key={}\n",
                Azurite::ACCOUNT,
                azure.server().key
            ),
        }
    }

    /// The storage account that an Azure container is in.
    #[must_use]
    pub fn account(&self) -> &'static str {
        Azurite::ACCOUNT
    }

    /// The server's base address: `store.url`, `gcs.endpoint`; on Azurite with the storage account.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match &self.store {
            Store::S3(s3) => &s3.server().url,
            Store::Gcs(gcs) => gcs.url(),
            Store::Azure(azure) => &azure.server().url,
        }
    }

    /// The environment variables that let a program in, by the names that the stores' clients look
    /// for; none on GCS, where everybody may come in.
    #[must_use]
    pub fn credentials(&self) -> Vec<(&str, &str)> {
        match &self.store {
            Store::S3(s3) => vec![
                ("AWS_ACCESS_KEY_ID", &s3.server().key_id),
                ("AWS_SECRET_ACCESS_KEY", &s3.server().secret),
            ],
            Store::Gcs(_) => Vec::new(),
            Store::Azure(azure) => vec![("AZURE_STORAGE_ACCOUNT_KEY", &azure.server().key)],
        }
    }

    /// The objects whose names begin with this, by name.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn list(&self, prefix: &str) -> Vec<Object> {
        let mut objects = match &self.store {
            Store::S3(s3) => client::list(s3.client(), prefix).await,
            Store::Gcs(gcs) => gcs.list(prefix).await,
            Store::Azure(azure) => client::list(azure.client(), prefix).await,
        };
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        objects
    }

    /// Names of the objects whose names begin with this, in order.
    ///
    /// # Panics
    /// As [`Bucket::list`].
    pub async fn names(&self, prefix: &str) -> Vec<String> {
        let objects = self.list(prefix).await.into_iter();
        objects.map(|object| object.name).collect()
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// When there is no such object.
    pub async fn get(&self, name: &str) -> Bytes {
        match &self.store {
            Store::S3(s3) => client::get(s3.client(), name).await,
            Store::Gcs(gcs) => gcs.get(name).await,
            Store::Azure(azure) => client::get(azure.client(), name).await,
        }
    }

    /// Writes an object, over one that is there.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        match &self.store {
            Store::S3(s3) => client::put(s3.client(), name, bytes.into()).await,
            Store::Gcs(gcs) => gcs.put(name, bytes.into()).await,
            Store::Azure(azure) => client::put(azure.client(), name, bytes.into()).await,
        }
    }

    /// Names of the objects of uploads that were begun and neither completed nor given up. Always
    /// none on fake-gcs-server, which does not tell, and on Azure, which forgets them by itself.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn unfinished(&self) -> Vec<String> {
        match &self.store {
            Store::S3(s3) => s3.unfinished().await,
            Store::Gcs(_) | Store::Azure(_) => Vec::new(),
        }
    }

    /// Writes the objects whose names begin with this into a folder, for other programs to read.
    ///
    /// # Panics
    /// When the server does not answer or the folder cannot be written.
    pub async fn download(&self, prefix: &str, folder: &Path) {
        for name in self.names(prefix).await {
            let path = folder.join(&name);
            fs::create_dir_all(path.parent().expect("a file in the folder"))
                .expect("the folder is writable");
            fs::write(path, self.get(&name).await).expect("the folder is writable");
        }
    }
}

fn unique_name() -> String {
    format!("test-{}", uuid::Uuid::new_v4())
}
