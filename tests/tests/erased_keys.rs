//! An erased key is gone from the disks of a Kafka broker, not just from the sight of its readers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use penstock_broker::kafka::{KafkaBroker, client_config};
use penstock_broker::{Broker, ReaderSpec, StartAt};
use penstock_keys::{DataKey, KeyLookup, KeyRequest, KeyStore, KeyStoreConfig, LocalKek};
use penstock_tests::{Estate, eventually, python};
use xtask::services::KafkaOptions;

const TOPIC: &str = "_penstock.keys";

/// Settings that let the broker compact at once; the topic has minutes and hours instead.
const HURRY: [&str; 5] = [
    "segment.ms=100",
    "min.compaction.lag.ms=0",
    "max.compaction.lag.ms=200",
    "min.cleanable.dirty.ratio=0.01",
    "file.delete.delay.ms=100",
];

/// Changes settings of a topic: broker, topic, settings.
const ALTER: &str = r#"
import sys
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType)
servers, topic, *settings = sys.argv[1:]
entries = [ConfigEntry(*setting.split("="), incremental_operation=AlterConfigOpType.SET)
           for setting in settings]
resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
admin = AdminClient({"bootstrap.servers": servers})
admin.incremental_alter_configs([resource])[resource].result(30)
"#;

fn open(broker: &Arc<dyn Broker>) -> Arc<KeyStore> {
    let config = KeyStoreConfig {
        partitions: 1,
        ..KeyStoreConfig::default()
    };
    KeyStore::open(
        broker.clone(),
        Arc::new(LocalKek::from_bytes(&[7; 32])),
        config,
    )
    .unwrap()
}

async fn key(store: &KeyStore, value: &str) -> Arc<DataKey> {
    let request = KeyRequest {
        stream: "demo",
        value: Cow::Borrowed(value),
        subject: None,
    };
    store.current(&[request]).await.unwrap().remove(0)
}

/// The values of the topic's records, by their keys; deletions are left out.
fn records(broker: &dyn Broker) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut reader = broker.reader(ReaderSpec::new("looks")).unwrap();
    let (_, high) = reader.watermarks(TOPIC, 0).unwrap();
    reader.assign(TOPIC, 0, StartAt::Earliest).unwrap();
    let mut records = Vec::new();
    while reader.position(TOPIC, 0).unwrap() < high {
        for message in reader.poll(1000, Duration::from_millis(500)).unwrap() {
            if let (Some(key), Some(value)) = (&message.key, &message.value) {
                records.push((key.to_vec(), value.to_vec()));
            }
        }
    }
    records
}

/// Whether a file of the folder, or below, holds these bytes.
fn lies_in(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return lies_in(&path, bytes);
            }
            // A file that goes meanwhile holds nothing.
            let held = fs::read(&path).unwrap_or_default();
            held.windows(bytes.len()).any(|window| window == bytes)
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_takes_what_was_erased_off_the_broker_s_disk() {
    let estate = Estate::kafka_with(KafkaOptions {
        properties: vec![("log.segment.delete.delay.ms".into(), "100".into())],
        ..KafkaOptions::default()
    })
    .await;
    let disk = estate.path().join("servers/kafka/data");
    let servers = estate.bootstrap_servers().unwrap();
    let given = BTreeMap::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    let broker = KafkaBroker::new(client_config(&given).unwrap()).unwrap();
    let broker: Arc<dyn Broker> = Arc::new(broker);
    let store = open(&broker);

    let erased = key(&store, "to be forgotten").await;
    let kept = key(&store, "kept").await;
    let mut ciphertext = Vec::new();
    kept.encrypt_base64(b"a value", &mut ciphertext);
    // The wrapped keyset of the key is the end of what its record holds.
    let of_key = |key: &DataKey, all: &[(Vec<u8>, Vec<u8>)]| {
        let link = key.link().parse::<uuid::Uuid>().unwrap();
        let names = [link.as_bytes().to_vec(), key.link().as_bytes().to_vec()];
        let mut all = all.iter();
        all.find(|(name, _)| names.contains(name))
            .map(|(_, value)| value[value.len() - 32..].to_vec())
    };
    let all = records(&*broker);
    let wrapped = of_key(&erased, &all).expect("the key has a record");
    let wrapped_kept = of_key(&kept, &all).expect("the key has a record");
    assert!(lies_in(&disk, &wrapped) && lies_in(&disk, &wrapped_kept));

    let alter = |settings: &[&str]| {
        let _ = python(
            ALTER,
            &[&[servers, TOPIC], settings].concat(),
            estate.path(),
        );
    };
    alter(&HURRY);
    assert_eq!(store.erase("demo", "to be forgotten").await.unwrap(), 1);
    let mut others = 0;
    eventually("a disk without the erased key", async || {
        // Segments roll when something is written: the markers that come hourly, or other keys.
        others += 1;
        let _ = key(&store, &format!("other {others}")).await;
        (!lies_in(&disk, &wrapped)).then_some(())
    })
    .await;

    // What else was in the topic is there, and readers of what is left agree with those of before.
    assert!(lies_in(&disk, &wrapped_kept));
    let after = records(&*broker);
    assert!(of_key(&erased, &after).is_none() && of_key(&kept, &after).is_some());
    alter(&[
        "max.compaction.lag.ms=3600000",
        "min.compaction.lag.ms=60000",
    ]);
    let late = open(&broker);
    let links = [erased.link(), kept.link()];
    for store in [&store, &late] {
        let found = store.by_links(&links).await.unwrap();
        assert!(matches!(found[0], KeyLookup::Erased | KeyLookup::Unknown));
        let KeyLookup::Usable(found) = &found[1] else {
            panic!("the other key is usable");
        };
        let mut plaintext = Vec::new();
        found.decrypt_base64(&ciphertext, &mut plaintext).unwrap();
        assert_eq!(plaintext, b"a value");
        assert_eq!(key(store, "kept").await.link(), kept.link());
        assert_ne!(key(store, "to be forgotten").await.link(), erased.link());
    }
}
