//! The words of Aiven's connector.

use std::path::PathBuf;

use penstock_connect::config::{ByteSize, Secret};
use penstock_connect::{Error, config};
use penstock_files::Compression;
use penstock_objects::Plan;
use penstock_objects::store::{Gcs, Proxy};
use penstock_objects::vocabulary::{AivenKeys, EngineKeys, PatienceKeys, check_part};

use crate::credentials::credentials;

config! {
    /// Writes records as files into Google Cloud Storage, each record once, in the words of Aiven's
    /// connector.
    #[check(check)]
    pub struct AivenGcsConfig {
        /// The bucket.
        "gcs.bucket.name" => bucket: String,
        /// Address of the store, where it is not Google.
        "gcs.endpoint" => endpoint: Option<String>,
        /// File with the key of a service account, or one that `gcloud` wrote.
        "gcs.credentials.path" => credentials_path: Option<PathBuf>,
        /// The key of a service account as JSON.
        "gcs.credentials.json" => credentials_json: Option<Secret>,
        /// Whether to ask with what the machine has: the file of `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's, the machine's account. So it is without other credentials, unless `gcs.endpoint` is given.
        "gcs.credentials.default" => credentials_default: bool = "false",
        /// Size of the parts of large uploads. A file that is smaller is one put.
        "gcs.part.size" => part_size: ByteSize = "5mb";
        flatten names: AivenKeys, engine: EngineKeys, patience: PatienceKeys;
        ignored {
            "gcs.retry.backoff." => "requests are tried again in place, then the worker tries again",
            "gcs.user.agent" => "requests carry the client library's name",
        };
        refused {
            "gcs.object.content.encoding" => "objects carry no Content-Encoding, so that readers get what the name's ending says",
        }
    }
}

fn check(config: &AivenGcsConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if let Err(message) = check_part(config.part_size) {
        problems.push(("gcs.part.size", message));
    }
    let given = [
        ("gcs.credentials.path", config.credentials_path.is_some()),
        ("gcs.credentials.json", config.credentials_json.is_some()),
        ("gcs.credentials.default", config.credentials_default),
    ];
    let mut given = given.iter().filter(|(_, given)| *given);
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        problems.push((second, format!("give either {first} or {second}, not both")));
    }
    problems
}

impl AivenGcsConfig {
    /// What the engine does.
    pub fn plan(&self) -> Result<Plan, Error> {
        let store = Gcs {
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.clone(),
            credentials: credentials(
                self.credentials_path.as_ref(),
                self.credentials_json.as_ref(),
                self.credentials_default,
                self.endpoint.as_ref(),
            ),
            proxy: Proxy::default(),
            timeout: self.patience.timeout.0,
        };
        self.names.plan(
            store.store()?,
            &self.engine,
            self.part_size,
            Compression::None,
        )
    }
}
