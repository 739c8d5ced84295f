//! Key-encryption keys: the trait behind which a local key or a key management service stands.

mod local;

use std::path::PathBuf;

pub use local::LocalKek;
use zeroize::Zeroizing;

/// Wraps the few keys that wrap all others: one HMAC key, one quarantine key, one wrapping key a day.
/// Calls block and are rare; an implementation that talks to a service does so on a thread of its own.
pub trait KeyEncryptionKey: Send + Sync {
    /// Names the key, not its material: stored beside what it wrapped, shown in errors.
    fn id(&self) -> &str;

    /// Encrypts `plaintext` so that only [`unwrap`](Self::unwrap) with equal `context` gives it back.
    fn wrap(&self, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, KekError>;

    /// Decrypts what [`wrap`](Self::wrap) returned.
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KekError>;
}

/// Why a key-encryption key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// There is no key where one has to be.
    #[error(
        "there is no key-encryption key in {}, and a new one may only be made while the keys topic of an embedded \
         broker is empty: {reason}", path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Why none is made, and what to do.
        reason: String,
    },
    /// Somebody else may read the key.
    #[error(
        "the key-encryption key in {} can be read by others than its owner (mode {mode:04o}); run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is there is no key.
    #[error("{place} does not hold a key-encryption key: {reason}")]
    Malformed {
        /// File or environment variable.
        place: String,
        /// What is expected.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("the key-encryption key in {} cannot be {doing}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The wrapped key was made with another key, or changed.
    #[error(
        "key-encryption key {id} cannot unwrap what it is asked to: wrapped by another key, or changed"
    )]
    Unwrap {
        /// Id of the key that was tried.
        id: String,
    },
    /// The service that holds the key failed.
    #[error("key-encryption key {id}: {reason}")]
    Service {
        /// Id of the key.
        id: String,
        /// What failed.
        reason: String,
        /// Trying again may help.
        passing: bool,
    },
    /// The broker could not be asked whether the keys topic is empty.
    #[error("cannot tell whether the keys topic is empty: {0}")]
    Broker(#[source] penstock_broker::Error),
}

impl KekError {
    /// Whether waiting and trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Service { passing, .. } => *passing,
            Self::Broker(error) => error.retry != penstock_broker::Retry::Never,
            _ => false,
        }
    }
}
