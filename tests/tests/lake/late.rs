//! Events that come hours late among those of the hour, under a partitioner that goes by their time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::faults::{Fault, FaultProxy, Operation};
use penstock_tests::readers::Reader;
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};

use crate::table::{completed, export_confluent, files, marker};

const EVENTS: i64 = 400;

/// Seconds from one event to the next.
const STEP: i64 = 20;

/// How late every other event is, in turn.
const HOURS_LATE: [i64; 3] = [3, 7, 26];

const FLUSH_SIZE: i64 = 25;

/// When an event happened: in order, but for the late ones.
fn happened(number: i64) -> DateTime<Utc> {
    let first: DateTime<Utc> = "2026-01-10T12:00:00Z".parse().unwrap();
    let late = match number % 2 {
        0 => 0,
        _ => HOURS_LATE[usize::try_from(number / 2 % 3).unwrap()],
    };
    first + Duration::seconds(number * STEP) - Duration::hours(late)
}

/// The directory of an event, said without our own code.
fn directory(number: i64) -> String {
    happened(number).format("dt=%Y-%m-%d/hour=%H").to_string()
}

async fn send_all(deployment: &Deployment) {
    let gateway = deployment.gateway();
    for number in 0..EVENTS {
        let mut event = demo(&format!("session {}", number % 7), &[2]);
        event["strmMeta"]["timestamp"] = happened(number).timestamp_millis().into();
        event["notSensitiveValue"] = number.to_string().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    eventually("all events in the derived stream", async || {
        let rows = deployment.output("demo-2");
        (rows.len() == usize::try_from(EVENTS).unwrap()).then_some(())
    })
    .await;
}

/// An export in Confluent's words of what the stream holds, below a directory by its name.
fn export(deployment: &Deployment, bucket: &Bucket, endpoint: &str, name: &str) {
    let keys = format!(
        "partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner\n\
         partition.duration.ms=3600000\n\
         path.format='dt'=YYYY-MM-dd/'hour'=HH\n\
         locale=en-US\n\
         timezone=UTC\n\
         timestamp.extractor=RecordField\n\
         timestamp.field=strmMeta.timestamp\n\
         flush.size={FLUSH_SIZE}\n\
         rotate.interval.ms=3600000\n\
         read.until=end"
    );
    export_confluent(deployment, bucket, endpoint, name, &keys);
}

/// `directory` and partition in the name of a file: `{name}/demo-2/{directory}/demo-2+{partition}+…`.
fn place<'a>(file: &'a str, name: &str) -> (&'a str, &'a str) {
    let rest = file.strip_prefix(&format!("{name}/demo-2/")).unwrap();
    let (directory, file) = rest.rsplit_once('/').unwrap();
    (directory, file.split('+').nth(1).unwrap())
}

/// Each event lies once, where its own time says, and files are as few as the settings make them.
fn in_their_places(written: &[(String, Vec<serde_json::Value>)], name: &str) {
    let mut seen = BTreeSet::new();
    let mut rows_of: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (file, rows) in written {
        let place = place(file, name);
        *rows_of.entry(place).or_default() += i64::try_from(rows.len()).unwrap();
        assert!(rows.len() <= usize::try_from(FLUSH_SIZE).unwrap(), "{file}");
        for row in rows {
            let number: i64 = marker(row).parse().unwrap();
            assert!(seen.insert(number), "{number} is there twice");
            assert_eq!(place.0, directory(number), "{number}");
        }
    }
    assert_eq!(seen, (0..EVENTS).collect::<BTreeSet<_>>());
    // Of each path: full files, those that the hours passing have ended, and the last one.
    let hours = EVENTS * STEP / 3600;
    let most: i64 = rows_of
        .values()
        .map(|rows| rows / FLUSH_SIZE + hours + 1)
        .sum();
    let most = usize::try_from(most).unwrap();
    assert!(
        written.len() <= most,
        "{} files, {most} at most",
        written.len()
    );
    // What ends a file with each late event makes as many files as there are events.
    assert!(most < usize::try_from(EVENTS).unwrap() / 2, "{most}");
}

on_both_brokers! {
    async fn late_events_lie_in_few_files_of_their_own_hour_also_after_a_kill(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        send_all(&deployment).await;
        assert!(worker.stop().success());

        // Some files are there, one without the worker knowing, some are announced, most are open.
        let bucket = Bucket::s3().await;
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        let silence = Fault::silence().on(Operation::Put);
        proxy.plan([silence.clone().once_done().after(4), silence.after(4).always()]);
        export(&deployment, &bucket, proxy.url(), "killed");
        let worker = deployment.start().await;
        eventually("five files, and silence about the next", async || {
            (bucket.list("killed/").await.len() == 5 && proxy.unmet().is_empty()).then_some(())
        })
        .await;
        worker.kill();
        proxy.heal();

        export(&deployment, &bucket, bucket.endpoint(), "calm");
        let worker = deployment.start().await;
        completed(&worker, "killed").await;
        completed(&worker, "calm").await;
        assert!(worker.stop().success());

        let calm = files(&bucket, "calm/", Reader::JsonLines).await;
        assert!(calm.len() > 10, "the kill came in the middle");
        in_their_places(&calm, "calm");
        for (file, _) in &calm {
            let twin = file.replacen("calm", "killed", 1);
            assert!(bucket.get(file).await == bucket.get(&twin).await, "{twin}");
        }
        assert_eq!(bucket.list("killed/").await.len(), calm.len());
    }
}
