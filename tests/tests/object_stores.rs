//! The object stores of the suites, and the way to them that fails as told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::multipart::MultipartStore;
use object_store::{ObjectStoreExt, RetryConfig};
use penstock_tests::Bucket;
use penstock_tests::faults::{Fault, FaultProxy, Operation};

/// A client that tries once, through `url`.
fn client(bucket: &Bucket, url: &str) -> object_store::aws::AmazonS3 {
    let credentials = bucket.credentials();
    AmazonS3Builder::new()
        .with_endpoint(url)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(bucket.name())
        .with_access_key_id(credentials[0].1)
        .with_secret_access_key(credentials[1].1)
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_holds_what_was_put_into_it() {
    for bucket in [
        Bucket::s3().await,
        Bucket::gcs().await,
        Bucket::azure().await,
    ] {
        assert!(bucket.list("").await.is_empty());
        let names = ["a/größe=1/b c.json", "a/x", "b"];
        for name in names {
            bucket.put(name, name).await;
        }
        assert_eq!(bucket.names("").await, names);
        assert_eq!(bucket.names("a/g").await, names[..1]);
        assert_eq!(bucket.list("b").await[0].bytes, 1);
        assert_eq!(bucket.get(names[0]).await, names[0]);
        let dir = tempfile::tempdir().unwrap();
        bucket.download("a/", dir.path()).await;
        let copy = std::fs::read(dir.path().join(names[0])).unwrap();
        assert_eq!(copy, names[0].as_bytes());
        assert!(!dir.path().join("b").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_pass_with_their_signatures_when_nothing_is_planned() {
    let bucket = Bucket::s3().await;
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    let client = client(&bucket, proxy.url());
    let name = "one/two".into();
    client.put(&name, "three".into()).await.unwrap();
    let read = client.get(&name).await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), "three");
    assert_eq!(client.head(&name).await.unwrap().size, 5);
    assert_eq!(bucket.get("one/two").await, "three");
    let seen = proxy.seen();
    assert_eq!(seen[0].operation, Operation::Put);
    assert_eq!(seen[0].object.as_deref(), Some("one/two"));
    assert_eq!((seen[0].status, seen[0].struck), (Some(200), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_what_it_says_and_the_server_has_done_as_much() {
    let bucket = Bucket::s3().await;
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    let client = client(&bucket, proxy.url());
    let cases = [
        ("answered", Fault::answer(503), "503", false),
        ("answered-late", Fault::answer(500).once_done(), "500", true),
        ("reset", Fault::reset(), "", false),
        ("reset-late", Fault::reset().once_done(), "", true),
    ];
    for (name, fault, text, done) in cases {
        proxy.plan([fault.on(Operation::Put).naming(name)]);
        let error = client.put(&name.into(), "x".into()).await.unwrap_err();
        assert!(format!("{error:?}").contains(text), "{name}: {error:?}");
        assert!(proxy.is_over() && proxy.unmet().is_empty(), "{name}");
        assert_eq!(
            bucket.names(name).await.contains(&name.to_owned()),
            done,
            "{name}"
        );
        proxy.heal();
        client.put(&name.into(), "x".into()).await.unwrap();
    }

    proxy.plan([Fault::silence().on(Operation::Put)]);
    let patience = Duration::from_millis(300);
    let name = "silent".into();
    let put = tokio::time::timeout(patience, client.put(&name, "x".into()));
    assert!(put.await.is_err(), "no answer came");
    assert!(bucket.names("silent").await.is_empty());

    proxy.heal();
    bucket.put("whole", vec![b'x'; 100_000]).await;
    proxy.plan([Fault::cut(10_000).on(Operation::Get)]);
    let answer = client.get(&"whole".into()).await.unwrap();
    assert!(answer.bytes().await.is_err(), "the answer breaks off");
    let answer = client.get(&"whole".into()).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_an_upload_are_counted_and_what_is_unfinished_shows() {
    let bucket = Bucket::s3().await;
    let proxy = FaultProxy::to(bucket.endpoint()).await;
    let client = client(&bucket, proxy.url());
    let name = "large".into();
    let id = client.create_multipart(&name).await.unwrap();
    assert_eq!(bucket.unfinished().await, ["large"]);
    proxy.plan([
        Fault::reset().on(Operation::Part).after(1).times(2),
        Fault::answer(500).on(Operation::Complete).once_done(),
    ]);
    let part = || vec![b'x'; 5 << 20].into();
    let mut parts = vec![client.put_part(&name, &id, 0, part()).await.unwrap()];
    for _ in 0..2 {
        client.put_part(&name, &id, 1, part()).await.unwrap_err();
    }
    parts.push(client.put_part(&name, &id, 1, part()).await.unwrap());
    client
        .complete_multipart(&name, &id, parts)
        .await
        .unwrap_err();
    assert!(proxy.is_over());
    assert_eq!(bucket.list("").await[0].bytes, 10 << 20);
    assert!(bucket.unfinished().await.is_empty());
    for (operation, count) in [
        (Operation::Create, 1),
        (Operation::Part, 4),
        (Operation::Complete, 1),
    ] {
        assert_eq!(proxy.count(operation), count, "{operation:?}");
    }
}
