//! Files that end at moments of the day, and a worker that is killed between two of them.
//!
//! What is promised: a file that had ended comes back under its name with its bytes, whatever the clock
//! says by then. Records of a file that had not ended begin one at the same offset, thus under the same
//! name; it ends with the first moment after the restart, where an undisturbed run has ended it before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::moments::{Moments, session};
use crate::table::{export, export_confluent, files, marker, metric};

const MOMENTS: Moments = Moments(Duration::from_secs(10));

/// Events of one interval, and the files that they make: one for each session.
const EVENTS: usize = 40;
const FILES: usize = 5;

/// Each vocabulary has an export that nothing disturbs but the kill, and one whose store does not answer.
const VOCABULARIES: [[&str; 2]; 2] = [
    ["confluent-calm", "confluent-killed"],
    ["own-calm", "own-killed"],
];

/// An export in Confluent's words.
fn confluent(deployment: &Deployment, bucket: &Bucket, endpoint: &str, name: &str) {
    let keys = format!(
        "fields=value,offset\n\
         partitioner.class=io.confluent.connect.storage.partitioner.FieldPartitioner\n\
         partition.field.name=consistentValue\n\
         flush.size=100000\n\
         rotate.schedule.interval.ms={}\n\
         timezone=Europe/Amsterdam",
        MOMENTS.0.as_millis()
    );
    export_confluent(deployment, bucket, endpoint, name, &keys);
}

/// An export in our own words.
fn own(deployment: &Deployment, bucket: &Bucket, endpoint: &str, name: &str) {
    let keys = format!(
        "fields=value,offset\npartition.by=consistentValue\ntimezone=Europe/Amsterdam\n\
         rotate.schedule.interval.ms={}",
        MOMENTS.0.as_millis()
    );
    export(deployment, bucket, endpoint, name, &keys);
}

/// The files of an export by their names without its own: the offset and number of each event.
type Files = BTreeMap<String, Vec<(i64, usize)>>;

async fn files_of(bucket: &Bucket, export: &str) -> Files {
    let prefix = format!("{export}/");
    let files = files(bucket, &prefix, Reader::JsonLines).await.into_iter();
    let row = |row: &Value| {
        let number = marker(&row["value"]).parse().unwrap();
        (row["offset"].as_i64().unwrap(), number)
    };
    files
        .map(|(name, rows)| {
            let name = name.strip_prefix(&prefix).unwrap().to_owned();
            (name, rows.iter().map(row).collect())
        })
        .collect()
}

/// The first offset in a file's name.
fn offset(name: &str) -> i64 {
    let (_, rest) = name.rsplit_once('+').unwrap();
    rest.split('.').next().unwrap().parse().unwrap()
}

/// The files whose first event is one of these.
fn beginning_in(files: &Files, numbers: std::ops::Range<usize>) -> Vec<(&str, &[(i64, usize)])> {
    let files = files
        .iter()
        .filter(|(_, rows)| numbers.contains(&rows[0].1));
    files.map(|(name, rows)| (&**name, &**rows)).collect()
}

/// Each event lies once, with those of its session, in files that are named by what they begin with.
fn in_their_places(files: &Files, events: usize) {
    let mut seen = BTreeSet::new();
    for (name, rows) in files {
        assert_eq!(offset(name), rows[0].0, "{name}");
        assert!(rows.is_sorted(), "{name}");
        for (_, number) in rows {
            assert!(
                name.contains(&format!("consistentValue={}/", session(*number))),
                "{name}"
            );
            assert!(seen.insert(*number), "{number} is there twice");
        }
    }
    assert_eq!(seen, (0..events).collect::<BTreeSet<_>>());
}

on_both_brokers! {
    async fn files_that_the_clock_ends_are_the_same_after_a_kill_as_far_as_it_had_ended_them(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        deployment.remove("files.properties");
        let bucket = Bucket::s3().await;
        let mut proxies = Vec::new();
        for ([calm, killed], write) in VOCABULARIES.into_iter().zip([confluent, own]) {
            let proxy = FaultProxy::to(bucket.endpoint()).await;
            write(&deployment, &bucket, bucket.endpoint(), calm);
            write(&deployment, &bucket, proxy.url(), killed);
            proxies.push(proxy);
        }
        let exports: Vec<&str> = VOCABULARIES.into_iter().flatten().collect();
        let worker = deployment.start().await;
        let between = (&worker, &*exports);
        let (first, _) = MOMENTS.send_between(&deployment, between, (0, EVENTS), Duration::ZERO).await;

        // One file comes into the bucket, one without the worker knowing, the others do not.
        for proxy in &proxies {
            let silence = Fault::silence().on(Operation::Put);
            proxy.plan([silence.clone().once_done().after(1), silence.after(1).always()]);
        }
        for ([_, killed], proxy) in VOCABULARIES.into_iter().zip(&proxies) {
            eventually("two files, and silence about the others", async || {
                let there = files_of(&bucket, killed).await;
                let there = beginning_in(&there, first..first + EVENTS).len();
                (there == 2 && proxy.unmet().is_empty()).then_some(())
            })
            .await;
        }
        let next = first + EVENTS;
        let (second, last) = MOMENTS.send_between(&deployment, between, (next, EVENTS), Duration::ZERO).await;
        worker.kill();
        for proxy in &proxies {
            proxy.heal();
        }
        MOMENTS.next(last).await;
        let worker = deployment.start().await;

        for [calm, killed] in VOCABULARIES {
            for export in [calm, killed] {
                eventually("all events, and no file is open", async || {
                    let open = metric(&worker, "penstock_object_sink_open_files", export).await;
                    let files = files_of(&bucket, export).await;
                    let rows: usize = files.values().map(Vec::len).sum();
                    (open == 0.0 && rows >= second + EVENTS).then_some(())
                })
                .await;
            }
            let undisturbed = files_of(&bucket, calm).await;
            let disturbed = files_of(&bucket, killed).await;
            for files in [&undisturbed, &disturbed] {
                in_their_places(files, second + EVENTS);
                // Those of the interval of the kill have the names that they would have had.
                let mut begun = BTreeSet::new();
                for (_, rows) in beginning_in(files, second..second + EVENTS) {
                    begun.extend(rows.first().map(|(_, number)| *number));
                }
                let sessions: BTreeSet<_> = (second..second + FILES).collect();
                assert!(begun.is_superset(&sessions), "{begun:?}");
            }
            // The clock, and nothing else, has ended the files of the first interval.
            let whole = beginning_in(&undisturbed, first..first + EVENTS);
            assert_eq!(whole.len(), FILES, "{whole:?}");
            for (name, rows) in &whole {
                assert_eq!(rows.len(), EVENTS / FILES, "{name}");
                let twin = bucket.get(&format!("{killed}/{name}")).await;
                assert!(bucket.get(&format!("{calm}/{name}")).await == twin, "{name}");
            }
            assert_eq!(beginning_in(&disturbed, first..first + EVENTS), whole);
        }
        assert!(bucket.unfinished().await.is_empty());
        assert!(worker.stop().success());
    }
}
