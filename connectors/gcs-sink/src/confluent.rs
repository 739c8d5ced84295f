//! The words of Confluent's connector.

use std::path::PathBuf;

use penstock_connect::config::{ByteSize, Secret};
use penstock_connect::{Error, choice, config};
use penstock_files::Compression;
use penstock_objects::Plan;
use penstock_objects::store::{Gcs, Proxy};
use penstock_objects::vocabulary::{ConfluentKeys, EngineKeys, PatienceKeys, check_part};

use crate::credentials::credentials;

choice! {
    /// How files of JSON and raw bytes are compressed.
    pub enum GcsCompression {
        /// Not at all.
        None = "none",
        /// gzip; names end in `.gz`.
        Gzip = "gzip",
    }
}

config! {
    /// Writes records as files into Google Cloud Storage, each record once, in the words of Confluent's
    /// connector.
    #[check(check)]
    pub struct ConfluentGcsConfig {
        /// The bucket.
        "gcs.bucket.name" => bucket: String,
        /// Address of the store, where it is not Google.
        "store.url" => endpoint: Option<String>,
        /// File with the key of a service account, or one that `gcloud` wrote. Without credentials: the file of `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's, the machine's account; none at all where `store.url` is given.
        "gcs.credentials.path" => credentials_path: Option<PathBuf>,
        /// The key of a service account as JSON.
        "gcs.credentials.json" => credentials_json: Option<Secret>,
        /// Size of the parts of large uploads. A file that is smaller is one put.
        "gcs.part.size" => part_size: ByteSize = "5mb",
        /// How files of JSON and raw bytes are compressed.
        "gcs.compression.type" => compression: GcsCompression = "none",
        /// A proxy on the way to the store.
        "gcs.proxy.url" => proxy_url: Option<String>,
        /// The user that the proxy asks for.
        "gcs.proxy.user" => proxy_user: Option<String>,
        /// The password of that user.
        "gcs.proxy.password" => proxy_password: Option<Secret>;
        flatten storage: ConfluentKeys, engine: EngineKeys, patience: PatienceKeys;
        ignored {
            "gcs.part.retries" => "requests are tried again in place, then the worker tries again",
            "gcs.retry.backoff.ms" => "requests are tried again in place, then the worker tries again",
            "gcs.compression.level" => "files are compressed at the usual level",
        };
        refused {
            "gcs.credentials.provider.class" => "classes cannot be loaded; use gcs.credentials.path, gcs.credentials.json or what the machine has",
        }
    }
}

fn check(config: &ConfluentGcsConfig) -> Vec<(&'static str, String)> {
    let mut problems = config.storage.check_with(&config.engine);
    if let Err(message) = check_part(config.part_size) {
        problems.push(("gcs.part.size", message));
    }
    if config.credentials_path.is_some() && config.credentials_json.is_some() {
        let message =
            "give either gcs.credentials.path or gcs.credentials.json, not both".to_owned();
        problems.push(("gcs.credentials.json", message));
    }
    problems
}

impl ConfluentGcsConfig {
    /// What the engine does.
    pub fn plan(&self) -> Result<Plan, Error> {
        let store = Gcs {
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.clone(),
            credentials: credentials(
                self.credentials_path.as_ref(),
                self.credentials_json.as_ref(),
                false,
                self.endpoint.as_ref(),
            ),
            proxy: Proxy {
                url: self.proxy_url.clone(),
                user: self.proxy_user.clone(),
                password: self.proxy_password.clone(),
            },
            timeout: self.patience.timeout.0,
        };
        let compression = match self.compression {
            GcsCompression::None => Compression::None,
            GcsCompression::Gzip => Compression::Gzip,
        };
        self.storage
            .plan(store.store()?, &self.engine, self.part_size, compression)
    }
}
