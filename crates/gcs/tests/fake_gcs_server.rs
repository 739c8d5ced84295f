//! The bucket on a real server: fake-gcs-server, whose URL is in `PENSTOCK_TEST_GCS`.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use penstock_gcs::{Access, Bucket};

static BUCKETS: AtomicUsize = AtomicUsize::new(0);

fn access(endpoint: &str, bucket: &str) -> Access {
    Access {
        endpoint: endpoint.to_owned(),
        bucket: bucket.to_owned(),
        credentials: None,
        proxy: None,
        timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(5),
        retries: 3,
        retry_for: Duration::from_secs(30),
        longest_pause: Duration::from_millis(200),
    }
}

/// A new bucket; `None` where there is no server, which is an error in CI.
async fn bucket() -> Option<Bucket> {
    let Ok(endpoint) = std::env::var("PENSTOCK_TEST_GCS") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "PENSTOCK_TEST_GCS is not set: CI runs on a real server (cargo xtask test)"
        );
        eprintln!("not run: PENSTOCK_TEST_GCS is not set; cargo xtask services start gives one");
        return None;
    };
    let name = format!(
        "json-api-{}-{}",
        std::process::id(),
        BUCKETS.fetch_add(1, Ordering::Relaxed)
    );
    let made = reqwest::Client::new()
        .post(format!("{endpoint}/storage/v1/b"))
        .body(format!(r#"{{"name":"{name}"}}"#))
        .header("Content-Type", "application/json")
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    Some(Bucket::new(access(&endpoint, &name)).unwrap())
}

async fn read(bucket: &Bucket, path: &Path) -> Vec<u8> {
    bucket
        .get(path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .into()
}

#[tokio::test]
async fn an_object_comes_back_whole_and_in_ranges() {
    let Some(bucket) = bucket().await else { return };
    let path = Path::from("events/year=2026/a b+ü%.json");
    let put = bucket.put(&path, "0123456789".into()).await.unwrap();
    assert!(put.version.is_some());
    assert_eq!(read(&bucket, &path).await, b"0123456789");
    let meta = bucket.head(&path).await.unwrap();
    assert_eq!((meta.size, meta.location), (10, path.clone()));
    for (range, expected) in [
        (GetRange::Bounded(2..5), "234"),
        (GetRange::Bounded(8..100), "89"),
        (GetRange::Offset(0), "0123456789"),
        (GetRange::Offset(7), "789"),
        (GetRange::Suffix(4), "6789"),
    ] {
        let options = GetOptions {
            range: Some(range),
            ..GetOptions::default()
        };
        let got = bucket.get_opts(&path, options).await.unwrap();
        assert_eq!(got.bytes().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_create_refuses_to_replace_an_object() {
    let Some(bucket) = bucket().await else { return };
    let path = Path::from("once");
    let create = || PutOptions::from(PutMode::Create);
    bucket
        .put_opts(&path, "first".into(), create())
        .await
        .unwrap();
    let error = bucket
        .put_opts(&path, "second".into(), create())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(read(&bucket, &path).await, b"first");
    bucket.put(&path, "third".into()).await.unwrap();
    assert_eq!(read(&bucket, &path).await, b"third");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let Some(bucket) = bucket().await else { return };
    let error = bucket.head(&Path::from("nothing")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let endpoint = std::env::var("PENSTOCK_TEST_GCS").unwrap();
    let elsewhere = Bucket::new(access(&endpoint, "no-such-bucket")).unwrap();
    let error = elsewhere.list(None).try_next().await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn objects_are_listed_by_directory_and_deleted() {
    let Some(bucket) = bucket().await else { return };
    let names = ["a/1", "a/2", "a/b/3", "a_b/4", "c"];
    for name in names {
        bucket.put(&Path::from(name), "x".into()).await.unwrap();
    }
    let list = async |prefix: &str| {
        let prefix = Path::from(prefix);
        let mut listed: Vec<_> = bucket
            .list(Some(&prefix))
            .map_ok(|meta| meta.location.to_string())
            .try_collect()
            .await
            .unwrap();
        listed.sort();
        listed
    };
    assert_eq!(list("").await, names);
    assert_eq!(list("a").await, ["a/1", "a/2", "a/b/3"]);
    let listed = bucket
        .list_with_delimiter(Some(&Path::from("a")))
        .await
        .unwrap();
    let objects: Vec<_> = listed
        .objects
        .iter()
        .map(|meta| meta.location.as_ref())
        .collect();
    assert_eq!(objects, ["a/1", "a/2"]);
    assert_eq!(listed.common_prefixes, [Path::from("a/b")]);
    let behind: Vec<_> = bucket
        .list_with_offset(None, &Path::from("a/b/3"))
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(behind, ["a_b/4", "c"]);
    bucket
        .copy(&Path::from("c"), &Path::from("d/e"))
        .await
        .unwrap();
    bucket.delete(&Path::from("c")).await.unwrap();
    assert_eq!(list("").await, ["a/1", "a/2", "a/b/3", "a_b/4", "d/e"]);
}

#[tokio::test]
async fn parts_of_any_size_in_any_order_become_one_object() {
    let Some(bucket) = bucket().await else { return };
    for sizes in [
        vec![700_001, 1, 262_144, 3_000_000, 17],
        vec![262_144, 524_288],
        vec![5],
        vec![],
    ] {
        let path = Path::from(format!("large/{}", sizes.len()));
        let content: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| {
                (0..*size)
                    .map(|at| ((at * 7 + number) % 251) as u8)
                    .collect()
            })
            .collect();
        let id = bucket.create_multipart(&path).await.unwrap();
        let parts = content.iter().enumerate().rev().map(|(number, part)| {
            let (bucket, path, id) = (bucket.clone(), path.clone(), id.clone());
            let part = part.clone();
            async move { bucket.put_part(&path, &id, number, part.into()).await }
        });
        let mut parts = futures::future::try_join_all(parts).await.unwrap();
        parts.reverse();
        let unfinished = bucket.head(&path).await.unwrap_err();
        assert!(matches!(unfinished, Error::NotFound { .. }), "{unfinished}");
        bucket.complete_multipart(&path, &id, parts).await.unwrap();
        assert!(read(&bucket, &path).await == content.concat(), "{sizes:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_aborted_leaves_nothing_and_can_be_aborted_by_others() {
    let Some(bucket) = bucket().await else { return };
    let path = Path::from("aborted");
    let mut upload = bucket.put_multipart(&path).await.unwrap();
    upload.put_part(vec![1; 300_000].into()).await.unwrap();
    upload.abort().await.unwrap();
    upload.put_part(vec![1; 300_000].into()).await.unwrap_err();

    let id = bucket.create_multipart(&path).await.unwrap();
    bucket
        .put_part(&path, &id, 0, vec![2; 300_000].into())
        .await
        .unwrap();
    let endpoint = std::env::var("PENSTOCK_TEST_GCS").unwrap();
    let name = bucket.to_string().replace("gs://", "");
    let other = Bucket::new(access(&endpoint, &name)).unwrap();
    other.abort_multipart(&path, &id).await.unwrap();
    other.abort_multipart(&path, &id).await.unwrap();
    bucket
        .complete_multipart(&path, &id, vec![])
        .await
        .unwrap_err();
    let error = bucket.head(&path).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
