//! What Google gives to programs instead of passwords. fake-gcs-server lets everybody in, so a guard
//! stands before it that looks at tokens as Google does.

use std::sync::Arc;
use std::time::Duration;

use penstock_tests::faults::{FaultProxy, Operation};
use penstock_tests::identities::{Machine, Signer};
use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate};

use crate::guide;
use crate::table::{every_event_once, export_with};

const ACCOUNT: &str = "lake-writer@penstock.iam.gserviceaccount.com";

/// The page's connector that asks with what the machine has, into a folder of this bucket.
fn machine_connector(deployment: &Deployment, bucket: &Bucket, endpoint: &str) {
    let file = guide::connector(deployment, "lake-machine");
    for (key, value) in [
        ("gcs.bucket.name", bucket.name()),
        ("gcs.endpoint", endpoint),
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("rotate.idle.ms", "1000"),
    ] {
        deployment.set(&file, key, value);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_service_account_signs_the_tokens_of_requests() {
    let bucket = Bucket::gcs().await;
    let signer = Arc::new(Signer::new());
    let judge = signer.clone();
    let guard = FaultProxy::guarded(
        bucket.endpoint(),
        Box::new(move |headers| {
            let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
            let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
            let claims = token.and_then(|token| judge.claims(token));
            let good = claims.is_some_and(|claims| {
                claims["iss"] == ACCOUNT
                    && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
                    && claims["exp"].as_i64() > Some(chrono::Utc::now().timestamp())
            });
            if good {
                Ok(())
            } else {
                Err((401, "Unauthorized"))
            }
        }),
    )
    .await;
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let key = signer.service_account(ACCOUNT).to_string();
    deployment.write("key.json", &key);
    let path = deployment.path().join("key.json").display().to_string();
    let stranger = Signer::new().service_account(ACCOUNT).to_string();
    for (name, credentials) in [
        ("path", format!("gcs.credentials.path={path}")),
        ("json", "gcs.credentials.json=${env:LAKE_WRITER}".to_owned()),
        (
            "stranger",
            "gcs.credentials.json=${env:STRANGER}".to_owned(),
        ),
    ] {
        let keys = format!(
            "endpoint={}\n{credentials}\nrotate.records=50\nrotate.idle.ms=1000",
            guard.url()
        );
        export_with(&deployment, &bucket, name, &keys);
    }
    machine_connector(&deployment, &bucket, guard.url());
    let worker = deployment.spawn(&[
        ("LAKE_WRITER", &key),
        ("STRANGER", &stranger),
        ("GOOGLE_APPLICATION_CREDENTIALS", &path),
    ]);
    deployment.gateway().ready().await;
    let senders = Senders::start(&deployment.gateway(), 2);
    senders.acknowledge(200).await;
    let sent = senders.stop().await;
    for folder in ["path", "json", "machine"] {
        every_event_once(&bucket, folder, Reader::JsonLines, &sent).await;
    }
    let said = crate::refusals::failure(&deployment, "stranger").await;
    assert!(
        said.contains("these credentials (gcs.credentials.json)"),
        "{said}"
    );
    assert!(bucket.list("stranger/").await.is_empty());
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_the_machines_account_are_renewed_in_time() {
    const SHORT: Duration = Duration::from_secs(4);
    let bucket = Bucket::gcs().await;
    let machine = Machine::start(&bucket, SHORT).await;
    let guard = FaultProxy::guarded(bucket.endpoint(), machine.given().guard()).await;
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    machine_connector(&deployment, &bucket, guard.url());
    let host = machine.host();
    let mut variables =
        guide::variables("the account of a machine", &[("GCE_METADATA_HOST", &host)]);
    // No login of whoever runs the test; what is empty is not set.
    variables.extend([
        ("HOME", "/nonexistent"),
        ("GOOGLE_APPLICATION_CREDENTIALS", ""),
    ]);
    let worker = deployment.start_with(&variables).await;
    let senders = Senders::start(&deployment.gateway(), 2);
    senders.acknowledge(150).await;
    tokio::time::sleep(SHORT * 2).await;
    senders.acknowledge(50).await;
    let sent = senders.stop().await;
    every_event_once(&bucket, "machine", Reader::JsonLines, &sent).await;
    assert!(guard.count(Operation::Put) > 2);
    assert!(
        machine.given().used() >= 3,
        "{} tokens were used",
        machine.given().used()
    );
    assert!(worker.stop().success());
}
