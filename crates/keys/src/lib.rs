//! Keys for personal data: one per value of a stream's key field and window of time, kept in a
//! compacted topic, and found by the link that stands in the event.

mod cipher;
mod config;
mod data_key;
mod error;
mod kek;
mod link;
mod mac;
mod request;
mod store;

pub use cipher::CipherKind;
pub use config::KeyStoreConfig;
pub use data_key::{DataKey, KeyLookup};
pub use error::{DecryptError, KeyError, Retry};
pub use kek::{KekError, KeyEncryptionKey, LocalKek};
pub use request::{ExportedKey, KeyRequest};
pub use store::KeyStore;
