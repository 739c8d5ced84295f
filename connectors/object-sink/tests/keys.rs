//! Penstock's own words: what they come to, and what is said of those that cannot be.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use penstock_connect::{Budget, Config, Metrics, Record, Settings, Sink, StartAt, TaskContext};
use penstock_files::{Compression, Format};
use penstock_formats::{Encoding, Payload};
use penstock_object_sink::{BatchExporter, BatchExporterConfig, ObjectSinkConfig};
use penstock_objects::{NamedBy, Plan};

fn read<C: Config>(text: &str) -> Result<C, Vec<String>> {
    let settings = Settings::parse("lake.properties", text).unwrap();
    C::read_all(settings).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn plan(more: &str) -> Plan {
    let config: ObjectSinkConfig = read(&format!(
        "url=gs://lake/raw\nendpoint=http://127.0.0.1:1\n{more}"
    ))
    .unwrap();
    config.plan().unwrap()
}

fn name(plan: &Plan) -> String {
    let value = r#"{"country":"NL","at":"2021-03-26T09:56:30Z"}"#;
    let mut record = Record::new(
        "t".into(),
        Some(Payload::new(value.to_owned(), Encoding::Json)),
    );
    record.timestamp = Some(1_616_752_590_123 + 3_600_000);
    let mut path = String::new();
    plan.layout.path(&record, &mut path).unwrap();
    let file = NamedBy {
        topic: "demo-2",
        partition: 3,
        first: 41,
    };
    plan.layout.name(
        &path,
        &plan.layout.stamp(1_616_752_590_123 + 86_400_000),
        file,
    )
}

#[test]
fn names_follow_from_fields_and_times() {
    for (more, expected) in [
        ("", "raw/demo-2/partition=3/demo-2+3+0000000041.jsonl"),
        (
            "format=csv\ncompression=gzip",
            "raw/demo-2/partition=3/demo-2+3+0000000041.csv.gz",
        ),
        (
            "partition.by=country,time\nformat=parquet\ncompression=zstd",
            "raw/demo-2/country=NL/year=2021/month=03/day=26/hour=10/demo-2+3+0000000041.parquet",
        ),
        (
            "partition.by=time\npath.format='dt'=yyyy-MM-dd\ntime.from=clock\ntimezone=Asia/Tokyo",
            "raw/demo-2/dt=2021-03-27/demo-2+3+0000000041.jsonl",
        ),
        (
            "partition.by=time\ntime.from=field\ntime.field=at",
            "raw/demo-2/year=2021/month=03/day=26/hour=09/demo-2+3+0000000041.jsonl",
        ),
    ] {
        assert_eq!(name(&plan(more)), expected, "{more}");
    }
}

#[test]
fn files_end_at_a_usual_size_and_age_unless_a_key_says_when() {
    let usual = plan("").rotation;
    assert_eq!(usual.bytes, Some(128 << 20));
    assert_eq!(usual.schedule.unwrap().interval, Duration::from_secs(600));
    let told = plan("rotate.records=5").rotation;
    assert_eq!((told.records, told.bytes), (Some(5), None));
    assert!(told.schedule.is_none());
    let told = plan("rotate.interval.ms=1000\nrotate.schedule.interval.ms=60000").rotation;
    assert_eq!(told.event_time, Some(Duration::from_secs(1)));
    assert_eq!(told.schedule.unwrap().interval, Duration::from_secs(60));
}

#[test]
fn stores_are_named_by_their_urls() {
    for (text, name) in [
        (
            "url=s3://lake/raw\naws.access.key.id=a\naws.secret.access.key=b",
            "s3://lake",
        ),
        ("url=gs://lake\nendpoint=http://127.0.0.1:1", "gs://lake"),
        (
            "url=az://lake/raw\nazure.account.name=a\nazure.account.key=a2V5",
            "az://lake",
        ),
        (
            "url=az://lake\nazure.connection.string=AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:10000/a",
            "az://lake",
        ),
    ] {
        let plan = read::<ObjectSinkConfig>(text).unwrap().plan().unwrap();
        assert_eq!(plan.store.name(), name, "{text}");
        assert!(plan.store.multipart().is_some(), "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let text = format!("url=file://{}/lake/raw", dir.path().display());
    let plan = read::<ObjectSinkConfig>(&text).unwrap().plan().unwrap();
    assert!(plan.store.multipart().is_none());
    assert!(dir.path().join("lake/raw").is_dir());
}

#[test]
fn what_cannot_be_is_said_at_its_line() {
    for (text, message) in [
        (
            "url=http://lake",
            "lake.properties:1: url: must be s3://bucket/prefix, gs://bucket/prefix, \
             az://container/prefix or file:///directory, not \"http://lake\"",
        ),
        (
            "url=file:///tmp/x\naws.region=eu-west-1",
            "lake.properties:2: aws.region: means nothing for file://",
        ),
        (
            "url=gs://lake\naws.role.arn=arn:x",
            "lake.properties:2: aws.role.arn: means nothing for gs://",
        ),
        (
            "url=s3://lake\naws.sts.endpoint=http://127.0.0.1:1",
            "lake.properties:2: aws.sts.endpoint: means nothing without aws.role.arn",
        ),
        (
            "url=az://lake",
            "lake.properties: azure.account.name: is required (or azure.connection.string)",
        ),
        (
            "url=az://lake\nazure.connection.string=AccountKey=x",
            "lake.properties:2: azure.connection.string: has no AccountName",
        ),
        (
            "url=file:///tmp/x\nformat=avro\ncompression=lz4",
            "lake.properties:3: compression: Avro files cannot be compressed with lz4; possible are none, \
             gzip, zstd, snappy",
        ),
        (
            "url=file:///tmp/x\npartition.by=time,country",
            "lake.properties:2: partition.by: has time before a field; it comes last",
        ),
        (
            "url=file:///tmp/x\ntime.from=field",
            "lake.properties: time.field: is required with time.from=field",
        ),
        (
            "url=file:///tmp/x\ntime.from=clock\nrotate.interval.ms=5",
            "lake.properties:3: rotate.interval.ms: means nothing with time.from=clock; write \
             rotate.schedule.interval.ms",
        ),
        (
            "url=file:///tmp/x\nrotate.records=0",
            "lake.properties:2: rotate.records: must be at least 1",
        ),
    ] {
        assert_eq!(
            read::<ObjectSinkConfig>(text).unwrap_err(),
            [message],
            "{text}"
        );
    }
}

fn context() -> TaskContext {
    TaskContext {
        connector: "export".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::default(),
        budget: Budget::unlimited(),
    }
}

#[tokio::test]
async fn a_batch_exporter_begins_with_the_next_event_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    for (more, start) in [
        ("", StartAt::Latest),
        ("include.existing.events=true", StartAt::Earliest),
    ] {
        let text = format!("url=file://{}\n{more}", dir.path().display());
        let config = read::<BatchExporterConfig>(&text).unwrap();
        let exporter = BatchExporter::new(&config, &context()).unwrap();
        assert_eq!(exporter.start_at(), start);
    }
}

#[test]
fn a_batch_exporter_s_interval_has_bounds() {
    for (interval, fine) in [(29, false), (30, true), (3600, true), (3601, false)] {
        let text = format!("url=file:///tmp/x\ninterval.seconds={interval}");
        let found = read::<BatchExporterConfig>(&text).map(|_| ());
        let expected = "lake.properties:2: interval.seconds: must be from 30 to 3600".to_owned();
        assert_eq!(found, if fine { Ok(()) } else { Err(vec![expected]) });
    }
}

#[test]
fn the_usual_files_are_plain_json_lines() {
    let plan = plan("");
    assert_eq!(
        (plan.files.format, plan.files.compression),
        (Format::JsonLines, Compression::None)
    );
}
