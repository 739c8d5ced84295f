//! Settings of the key store.

use std::path::PathBuf;
use std::time::Duration;

use crate::cipher::CipherKind;
use crate::error::KeyError;

/// Settings of a [`KeyStore`](crate::KeyStore).
#[derive(Clone, Debug)]
pub struct KeyStoreConfig {
    /// The topic that holds the keys.
    pub topic: String,
    /// Its number of partitions when it is made. Fixed from then on: a topic that exists keeps its own.
    pub partitions: i32,
    /// Its replication factor when it is made; `None`: three where the broker has three nodes, else the
    /// broker's default.
    pub replication: Option<i32>,
    /// How long a key is the current one of its value; goes into each key.
    pub window: Duration,
    /// How long a key is kept once its window is over; then it counts as erased. `None`: until it is
    /// erased.
    pub retention: Option<Duration>,
    /// The cipher of new keys.
    pub cipher: CipherKind,
    /// Unwrapped keys that stay in memory, at about 1.5 kB each.
    pub cache_entries: usize,
    /// Directory of the local copy of the keys topic (keys stay wrapped in it); `None`: in memory, read
    /// anew at each start.
    pub directory: Option<PathBuf>,
    /// Bytes of memory for pages of the local copy.
    pub store_cache_bytes: usize,
    /// How long a call waits for the broker before it gives up as unavailable.
    pub timeout: Duration,
    /// Name under which the broker lists this worker's clients.
    pub client_id: String,
}

impl Default for KeyStoreConfig {
    fn default() -> Self {
        Self {
            topic: "_penstock.keys".to_owned(),
            partitions: 8,
            replication: None,
            window: Duration::from_secs(24 * 60 * 60),
            retention: None,
            cipher: CipherKind::default(),
            cache_entries: 20_000,
            directory: None,
            store_cache_bytes: 8 << 20,
            timeout: Duration::from_secs(30),
            client_id: "penstock-keys".to_owned(),
        }
    }
}

/// The shortest retention: far more than the clocks of brokers and workers differ.
const SHORTEST_RETENTION: Duration = Duration::from_secs(60 * 60);

impl KeyStoreConfig {
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let refuse = |message: String| Err(KeyError::Invalid(message));
        if self.partitions < 1 {
            return refuse(format!(
                "the keys topic needs at least one partition, not {}",
                self.partitions
            ));
        }
        if self.window < Duration::from_secs(1) {
            return refuse("a key's window must be at least one second".to_owned());
        }
        if let Some(retention) = self.retention
            && retention < SHORTEST_RETENTION
        {
            return refuse("keys must be kept for at least an hour after their window".to_owned());
        }
        if self.cache_entries == 0 {
            return refuse("the key cache needs room for at least one key".to_owned());
        }
        Ok(())
    }

    /// The window in milliseconds.
    pub(crate) fn window_ms(&self) -> i64 {
        i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX)
    }
}
