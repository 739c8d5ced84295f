//! What an export finds out about its store before the first record, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions};
use penstock_connect::{ConfigValue, Retry, config::Secret};
use penstock_objects::Store;
use penstock_objects::store::{
    Azure, AzureCredentials, Gcs, GcsCredentials, Proxy, Role, S3, S3Credentials,
};
use penstock_tests::Bucket;
use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::identities::TokenService;

fn s3(bucket: &Bucket) -> S3 {
    let credentials = bucket.credentials();
    S3 {
        bucket: bucket.name().to_owned(),
        region: Some("us-east-1".to_owned()),
        default_region: "us-east-1",
        endpoint: Some(bucket.endpoint().to_owned()),
        path_style: None,
        credentials: S3Credentials::Keys {
            id: credentials[0].1.to_owned(),
            secret: Secret::parse(credentials[1].1).unwrap(),
            token: None,
        },
        role: None,
        encryption: None,
        proxy: Proxy::default(),
        timeout: Duration::from_secs(30),
        creates_only: true,
    }
}

fn gcs(bucket: &Bucket) -> Gcs {
    Gcs {
        bucket: bucket.name().to_owned(),
        endpoint: Some(bucket.endpoint().to_owned()),
        credentials: GcsCredentials::Anonymous,
        proxy: Proxy::default(),
        timeout: Duration::from_secs(30),
    }
}

fn azure(bucket: &Bucket) -> Azure {
    Azure {
        container: bucket.name().to_owned(),
        account: bucket.account().to_owned(),
        endpoint: Some(bucket.endpoint().to_owned()),
        credentials: AzureCredentials::Key(Secret::parse(bucket.credentials()[0].1).unwrap()),
        origin: "azure.account.key",
        proxy: Proxy::default(),
        timeout: Duration::from_secs(30),
    }
}

