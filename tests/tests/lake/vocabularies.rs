//! Properties files as users of Confluent's and Aiven's connectors write them, on real stores: what lies
//! in the bucket, under which names, against the topic.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use penstock_tests::events::{DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::readers::{FileRead, Reader, read};
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};
use serde_json::{Value, json};

const EVENTS: usize = 120;

/// One of the files in `tests/vocabularies`, and what it is to come to.
struct Export {
    name: &'static str,
    reader: Reader,
    /// How a file is compressed as a whole.
    compression: Option<&'static str>,
    /// What an Avro or Parquet file says of its codec.
    codec: Option<Value>,
    /// Most rows of a file.
    most: usize,
    /// The name of a file that begins with a row of the topic, behind the export's own.
    file: fn(&Value) -> String,
    /// The row of a file that a row of the topic becomes.
    row: fn(&Value) -> Value,
}

/// The value alone.
fn value(row: &Value) -> Value {
    row["value"].clone()
}

fn members(row: &Value, names: &[&str]) -> Value {
    let member = |name: &&str| ((*name).to_owned(), row[*name].clone());
    Value::Object(names.iter().map(member).collect())
}

/// A time in Kolkata, which is five and a half hours ahead all year.
fn in_kolkata(millis: &Value, pattern: &str) -> String {
    let zone = FixedOffset::east_opt(19_800).unwrap();
    let time = at(millis).with_timezone(&zone);
    time.format(pattern).to_string()
}

fn at(millis: &Value) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis.as_i64().unwrap()).unwrap()
}

