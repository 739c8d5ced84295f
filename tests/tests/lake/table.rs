//! Exports of the demo's derived stream, and what lies in their files.

use std::path::Path;

use penstock_tests::readers::{Reader, read};
use penstock_tests::senders::{Sent, each_once};
use penstock_tests::{Bucket, Deployment, Worker, eventually};
use serde_json::Value;

/// An export of `demo-2` in our own words, into a folder of the bucket by the export's name, with the
/// keys that let it in.
pub(crate) fn export(
    deployment: &Deployment,
    bucket: &Bucket,
    endpoint: &str,
    name: &str,
    keys: &str,
) {
    let keys = format!("{}endpoint={endpoint}\n{keys}", bucket.keys());
    export_with(deployment, bucket, name, &keys);
}

/// As [`export`], with these keys alone.
pub(crate) fn export_with(deployment: &Deployment, bucket: &Bucket, name: &str, keys: &str) {
    let text = format!(
        "name={name}\nconnector.class=ObjectSink\ntopics=demo-2\nurl={}/{name}\n\
         value.converter=io.confluent.connect.avro.AvroConverter\n\
         consumer.override.session.timeout.ms=6000\n{keys}\n",
        bucket.url(),
    );
    deployment.write(&format!("{name}.properties"), &text);
}

/// As [`export`], in Confluent's words, as JSON lines.
pub(crate) fn export_confluent(
    deployment: &Deployment,
    bucket: &Bucket,
    endpoint: &str,
    name: &str,
    keys: &str,
) {
    let credentials = bucket.credentials();
    let text = format!(
        "name={name}\n\
         connector.class=io.confluent.connect.s3.S3SinkConnector\n\
         storage.class=io.confluent.connect.s3.storage.S3Storage\n\
         topics=demo-2\n\
         s3.bucket.name={}\n\
         s3.region=us-east-1\n\
         store.url={endpoint}\n\
         aws.access.key.id={}\n\
         aws.secret.access.key={}\n\
         topics.dir={name}\n\
         format.class=io.confluent.connect.s3.format.json.JsonFormat\n\
         value.converter=io.confluent.connect.avro.AvroConverter\n\
         consumer.override.session.timeout.ms=6000\n{keys}\n",
        bucket.name(),
        credentials[0].1,
        credentials[1].1,
    );
    deployment.write(&format!("{name}.properties"), &text);
}

/// The rows of the files below a folder of the bucket, by file.
pub(crate) async fn files(
    bucket: &Bucket,
    prefix: &str,
    reader: Reader,
) -> Vec<(String, Vec<Value>)> {
    let dir = tempfile::tempdir().unwrap();
    bucket.download(prefix, dir.path()).await;
    let path: &Path = dir.path();
    let read = tokio::task::block_in_place(|| read(reader, path));
    read.into_iter()
        .map(|file| (file.name, file.rows))
        .collect()
}

/// The text that tells one demo event from another.
pub(crate) fn marker(row: &Value) -> &str {
    row["notSensitiveValue"].as_str().expect("a demo event")
}

/// Every acknowledged event lies in the export's files once; one that was sent when the worker died
/// lies there once or not at all. Within a file rows are in the topic's order.
pub(crate) async fn every_event_once(bucket: &Bucket, export: &str, reader: Reader, sent: &Sent) {
    let prefix = format!("{export}/");
    each_once(sent, &prefix, async || {
        let files = files(bucket, &prefix, reader).await;
        let rows = files.iter().flat_map(|(_, rows)| rows);
        rows.map(|row| marker(row).to_owned()).collect()
    })
    .await;
}

/// The first task of a connector, as REST shows it; `Null` while there is none.
pub(crate) async fn task(worker: &Worker, connector: &str) -> Value {
    let status = worker.get(&format!("/connectors/{connector}/status")).await;
    let status: Value = status.json().await.unwrap_or_default();
    status["tasks"][0].clone()
}

/// The trace of a task that comes to this state, once it says so much.
pub(crate) async fn trace(worker: &Worker, connector: &str, state: &str, part: &str) -> String {
    eventually(&format!("{connector} is {state}: {part}"), async || {
        let task = task(worker, connector).await;
        let trace = task["trace"].as_str().unwrap_or_default();
        (task["state"] == state && trace.contains(part)).then(|| trace.to_owned())
    })
    .await
}

/// A connector has read what there was.
pub(crate) async fn completed(worker: &Worker, connector: &str) {
    eventually(&format!("{connector} is COMPLETED"), async || {
        let task = task(worker, connector).await;
        assert_ne!(task["state"], "FAILED", "{task}");
        (task["state"] == "COMPLETED").then_some(())
    })
    .await;
}

/// A metric of a connector's first task; 0 where there is none.
pub(crate) async fn metric(worker: &Worker, name: &str, connector: &str) -> f64 {
    let metrics = worker.metrics().await;
    let line = format!("{name}{{connector=\"{connector}\",task=\"0\"}} ");
    let value = metrics.lines().find_map(|found| found.strip_prefix(&line));
    value.map_or(0.0, |value| value.parse().unwrap())
}
