//! The key store on the embedded broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_broker::{Broker, OutRecord, ProducerSpec, ReaderSpec, StartAt, TopicSpec};
use penstock_keys::{
    CipherKind, KekError, KeyEncryptionKey, KeyError, KeyLookup, KeyStore, KeyStoreConfig,
    LocalKek, Retry,
};
use zeroize::Zeroizing;

use super::{config, embedded as broker, kek, request, suite};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_encrypts_is_found_by_its_link_and_stays_the_current_one() {
    let directory = tempfile::tempdir().unwrap();
    suite::keys_are_made_once(broker(directory.path()), config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_meet_the_same_values_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    suite::workers_agree(broker(directory.path()), config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_when_its_window_is_over_and_goes_on_decrypting() {
    let directory = tempfile::tempdir().unwrap();
    suite::windows_end(broker(directory.path()), config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_keys_are_forgotten_by_all_workers_and_told_from_unknown_ones() {
    let directory = tempfile::tempdir().unwrap();
    suite::erasure(broker(directory.path()), config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_stream_are_exported_without_the_void_ones() {
    let directory = tempfile::tempdir().unwrap();
    suite::export(broker(directory.path()), config()).await;
}

/// A key-encryption key that panics from a moment on.
struct Defective(Arc<LocalKek>, AtomicBool);

impl KeyEncryptionKey for Defective {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn wrap(&self, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, KekError> {
        self.0.wrap(plaintext, context)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KekError> {
        assert!(!self.1.load(Ordering::Relaxed), "a defect");
        self.0.unwrap(wrapped, context)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_panics_does_not_look_like_the_end_of_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let store = KeyStore::open(broker.clone(), kek(1), config()).unwrap();
    store.current(&[request("demo", "ada")]).await.unwrap();
    let defective = Arc::new(Defective(kek(1), AtomicBool::new(false)));
    let other = KeyStore::open(broker, defective.clone(), config()).unwrap();
    defective.1.store(true, Ordering::Relaxed);
    let mut exported = other.export("demo").await.unwrap();
    let error = exported.recv().await.expect("an error").unwrap_err();
    assert!(matches!(error, KeyError::Panicked { .. }), "{error}");
    assert!(exported.recv().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_messages_are_opened_by_another_worker() {
    let directory = tempfile::tempdir().unwrap();
    suite::sealing(broker(directory.path()), config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_survive_a_restart_with_and_without_the_local_copy() {
    let data = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let config = KeyStoreConfig {
        directory: Some(copy.path().to_owned()),
        ..config()
    };
    let open = || KeyStore::open(broker(&data.path().join("log")), kek(1), config.clone()).unwrap();
    let store = open();
    let key = store
        .current(&[request("demo", "ada")])
        .await
        .unwrap()
        .remove(0);
    drop(store);

    let store = open();
    assert!(copy.path().join("keys.redb").exists());
    assert!(store.cached_by_link(key.link()).is_none());
    let again = store
        .current(&[request("demo", "ada")])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(again.link(), key.link());
    assert_eq!(again.placement(), key.placement());
    drop(store);

    std::fs::remove_file(copy.path().join("keys.redb")).unwrap();
    let store = open();
    let again = store
        .current(&[request("demo", "ada")])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(again.link(), key.link());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_copy_of_another_topic_is_not_used() {
    let copy = tempfile::tempdir().unwrap();
    let config = KeyStoreConfig {
        directory: Some(copy.path().to_owned()),
        ..config()
    };
    let mut links = Vec::new();
    for _ in 0..2 {
        let data = tempfile::tempdir().unwrap();
        let store = KeyStore::open(broker(data.path()), kek(1), config.clone()).unwrap();
        let key = store
            .current(&[request("demo", "ada")])
            .await
            .unwrap()
            .remove(0);
        links.push(key.link().to_owned());
        if let [first, _] = &links[..] {
            let found = store.by_links(&[first]).await.unwrap().remove(0);
            assert!(matches!(found, KeyLookup::Unknown), "{found:?}");
        }
    }
    assert_ne!(links[0], links[1]);
}

#[test]
fn a_damaged_local_copy_is_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("keys.redb"), vec![7; 100_000]).unwrap();
    let config = KeyStoreConfig {
        directory: Some(copy.path().to_owned()),
        ..config()
    };
    KeyStore::open(broker(data.path()), kek(1), config).unwrap();
}

#[test]
fn a_wrong_key_encryption_key_is_an_error_that_names_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    drop(KeyStore::open(broker.clone(), kek(1), config()).unwrap());
    let error = KeyStore::open(broker.clone(), kek(2), config()).unwrap_err();
    assert!(
        matches!(error, KeyError::WrongKeyEncryptionKey { .. }),
        "{error}"
    );
    assert_eq!(error.retry(), Retry::Never);
    assert!(
        error
            .to_string()
            .contains("are wrapped with key-encryption key local:"),
        "{error}"
    );
    // The right one still opens it.
    KeyStore::open(broker, kek(1), config()).unwrap();
}

#[test]
fn a_topic_with_other_settings_is_refused_with_what_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let spec = TopicSpec::new("_penstock.keys", 4).config("cleanup.policy", "compact,delete");
    broker.create_topic(&spec).unwrap();
    let error = KeyStore::open(broker, kek(1), config())
        .unwrap_err()
        .to_string();
    for part in [
        "topic \"_penstock.keys\" cannot hold keys as it is set up",
        "cleanup.policy is \"compact,delete\" and must be \"compact\"",
        "message.timestamp.type is \"CreateTime\" and must be \"LogAppendTime\"",
        "min.compaction.lag.ms is \"0\" and must be at least 60000",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_key_file_is_made_only_for_an_empty_topic_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory.path().join("log"));
    let file = directory.path().join("secrets").join("kek");
    let kek = LocalKek::for_broker(&file, &*broker, "_penstock.keys").unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(KeyStore::open(broker.clone(), Arc::new(kek), config()).unwrap());

    // A restart reads it.
    let kek = LocalKek::for_broker(&file, &*broker, "_penstock.keys").unwrap();
    drop(KeyStore::open(broker.clone(), Arc::new(kek), config()).unwrap());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = LocalKek::for_broker(&file, &*broker, "_penstock.keys").unwrap_err();
    assert!(
        matches!(error, KekError::Exposed { mode: 0o640, .. }),
        "{error}"
    );

    std::fs::remove_file(&file).unwrap();
    let error = LocalKek::for_broker(&file, &*broker, "_penstock.keys").unwrap_err();
    assert!(matches!(error, KekError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("holds keys already"), "{error}");
    assert!(!file.exists(), "no new key was made");
}

#[test]
fn a_file_that_holds_no_key_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kek");
    for content in ["", "c2hvcnQ=", "not base64 at all!"] {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = LocalKek::from_file(&file).unwrap_err();
        assert!(matches!(error, KekError::Malformed { .. }), "{error}");
        assert!(
            error.to_string().contains("openssl rand -base64 32"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ciphers_keep_equal_values_equal_under_one_key() {
    for cipher in [CipherKind::Aes256Siv, CipherKind::Aes256GcmSiv] {
        let directory = tempfile::tempdir().unwrap();
        let config = KeyStoreConfig { cipher, ..config() };
        let store = KeyStore::open(broker(directory.path()), kek(1), config).unwrap();
        let keys = store
            .current(&[request("demo", "ada"), request("demo", "bob")])
            .await
            .unwrap();
        let encrypt = |index: usize| {
            let mut out = Vec::new();
            keys[index].encrypt(b"value", &mut out);
            out
        };
        assert_eq!(encrypt(0), encrypt(0));
        assert_ne!(encrypt(0), encrypt(1));
        let mut plaintext = Vec::new();
        keys[0].decrypt(&encrypt(0), &mut plaintext).unwrap();
        assert_eq!(plaintext, b"value");
        assert!(keys[1].decrypt(&encrypt(0), &mut plaintext).is_err());
    }
}

/// Writes records to partition 0.
fn write(broker: &dyn Broker, topic: &str, records: &[(&[u8], Option<&[u8]>)]) {
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    for (key, value) in records {
        producer
            .send(OutRecord::new(topic, *value).key(key).partition(0))
            .unwrap();
    }
    for delivery in producer.flush(Duration::from_secs(30)).unwrap() {
        delivery.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_passed_over_and_a_later_format_stops_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let store = KeyStore::open(broker.clone(), kek(1), config()).unwrap();
    let ask = [request("demo", "ada")];
    let key = store.current(&ask).await.unwrap().remove(0);

    let link = "8c2ab7de-2f4e-4a3b-9a51-0d4f6f7d8a11".as_bytes();
    let junk: [(&[u8], Option<&[u8]>); 4] = [
        (b"hello", Some(b"world")),
        (link, Some(b"\x01\x00short")),
        (link, None),
        (b"", None),
    ];
    write(&*broker, "_penstock.keys", &junk);
    let other = KeyStore::open(broker.clone(), kek(1), config()).unwrap();
    assert_eq!(other.current(&ask).await.unwrap()[0].link(), key.link());

    // It might elect another key than the version that knows it.
    write(&*broker, "_penstock.keys", &[(link, Some(b"\x02later"))]);
    while store.cached_current(&ask[0]).is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = store.current(&ask).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never);
    assert!(
        error
            .to_string()
            .contains("later format than this version knows; update this worker"),
        "{error}"
    );
    assert!(store.by_links(&[key.link()]).await.is_err());
}

#[test]
fn keys_that_were_copied_to_a_topic_with_other_partitions_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    drop(KeyStore::open(broker.clone(), kek(1), config()).unwrap());
    let copy = KeyStoreConfig {
        topic: "copy".to_owned(),
        ..config()
    };
    let spec = TopicSpec::new("copy", 3)
        .config("cleanup.policy", "compact")
        .config("message.timestamp.type", "LogAppendTime")
        .config("min.compaction.lag.ms", "60000");
    broker.create_topic(&spec).unwrap();
    let mut reader = broker.reader(ReaderSpec::new("test")).unwrap();
    reader
        .assign("_penstock.keys", 0, StartAt::Earliest)
        .unwrap();
    while reader.position("_penstock.keys", 0).unwrap()
        < broker.watermarks("_penstock.keys", 0).unwrap().1
    {
        for message in reader.poll(100, Duration::from_secs(1)).unwrap() {
            write(
                &*broker,
                "copy",
                &[(&message.key.unwrap(), message.value.as_deref())],
            );
        }
    }
    let error = KeyStore::open(broker, kek(1), copy)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it has 3 partitions and was made with 4"),
        "{error}"
    );
}
