//! The key store.

use std::sync::Arc;

use penstock_broker::Broker;
use tokio::sync::mpsc;

use crate::{
    DataKey, ExportedKey, KeyEncryptionKey, KeyError, KeyLookup, KeyRequest, KeyStoreConfig,
};

/// The keys of all streams. Share it by `Arc`; dropping it ends its threads.
pub struct KeyStore {
    config: KeyStoreConfig,
}

impl KeyStore {
    /// Opens the key store: makes or checks the keys topic, and reads it to its end. Blocks.
    pub fn open(
        broker: Arc<dyn Broker>,
        kek: Arc<dyn KeyEncryptionKey>,
        config: KeyStoreConfig,
    ) -> Result<Arc<Self>, KeyError> {
        config.check()?;
        let _ = (broker, kek);
        Ok(Arc::new(Self { config }))
    }

    /// The current key of a value if it is in memory and its window is not over.
    pub fn cached_current(&self, _request: &KeyRequest<'_>) -> Option<Arc<DataKey>> {
        None
    }

    /// The current keys of these values, in order; values without one get it.
    pub async fn current(
        &self,
        _requests: &[KeyRequest<'_>],
    ) -> Result<Vec<Arc<DataKey>>, KeyError> {
        Err(self.closed())
    }

    /// What there is to a link, if that is in memory.
    pub fn cached_by_link(&self, _link: &str) -> Option<KeyLookup> {
        None
    }

    /// What there is to these links, in order.
    pub async fn by_links(&self, _links: &[&str]) -> Result<Vec<KeyLookup>, KeyError> {
        Err(self.closed())
    }

    /// A keyed hash of a value that chooses the partition of its events.
    pub fn placement_hash(&self, _stream: &str, _value: &str) -> u64 {
        0
    }

    /// All keys of a stream in the clear.
    pub async fn export(
        &self,
        _stream: &str,
    ) -> Result<mpsc::Receiver<Result<ExportedKey, KeyError>>, KeyError> {
        Err(self.closed())
    }

    /// Erases the keys with these links. Returns how many there were.
    pub async fn erase_links(&self, _links: &[&str]) -> Result<usize, KeyError> {
        Err(self.closed())
    }

    /// Erases all keys of a value of a stream's key field. Returns how many there were.
    pub async fn erase(&self, _stream: &str, _value: &str) -> Result<usize, KeyError> {
        Err(self.closed())
    }

    /// Erases all keys that were made for a data subject, in all streams. Returns how many there were.
    pub async fn erase_subject(&self, _subject: &str) -> Result<usize, KeyError> {
        Err(self.closed())
    }

    /// Seals a message to the quarantine key, for those who hold the key-encryption key.
    pub fn seal(&self, _plaintext: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    /// Opens what [`seal`](Self::seal) returned.
    pub fn unseal(&self, _sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(self.closed())
    }

    fn closed(&self) -> KeyError {
        let _ = &self.config;
        KeyError::Closed
    }
}
