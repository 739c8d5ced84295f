//! A key store on an embedded broker of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use penstock_broker::Broker;
use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_keys::{DataKey, KeyLookup, KeyStore, KeyStoreConfig, LocalKek};

pub struct Keys {
    pub store: Arc<KeyStore>,
    broker: Arc<EmbeddedBroker>,
    _dir: tempfile::TempDir,
}

impl Keys {
    pub fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = EmbeddedSettings::new(dir.path().join("log"));
        let broker = Arc::new(EmbeddedBroker::open(&settings).unwrap());
        let kek = Arc::new(LocalKek::from_bytes(&[7; 32]));
        let store = KeyStore::open(broker.clone(), kek, KeyStoreConfig::default()).unwrap();
        Self {
            store,
            broker,
            _dir: dir,
        }
    }

    /// Takes the topic with the keys away: what is not in memory cannot be had any more.
    pub fn lose_topic(&self) {
        let topic = KeyStoreConfig::default().topic;
        self.broker.delete_topic(&topic).unwrap();
    }

    pub async fn erase(&self, link: &str) {
        assert_eq!(self.store.erase_links(&[link]).await.unwrap(), 1);
    }
}

/// The key behind a link, which has to be there.
pub async fn key_of(store: &KeyStore, link: &str) -> Arc<DataKey> {
    match store.by_links(&[link]).await.unwrap().remove(0) {
        KeyLookup::Usable(key) => key,
        other => panic!("{link} is {other:?}"),
    }
}
