//! Files written for Confluent's connector: what they come to, and what is said of those that cannot run.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use penstock_connect::{Config, Origin, Record, Settings, TopicPartition};
use penstock_files::{Compression, Content, Format, Member};
use penstock_formats::{Encoding, Payload};
use penstock_objects::{NamedBy, NullValues, Plan};
use penstock_s3_sink::ConfluentS3Config;

/// The least that a file has.
const LEAST: &str =
    "s3.bucket.name=lake\nformat.class=io.confluent.connect.s3.format.json.JsonFormat\n";

fn read(more: &str) -> Result<ConfluentS3Config, Vec<String>> {
    let settings = Settings::parse("s3.properties", &format!("{LEAST}{more}")).unwrap();
    ConfluentS3Config::read_all(settings)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn plan(more: &str) -> Plan {
    read(&format!("flush.size=10\n{more}"))
        .unwrap()
        .plan()
        .unwrap()
}

/// The name of a file that begins with this value at offset 41 of partition 3, written a day later.
fn name(plan: &Plan, value: Option<&str>) -> String {
    let value = value.map(|value| Payload::new(value.to_owned(), Encoding::Json));
    let mut record = Record::new("t".into(), value);
    record.timestamp = Some(1_616_752_590_123);
    record.set_origin(Origin {
        index: 0,
        partition: Some(TopicPartition {
            topic: "demo-2".into(),
            partition: 3,
        }),
        offset: 41,
    });
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

const BASED: &str = "partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner\n\
    path.format='year'=YYYY/'month'=MM/'day'=dd/'hour'=HH\npartition.duration.ms=3600000\n\
    locale=en-US\ntimezone=UTC\n";

#[test]
fn names_are_those_of_the_connector() {
    let based = |more: &str| format!("{BASED}{more}");
    for (more, expected) in [
        (String::new(), "topics/demo-2/partition=3/demo-2+3+0000000041.json"),
        (
            "topics.dir=a/b/\nfile.delim=-\nfilename.offset.zero.pad.width=3".to_owned(),
            "a/b/demo-2/partition=3/demo-2-3-041.json",
        ),
        (
            "topics.dir=".to_owned(),
            "demo-2/partition=3/demo-2+3+0000000041.json",
        ),
        (
            based("timestamp.extractor=RecordField\ntimestamp.field=meta.at"),
            "topics/demo-2/year=2021/month=03/day=26/hour=09/demo-2+3+0000000041.json",
        ),
        (
            based("timestamp.extractor=Wallclock"),
            "topics/demo-2/year=2021/month=03/day=27/hour=09/demo-2+3+0000000041.json",
        ),
        (
            "partitioner.class=HourlyPartitioner\ntimezone=Asia/Tokyo\ntimestamp.extractor=Record".to_owned(),
            "topics/demo-2/year=2021/month=03/day=26/hour=18/demo-2+3+0000000041.json",
        ),
        (
            "partitioner.class=DailyPartitioner\ntimezone=UTC\nlocale=de\ntimestamp.extractor=\
             io.confluent.connect.storage.partitioner.TimeBasedPartitioner$RecordTimestampExtractor"
                .to_owned(),
            "topics/demo-2/year=2021/month=03/day=26/demo-2+3+0000000041.json",
        ),
        (
            "partitioner.class=FieldPartitioner\npartition.field.name=country, meta.ok".to_owned(),
            "topics/demo-2/country=NL/meta.ok=true/demo-2+3+0000000041.json",
        ),
        (
            "partitioner.class=com.example.FieldAndTimeBasedPartitioner\npartition.field.name=country\n\
             partition.field.format.path=false\npath.format=yyyy/MM/\npartition.duration.ms=1000\n\
             timezone=UTC\ntimestamp.extractor=Record"
                .to_owned(),
            "topics/demo-2/NL/2021/03/demo-2+3+0000000041.json",
        ),
    ] {
        let value = r#"{"country":"NL","meta":{"at":"2021-03-26T09:56:30Z","ok":true}}"#;
        assert_eq!(name(&plan(&more), Some(value)), expected, "{more}");
    }
    let tombstones = plan(&based(
        "behavior.on.null.values=write\ntombstone.encoded.partition=gone",
    ));
    assert_eq!(
        name(&tombstones, None),
        "topics/demo-2/gone/demo-2+3+0000000041.json"
    );
    assert_eq!(tombstones.nulls, NullValues::Write);
}

#[test]
fn formats_codecs_and_endings_are_those_of_the_connector() {
    for (format, more, kind, compression, ending) in [
        (
            "JsonFormat",
            "",
            Format::JsonLines,
            Compression::None,
            ".json",
        ),
        (
            "JsonFormat",
            "s3.compression.type=gzip",
            Format::JsonLines,
            Compression::Gzip,
            ".json.gz",
        ),
        ("AvroFormat", "", Format::Avro, Compression::None, ".avro"),
        (
            "AvroFormat",
            "avro.codec=deflate",
            Format::Avro,
            Compression::Gzip,
            ".avro",
        ),
        (
            "ParquetFormat",
            "",
            Format::Parquet,
            Compression::Snappy,
            ".snappy.parquet",
        ),
        (
            "ParquetFormat",
            "parquet.codec=none",
            Format::Parquet,
            Compression::None,
            ".parquet",
        ),
        (
            "ParquetFormat",
            "parquet.codec=gzip",
            Format::Parquet,
            Compression::Gzip,
            ".gz.parquet",
        ),
        (
            "ParquetFormat",
            "parquet.codec=zstd",
            Format::Parquet,
            Compression::Zstd,
            ".zstd.parquet",
        ),
        (
            "ByteArrayFormat",
            "",
            Format::Bytes,
            Compression::None,
            ".bin",
        ),
        (
            "ByteArrayFormat",
            "format.bytearray.extension=.txt\ns3.compression.type=gzip\nformat.bytearray.separator=\\\\n--\\\\n",
            Format::Bytes,
            Compression::Gzip,
            ".txt.gz",
        ),
    ] {
        let text = format!(
            "s3.bucket.name=lake\nflush.size=1\nformat.class=io.confluent.connect.s3.format.x.{format}\n{more}"
        );
        let settings = Settings::parse("s3.properties", &text).unwrap();
        let plan = ConfluentS3Config::read_all(settings)
            .unwrap()
            .plan()
            .unwrap();
        assert_eq!(
            (plan.files.format, plan.files.compression),
            (kind, compression),
            "{text}"
        );
        let name = name(&plan, Some("{}"));
        assert_eq!(
            name,
            format!("topics/demo-2/partition=3/demo-2+3+0000000041{ending}"),
            "{text}"
        );
        let separator = if more.contains("separator") {
            "\n--\n"
        } else {
            "\n"
        };
        assert_eq!(&*plan.files.dialect.separator, separator.as_bytes());
    }
}

#[test]
fn files_end_as_the_keys_say() {
    let minute = Duration::from_secs(60);
    for (more, records, bytes, event_time, schedule) in [
        ("flush.size=10", Some(10), None, None, None),
        ("rotate.bytes=64mb", None, Some(64 << 20), None, None),
        (
            "flush.size=10\nrotate.interval.ms=60000\ntimestamp.extractor=Record",
            Some(10),
            None,
            Some(minute),
            None,
        ),
        // By the clock an interval has no first record to count from.
        (
            "flush.size=10\nrotate.interval.ms=60000",
            Some(10),
            None,
            None,
            Some((minute, "UTC")),
        ),
        (
            "rotate.schedule.interval.ms=60000\ntimezone=Europe/Paris",
            None,
            None,
            None,
            Some((minute, "Europe/Paris")),
        ),
        (
            "rotate.interval.ms=60000\nrotate.schedule.interval.ms=120000\ntimezone=UTC",
            None,
            None,
            None,
            // Both hold.
            Some((2 * minute, "UTC")),
        ),
    ] {
        let rotation = read(more).unwrap().plan().unwrap().rotation;
        assert_eq!(
            (rotation.records, rotation.bytes, rotation.event_time),
            (records, bytes, event_time),
            "{more}"
        );
        let found = rotation
            .schedule
            .map(|at| (at.interval, at.zone.to_string()));
        let schedule = schedule.map(|(interval, zone)| (interval, zone.to_owned()));
        assert_eq!(found, schedule, "{more}");
        let second = rotation.second_schedule.map(|at| at.interval);
        let both = more.contains("rotate.interval.ms") && more.contains("schedule");
        assert_eq!(second, both.then_some(minute), "{more}");
    }
}

#[test]
fn our_own_keys_are_understood_beside_theirs() {
    let plan = plan(
        "fields=key,value,headers\nrotate.idle.ms=5000\nnotify.topic=files\nmax.open.files=7\n\
         s3.part.size=8mb\n",
    );
    assert_eq!(
        plan.files.content,
        Content::Envelope(vec![Member::Key, Member::Value, Member::Headers])
    );
    assert_eq!(plan.rotation.idle, Some(Duration::from_secs(5)));
    assert_eq!((plan.notices.as_deref(), plan.max_open), (Some("files"), 7));
    assert_eq!(
        (plan.part_bytes, plan.prefix.as_str()),
        (8 << 20, "topics/")
    );
    assert_eq!(plan.store.name(), "s3://lake");
}

#[test]
fn what_cannot_run_is_said_at_its_line() {
    for (more, message) in [
        (
            "",
            "s3.properties: flush.size: is required, unless files end by rotate.bytes, rotate.idle.ms, \
             rotate.interval.ms or rotate.schedule.interval.ms",
        ),
        (
            "flush.size=0",
            "s3.properties:3: flush.size: must be at least 1",
        ),
        (
            "flush.size=1\nrotate.interval.ms=0",
            "s3.properties:4: rotate.interval.ms: must be at least 1, or -1 for never",
        ),
        (
            "rotate.schedule.interval.ms=60000",
            "s3.properties: timezone: is required with rotate.schedule.interval.ms",
        ),
        (
            "timezone=UTC\nrotate.schedule.interval.ms=86400001",
            "s3.properties:4: rotate.schedule.interval.ms: must be from 1 to 86400000 (a day)",
        ),
        (
            "flush.size=1\npartitioner.class=io.confluent.connect.storage.partitioner.FieldPartitioner",
            "s3.properties: partition.field.name: is required with this partitioner",
        ),
        (
            "flush.size=1\npartitioner.class=com.example.ByTenant",
            "s3.properties:4: partitioner.class: must be DefaultPartitioner, FieldPartitioner, \
             TimeBasedPartitioner, DailyPartitioner, HourlyPartitioner or FieldAndTimeBasedPartitioner, \
             not \"com.example.ByTenant\"; partitioners of one's own cannot be loaded",
        ),
        (
            "flush.size=1\ntimestamp.extractor=com.example.Mine",
            "s3.properties:4: timestamp.extractor: must be Wallclock, Record or RecordField, not \
             \"com.example.Mine\"; extractors of one's own cannot be loaded",
        ),
        (
            "flush.size=1\npartitioner.class=DailyPartitioner",
            "s3.properties: timezone: is required with this partitioner",
        ),
        (
            "flush.size=1\npartitioner.class=TimeBasedPartitioner\ntimezone=UTC\npath.format=yyyy/../MM\n\
             partition.duration.ms=1",
            "s3.properties:6: path.format: has the part \"..\", which would lead to another directory",
        ),
        (
            "flush.size=1\npartitioner.class=TimeBasedPartitioner\ntimezone=UTC\npath.format=yyyy/MMM\n\
             partition.duration.ms=1\nlocale=fr-FR",
            "s3.properties:8: locale: is not English, and path.format has names, which are written in \
             English only; use numbers (MM, dd)",
        ),
        (
            "flush.size=1\nfile.delim=0",
            "s3.properties:4: file.delim: must be more than digits, or two files could get the same name",
        ),
        (
            "flush.size=1\ntopics.dir=/lake",
            "s3.properties:4: topics.dir: begins with a slash",
        ),
        (
            "flush.size=1\nstore.kafka.keys=true",
            "s3.properties:4: store.kafka.keys: is not supported: no files of their own are written; \
             fields=key,value puts them into each row",
        ),
        (
            "flush.size=1\njson.decimal.format=NUMERIC",
            "s3.properties:4: json.decimal.format: is not supported: decimals are written as text \
             (\"12.50\"); take the key away if readers can do with that",
        ),
        (
            "flush.size=1\navro.codec=bzip2",
            "s3.properties:4: avro.codec: must be one of null, deflate, snappy, zstandard, not \"bzip2\"",
        ),
        (
            "flush.size=1\ns3.part.size=1mb",
            "s3.properties:4: s3.part.size: must be from 5mb to 2gb: stores take no other parts",
        ),
        (
            "flush.size=1\naws.access.key.id=AKIA",
            "s3.properties: aws.secret.access.key: is required with aws.access.key.id",
        ),
        (
            "flush.size=1\ns3.acl.canned=bucket-owner-full-control",
            "s3.properties:4: s3.acl.canned: is not supported: objects get no ACL; let the bucket own its \
             objects (Object Ownership: bucket owner enforced), or assume a role of its account \
             (s3.credentials.provider.sts.role.arn)",
        ),
        (
            "flush.size=1\ns3.object.tagging=true",
            "s3.properties:4: s3.object.tagging: is not supported: objects are not tagged; notify.topic \
             tells the offsets of each of them",
        ),
        (
            "flush.size=1\ns3.credentials.provider.class=com.example.Vault",
            "s3.properties:4: s3.credentials.provider.class: names com.example.Vault, which cannot be \
             loaded; without it the AWS SDKs' chain is followed (environment, web identity, profile, \
             container, machine)",
        ),
        (
            "flush.size=1\ns3.credentials.provider.class=io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider",
            "s3.properties: s3.credentials.provider.sts.role.arn: is required with s3.credentials.provider.class",
        ),
        (
            "flush.size=1\ns3.credentials.provider.class=com.amazonaws.auth.AnonymousAWSCredentials\n\
             s3.credentials.provider.sts.role.arn=arn:x",
            "s3.properties:4: s3.credentials.provider.class: names nobody, who can assume no role \
             (s3.credentials.provider.sts.role.arn)",
        ),
        (
            "flush.size=1\ns3.credentials.provider.sts.role.session.name=x",
            "s3.properties:4: s3.credentials.provider.sts.role.session.name: means nothing without \
             s3.credentials.provider.sts.role.arn",
        ),
        (
            "flush.size=1\ns3.credentials.provider.sts.base.role.arn=arn:x",
            "s3.properties:4: s3.credentials.provider.sts.base.role.arn: is not supported: one role is assumed, \
             not one for another; let the worker have the first by itself (a web identity, the machine's role) \
             or by keys",
        ),
        (
            "flush.size=1\nflush.sizes=1",
            "s3.properties:4: flush.sizes: unknown key; did you mean flush.size?",
        ),
    ] {
        assert_eq!(read(more).unwrap_err(), [message], "{more}");
    }
}

#[test]
fn keys_for_aiven_s_provider_are_taken() {
    let config = read(
        "flush.size=1\ns3.credentials.provider.class=io.aiven.kafka.connect.util.AivenAWSCredentialsProvider\n\
         s3.credentials.provider.access_key_id=AKIA\ns3.credentials.provider.secret_access_key=hunter2\n",
    )
    .unwrap();
    assert_eq!(config.key_id.as_deref(), Some("AKIA"));
    let secret = config.key_secret.as_ref().unwrap();
    assert_eq!(secret.reveal(), "hunter2");
}

#[test]
fn keys_for_a_provider_that_assumes_a_role_are_taken() {
    let config = read(
        "flush.size=1\ns3.credentials.provider.class=io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider\n\
         s3.credentials.provider.sts.role.arn=arn:aws:iam::123456789012:role/lake-writer\n\
         s3.credentials.provider.sts.role.external.id=lake\n\
         s3.credentials.provider.sts.aws.access.key.id=AKIA\n\
         s3.credentials.provider.sts.aws.secret.key.id=hunter2\n",
    )
    .unwrap();
    assert_eq!(config.key_id.as_deref(), Some("AKIA"));
    assert_eq!(config.key_secret.as_ref().unwrap().reveal(), "hunter2");
    let arn = "arn:aws:iam::123456789012:role/lake-writer";
    assert_eq!(config.role.as_deref(), Some(arn));
    assert!(config.plan().is_ok());
}

#[test]
fn secrets_stay_hidden() {
    let config =
        read("flush.size=1\naws.access.key.id=AKIA\naws.secret.access.key=hunter2\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let secret: Vec<_> = ConfluentS3Config::keys()
        .into_iter()
        .filter(|key| key.secret)
        .map(|key| key.name)
        .collect();
    assert_eq!(
        secret,
        [
            "aws.secret.access.key",
            "aws.session.token",
            "s3.sse.customer.key",
            "s3.proxy.password",
            "s3.credentials.provider.secret_access_key",
            "s3.credentials.provider.sts.aws.secret.key.id"
        ]
    );
}

/// All keys of the connector's reference (10.6).
const THEIRS: &[&str] = &[
    "format.class",
    "flush.size",
    "rotate.interval.ms",
    "rotate.schedule.interval.ms",
    "schema.cache.size",
    "enhanced.avro.schema.support",
    "connect.meta.data",
    "retry.backoff.ms",
    "shutdown.timeout.ms",
    "filename.offset.zero.pad.width",
    "avro.codec",
    "parquet.codec",
    "allow.optional.map.keys",
    "schema.compatibility",
    "storage.class",
    "topics.dir",
    "store.url",
    "directory.delim",
    "file.delim",
    "partitioner.class",
    "partition.field.name",
    "partition.duration.ms",
    "path.format",
    "locale",
    "timezone",
    "timestamp.extractor",
    "timestamp.field",
    "s3.bucket.name",
    "s3.object.tagging",
    "s3.object.tagging.key.value.pairs",
    "s3.object.behavior.on.tagging.error",
    "s3.region",
    "s3.part.size",
    "s3.credentials.provider.class",
    "aws.access.key.id",
    "aws.secret.access.key",
    "s3.ssea.name",
    "s3.sse.customer.key",
    "s3.sse.kms.key.id",
    "s3.acl.canned",
    "s3.wan.mode",
    "s3.compression.type",
    "s3.compression.level",
    "json.decimal.format",
    "s3.part.retries",
    "s3.retry.backoff.ms",
    "format.bytearray.extension",
    "format.bytearray.separator",
    "s3.proxy.url",
    "s3.proxy.user",
    "s3.proxy.password",
    "s3.http.send.expect.continue",
    "behavior.on.null.values",
    "tombstone.encoded.partition",
    "s3.schema.partition.affix.type",
    "s3.send.digest",
    "store.kafka.keys",
    "store.kafka.headers",
    "keys.format.class",
    "headers.format.class",
    "s3.path.style.access.enabled",
    "s3.elastic.buffer.enable",
    "s3.elastic.buffer.init.capacity",
    "schema.generator.class",
];

#[test]
fn no_key_of_the_connector_is_unknown() {
    for key in THEIRS {
        let text = format!("{key}=1\n");
        let settings = Settings::parse("s3.properties", &text).unwrap();
        let problems = ConfluentS3Config::read_all(settings).unwrap_err();
        let of_key: Vec<_> = problems
            .iter()
            .filter(|problem| problem.key.as_deref() == Some(key))
            .filter(|problem| problem.message.starts_with("unknown"))
            .collect();
        assert!(of_key.is_empty(), "{key}: {of_key:?}");
    }
}
