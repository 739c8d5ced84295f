//! The key store on real Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_broker::Broker;
use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_keys::{KekError, KeyLookup, KeyStore, KeyStoreConfig, LocalKek, Retry};
use xtask::services::Kafka;

use super::{config, kek, request, service, suite};

fn connect(server: &str) -> Arc<dyn Broker> {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), server.to_owned())]);
    Arc::new(KafkaBroker::new(client_config(&properties).unwrap()).unwrap())
}

/// A broker, and settings with a topic that no other test and no earlier run has.
fn kafka(test: &str) -> Option<(Arc<dyn Broker>, KeyStoreConfig)> {
    let server = service("PENSTOCK_TEST_KAFKA", "a Kafka broker (host:port)")?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let config = KeyStoreConfig {
        topic: format!(
            "_penstock.keys-{test}-{}-{}",
            since.as_millis(),
            std::process::id()
        ),
        ..config()
    };
    Some((connect(&server), config))
}

macro_rules! on_kafka {
    ($($test:ident => $scenario:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            if let Some((broker, config)) = kafka(stringify!($scenario)) {
                suite::$scenario(broker, config).await;
            }
        }
    )*};
}

on_kafka! {
    a_key_encrypts_is_found_by_its_link_and_stays_the_current_one => keys_are_made_once,
    workers_that_meet_the_same_values_at_once_agree => workers_agree,
    a_key_is_replaced_when_its_window_is_over_and_goes_on_decrypting => windows_end,
    erased_keys_are_forgotten_by_all_workers_and_told_from_unknown_ones => erasure,
    the_keys_of_a_stream_are_exported_without_the_void_ones => export,
    sealed_messages_are_opened_by_another_worker => sealing,
}

#[test]
fn no_key_encryption_key_is_made_since_workers_share_it() {
    let Some((broker, config)) = kafka("kek") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kek");
    let error = LocalKek::for_broker(&file, &*broker, &config.topic).unwrap_err();
    assert!(matches!(error, KekError::Missing { .. }), "{error}");
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_no_key_is_handed_out_and_afterwards_the_same_ones_are() {
    if service("PENSTOCK_TEST_KAFKA", "a Kafka broker (host:port)").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut server = Kafka::start(directory.path()).unwrap();
    let broker = connect(&server.bootstrap_servers());
    let config = KeyStoreConfig {
        timeout: Duration::from_secs(5),
        ..config()
    };
    let store = KeyStore::open(broker, kek(1), config).unwrap();
    let ask = [request("demo", "ada")];
    let key = store.current(&ask).await.unwrap().remove(0);

    server.kill();
    let error = store.current(&[request("demo", "bob")]).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error}");
    // Nobody can say whether it was erased meanwhile.
    while store.cached_current(&ask[0]).is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(store.cached_by_link(key.link()).is_none());

    server.restart().unwrap();
    let again = loop {
        match store.current(&ask).await {
            Ok(mut keys) => break keys.remove(0),
            Err(error) => assert_eq!(error.retry(), Retry::Backoff, "{error}"),
        }
    };
    assert_eq!(again.link(), key.link());
    while store.cached_current(&ask[0]).is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = store.by_links(&[key.link()]).await.unwrap().remove(0);
    assert!(matches!(found, KeyLookup::Usable(_)), "{found:?}");
}
