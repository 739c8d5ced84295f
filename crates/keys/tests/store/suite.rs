//! What a key store does on any broker.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use penstock_broker::Broker;
use penstock_keys::{ExportedKey, KeyLookup, KeyRequest, KeyStore, KeyStoreConfig};

use super::{kek, request};

fn open(broker: &Arc<dyn Broker>, config: &KeyStoreConfig) -> Arc<KeyStore> {
    KeyStore::open(broker.clone(), kek(1), config.clone()).unwrap()
}

pub(crate) async fn keys_are_made_once(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    let store = open(&broker, &config);
    let requests = [
        request("demo", "ada"),
        request("demo", "bob"),
        request("demo", "ada"),
        request("other", "ada"),
    ];
    assert!(store.cached_current(&requests[0]).is_none());
    let keys = store.current(&requests).await.unwrap();
    assert_eq!(keys[0].link(), keys[2].link());
    let links: HashSet<_> = keys.iter().map(|key| key.link()).collect();
    assert_eq!(links.len(), 3, "a key belongs to one value of one stream");
    for (request, key) in requests.iter().zip(&keys) {
        assert_eq!(store.cached_current(request).unwrap().link(), key.link());
        assert_eq!(
            key.placement(),
            store.placement_hash(request.stream, &request.value)
        );
        assert_eq!(key.stream(), request.stream);
        let lookup = store.cached_by_link(key.link());
        assert!(matches!(lookup, Some(KeyLookup::Usable(found)) if found.link() == key.link()));
    }

    // A second worker finds what the first one made, and decrypts.
    let (mut ciphertext, mut plaintext) = (Vec::new(), Vec::new());
    keys[0].encrypt_base64("Grüße".as_bytes(), &mut ciphertext);
    let second = open(&broker, &config);
    let KeyLookup::Usable(found) = second.by_links(&[keys[0].link()]).await.unwrap().remove(0)
    else {
        panic!("the key is there");
    };
    found.decrypt_base64(&ciphertext, &mut plaintext).unwrap();
    assert_eq!(plaintext, "Grüße".as_bytes());
    assert_eq!(
        second.current(&requests).await.unwrap()[1].link(),
        keys[1].link()
    );
    assert_eq!(
        second.placement_hash("demo", "ada"),
        store.placement_hash("demo", "ada")
    );
}

pub(crate) async fn workers_agree(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    let stores = [
        open(&broker, &config),
        open(&broker, &config),
        open(&broker, &config),
    ];
    for round in 0..5 {
        let values: Vec<String> = (0..40).map(|n| format!("{round}-{n}")).collect();
        let mut tasks = Vec::new();
        for store in stores.iter().chain(&stores) {
            let (store, values) = (store.clone(), values.clone());
            tasks.push(tokio::spawn(async move {
                let requests: Vec<_> = values.iter().map(|value| request("demo", value)).collect();
                let keys = store.current(&requests).await.unwrap();
                keys.iter()
                    .map(|key| key.link().to_owned())
                    .collect::<Vec<_>>()
            }));
        }
        let mut links = HashSet::new();
        for task in tasks {
            links.insert(task.await.unwrap());
        }
        assert_eq!(links.len(), 1, "all workers use the same keys");
        let links = links.into_iter().next().unwrap();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        // One that starts later, too.
        let late = open(&broker, &config);
        for lookup in late.by_links(&links).await.unwrap() {
            assert!(matches!(lookup, KeyLookup::Usable(_)));
        }
        let requests: Vec<_> = values.iter().map(|value| request("demo", value)).collect();
        let found = late.current(&requests).await.unwrap();
        assert!(found.iter().map(|key| key.link()).eq(links.iter().copied()));
    }
}

pub(crate) async fn windows_end(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    let short = KeyStoreConfig {
        window: Duration::from_secs(1),
        ..config.clone()
    };
    let store = KeyStore::open(broker.clone(), kek(1), short).unwrap();
    let ask = [request("demo", "ada")];
    let first = store.current(&ask).await.unwrap().remove(0);
    assert_eq!(first.expires() - first.created(), 1000);
    let mut ciphertext = Vec::new();
    first.encrypt(b"value", &mut ciphertext);
    while store.cached_current(&ask[0]).is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = store.current(&ask).await.unwrap().remove(0);
    assert_ne!(first.link(), second.link());
    assert!(second.created() >= first.expires());
    let late = open(&broker, &config);
    let KeyLookup::Usable(found) = late.by_links(&[first.link()]).await.unwrap().remove(0) else {
        panic!("a superseded key is there");
    };
    let mut plaintext = Vec::new();
    found.decrypt(&ciphertext, &mut plaintext).unwrap();
    assert_eq!(plaintext, b"value");
}