/// A bucket on each server, and a client for it.
async fn all() -> [(Bucket, Store); 3] {
    let (lake, ocean, sky) = (
        Bucket::s3().await,
        Bucket::gcs().await,
        Bucket::azure().await,
    );
    let (s3, gcs, azure) = (
        s3(&lake).store().unwrap(),
        gcs(&ocean).store().unwrap(),
        azure(&sky).store().unwrap(),
    );
    [(lake, s3), (ocean, gcs), (sky, azure)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_can_be_written_passes_the_check_and_nothing_is_left_in_it() {
    for (bucket, store) in all().await {
        store.check("events/").await.unwrap();
        store.check("").await.unwrap();
        assert!(bucket.list("").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_an_ip_address_has_its_buckets_in_paths_though_hosts_were_to_name_them() {
    let lake = Bucket::s3().await;
    let by_host = S3 {
        path_style: Some(false),
        ..s3(&lake)
    };
    assert!(lake.endpoint().starts_with("http://127.0.0.1:"));
    let store = by_host.store().unwrap();
    store.check("").await.unwrap();
    let name = Path::from("a/b");
    store.objects().put(&name, "x".into()).await.unwrap();
    assert_eq!(lake.get("a/b").await, "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_bucket_is_said_before_the_first_record() {
    let (lake, ocean, sky) = (
        Bucket::s3().await,
        Bucket::gcs().await,
        Bucket::azure().await,
    );
    let missing = S3 {
        bucket: "no-such-lake".to_owned(),
        ..s3(&lake)
    };
    let unknown = S3 {
        credentials: S3Credentials::Keys {
            id: "AKIANOBODY".to_owned(),
            secret: Secret::parse("nothing").unwrap(),
            token: None,
        },
        ..s3(&lake)
    };
    let elsewhere = S3 {
        region: Some("eu-west-9".to_owned()),
        ..s3(&lake)
    };
    // As AWS answers whoever asks the wrong region: without an address to go to.
    let redirecting = FaultProxy::to(lake.endpoint()).await;
    redirecting.plan([Fault::refuse(301, "PermanentRedirect").always()]);
    let redirected = S3 {
        endpoint: Some(redirecting.url().to_owned()),
        ..s3(&lake)
    };
    let missing_ocean = Gcs {
        bucket: "no-such-ocean".to_owned(),
        ..gcs(&ocean)
    };
    let missing_sky = Azure {
        container: "no-such-sky".to_owned(),
        ..azure(&sky)
    };
    for (store, message) in [
        (
            missing.store().unwrap(),
            "s3://no-such-lake cannot be written: there is no such bucket; make it, or correct its name",
        ),
        (
            unknown.store().unwrap(),
            &*format!(
                "s3://{} cannot be written: the store does not know these credentials \
                 (aws.access.key.id); correct them [InvalidAccessKeyId]",
                lake.name()
            ),
        ),
        (
            elsewhere.store().unwrap(),
            &*format!(
                "s3://{} cannot be written: the bucket is in another region; correct the region (it says \
                 us-east-1) [AuthorizationHeaderMalformed]",
                lake.name()
            ),
        ),
        (
            redirected.store().unwrap(),
            &*format!(
                "s3://{} cannot be written: the bucket is in another region; correct the region",
                lake.name()
            ),
        ),
        (
            missing_ocean.store().unwrap(),
            "gs://no-such-ocean cannot be written: there is no such bucket; make it, or correct its name",
        ),
        (
            missing_sky.store().unwrap(),
            "az://no-such-sky cannot be written: there is no such container; make it, or correct its name",
        ),
    ] {
        let error = store.check("events/").await.unwrap_err();
        assert_eq!(
            (error.retry, error.message.as_str()),
            (Retry::Never, message)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_may_come_back() {
    let ocean = Bucket::gcs().await;
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let away = Gcs {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        ..gcs(&ocean)
    };
    let error = away.store().unwrap().check("").await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_may_take_longer_to_read_than_the_store_may_say_nothing() {
    let (lake, ocean) = (Bucket::s3().await, Bucket::gcs().await);
    let (timeout, large) = (Duration::from_secs(1), Path::from("large"));
    for bucket in [&lake, &ocean] {
        bucket.put("large", vec![b'x'; 1 << 20]).await;
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        let endpoint = proxy.url().to_owned();
        let store = if bucket.credentials().is_empty() {
            let endpoint = Some(endpoint);
            let gcs = Gcs {
                endpoint,
                timeout,
                ..gcs(bucket)
            };
            gcs.store()
        } else {
            let endpoint = Some(endpoint);
            let s3 = S3 {
                endpoint,
                timeout,
                ..s3(bucket)
            };
            s3.store()
        };
        let store = store.unwrap();
        proxy.plan([Fault::drip(2 * timeout).on(Operation::Get).always()]);
        let object = store.objects().get(&large).await.unwrap();
        assert_eq!(
            object.bytes().await.unwrap().len(),
            1 << 20,
            "{}",
            store.name()
        );
        proxy.heal();
        proxy.plan([Fault::silence().on(Operation::Get).always()]);
        let before = proxy.count(Operation::Get);
        let silent = store.objects().get(&large);
        let silent = tokio::time::timeout(Duration::from_millis(1500), silent);
        assert!(silent.await.is_err(), "{} is asked again", store.name());
        assert_eq!(proxy.count(Operation::Get), before + 2, "{}", store.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_escapes_and_spaces_are_what_they_say() {
    let name = "topics/demo-2/country=a%2Fb %2E+é/demo-2+3+0000000041.json";
    for (bucket, store) in all().await {
        let path = Path::parse(name).unwrap();
        store.objects().put(&path, "x".into()).await.unwrap();
        assert_eq!(bucket.names("").await, [name], "{}", store.name());
        let parts = store.multipart().unwrap();
        let large = Path::parse(format!("{name}.large")).unwrap();
        let upload = parts.create_multipart(&large).await.unwrap();
        let part = parts
            .put_part(&large, &upload, 0, "y".into())
            .await
            .unwrap();
        parts
            .complete_multipart(&large, &upload, vec![part])
            .await
            .unwrap();
        assert_eq!(bucket.get(&format!("{name}.large")).await, "y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_create_only_do_not_replace() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Store::directory(dir.path()).unwrap();
    let stores = all().await.map(|(_, store)| store);
    for store in stores.into_iter().chain([directory]) {
        assert!(store.creates_only());
        let path = Path::parse("a/b").unwrap();
        let create = || PutOptions::from(PutMode::Create);
        store
            .objects()
            .put_opts(&path, "first".into(), create())
            .await
            .unwrap();
        let again = store
            .objects()
            .put_opts(&path, "second".into(), create())
            .await;
        assert!(
            matches!(again, Err(StoreError::AlreadyExists { .. })),
            "{}: {again:?}",
            store.name()
        );
        let kept = store
            .objects()
            .get(&path)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert_eq!(kept, "first");
    }
}

#[test]
fn files_that_hold_no_key_of_a_service_account_are_refused_without_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("federated.json");
    std::fs::write(&path, r#"{"type": "external_account", "audience": "x"}"#).unwrap();
    let federated = Gcs {
        bucket: "ocean".to_owned(),
        endpoint: None,
        credentials: GcsCredentials::File(path),
        proxy: Proxy::default(),
        timeout: Duration::from_secs(30),
    };
    let error = federated.store().unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error.message.starts_with("gs://ocean cannot be used: ")
            && error.message.contains("external_account"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_of_a_role_serve_on_while_the_token_service_is_away_and_as_long_as_they_are_good() {
    const GOOD: Duration = Duration::from_secs(5);
    let bucket = Bucket::s3().await;
    let service = TokenService::before(&bucket, GOOD).await;
    let away = FaultProxy::to(&service.url()).await;
    let guard = FaultProxy::guarded(bucket.endpoint(), service.given().guard()).await;
    let arn = "arn:aws:iam::123456789012:role/lake-writer";
    let lake = S3 {
        endpoint: Some(guard.url().to_owned()),
        role: Some(Role {
            arn: arn.to_owned(),
            session: "penstock".to_owned(),
            external_id: None,
            duration: Duration::from_secs(900),
            endpoint: Some(away.url().to_owned()),
        }),
        ..s3(&bucket)
    };
    let lake = lake.store().unwrap();
    lake.check("").await.unwrap();
    away.plan([Fault::answer(503).always()]);
    // They are renewed long before they run out, and once a second at most.
    tokio::time::sleep(GOOD / 3).await;
    lake.check("").await.unwrap();
    assert!(away.unmet().is_empty(), "it was asked for others");
    tokio::time::sleep(GOOD).await;
    let error = lake.check("").await.unwrap_err();
    let expected = format!(
        "s3://{} cannot be written: there are no keys of aws.access.key.id for {arn}: {} does not answer as a token \
         service does: status 503 Service Unavailable",
        bucket.name(),
        away.url()
    );
    assert_eq!((error.retry, error.message), (Retry::Backoff, expected));
    away.heal();
    lake.check("").await.unwrap();
    assert_eq!(service.given().used(), 2);
}
