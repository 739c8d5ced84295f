//! The batch exporter: what came in a stream, every so many seconds, with what was there before or
//! without it, and workers that are killed in between.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use penstock_tests::readers::Reader;
use penstock_tests::{Bucket, Deployment, Estate, Worker, eventually, on_both_brokers};
use serde_json::Value;

use crate::guide;
use crate::moments::{Moments, send};
use crate::table::{files, marker};

/// The shortest interval that there is.
const MOMENTS: Moments = Moments(Duration::from_secs(30));

/// The journal is told every ten seconds at most under what time records were taken.
const STAMPED: Duration = Duration::from_secs(11);

/// The page's exporter, with existing events, and one like it that begins with the next event.
const WITH: &str = "demo-2-batches";
const WITHOUT: &str = "later-batches";

const CONVERTER: &str = "io.confluent.connect.avro.AvroConverter";

fn write_exporters(deployment: &Deployment, with: &Bucket, without: &Bucket) {
    let file = guide::connector(deployment, WITH);
    deployment.set(&file, "url", &with.url());
    deployment.set(&file, "endpoint", with.endpoint());
    let keys = without.keys();
    let text = format!(
        "name={WITHOUT}\nconnector.class=BatchExporter\ntopics=demo-2\nurl={}/lake\nendpoint={}\n\
         path.prefix=exports/\n{keys}",
        without.url(),
        without.endpoint()
    );
    deployment.write(&format!("{WITHOUT}.properties"), &text);
    for name in [WITH, WITHOUT] {
        let file = format!("{name}.properties");
        deployment.set(&file, "interval.seconds", "30");
        deployment.set(&file, "value.converter", CONVERTER);
        deployment.set(&file, "consumer.override.session.timeout.ms", "6000");
    }
}

fn remove_exporters(deployment: &Deployment) {
    for name in [WITH, WITHOUT] {
        deployment.remove(&format!("{name}.properties"));
    }
}

/// Waits until it is fixed where an exporter begins.
async fn has_begun(worker: &Worker, exporter: &str) {
    eventually(&format!("{exporter} has a position"), async || {
        let path = format!("/connectors/{exporter}/offsets");
        let shown: Value = worker.get(&path).await.json().await.ok()?;
        shown["offsets"].get(0).map(drop)
    })
    .await;
}

async fn derived(deployment: &Deployment, count: usize) {
    eventually("all events in the derived stream", async || {
        (deployment.output("demo-2").len() >= count).then_some(())
    })
    .await;
}

/// The numbers of the events in each file, by the name of the file.
async fn written(bucket: &Bucket) -> BTreeMap<String, Vec<usize>> {
    let files = files(bucket, "", Reader::JsonLines).await.into_iter();
    let number = |row: &Value| marker(row).parse().unwrap();
    files
        .map(|(name, rows)| (name, rows.iter().map(number).collect()))
        .collect()
}

/// When the interval began, by the name of a file: `2021-03-26T09:56:30-stream-<uuid>---0.jsonl`.
fn began(name: &str, prefix: &str) -> DateTime<Utc> {
    let name = name.strip_prefix(prefix).unwrap();
    let (time, rest) = name.split_once("-stream-").unwrap();
    let uuid = rest.strip_suffix("---0.jsonl").unwrap();
    assert_eq!(uuid.parse::<uuid::Uuid>().unwrap().get_version_num(), 8);
    let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S").unwrap();
    time.and_utc()
}

/// The file that begins with this event.
fn file_of(files: &BTreeMap<String, Vec<usize>>, first: usize) -> Option<(&String, &Vec<usize>)> {
    files.iter().find(|(_, numbers)| numbers[0] == first)
}

on_both_brokers! {
    async fn batches_hold_each_event_once_from_where_they_were_to_begin_also_after_kills(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        let (with, without) = (Bucket::gcs().await, Bucket::s3().await);
        let worker = deployment.start().await;
        send(&deployment, 0..40).await;
        derived(&deployment, 40).await;
        assert!(worker.stop().success());

        // Killed before it has exported anything, and away while events come.
        write_exporters(&deployment, &with, &without);
        let worker = deployment.start().await;
        has_begun(&worker, WITHOUT).await;
        worker.kill();
        remove_exporters(&deployment);
        let worker = deployment.start().await;
        send(&deployment, 40..60).await;
        derived(&deployment, 60).await;
        assert!(worker.stop().success());

        // Killed with events in an open file, and away until their interval is over and others have come.
        write_exporters(&deployment, &with, &without);
        let worker = deployment.start().await;
        let between = (&worker, &[WITH, WITHOUT][..]);
        let (batch, last) = MOMENTS.send_between(&deployment, between, (60, 30), STAMPED).await;
        worker.kill();
        remove_exporters(&deployment);
        let worker = deployment.start().await;
        let end = batch + 50;
        send(&deployment, batch + 30..end).await;
        derived(&deployment, end).await;
        assert!(worker.stop().success());
        write_exporters(&deployment, &with, &without);
        MOMENTS.next(last).await;
        let worker = deployment.start().await;

        for (bucket, prefix, first) in [(&with, "demo-2/", 0), (&without, "lake/exports/", 40)] {
            let files = eventually("all events", async || {
                let files = written(bucket).await;
                let rows: usize = files.values().map(Vec::len).sum();
                (rows >= end - first).then_some(files)
            })
            .await;
            let mut numbers: Vec<usize> = files.values().flatten().copied().collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (first..end).collect::<Vec<_>>(), "{prefix}");
            for (name, numbers) in &files {
                assert_eq!(began(name, prefix).timestamp() % 30, 0, "{name}");
                assert!(!numbers.is_empty() && numbers.is_sorted(), "{name}");
            }
            // As an undisturbed run names and ends it.
            let (name, numbers) = file_of(&files, batch).unwrap();
            assert_eq!(began(name, prefix).timestamp_millis(), last, "{name}");
            assert_eq!(*numbers, (batch..batch + 30).collect::<Vec<_>>());
        }
        assert!(worker.stop().success());
    }
}
