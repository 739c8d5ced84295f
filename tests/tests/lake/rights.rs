//! What an export may do in a bucket: the rights of the page are enough, and one that is missing is told
//! before the first record.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::identities::TemporaryKeys;
use penstock_tests::readers::Reader;
use penstock_tests::senders::Sent;
use penstock_tests::{Bucket, Deployment, Estate, Gateway};
use serde_json::Value;

use crate::guide;
use crate::large_events::{holds, no_unfinished_uploads, rotation, send};
use crate::refusals::failure;
use crate::table::{every_event_once, export_with, marker};

/// An export with these keys.
fn export(deployment: &Deployment, bucket: &Bucket, name: &str, keys: &TemporaryKeys, more: &str) {
    let keys = format!(
        "endpoint={}\naws.region=us-east-1\naws.access.key.id={}\naws.secret.access.key={}\n\
         aws.session.token={}\n{more}",
        bucket.endpoint(),
        keys.id,
        keys.secret,
        keys.token
    );
    export_with(deployment, bucket, name, &keys);
}

fn deploy(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    deployment.set("worker.properties", "memory.budget", "512mb");
    deployment
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_told_before_the_first_record() {
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let bucket = Bucket::s3().await;
    let policy = guide::policy(bucket.name());
    let mut expected = Vec::new();
    for (name, right, message) in [
        (
            "puts",
            "s3:PutObject",
            "these credentials (aws.access.key.id) may not do that; grant them the right (to write objects and to \
             abort uploads, or to list and read) [AccessDenied]",
        ),
        // AWS refuses who may not list as well; MinIO lets that pass.
        (
            "gets",
            "s3:GetObject",
            "these credentials (aws.access.key.id) may write, and may not ask what is there; grant them the right to \
             list and to read as well",
        ),
    ] {
        assert!(policy.contains(right), "{policy}");
        let without = policy.replace(right, "s3:GetBucketLocation");
        let keys = TemporaryKeys::limited(&bucket, &without).await;
        export(&deployment, &bucket, name, &keys, "");
        expected.push((
            name,
            format!("{} cannot be written: {message}", bucket.url()),
        ));
    }
    let worker = deployment.start().await;
    for (name, expected) in expected {
        assert_eq!(failure(&deployment, name).await, expected, "{name}");
    }
    assert!(worker.stop().success());
}

/// Sends small events, which are put whole.
async fn send_small(gateway: &Gateway) -> Vec<Value> {
    let mut sent = Vec::new();
    for number in 0..30 {
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = format!("small {number}").into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        sent.push(event);
    }
    sent
}

fn acknowledged(events: &[Value]) -> Sent {
    let events = events.iter();
    events
        .map(|event| (marker(event).to_owned(), true))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_page_are_enough_also_after_kills() {
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let bucket = Bucket::s3().await;
    let policy = guide::policy(bucket.name());
    let keys = TemporaryKeys::limited(&bucket, &policy).await;
    export(&deployment, &bucket, "large", &keys, &rotation());
    export(
        &deployment,
        &bucket,
        "small",
        &keys,
        "rotate.records=7\nrotate.idle.ms=1000",
    );
    let mut worker = deployment.start().await;
    let mut sent = send(&deployment.gateway(), 3).await;
    worker.kill();
    worker = deployment.start().await;
    every_event_once(&bucket, "large", Reader::JsonLines, &acknowledged(&sent)).await;
    holds(&bucket, "large", Reader::JsonLines, &sent).await;
    worker.kill();
    worker = deployment.start().await;
    sent.extend(send_small(&deployment.gateway()).await);
    every_event_once(&bucket, "small", Reader::JsonLines, &acknowledged(&sent)).await;
    no_unfinished_uploads(&bucket).await;
    assert!(worker.stop().success());
}