fn offset(row: &Value) -> i64 {
    row["offset"].as_i64().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn confluent() -> Vec<Export> {
    vec![
        Export {
            name: "confluent-gcs-avro",
            reader: Reader::Avro,
            compression: None,
            codec: Some(json!("snappy")),
            most: 10,
            file: |row| {
                let session = text(&row["value"]["consistentValue"]);
                format!(
                    "demo-2/consistentValue={session}/demo-2+0+{:010}.avro",
                    offset(row)
                )
            },
            row: value,
        },
        Export {
            name: "confluent-gcs-json",
            reader: Reader::JsonLines,
            compression: Some("gzip"),
            codec: None,
            most: 1000,
            file: |row| {
                let time = &row["value"]["strmMeta"]["timestamp"];
                let directory = in_kolkata(time, "dt=%Y-%m-%d/hour=%H");
                format!("raw/demo-2/{directory}/demo-2-0-{:06}.json.gz", offset(row))
            },
            row: value,
        },
        Export {
            name: "confluent-gcs-parquet",
            reader: Reader::Parquet,
            compression: None,
            codec: Some(json!(["GZIP"])),
            most: 50,
            file: |row| {
                let directory = at(&row["timestamp"]).format("year=%Y/month=%m/day=%d/hour=%H");
                format!("demo-2/{directory}/demo-2+0+{:010}.gz.parquet", offset(row))
            },
            row: value,
        },
        Export {
            name: "confluent-gcs-bytes",
            // Not by any of them: see `raw`.
            reader: Reader::Lines,
            compression: None,
            codec: None,
            most: 30,
            file: |row| format!("demo-2/partition=0/demo-2+0+{:010}.events", offset(row)),
            row: |row| BASE64_STANDARD.encode(demo_avro(&row["value"])).into(),
        },
    ]
}

fn aiven() -> Vec<Export> {
    vec![
        Export {
            name: "aiven-s3-csv",
            reader: Reader::Lines,
            compression: Some("gzip"),
            codec: None,
            most: EVENTS,
            file: |row| format!("demo-2-0-{}.gz", offset(row)),
            row: |row| members(row, &["key", "value", "offset", "timestamp"]),
        },
        Export {
            name: "aiven-s3-jsonl",
            reader: Reader::JsonLines,
            compression: Some("zstd"),
            codec: None,
            most: 25,
            file: |row| {
                let directory = in_kolkata(&row["timestamp"], "%Y/%m/%d/%H");
                format!(
                    "demo-2/{directory}/0000000000-{:020}.jsonl.zst",
                    offset(row)
                )
            },
            row: |row| {
                let mut row = row.clone();
                let time = at(&row["timestamp"]);
                row["timestamp"] = time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
                row
            },
        },
        Export {
            name: "aiven-s3-json",
            reader: Reader::Json,
            compression: None,
            codec: None,
            most: EVENTS,
            file: |row| format!("demo-2/{}/0-{}.json", text(&row["key"]), offset(row)),
            row: value,
        },
        Export {
            name: "aiven-s3-parquet",
            reader: Reader::Parquet,
            compression: None,
            codec: Some(json!(["SNAPPY"])),
            most: 40,
            file: |row| format!("demo-2-0-{}.parquet", offset(row)),
            row: |row| {
                let mut row = members(row, &["key", "value", "offset", "timestamp"]);
                let time = at(&row["timestamp"]);
                row["timestamp"] = time
                    .format("%Y-%m-%dT%H:%M:%S%.6f+00:00")
                    .to_string()
                    .into();
                row
            },
        },
        Export {
            name: "aiven-s3-avro",
            reader: Reader::Avro,
            compression: None,
            codec: Some(json!("deflate")),
            most: EVENTS,
            file: |row| format!("demo-2-0-{}.avro", offset(row)),
            row: |row| members(row, &["value", "offset"]),
        },
    ]
}

/// The file under the name of another bucket, at the test's own servers.
fn bring(estate: &Estate, deployment: &Deployment, name: &str, keys: &[(&str, &str)]) {
    let path = format!(
        "{}/vocabularies/{name}.properties",
        env!("CARGO_MANIFEST_DIR")
    );
    let file = format!("{name}.properties");
    let text = std::fs::read_to_string(path).unwrap();
    deployment.write(&file, &text);
    for (key, value) in keys {
        deployment.set(&file, key, value);
    }
    if let Some(registry) = estate
        .registry_url()
        .filter(|_| text.contains("registry.url"))
    {
        deployment.set(&file, "value.converter.schema.registry.url", registry);
    }
}

/// Sends events of four sessions that happened ten minutes apart.
async fn send_all(deployment: &Deployment) {
    let gateway = deployment.gateway();
    let first: DateTime<Utc> = "2026-01-10T12:00:00Z".parse().unwrap();
    for number in 0..EVENTS {
        let happened = first + TimeDelta::minutes(10) * i32::try_from(number).unwrap();
        let mut event = demo(&format!("session-{}", number % 4), &[2]);
        event["strmMeta"]["timestamp"] = happened.timestamp_millis().into();
        event["notSensitiveValue"] = format!("{number}, \"so\" it is:\n水").into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

/// A line of Aiven's CSV: key and value in base64, offset and timestamp.
fn line(line: &Value) -> Value {
    let cells: Vec<&str> = text(line).split(',').collect();
    let [key, value, offset, timestamp] = cells[..] else {
        panic!("{line}");
    };
    let decode = |cell| String::from_utf8(BASE64_STANDARD.decode(cell).unwrap()).unwrap();
    let number = |cell: &str| cell.parse::<i64>().unwrap();
    let value: Value = serde_json::from_str(&decode(value)).unwrap();
    json!({"key": decode(key), "value": value, "offset": number(offset), "timestamp": number(timestamp)})
}

/// Messages in Confluent's frame with the separator behind each, without their frames.
fn raw(name: String, bytes: &[u8]) -> FileRead {
    const SEPARATOR: &[u8] = b"--end--";
    let ends = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(SEPARATOR));
    let mut rows = Vec::new();
    let mut start = 0;
    for end in ends {
        let message = &bytes[start..end];
        assert_eq!(message[0], 0, "the frame's first byte");
        rows.push(BASE64_STANDARD.encode(&message[5..]).into());
        start = end + SEPARATOR.len();
    }
    assert_eq!(start, bytes.len(), "{name} ends with a separator");
    FileRead {
        name,
        compression: None,
        rows,
        about: Value::Null,
    }
}

/// The files of an export, by names behind its own.
async fn files_of(bucket: &Bucket, export: &Export) -> Vec<FileRead> {
    let prefix = format!("{}/", export.name);
    let mut files = Vec::new();
    if export.name == "confluent-gcs-bytes" {
        for name in bucket.names(&prefix).await {
            let bytes = bucket.get(&name).await;
            files.push(raw(name, &bytes));
        }
    } else {
        let dir = tempfile::tempdir().unwrap();
        bucket.download(&prefix, dir.path()).await;
        files = tokio::task::block_in_place(|| read(export.reader, dir.path()));
    }
    for file in &mut files {
        file.name = file.name.strip_prefix(&prefix).unwrap().to_owned();
        if export.name == "aiven-s3-csv" {
            file.rows = file.rows.iter().map(line).collect();
        }
    }
    files
}

/// What comes before a row's offset in the name of a file that begins with it: records of one group
/// share files.
fn group(export: &Export, row: &Value) -> String {
    let name = (export.file)(row);
    let (group, _) = name.rsplit_once(&offset(row).to_string()).unwrap();
    group.trim_end_matches('0').to_owned()
}

/// Each row of the topic lies in one file, which has the name of its first row and its group's rows from
/// there on.
fn hold_against(export: &Export, topic: &[Value], files: &[FileRead]) {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for row in topic {
        groups.entry(group(export, row)).or_default().push(row);
    }
    let mut begun = BTreeSet::new();
    let mut rows = 0;
    for file in files {
        let name = &file.name;
        let first = topic.iter().find(|row| (export.file)(row) == *name);
        let first = first.unwrap_or_else(|| panic!("{}: no file is called {name}", export.name));
        let group = &groups[&group(export, first)];
        let at = group
            .iter()
            .position(|row| offset(row) == offset(first))
            .unwrap();
        let expected: Vec<Value> = group[at..].iter().map(|row| (export.row)(row)).collect();
        assert!(file.rows.len() <= expected.len().min(export.most), "{name}");
        for (row, expected) in file.rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{}: {name}", export.name);
        }
        let ends_early = file.rows.len() < expected.len();
        begun.insert(offset(first));
        if ends_early {
            // The next file of the group goes on there.
            begun.insert(offset(group[at + file.rows.len()]));
        }
        rows += file.rows.len();
        assert_eq!(file.compression.as_deref(), export.compression, "{name}");
        if let Some(codec) = &export.codec {
            let key = if export.reader == Reader::Avro {
                "codec"
            } else {
                "codecs"
            };
            assert_eq!(file.about[key], *codec, "{name}");
        }
    }
    assert_eq!(
        (rows, begun.len()),
        (topic.len(), files.len()),
        "{}",
        export.name
    );
}

async fn everything_is_there(bucket: &Bucket, exports: &[Export], topic: &[Value]) {
    for export in exports {
        let what = format!("all rows of {}", export.name);
        let files = eventually(&what, async || {
            let files = files_of(bucket, export).await;
            let rows: usize = files.iter().map(|file| file.rows.len()).sum();
            (rows >= topic.len()).then_some(files)
        })
        .await;
        hold_against(export, topic, &files);
    }
}

on_both_brokers! {
    async fn properties_files_of_other_connectors_make_the_files_that_they_say(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("files.properties", "topics", "demo-2");
        deployment.set("files.properties", "key.converter", "org.apache.kafka.connect.storage.StringConverter");
        deployment.set("files.properties", "fields", "key,value,offset,timestamp,headers");
        let (gcs, s3) = (Bucket::gcs().await, Bucket::s3().await);
        let there = [("gcs.bucket.name", gcs.name()), ("store.url", gcs.endpoint())];
        for export in confluent() {
            bring(&estate, &deployment, export.name, &there);
        }
        for export in aiven() {
            let there = if export.name == "aiven-s3-csv" {
                [("aws_s3_bucket", s3.name()), ("aws_s3_endpoint", s3.endpoint())]
            } else {
                [("aws.s3.bucket.name", s3.name()), ("aws.s3.endpoint", s3.endpoint())]
            };
            bring(&estate, &deployment, export.name, &there);
        }
        let worker = deployment.start_with(&s3.credentials()).await;
        send_all(&deployment).await;
        let topic = eventually("all events in the derived stream", async || {
            let rows = deployment.output("demo-2");
            (rows.len() == EVENTS).then_some(rows)
        })
        .await;
        everything_is_there(&gcs, &confluent(), &topic).await;
        everything_is_there(&s3, &aiven(), &topic).await;

        // What ends files by their records alone leaves none that is not full, nor one too many.
        for (name, files, rows) in [("confluent-gcs-avro", 12, 10), ("confluent-gcs-bytes", 4, 30)] {
            let exports = confluent();
            let export = exports.iter().find(|export| export.name == name).unwrap();
            let sizes: Vec<usize> = files_of(&gcs, export).await.iter().map(|file| file.rows.len()).collect();
            assert_eq!(sizes, vec![rows; files], "{name}");
        }
        assert!(worker.stop().success());
    }
}
