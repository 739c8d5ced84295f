//! Opening the worker's key store from its settings.

use std::sync::Arc;

use penstock_connect::Error;
use penstock_keys::{CipherKind, KeyEncryptionKey, KeyStore, KeyStoreConfig, LocalKek};

use crate::config::WorkerConfig;
use crate::services::{Services, key_error};

/// Where the key-encryption key is looked for when the worker's file does not say.
const KEK_VARIABLE: &str = "PENSTOCK_KEK";

/// Opens the key store. The key-encryption key comes from `keys.kek`, `keys.kek.file` or the
/// environment; on the embedded broker it is made, in that file or in the data directory, while there are
/// no keys yet.
pub(crate) async fn open(services: &Services) -> Result<Arc<KeyStore>, Error> {
    let worker = services.worker.clone();
    let broker = services.broker.clone();
    let replication = services.replication();
    let opened = tokio::task::spawn_blocking(move || {
        let embedded = worker.bootstrap_servers.is_none();
        let kek: Arc<dyn KeyEncryptionKey> = match (&worker.keys_kek, &worker.keys_kek_file) {
            (Some(secret), _) => Arc::new(given_kek(secret.reveal())?),
            (None, Some(file)) => Arc::new(LocalKek::for_broker(
                file,
                broker.as_ref(),
                &worker.keys_topic,
            )?),
            (None, None) if std::env::var_os(KEK_VARIABLE).is_some() => {
                Arc::new(LocalKek::from_env(KEK_VARIABLE)?)
            }
            (None, None) if embedded => {
                let file = worker.data_dir.join("kek");
                Arc::new(LocalKek::for_broker(
                    &file,
                    broker.as_ref(),
                    &worker.keys_topic,
                )?)
            }
            (None, None) => return Err(KeyStoreError::NoKek),
        };
        KeyStore::open(broker, kek, config(&worker, replication)).map_err(KeyStoreError::Store)
    });
    match opened.await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(KeyStoreError::Store(error))) => Err(key_error(error)),
        Ok(Err(KeyStoreError::Kek(error))) if error.is_passing() => {
            Err(Error::backoff(error.to_string()))
        }
        Ok(Err(error)) => Err(Error::never(error.to_string())),
        Err(error) => Err(Error::reconnect(format!(
            "opening the key store panicked: {error}"
        ))),
    }
}

fn config(worker: &WorkerConfig, replication: Option<i32>) -> KeyStoreConfig {
    KeyStoreConfig {
        topic: worker.keys_topic.clone(),
        partitions: worker.keys_partitions,
        replication,
        window: worker.keys_window.0,
        retention: worker.keys_retention.map(|kept| kept.0),
        cipher: match worker.keys_cipher.as_str() {
            "AES256_GCM_SIV" => CipherKind::Aes256GcmSiv,
            _ => CipherKind::Aes256Siv,
        },
        directory: Some(worker.data_dir.join("keys")),
        ..KeyStoreConfig::default()
    }
}

/// `keys.kek`: 32 bytes in base64. The error does not repeat it.
fn given_kek(text: &str) -> Result<LocalKek, KeyStoreError> {
    let material =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.trim()).ok();
    let material: [u8; 32] = material
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyStoreError::BadKek)?;
    Ok(LocalKek::from_bytes(&material))
}

#[derive(Debug, thiserror::Error)]
enum KeyStoreError {
    #[error(transparent)]
    Kek(#[from] penstock_keys::KekError),
    #[error(transparent)]
    Store(penstock_keys::KeyError),
    #[error("keys.kek is not 32 bytes in base64 (make one with `openssl rand -base64 32`)")]
    BadKek,
    #[error(
        "on Kafka the key-encryption key has to be given, since all workers share it: set keys.kek.file, keys.kek or \
         the environment variable PENSTOCK_KEK (32 random bytes in base64, for example from `openssl rand -base64 32`)"
    )]
    NoKek,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use penstock_connect::{Config, Settings};

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Result<KeyStoreConfig, String> {
        let settings = Settings::from_pairs("worker.properties", pairs.iter().copied());
        let worker = WorkerConfig::read_all(settings).map_err(|found| found[0].to_string())?;
        Ok(config(&worker, None))
    }

    #[test]
    fn keys_are_kept_as_long_as_the_worker_file_says() {
        assert_eq!(given(&[]).unwrap().retention, None);
        let week = given(&[("keys.retention.ms", "604800000")]).unwrap();
        assert_eq!(week.retention, Some(Duration::from_secs(7 * 24 * 60 * 60)));
        assert_eq!(
            given(&[("keys.retention.ms", "3599999")]).unwrap_err(),
            "worker.properties: keys.retention.ms: must be at least an hour (3600000)"
        );
    }
}
