//! What is wrong is said before the first record.

use penstock_tests::{Bucket, Deployment, Estate, eventually};
use serde_json::Value;

use crate::table::export;

/// The trace of an export's task once it has failed.
async fn failure(deployment: &Deployment, name: &str) -> String {
    eventually("a failed task", async || {
        let shown = deployment.penstock(&["get", "connector", name, "-o", "json"]);
        let status: Value = serde_json::from_slice(&shown.stdout).ok()?;
        let task = status["tasks"].get(0)?;
        let failed = task["state"] == "FAILED";
        failed.then(|| task["trace"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_and_credentials_that_are_wrong_are_told_before_the_first_record() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::s3().await;
    for name in ["missing", "secret", "id"] {
        export(&deployment, &bucket, bucket.endpoint(), name, "");
    }
    deployment.set(
        "missing.properties",
        "url",
        "s3://there-is-no-such-bucket/x",
    );
    deployment.set(
        "secret.properties",
        "aws.secret.access.key",
        "not-the-secret",
    );
    deployment.set("id.properties", "aws.access.key.id", "nobody");
    let worker = deployment.spawn(&[]);
    let unknown = format!(
        "s3://{} cannot be written: the store does not know these credentials; correct them",
        bucket.name()
    );
    for (name, expected) in [
        (
            "missing",
            "s3://there-is-no-such-bucket cannot be written: there is no such bucket; make it, or correct its name",
        ),
        ("secret", &format!("{unknown} [SignatureDoesNotMatch]")),
        ("id", &format!("{unknown} [InvalidAccessKeyId]")),
    ] {
        assert_eq!(failure(&deployment, name).await, expected, "{name}");
    }
    assert!(!worker.output().contains("not-the-secret"));
    assert!(worker.stop().success());
}
