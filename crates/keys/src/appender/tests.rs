//! Upkeep and erasure where workers died halfway: on the embedded broker, with the broker's clock moved.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;
use std::path::Path;

use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};

use super::*;
use crate::clock::local_now;
use crate::fold::{self, Standing};
use crate::record::Value;
use crate::{KeyRequest, KeyStore, KeyStoreConfig, LocalKek};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn open(directory: &Path, retention: Option<Duration>) -> Arc<KeyStore> {
    let broker = EmbeddedBroker::open(&EmbeddedSettings::new(directory)).unwrap();
    let config = KeyStoreConfig {
        partitions: 2,
        window: Duration::from_secs(1),
        retention,
        ..KeyStoreConfig::default()
    };
    KeyStore::open(
        Arc::new(broker),
        Arc::new(LocalKek::from_bytes(&[1; 32])),
        config,
    )
    .unwrap()
}

/// A key of the value, and the value's scope.
async fn key(store: &KeyStore, value: &str) -> (Arc<DataKey>, Digest) {
    let request = KeyRequest {
        stream: "demo",
        value: Cow::Borrowed(value),
        subject: None,
    };
    let key = store.current(&[request]).await.unwrap().remove(0);
    (key, store.shared.mac().scope("demo", value))
}

fn standings(store: &KeyStore, scope: &Digest) -> Vec<Standing> {
    fold::standings(&store.shared.local.view().unwrap().live(scope).unwrap())
}

/// Appends a candidate as a worker does that knows of no key, and dies then.
fn leave_candidate(appender: &mut Appender, scope: Digest) -> KeyLink {
    let (wrapping_link, wrapping) = appender.wrapping_key().unwrap();
    let want = Wanted {
        scope,
        stream: "demo".to_owned(),
        subject: None,
    };
    let (candidate, record) = appender.candidate(
        &want,
        wrapping_link,
        &wrapping,
        appender.shared.topic.partitions,
    );
    append(appender, record);
    candidate.link
}

fn append(appender: &mut Appender, record: Outgoing) {
    let began = Instant::now();
    let places = appender.write(&[record]).unwrap();
    appender.shared.wait_written(began, &places).unwrap();
}

/// Makes the store believe that the broker's clock is ahead.
fn let_pass(store: &KeyStore, time: Duration) {
    let now = local_now();
    store
        .shared
        .clock
        .observe(now, now, now + i64::try_from(time.as_millis()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn void_candidates_of_dead_workers_are_removed_once_they_are_a_minute_old() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), None);
    let mut appender = Appender::new(store.shared.clone());
    let (_, scope) = key(&store, "ada").await;
    leave_candidate(&mut appender, scope);
    assert_eq!(
        standings(&store, &scope),
        [Standing::Current, Standing::Void]
    );

    appender.remove_voids().unwrap();
    assert_eq!(
        standings(&store, &scope).len(),
        2,
        "its writer may still be about to remove it"
    );
    let_pass(&store, Duration::from_secs(70));
    appender.remove_voids().unwrap();
    store.shared.catch_up().unwrap();
    assert_eq!(standings(&store, &scope), [Standing::Current]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_when_their_retention_is_over_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Some(HOUR));
    let mut appender = Appender::new(store.shared.clone());
    let (_, scope) = key(&store, "ada").await;
    leave_candidate(&mut appender, scope);
    let_pass(&store, HOUR / 2);
    assert_eq!(appender.sweep().unwrap(), 0);
    assert_eq!(standings(&store, &scope).len(), 2);
    let_pass(&store, HOUR + Duration::from_secs(10));
    assert_eq!(appender.sweep().unwrap(), 1);
    assert_eq!(standings(&store, &scope), []);
    // The store's own keys stay.
    appender.wrapping_key().unwrap();
    assert_eq!(appender.sweep().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_retention_keys_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), None);
    let (_, scope) = key(&store, "ada").await;
    let_pass(&store, HOUR * 24 * 365 * 10);
    assert_eq!(Appender::new(store.shared.clone()).sweep().unwrap(), 0);
    assert_eq!(standings(&store, &scope), [Standing::Current]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_that_an_eraser_left_goes_once_nothing_is_left_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), None);
    let mut appender = Appender::new(store.shared.clone());
    let (first, scope) = key(&store, "ada").await;
    let barrier = Outgoing {
        partition: partition_of(&scope, store.shared.topic.partitions),
        key: KeyLink::random().to_string().into_bytes(),
        value: Some(Value::Barrier { scope }.encode()),
    };
    append(&mut appender, barrier);
    assert_eq!(
        appender.sweep().unwrap(),
        0,
        "it still has to keep the key before it from deciding"
    );
    let (second, _) = key(&store, "ada").await;
    assert_ne!(first.link(), second.link());
    let expected = [Standing::Superseded, Standing::Barrier, Standing::Current];
    assert_eq!(standings(&store, &scope), expected);

    assert_eq!(store.erase_links(&[first.link()]).await.unwrap(), 1);
    assert_eq!(standings(&store, &scope), [Standing::Current]);
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_a_superseded_key_takes_its_void_candidates_along_and_leaves_the_current_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), None);
    let mut appender = Appender::new(store.shared.clone());
    let (first, scope) = key(&store, "ada").await;
    leave_candidate(&mut appender, scope);
    let second = loop {
        let (key, _) = key(&store, "ada").await;
        if key.link() != first.link() {
            break key;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(store.erase_links(&[first.link()]).await.unwrap(), 1);
    assert_eq!(standings(&store, &scope), [Standing::Current]);
    assert!(store.cached_by_link(second.link()).is_some());
}

#[test]
fn a_marker_is_written_to_partitions_with_new_records_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), None);
    let mut appender = Appender::new(store.shared.clone());
    appender.wrapping_key().unwrap();
    assert_eq!(
        store.shared.unmarked(),
        [0, 1],
        "nobody knows what came before this worker"
    );
    appender.mark().unwrap();
    store.shared.catch_up().unwrap();
    assert!(store.shared.unmarked().is_empty());
    leave_candidate(&mut appender, [0xff; 16]);
    assert_eq!(store.shared.unmarked(), [1]);
}
