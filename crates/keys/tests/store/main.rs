//! The key store on the embedded broker and on real Kafka (`PENSTOCK_TEST_KAFKA`, `host:port`), across
//! kills, and with real Tink (`PENSTOCK_TEST_PYTHON`). `cargo xtask services start` gives both.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod embedded;
mod kafka;
mod kill;
mod suite;
mod tink;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use penstock_broker::Broker;
use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_keys::{KeyRequest, KeyStoreConfig, LocalKek};

/// An embedded broker with its log in `directory`.
fn embedded(directory: &Path) -> Arc<dyn Broker> {
    Arc::new(EmbeddedBroker::open(&EmbeddedSettings::new(directory)).unwrap())
}

/// A key-encryption key; the same for the same number.
fn kek(number: u8) -> Arc<LocalKek> {
    Arc::new(LocalKek::from_bytes(&[number; 32]))
}

/// Settings with the local copy in memory.
fn config() -> KeyStoreConfig {
    KeyStoreConfig {
        partitions: 4,
        ..KeyStoreConfig::default()
    }
}

/// Asks for the key of a value.
fn request<'a>(stream: &'a str, value: &'a str) -> KeyRequest<'a> {
    KeyRequest {
        stream,
        value: Cow::Borrowed(value),
        subject: None,
    }
}

/// What a variable names, such as a real server. In CI it must be there.
fn service(variable: &str, what: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("{variable} must name {what} in CI")
        }
        _ => {
            eprintln!("not run: {variable} does not name {what}");
            None
        }
    }
}
