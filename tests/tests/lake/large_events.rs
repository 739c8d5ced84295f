//! Events so large that a few of them make a file that goes up in parts.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::readers::Reader;
use penstock_tests::{Bucket, Gateway, Worker, eventually};
use serde_json::Value;

use crate::table::{files, metric};

/// Events of a file: so many are more than one part, and fewer than two.
pub(crate) const IN_A_FILE: usize = 14;

/// The key that makes such files.
pub(crate) fn rotation() -> String {
    format!("rotate.records={IN_A_FILE}")
}

/// Sends events of 400 kB for so many files. All of them come to one partition.
pub(crate) async fn send(gateway: &Gateway, files: usize) -> Vec<Value> {
    send_events(gateway, files * IN_A_FILE).await
}

/// Sends so many events of 400 kB.
pub(crate) async fn send_events(gateway: &Gateway, events: usize) -> Vec<Value> {
    let mut sent = Vec::new();
    for number in 0..events {
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = format!("{number} {}", "x".repeat(400_000)).into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        sent.push(event);
    }
    sent
}

/// Waits until so many rows of an export are in the bucket, and the worker knows.
pub(crate) async fn durable(worker: &Worker, export: &str, rows: usize) {
    eventually(&format!("{rows} rows of {export}"), async || {
        let durable = metric(worker, "penstock_object_sink_rows_total", export).await;
        (durable >= rows as f64).then_some(())
    })
    .await;
}

/// The export's files hold these events, each once, in their order, with what their sender wrote into
/// the fields that the stream shows in clear.
pub(crate) async fn holds(bucket: &Bucket, export: &str, reader: Reader, sent: &[Value]) {
    let files = files(bucket, &format!("{export}/"), reader).await;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), sent.len() / IN_A_FILE, "{names:?}");
    let rows: Vec<&Value> = files.iter().flat_map(|(_, rows)| rows).collect();
    assert_eq!(rows.len(), sent.len(), "rows of {export}");
    for field in ["uniqueIdentifier", "consistentValue", "notSensitiveValue"] {
        let same = rows
            .iter()
            .zip(sent)
            .all(|(row, event)| row[field] == event[field]);
        assert!(same, "{field} of {export}");
    }
}

/// Waits until no upload is under way any more, and none was left behind.
pub(crate) async fn no_unfinished_uploads(bucket: &Bucket) {
    eventually("no unfinished uploads", async || {
        bucket.unfinished().await.is_empty().then_some(())
    })
    .await;
}
