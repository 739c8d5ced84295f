//! Files written for Confluent's and Aiven's connectors.

#![allow(clippy::unwrap_used)]

use penstock_connect::{Config, Record, Settings};
use penstock_files::{Compression, Content, Format, Member};
use penstock_gcs_sink::{AivenGcsConfig, ConfluentGcsConfig};
use penstock_objects::NamedBy;

fn read<C: Config>(text: &str) -> Result<C, Vec<String>> {
    let settings = Settings::parse("gcs.properties", text).unwrap();
    C::read_all(settings).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

const FILE: NamedBy<'static> = NamedBy {
    topic: "demo-2",
    partition: 3,
    first: 41,
};

#[test]
fn aiven_s_parquet_has_its_codec_inside_and_the_name_of_the_template() {
    let config: AivenGcsConfig = read(
        "gcs.bucket.name=lake\ngcs.endpoint=http://127.0.0.1:4443\nfile.name.prefix=events/\n\
         file.name.template={{topic}}/{{timestamp:unit=yyyy}}-{{timestamp:unit=MM}}-{{timestamp:unit=dd}}/\
         {{partition:padding=true}}-{{start_offset:padding=true}}\nfile.compression.type=zstd\n\
         file.max.records=1000\nformat.output.type=parquet\nformat.output.fields=key,value,offset,timestamp\n",
    )
    .unwrap();
    let plan = config.plan().unwrap();
    assert_eq!(
        (plan.files.format, plan.files.compression),
        (Format::Parquet, Compression::Zstd)
    );
    assert_eq!(
        plan.files.content,
        Content::Envelope(vec![
            Member::Key,
            Member::Value,
            Member::Offset,
            Member::Timestamp
        ])
    );
    let mut path = String::new();
    let record = Record::new("t".into(), None);
    assert_eq!(plan.layout.path(&record, &mut path), Ok(None));
    let name = plan
        .layout
        .name(&path, &plan.layout.stamp(1_616_752_590_123), FILE);
    assert_eq!(
        name,
        "events/demo-2/2021-03-26/0000000003-00000000000000000041"
    );
    assert_eq!(
        (plan.store.name(), plan.prefix.as_str()),
        ("gs://lake", "events/")
    );
}

#[test]
fn confluent_s_words_are_those_of_its_s3_connector() {
    let config: ConfluentGcsConfig = read(
        "gcs.bucket.name=lake\nstore.url=http://127.0.0.1:4443\nflush.size=3\n\
         storage.class=io.confluent.connect.gcs.storage.GcsStorage\n\
         format.class=io.confluent.connect.gcs.format.json.JsonFormat\ngcs.compression.type=gzip\n",
    )
    .unwrap();
    let plan = config.plan().unwrap();
    let name = plan.layout.name("", "", FILE);
    assert_eq!(
        name,
        "topics/demo-2/partition=3/demo-2+3+0000000041.json.gz"
    );
}

#[test]
fn credentials_are_given_in_one_way_and_shown_in_none() {
    let both = "gcs.bucket.name=lake\ngcs.credentials.path=a.json\ngcs.credentials.json={}\n";
    assert_eq!(
        read::<AivenGcsConfig>(both).unwrap_err(),
        [
            "gcs.properties:3: gcs.credentials.json: give either gcs.credentials.path or \
          gcs.credentials.json, not both"
        ]
    );
    let config: AivenGcsConfig =
        read("gcs.bucket.name=lake\ngcs.credentials.json={\"private_key\":\"hunter2\"}\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = config.plan().err().unwrap();
    assert_eq!(
        error.message,
        "gs://lake: the credentials are not the key of a service account as Google gives it (JSON)"
    );
    assert!(error.source.is_none(), "a cause could quote the key");
    let missing: AivenGcsConfig =
        read("gcs.bucket.name=lake\ngcs.credentials.path=/nonexistent/key.json\n").unwrap();
    let error = missing.plan().err().unwrap().message;
    assert!(error.starts_with("gs://lake cannot be used: "), "{error}");
    assert!(error.contains("/nonexistent/key.json"), "{error}");
}

#[test]
fn what_cannot_run_is_said_at_its_line() {
    assert_eq!(
        read::<AivenGcsConfig>("gcs.bucket.name=lake\ngcs.object.content.encoding=gzip\n")
            .unwrap_err(),
        [
            "gcs.properties:2: gcs.object.content.encoding: is not supported: objects carry no \
          Content-Encoding, so that readers get what the name's ending says"
        ]
    );
    assert_eq!(
        read::<ConfluentGcsConfig>(
            "gcs.bucket.name=lake\nflush.size=1\nformat.class=JsonFormat\n\
             gcs.credentials.provider.class=com.example.Vault\n"
        )
        .unwrap_err(),
        [
            "gcs.properties:4: gcs.credentials.provider.class: is not supported: classes cannot be loaded; \
          use gcs.credentials.path, gcs.credentials.json or what the machine has"
        ]
    );
}

/// What a connector says of a key that it does not know.
type Unknown = fn(&str) -> Vec<String>;

/// All keys of the connectors' documentation beyond those that the S3 connectors share.
const THEIRS: &[(&str, Unknown)] = &[
    ("gcs.bucket.name", unknown::<ConfluentGcsConfig>),
    ("gcs.part.size", unknown::<ConfluentGcsConfig>),
    ("gcs.part.retries", unknown::<ConfluentGcsConfig>),
    ("gcs.retry.backoff.ms", unknown::<ConfluentGcsConfig>),
    ("gcs.credentials.path", unknown::<ConfluentGcsConfig>),
    ("gcs.credentials.json", unknown::<ConfluentGcsConfig>),
    (
        "gcs.credentials.provider.class",
        unknown::<ConfluentGcsConfig>,
    ),
    ("gcs.proxy.url", unknown::<ConfluentGcsConfig>),
    ("gcs.proxy.user", unknown::<ConfluentGcsConfig>),
    ("gcs.proxy.password", unknown::<ConfluentGcsConfig>),
    ("format.bytearray.extension", unknown::<ConfluentGcsConfig>),
    ("format.bytearray.separator", unknown::<ConfluentGcsConfig>),
    ("gcs.endpoint", unknown::<AivenGcsConfig>),
    ("gcs.credentials.default", unknown::<AivenGcsConfig>),
    ("gcs.object.content.encoding", unknown::<AivenGcsConfig>),
    ("gcs.user.agent", unknown::<AivenGcsConfig>),
    (
        "gcs.retry.backoff.initial.delay.ms",
        unknown::<AivenGcsConfig>,
    ),
    (
        "gcs.retry.backoff.delay.multiplier",
        unknown::<AivenGcsConfig>,
    ),
    ("gcs.retry.backoff.max.delay.ms", unknown::<AivenGcsConfig>),
    (
        "gcs.retry.backoff.total.timeout.ms",
        unknown::<AivenGcsConfig>,
    ),
    ("gcs.retry.backoff.max.attempts", unknown::<AivenGcsConfig>),
    ("kafka.retry.backoff.ms", unknown::<AivenGcsConfig>),
];

fn unknown<C: Config>(key: &str) -> Vec<String> {
    let settings = Settings::parse("gcs.properties", &format!("{key}=1\n")).unwrap();
    let problems = C::read_all(settings).err().unwrap_or_default();
    problems
        .into_iter()
        .filter(|problem| problem.message.starts_with("unknown"))
        .map(|problem| problem.to_string())
        .collect()
}

#[test]
fn no_key_of_the_connectors_is_unknown() {
    for (key, unknown) in THEIRS {
        assert_eq!(unknown(key), Vec::<String>::new(), "{key}");
    }
}