pub(crate) async fn erasure(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    let (store, other) = (open(&broker, &config), open(&broker, &config));
    let ask = [request("demo", "ada"), request("demo", "bob")];
    let keys = store.current(&ask).await.unwrap();
    assert_eq!(other.current(&ask).await.unwrap()[0].link(), keys[0].link());

    assert_eq!(store.erase("demo", "ada").await.unwrap(), 1);
    assert_eq!(store.erase("demo", "ada").await.unwrap(), 0);
    assert!(store.cached_current(&ask[0]).is_none());
    while other.cached_current(&ask[0]).is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for store in [&store, &other, &open(&broker, &config)] {
        let links = [
            keys[0].link(),
            keys[1].link(),
            "8c2ab7de-2f4e-4a3b-9a51-0d4f6f7d8a11",
            "no link",
        ];
        let found = store.by_links(&links).await.unwrap();
        assert!(matches!(found[0], KeyLookup::Erased), "{:?}", found[0]);
        assert!(matches!(found[1], KeyLookup::Usable(_)), "{:?}", found[1]);
        assert!(matches!(found[2], KeyLookup::Unknown), "{:?}", found[2]);
        assert!(matches!(found[3], KeyLookup::Unknown), "{:?}", found[3]);
    }
    // The value gets a new key, the same everywhere.
    let new = other.current(&ask).await.unwrap().remove(0);
    assert_ne!(new.link(), keys[0].link());
    assert_eq!(store.current(&ask).await.unwrap()[0].link(), new.link());

    assert_eq!(
        other
            .erase_links(&[keys[1].link(), keys[0].link(), "no link"])
            .await
            .unwrap(),
        1
    );
    assert!(matches!(
        other.by_links(&[keys[1].link()]).await.unwrap()[0],
        KeyLookup::Erased
    ));

    let of_subject = KeyRequest {
        subject: Some(Cow::Borrowed("person 7")),
        ..request("demo", "session 1")
    };
    let key = store.current(&[of_subject]).await.unwrap().remove(0);
    assert_eq!(other.erase_subject("person 8").await.unwrap(), 0);
    assert_eq!(other.erase_subject("person 7").await.unwrap(), 1);
    assert!(matches!(
        other.by_links(&[key.link()]).await.unwrap()[0],
        KeyLookup::Erased
    ));
}

pub(crate) async fn export(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    // Two workers race, so that there are void candidates, too.
    let (store, other) = (open(&broker, &config), open(&broker, &config));
    let values: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let requests: Vec<_> = values.iter().map(|value| request("demo", value)).collect();
    let (keys, same) = tokio::join!(store.current(&requests), other.current(&requests));
    let (keys, same) = (keys.unwrap(), same.unwrap());
    assert!(keys.iter().zip(&same).all(|(a, b)| a.link() == b.link()));
    store.current(&[request("other", "ada")]).await.unwrap();

    let mut receiver = store.export("demo").await.unwrap();
    let mut exported: Vec<ExportedKey> = Vec::new();
    while let Some(key) = receiver.recv().await {
        exported.push(key.unwrap());
    }
    exported.sort_by(|a, b| a.key_link.cmp(&b.key_link));
    let mut expected: Vec<_> = keys.iter().map(|key| (key.link(), key.expires())).collect();
    expected.sort_unstable();
    assert!(
        exported
            .iter()
            .map(|key| (key.key_link.as_str(), key.expires_at))
            .eq(expected)
    );
    assert!(
        exported[0]
            .encryption_key
            .contains("google.crypto.tink.AesSivKey")
    );
    assert!(
        !format!("{:?}", exported[0]).contains("primaryKeyId"),
        "key material is not for logs"
    );
}

pub(crate) async fn sealing(broker: Arc<dyn Broker>, config: KeyStoreConfig) {
    let (store, other) = (open(&broker, &config), open(&broker, &config));
    let sealed = store.seal(b"a dead letter");
    assert_eq!(other.unseal(&sealed).unwrap(), b"a dead letter");
}
