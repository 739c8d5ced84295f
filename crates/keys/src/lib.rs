//! Keys for personal data: one per value of a stream's key field and window of time, kept in a
//! compacted topic, and found by the link that stands in the event.

mod appender;
mod caches;
mod cipher;
mod clock;
mod config;
mod data_key;
mod error;
mod export;
mod fold;
mod follower;
mod kek;
mod keyset;
mod link;
mod local_store;
mod mac;
mod progress;
mod record;
mod request;
mod seal;
mod shared;
mod store;
mod topic;

pub use cipher::CipherKind;
pub use config::KeyStoreConfig;
pub use data_key::{DataKey, KeyLookup};
pub use error::{DecryptError, KeyError, Retry};
pub use kek::{KekError, KeyEncryptionKey, LocalKek};
pub use request::{ExportedKey, KeyRequest};
pub use store::KeyStore;
