//! Exports into a directory, where whoever reads sees every file: also those that a kill has left half
//! written.

use std::fs;
use std::path::Path;

use penstock_tests::readers::{Reader, read};
use penstock_tests::{Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::large_events::send_events;
use crate::table::{completed, marker, metric};

/// Events of a file, and of the next one before the kill: more than a part of either.
const WHOLE: usize = 20;
const BEGUN: usize = 16;

/// The files in a directory by their names, and their lengths.
fn files_in(directory: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            // One that is renamed meanwhile has no length.
            (name, entry.metadata().map_or(0, |about| about.len()))
        })
        .collect();
    files.sort();
    files
}

on_both_brokers! {
    async fn a_kill_in_the_middle_of_a_file_leaves_none_but_whole_ones_in_a_directory(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        deployment.set("worker.properties", "memory.budget", "512mb");
        deployment.remove("files.properties");
        let lake = deployment.path().join("lake");
        let export = format!(
            "name=folder\nconnector.class=ObjectSink\ntopics=demo-2\nurl=file://{}\nrotate.records={WHOLE}\n\
             value.converter=io.confluent.connect.avro.AvroConverter\nconsumer.override.session.timeout.ms=6000\n",
            lake.display()
        );
        deployment.write("folder.properties", &export);
        let worker = deployment.start().await;
        let sent = send_events(&deployment.gateway(), WHOLE + BEGUN).await;
        let directory = lake.join("demo-2/partition=0");
        eventually("a whole file, and a part of another", async || {
            let files = files_in(&directory);
            let [(whole, _), (begun, length)] = &files[..] else {
                return None;
            };
            assert!(!whole.contains('#') && begun.contains('#'), "{files:?}");
            (*length > 5_000_000).then_some(())
        })
        .await;
        eventually("all events are taken", async || {
            let taken = "kafka_connect_sink_task_metrics_sink_record_send_total";
            (metric(&worker, taken, "folder").await >= sent.len() as f64).then_some(())
        })
        .await;
        worker.kill();
        assert_eq!(files_in(&directory).len(), 2, "the kill leaves both");

        deployment.set("folder.properties", "read.until", "end");
        let worker = deployment.start().await;
        completed(&worker, "folder").await;
        let files = files_in(&directory);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let offset = |name: &str| name.rsplit('+').next().unwrap().strip_suffix(".jsonl").map(str::to_owned);
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(offset(names[0]).as_deref(), Some("0000000000"));
        assert!(offset(names[1]).is_some(), "{names:?}");
        let read = tokio::task::block_in_place(|| read(Reader::JsonLines, &directory));
        let rows: Vec<&Value> = read.iter().flat_map(|file| &file.rows).collect();
        let same = rows.iter().map(|row| marker(row)).eq(sent.iter().map(marker));
        assert!(same, "{} rows of {}", rows.len(), sent.len());
        assert!(worker.stop().success());
    }
}
