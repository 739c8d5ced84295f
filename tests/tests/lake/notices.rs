//! The topic that tells of finished files, read as a downstream job reads it.

use std::collections::BTreeMap;

use penstock_tests::events::DEMO_SCHEMA;
use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::table::{every_event_once, export, files, metric};

const EXPORTS: [(&str, Reader, &str); 2] = [
    ("lines", Reader::JsonLines, "rotate.records=50"),
    (
        "tables",
        Reader::Parquet,
        "format=parquet\nrotate.records=70",
    ),
];

fn number(notice: &Value, member: &str) -> i64 {
    notice[member]
        .as_i64()
        .unwrap_or_else(|| panic!("{member} of {notice}"))
}

/// What is told of an export's files is what lies in the bucket, each file once, without a gap.
async fn hold_against(bucket: &Bucket, export: &str, reader: Reader, notices: &[Value]) {
    let prefix = format!("{export}/");
    let mut told: BTreeMap<&str, &Value> = BTreeMap::new();
    for notice in notices
        .iter()
        .filter(|notice| notice["connector"] == export)
    {
        let name = notice["name"].as_str().unwrap();
        assert!(told.insert(name, notice).is_none(), "{name} was told twice");
    }
    let there = bucket.list(&prefix).await;
    let rows: BTreeMap<_, _> = files(bucket, &prefix, reader).await.into_iter().collect();
    let names: Vec<_> = there.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), names);
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    // Names of one partition are in the order of their offsets.
    for object in &there {
        let notice = told[object.name.as_str()];
        let rows = i64::try_from(rows[&object.name].len()).unwrap();
        assert_eq!(
            number(notice, "bytes"),
            i64::try_from(object.bytes).unwrap(),
            "{notice}"
        );
        assert_eq!(number(notice, "rows"), rows, "{notice}");
        assert_eq!(notice["topic"], "demo");
        assert_eq!(
            notice["url"],
            format!("s3://{}/{}", bucket.name(), object.name)
        );
        let (first, last) = (
            number(notice, "first_offset"),
            number(notice, "last_offset"),
        );
        let next = next.entry(number(notice, "partition")).or_default();
        assert_eq!(first, *next, "a gap or an overlap before {notice}");
        // Nothing but events lies in the topic that the gateway fills.
        assert_eq!(last - first + 1, rows, "{notice}");
        *next = last + 1;
        assert!(
            number(notice, "min_timestamp") <= number(notice, "max_timestamp"),
            "{notice}"
        );
    }
}

/// The schema that a notice names is the one of the events.
async fn names_the_schema(estate: &Estate, deployment: &Deployment, notice: &Value) {
    let registry = estate
        .registry_url()
        .map_or_else(|| deployment.registry(), str::to_owned);
    let subject = DEMO_SCHEMA.replace('/', ".");
    let url = format!("{registry}/subjects/{subject}/versions/latest");
    let version: Value = reqwest::Client::new()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(notice["schema_id"], version["id"], "{version}");
}

on_both_brokers! {
    async fn notices_tell_of_each_file_once_also_when_workers_are_killed(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.remove("files.properties");
        deployment.remove("demo-2.properties");
        let bucket = Bucket::s3().await;
        for (name, _, keys) in EXPORTS {
            let keys = format!("{keys}\nrotate.idle.ms=1500\nnotify.topic=finished");
            export(&deployment, &bucket, bucket.endpoint(), name, &keys);
            deployment.set(&format!("{name}.properties"), "topics", "demo");
        }
        deployment.write(
            "reader.properties",
            "name=reader\nconnector.class=FileSink\ntopics=finished\nfile=out/{topic}-{partition}.jsonl\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
             consumer.override.session.timeout.ms=6000\n",
        );
        let mut worker = deployment.start().await;
        let senders = Senders::start(&deployment.gateway(), 4);
        for events in [230, 310, 180] {
            senders.acknowledge(events).await;
            worker.kill();
            worker = deployment.start().await;
        }
        senders.acknowledge(150).await;
        let sent = senders.stop().await;
        for (name, reader, _) in EXPORTS {
            every_event_once(&bucket, name, reader, &sent).await;
        }
        let notices = eventually("a notice of each object, and no file that is open", async || {
            for (name, ..) in EXPORTS {
                if metric(&worker, "penstock_object_sink_open_files", name).await > 0.0 {
                    return None;
                }
            }
            let notices = deployment.output("finished");
            (notices.len() >= bucket.list("").await.len()).then_some(notices)
        })
        .await;
        for (name, reader, _) in EXPORTS {
            hold_against(&bucket, name, reader, &notices).await;
        }
        names_the_schema(&estate, &deployment, &notices[0]).await;
        // What was told twice would have come by the time of a clean stop.
        assert!(worker.stop().success());
        assert_eq!(deployment.output("finished").len(), notices.len());
    }
}
