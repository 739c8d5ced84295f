//! What the key store's tests share.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub(crate) mod suite;

use std::borrow::Cow;
use std::sync::Arc;

use penstock_keys::{KeyRequest, KeyStoreConfig, LocalKek};

/// A key-encryption key; the same for the same number.
pub(crate) fn kek(number: u8) -> Arc<LocalKek> {
    Arc::new(LocalKek::from_bytes(&[number; 32]))
}

/// Settings with the local copy in memory.
pub(crate) fn config() -> KeyStoreConfig {
    KeyStoreConfig {
        partitions: 4,
        ..KeyStoreConfig::default()
    }
}

/// Asks for the key of a value.
pub(crate) fn request<'a>(stream: &'a str, value: &'a str) -> KeyRequest<'a> {
    KeyRequest {
        stream,
        value: Cow::Borrowed(value),
        subject: None,
    }
}
