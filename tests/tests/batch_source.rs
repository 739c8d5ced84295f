//! Files as batches: a CSV in, and out of it what a gateway's events become.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use penstock_tests::{
    Bucket, Deployment, Estate, Worker, eventually, on_both_brokers, penstock, python,
};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/batch.md");

/// The blocks of the page in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    PAGE.split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The demo's folder with the files of the page in place of its own.
fn deploy(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    for file in ["gateway", "egress", "demo-2", "files"] {
        deployment.remove(&format!("{file}.properties"));
    }
    for block in blocks("properties") {
        let name = block.lines().next().unwrap().trim_start_matches("# ");
        deployment.write(name, block);
    }
    deployment
}

/// Writes a file as whoever hands a batch over should: complete when it appears.
fn hand_over(deployment: &Deployment, name: &str, text: &str) {
    deployment.write("in/.part", text);
    let dir = deployment.path().join("in");
    std::fs::rename(dir.join(".part"), dir.join(name)).unwrap();
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn state(worker: &Worker, connector: &str) -> (String, Value) {
    let path = format!("/connectors/{connector}/status");
    let status: Value = worker.get(&path).await.json().await.unwrap();
    (
        status["tasks"][0]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        status,
    )
}

/// Rows that this worker has read.
async fn rows(worker: &Worker) -> usize {
    let metrics = worker.metrics().await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("penstock_file_source_rows_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

async fn completed(worker: &Worker, connector: &str) {
    eventually("the batch is completed", async || {
        let (state, status) = state(worker, connector).await;
        assert_ne!(state, "FAILED", "{status}");
        (state == "COMPLETED").then_some(())
    })
    .await;
}

async fn lines(deployment: &Deployment, topic: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines of {topic}"), async || {
        let lines = deployment.output(topic);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

/// Events by the field that nobody encrypts; each may be there once.
fn by_page(events: Vec<Value>) -> BTreeMap<String, Value> {
    let mut pages = BTreeMap::new();
    for event in events {
        let page = event["notSensitiveValue"].as_str().unwrap().to_owned();
        assert!(
            pages.insert(page.clone(), event).is_none(),
            "{page} came twice"
        );
    }
    pages
}

/// Decrypts with Google's Tink: reads `[keyset, ciphertext in base64]` lines, prints plaintexts.
const TINK: &str = r#"
import base64, csv, json, sys
import tink
from tink import cleartext_keyset_handle, daead
daead.register()
csv.field_size_limit(10**7)
keys = {row["keyLink"]: row["encryptionKey"] for row in csv.DictReader(open("out/visits-keys.csv"))}
for line in open(sys.argv[1]):
    link, ciphertext = json.loads(line)
    handle = cleartext_keyset_handle.read(tink.JsonKeysetReader(keys[link]))
    primitive = handle.primitive(daead.DeterministicAead)
    print(primitive.decrypt_deterministically(base64.b64decode(ciphertext), b"").decode())
"#;

on_both_brokers! {
    async fn the_batch_job_of_the_page_does_what_the_page_says(estate: Estate) {
        let deployment = deploy(&estate);
        hand_over(&deployment, "visits.csv", blocks("csv")[0]);
        let worker = deployment.start().await;
        completed(&worker, "visits").await;

        let encrypted = lines(&deployment, "visits", 4).await;
        assert_eq!(encrypted.len(), 4, "{encrypted:?}");
        let derived = lines(&deployment, "visits-2", 3).await;
        let pages: Vec<_> = encrypted.iter().map(|event| event["notSensitiveValue"].clone()).collect();
        for page in ["/shoes", "/shoes/red", "/hats"] {
            assert!(pages.contains(&json!(page)), "{pages:?}");
        }
        for event in &encrypted {
            let meta = &event["strmMeta"];
            assert_eq!(meta["eventContractRef"], "streammachine/example/1.3.0");
            assert!(meta["nonce"].is_i64() && meta["keyLink"].is_string(), "{event}");
            let time = meta["timestamp"].as_i64().unwrap();
            assert!((1_714_564_800_000..=1_714_564_830_000).contains(&time), "{event}");
            for field in ["uniqueIdentifier", "consistentValue"] {
                let ciphertext = BASE64_STANDARD.decode(event[field].as_str().unwrap()).unwrap();
                assert_eq!(ciphertext[0], 1, "{event}");
            }
        }
        // The consent of each row decides what comes out.
        let out: Vec<_> = derived
            .iter()
            .map(|event| {
                assert_eq!(event["someSensitiveValue"], Value::Null);
                (event["uniqueIdentifier"].as_str().unwrap(), event["strmMeta"]["consentLevels"].clone())
            })
            .collect();
        assert_eq!(out.iter().filter(|row| **row == ("ann@example.com", json!([1, 2]))).count(), 2);
        assert_eq!(out.iter().filter(|row| **row == ("cem@example.com", json!([0, 3]))).count(), 1);
        assert_eq!(out.len(), 3);

        // The commands of the page.
        let binary = penstock();
        let path = std::env::var("PATH").unwrap();
        let shown = Command::new("bash")
            .args(["-ec", blocks("sh")[0]])
            .current_dir(deployment.path())
            .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
            .env("PENSTOCK_WORKER", deployment.rest())
            .output()
            .unwrap();
        assert!(shown.status.success(), "{shown:?}");
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("COMPLETED"), "{shown}");
        let letter: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
        let letter = letter.to_string();
        assert!(letter.contains("in/visits.csv:6"), "{letter}");

        // The encrypted file and the key file are all that Tink needs.
        let jobs: String = encrypted.iter().fold(String::new(), |mut jobs, event| {
            let job = json!([event["strmMeta"]["keyLink"], event["uniqueIdentifier"]]);
            writeln!(jobs, "{job}").unwrap();
            jobs
        });
        std::fs::write(deployment.path().join("jobs"), jobs).unwrap();
        let plain = python(TINK, &["jobs"], deployment.path());
        let mut plain: Vec<_> = plain.lines().collect();
        plain.sort_unstable();
        assert_eq!(plain, ["ann@example.com", "ann@example.com", "bob@example.com", "cem@example.com"]);

        // The next run reads what is new, and that alone.
        assert!(worker.stop().success());
        hand_over(&deployment, "more.csv", "visitor,session,page,visited_at,consent\n,s-9,/new,5,2\n");
        let worker = deployment.start().await;
        assert_eq!(lines(&deployment, "visits", 5).await.len(), 5);
        assert_eq!(lines(&deployment, "visits-2", 4).await.len(), 4);
        completed(&worker, "visits").await;
        assert!(worker.stop().success());
    }

    async fn a_worker_that_is_killed_in_the_middle_of_its_files_takes_every_row_once(estate: Estate) {
        const ROWS: usize = 6_000;
        let deployment = deploy(&estate);
        deployment.set("visits.properties", "batch.max.rows", "5");
        for file in ["visits-2.properties", "files.properties"] {
            // Kafka hands a dead member's partitions over when its session has ended.
            deployment.set(file, "consumer.override.session.timeout.ms", "6000");
        }
        let mut expected = HashMap::new();
        for file in 0..3 {
            let mut text = "visitor,session,page,visited_at,consent\n".to_owned();
            for row in 0..ROWS / 3 {
                let (page, level) = (format!("/{file}/{row}"), row % 4);
                writeln!(text, "v-{row},s-{},{page},{row},{level}", row % 17).unwrap();
                expected.insert(page, level >= 2);
            }
            hand_over(&deployment, &format!("{file}.csv"), &text);
        }
        let mut worker = deployment.start().await;
        for _ in 0..3 {
            eventually("some rows are read", async || (rows(&worker).await >= 400).then_some(())).await;
            worker.kill();
            worker = deployment.start().await;
        }
        completed(&worker, "visits").await;
        let resumed = "going on behind the rows that were read";
        assert!(worker.output().contains(resumed), "no worker was killed in the middle of a file");
        let all = by_page(lines(&deployment, "visits", ROWS).await);
        assert_eq!(all.len(), ROWS);
        let consenting = expected.values().filter(|consents| **consents).count();
        let derived = by_page(lines(&deployment, "visits-2", consenting).await);
        assert_eq!(derived.len(), consenting);
        for (page, event) in &derived {
            assert!(expected[page], "{event}");
            assert!(event["consistentValue"].as_str().unwrap().starts_with("s-"), "{event}");
        }
        assert!(worker.stop().success());
    }

    async fn files_in_buckets_are_read_as_those_of_a_folder(estate: Estate) {
        let deployment = deploy(&estate);
        let buckets = [
            (Bucket::s3().await, "s3"),
            (Bucket::gcs().await, "gs"),
            (Bucket::azure().await, "az"),
        ];
        let visits = std::fs::read_to_string(deployment.path().join("visits.properties")).unwrap();
        let mut variables = Vec::new();
        for (bucket, scheme) in &buckets {
            let rows = |page: &str| {
                format!("visitor,session,page,visited_at,consent\n,s-1,/{scheme}/{page},1,2\n")
            };
            bucket.put("in/1.csv", rows("1")).await;
            bucket.put("in/sub/2.csv.gz", gzip(&rows("2"))).await;
            bucket.put("in/_SUCCESS", "").await;
            bucket.put("in/empty/", "").await;
            bucket.put("other/4.csv", "no,rows\n").await;
            let file = format!("{scheme}.properties");
            deployment.write(&file, &visits);
            deployment.set(&file, "name", scheme);
            deployment.set(&file, "url", &format!("{scheme}://{}/in/", bucket.name()));
            deployment.set(&file, "endpoint", bucket.endpoint());
            if *scheme == "az" {
                deployment.set(&file, "azure.account.name", bucket.account());
            }
            deployment.set(&file, "poll.interval.ms", "200");
            let text = std::fs::read_to_string(deployment.path().join(&file)).unwrap();
            deployment.write(&file, &text.replace("file=in/*.csv\n", ""));
            variables.extend(bucket.credentials());
        }
        deployment.remove("visits.properties");
        let mut worker = deployment.start_with(&variables).await;
        assert_eq!(by_page(lines(&deployment, "visits-2", 6).await).len(), 6);
        for (bucket, scheme) in &buckets {
            let json = json!({"visitor": "v", "session": "s-1", "page": format!("/{scheme}/3"), "visited_at": 1, "consent": [2]});
            bucket.put("in/3.jsonl", json.to_string()).await;
        }
        assert_eq!(by_page(lines(&deployment, "visits-2", 9).await).len(), 9);
        // After a restart the source knows what it has read.
        assert!(worker.stop().success());
        for (bucket, scheme) in &buckets {
            let rows = format!("visitor,session,page,visited_at,consent\n,s-1,/{scheme}/0,1,2\n");
            bucket.put("in/0.csv", rows).await;
        }
        worker = deployment.start_with(&variables).await;
        let pages = by_page(lines(&deployment, "visits-2", 12).await);
        let expected = ["az", "gs", "s3"].iter().flat_map(|s| (0..4).map(move |n| format!("/{s}/{n}")));
        assert_eq!(pages.into_keys().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert!(worker.stop().success());
    }

    async fn a_row_at_fault_stops_the_task_at_that_very_row(estate: Estate) {
        let deployment = deploy(&estate);
        deployment.set("visits.properties", "errors.tolerance", "none");
        let rows = "visitor,session,page,visited_at,consent\n\
                    a,s-1,/1,1,2\nb,s-2,/2,2,2\nc,,/3,3,2\nd,s-4,/4,4,2\n";
        hand_over(&deployment, "a.csv", rows);
        let worker = deployment.spawn(&[]);
        let http = reqwest::Client::new();
        eventually("the worker answers", async || http.get(deployment.rest()).send().await.ok()).await;
        let status = eventually("the task fails", async || {
            let (state, status) = state(&worker, "visits").await;
            (state == "FAILED").then_some(status)
        })
        .await;
        let trace = status["tasks"][0]["trace"].as_str().unwrap();
        assert!(trace.contains("in/a.csv:4"), "{trace}");
        assert!(trace.contains("consistentValue"), "{trace}");
        let all = by_page(lines(&deployment, "visits", 2).await);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["/1", "/2"], "what came before is there");
        assert!(worker.stop().success());
    }
}
