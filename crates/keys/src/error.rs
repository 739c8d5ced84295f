//! Errors of the key store: what failed, and whether waiting helps.

use std::path::PathBuf;
use std::sync::Arc;

use crate::kek::KekError;

/// What a caller does about a [`KeyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help: somebody has to change something.
    Never,
    /// A passing reason: wait and ask again. No event may pass meanwhile.
    Backoff,
}

/// An error of the key store. Never holds key material or a personal value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyError {
    /// The broker failed.
    #[error("{doing} failed: {source}")]
    Broker {
        /// What the key store was doing.
        doing: String,
        /// The broker's error.
        source: Arc<penstock_broker::Error>,
    },
    /// The keys topic cannot be relied on as it is set up.
    #[error("topic {topic:?} cannot hold keys as it is set up: {}", problems.join("; "))]
    TopicSettings {
        /// The keys topic.
        topic: String,
        /// What is wrong, and what to change; one entry a setting.
        problems: Vec<String>,
    },
    /// The key-encryption key cannot be used.
    #[error(transparent)]
    KeyEncryptionKey(Arc<KekError>),
    /// The keys topic was written with another key-encryption key.
    #[error(
        "the keys in topic {topic:?} are wrapped with key-encryption key {expected}, and this worker was given \
         {found}; give it the one that the keys were made with"
    )]
    WrongKeyEncryptionKey {
        /// The keys topic.
        topic: String,
        /// Id of the key that wrapped the keys.
        expected: String,
        /// Id of the key that was given.
        found: String,
    },
    /// The broker, or the thread that follows the keys topic, is behind or away.
    #[error("the keys topic {topic:?} is not available: {reason}")]
    Unavailable {
        /// The keys topic.
        topic: String,
        /// What was waited for, and the last thing that failed.
        reason: String,
    },
    /// The keys topic holds something that this version must not go on with.
    #[error("{at} cannot be used: {reason}")]
    Corrupt {
        /// Key link or topic-partition-offset.
        at: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The local store failed.
    #[error("local key store {path}: {reason}", path = path.display())]
    LocalStore {
        /// Its file.
        path: PathBuf,
        /// What failed, and what to do.
        reason: String,
        /// The store's error, if it came from there.
        source: Option<Arc<redb::Error>>,
    },
    /// The configuration makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A thread of the key store panicked.
    #[error("{doing} was cut off by a defect of this program; its log says where")]
    Panicked {
        /// What the thread was doing.
        doing: &'static str,
    },
    /// The key store was closed.
    #[error("the key store is closed")]
    Closed,
}

impl KeyError {
    /// What the caller does about it.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Broker { source, .. } if source.retry != penstock_broker::Retry::Never => {
                Retry::Backoff
            }
            Self::KeyEncryptionKey(error) if error.is_passing() => Retry::Backoff,
            Self::Unavailable { .. }
            | Self::LocalStore {
                source: Some(_), ..
            } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    pub(crate) fn broker(doing: impl Into<String>, source: penstock_broker::Error) -> Self {
        Self::Broker {
            doing: doing.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn corrupt(at: impl ToString, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            at: at.to_string(),
            reason: reason.into(),
        }
    }
}

impl From<KekError> for KeyError {
    fn from(error: KekError) -> Self {
        Self::KeyEncryptionKey(Arc::new(error))
    }
}

/// A ciphertext that a key cannot decrypt: made with another key, changed, or no ciphertext at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext was not made with this key, or was changed since")]
pub struct DecryptError;
