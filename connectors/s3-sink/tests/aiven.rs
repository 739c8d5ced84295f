//! Files written for Aiven's connector: what they come to, and what is said of those that cannot run.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use penstock_connect::{Config, Record, Settings};
use penstock_files::{Compression, Content, Csv, Format, Member, Timestamps, ValueEncoding};
use penstock_objects::{NamedBy, Plan};
use penstock_s3_sink::AivenS3Config;

fn read(more: &str) -> Result<AivenS3Config, Vec<String>> {
    let settings =
        Settings::parse("s3.properties", &format!("aws.s3.bucket.name=lake\n{more}")).unwrap();
    AivenS3Config::read_all(settings)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn plan(more: &str) -> Plan {
    read(more).unwrap().plan().unwrap()
}

fn name(plan: &Plan) -> String {
    let mut record = Record::new("t".into(), None);
    record.timestamp = Some(1_616_752_590_123);
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
fn names_have_no_ending_but_that_of_the_template() {
    for (more, expected) in [
        ("", "demo-2-3-41.gz"),
        ("file.compression.type=none", "demo-2-3-41"),
        (
            "file.compression.type=zstd\nfile.name.prefix=a/b-",
            "a/b-demo-2-3-41.zst",
        ),
        (
            "format.output.type=avro\navro.codec=snappy",
            "demo-2-3-41.avro",
        ),
        (
            "format.output.type=parquet\nfile.compression.type=snappy",
            "demo-2-3-41.snappy",
        ),
        (
            "file.name.template={{topic}}/{{timestamp:unit=dd}}/{{partition}}-{{start_offset}}.json.gz",
            "demo-2/27/3-41.json.gz",
        ),
        (
            "file.name.template={{topic}}/{{timestamp:unit=dd}}/{{partition}}-{{start_offset}}\n\
             timestamp.source=event\ntimestamp.timezone=Asia/Tokyo",
            "demo-2/26/3-41",
        ),
    ] {
        assert_eq!(name(&plan(more)), expected, "{more}");
    }
}

#[test]
fn files_look_as_the_keys_say_and_end_every_minute_unless_told_otherwise() {
    let usual = plan("");
    assert_eq!(
        (usual.files.format, usual.files.compression),
        (Format::Csv, Compression::Gzip)
    );
    assert_eq!(usual.files.dialect.csv, Csv::Plain(ValueEncoding::Base64));
    assert_eq!(usual.files.dialect.timestamps, Timestamps::Iso8601);
    assert_eq!(usual.files.content, Content::Envelope(vec![Member::Value]));
    let schedule = usual.rotation.schedule.unwrap();
    assert_eq!(
        (schedule.interval, usual.rotation.records),
        (Duration::from_secs(60), None)
    );
    let told = plan(
        "format.output.type=jsonl\nformat.output.fields=key,value,offset,timestamp,headers\n\
         file.max.records=500\nrotate.schedule.interval.ms=300000\nfile.compression.type=none",
    );
    assert_eq!(told.files.format, Format::JsonLines);
    assert_eq!(
        (told.rotation.records, told.prefix.as_str()),
        (Some(500), "")
    );
    assert_eq!(
        told.rotation.schedule.unwrap().interval,
        Duration::from_secs(300)
    );
    let bare = plan("format.output.type=json\nformat.output.envelope=false");
    assert_eq!(bare.files.content, Content::Value);
}

#[test]
fn files_in_the_connector_s_oldest_words_run() {
    let text = "aws_access_key_id=AKIA\naws_secret_access_key=hunter2\naws_s3_bucket=old-lake\n\
                aws_s3_region=eu-west-1\naws_s3_endpoint=http://127.0.0.1:9000\naws_s3_prefix=a/b-\n\
                output_compression=none\noutput_fields=key,value\n";
    let settings = Settings::parse("s3.properties", text).unwrap();
    let config = AivenS3Config::read_all(settings).unwrap();
    assert_eq!(config.key_id.as_deref(), Some("AKIA"));
    assert_eq!(config.region.as_deref(), Some("eu-west-1"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let plan = config.plan().unwrap();
    assert_eq!(plan.store.name(), "s3://old-lake");
    assert_eq!(name(&plan), "a/b-demo-2-3-41");
    assert_eq!(plan.files.compression, Compression::None);
    let members = vec![Member::Key, Member::Value];
    assert_eq!(plan.files.content, Content::Envelope(members));
}

#[test]
fn what_cannot_run_is_said_at_its_line() {
    for (more, message) in [
        (
            "file.name.template=k{{key}}",
            "s3.properties:2: file.name.template: groups by key alone: such files hold only the last \
             record of each key and are written over, so what was before is lost; with {{topic}}, \
             {{partition}} and {{start_offset}} beside {{key}} each file has a name of its own",
        ),
        (
            "file.name.prefix=a/\nfile.name.template=/{{topic}}-{{partition}}-{{start_offset}}",
            "s3.properties:3: file.name.template: has two slashes with nothing between them",
        ),
        (
            "format.output.envelope=false\nformat.output.fields=key,value",
            "s3.properties:2: format.output.envelope: false needs a single field in format.output.fields",
        ),
        (
            "format.output.type=avro\nfile.compression.type=gzip",
            "s3.properties:3: file.compression.type: Avro files are compressed inside: write \
             avro.codec=deflate, snappy or zstandard",
        ),
        (
            "avro.codec=snappy",
            "s3.properties:2: avro.codec: has a meaning for format.output.type=avro only; write \
             file.compression.type",
        ),
        (
            "aws.sts.role.external.id=x",
            "s3.properties:2: aws.sts.role.external.id: means nothing without aws.sts.role.arn",
        ),
        (
            "aws.sts.role.arn=arn:x\naws.sts.role.session.duration=60",
            "s3.properties:3: aws.sts.role.session.duration: must be from 900 to 43200 (15 minutes to 12 hours)",
        ),
        (
            "aws_s3_prefix=/x",
            "s3.properties:2: file.name.prefix: begins with a slash",
        ),
        (
            "format.output.fields=value,checksum",
            "s3.properties:2: format.output.fields: must list key, value, headers, offset and timestamp, \
             not \"checksum\"",
        ),
    ] {
        assert_eq!(read(more).unwrap_err(), [message], "{more}");
    }
}

/// All keys of the connector's documentation (3.4).
const THEIRS: &[&str] = &[
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_s3_endpoint",
    "aws_s3_region",
    "aws_s3_bucket",
    "aws_s3_prefix",
    "output_compression",
    "output_fields",
    "aws.access.key.id",
    "aws.secret.access.key",
    "aws.s3.bucket.name",
    "aws.s3.endpoint",
    "aws.s3.prefix",
    "aws.s3.region",
    "aws.sts.role.arn",
    "aws.sts.role.external.id",
    "aws.sts.role.session.name",
    "aws.sts.role.session.duration",
    "aws.sts.config.endpoint",
    "aws.credentials.provider",
    "file.name.template",
    "file.name.prefix",
    "file.compression.type",
    "file.max.records",
    "format.output.type",
    "format.output.fields",
    "format.output.fields.value.encoding",
    "format.output.envelope",
    "timestamp.timezone",
    "timestamp.source",
    "file.name.timestamp.timezone",
    "file.name.timestamp.source",
    "aws.s3.part.size.bytes",
    "kafka.retry.backoff.ms",
    "aws.s3.backoff.delay.ms",
    "aws.s3.backoff.max.delay.ms",
    "aws.s3.backoff.max.retries",
    "aws.s3.sse.algorithm",
    "avro.codec",
];

#[test]
fn no_key_of_the_connector_is_unknown() {
    for key in THEIRS {
        let settings = Settings::parse("s3.properties", &format!("{key}=1\n")).unwrap();
        let unknown = AivenS3Config::read_all(settings).map_or_else(
            |problems| {
                problems
                    .iter()
                    .filter(|problem| problem.key.as_deref() == Some(key))
                    .any(|problem| problem.message.starts_with("unknown"))
            },
            |_| false,
        );
        assert!(!unknown, "{key}");
    }
}
