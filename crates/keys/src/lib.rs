//! Keys for personal data: one per value of a stream's key field and window of time, kept in a
//! compacted topic, and found by the link that stands in the event.
//!
//! # Why the topic is the key store
//!
//! Workers need the same key for the same value at the same time, on several machines, through crashes,
//! and nobody wants a database beside Kafka for it. So a worker that meets a new value appends a
//! *candidate* to the value's partition of the keys topic, reads to its own record, and uses whatever is
//! current then: the order of the log decides. The `fold` module states what is current, why all readers
//! agree on it whatever compaction has removed, and in which order keys may be removed.
//!
//! # What lies where
//!
//! | Key | Wrapped by | Where |
//! |---|---|---|
//! | data key (one per value and window) | the wrapping key of the day | the value's partition |
//! | wrapping key (one a day), HMAC key, quarantine key | the [key-encryption key](KeyEncryptionKey) | partition 0 |
//! | key-encryption key | nothing | a file, the environment, or a service |
//!
//! Values stand in the topic only as an HMAC. A worker keeps a local copy of the topic, wrapped as it is,
//! and a bounded number of unwrapped keys in memory. An erased key is a tombstone: all workers forget
//! it within seconds, and compaction takes it out of the topic within about two hours.
//!
//! # Threads
//!
//! Two threads do all work with the broker, so that the broker's blocking calls meet no async runtime:
//! one follows the topic and folds it, one appends. Everybody else looks into sharded caches, then into
//! the local copy, and only then asks the appending thread, which serves all who wait with one round trip.

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
pub use data_key::{DataKey, KeyLookup, is_ciphertext};
pub use error::{DecryptError, KeyError, Retry};
pub use kek::{KekError, KeyEncryptionKey, LocalKek};
pub use request::{ExportedKey, KeyRequest};
pub use store::{Cached, KeyStore};
