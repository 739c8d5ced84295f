//! Sinks that read up to the end that their topics had when they were created: not a record less, not one
//! more, whatever happens meanwhile; then they are done for good.

use penstock_tests::{Estate, Worker, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::journal::{check_files, count, records, write_ledger};
use crate::plugins::{spawn, start};
use crate::{answers, bare, log};

const PARTITIONS: i32 = 3;

async fn status(worker: &Worker, connector: &str) -> Value {
    let path = format!("/connectors/{connector}/status");
    worker.get(&path).await.json().await.unwrap()
}

/// Waits until a connector is done, and checks that all its tasks are.
async fn completed(worker: &Worker, connector: &str) {
    let status = eventually("COMPLETED", async || {
        let status = status(worker, connector).await;
        (status["connector"]["state"] == "COMPLETED").then_some(status)
    })
    .await;
    for task in status["tasks"].as_array().unwrap() {
        assert_eq!(task["state"], "COMPLETED", "{status}");
        assert_eq!(task.get("trace"), None, "{status}");
    }
    assert_eq!(worker.get("/health").await.status(), 200);
}

fn read(worker_metrics: &str, connector: &str) -> f64 {
    let name = format!(
        "kafka_connect_sink_task_metrics_sink_record_read_total{{connector=\"{connector}\""
    );
    let samples = worker_metrics
        .lines()
        .filter(|line| line.starts_with(&name));
    samples
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

on_both_brokers! {
    async fn a_sink_reads_up_to_the_end_that_there_was_when_it_was_created(estate: Estate) {
        const RECORDS: usize = 6000;
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", PARTITIONS, &records(0..RECORDS - 600, PARTITIONS));
            // Markers and records that nobody sees stand at the end.
            log::transact(&*broker, "in", &records(RECORDS - 600..RECORDS, PARTITIONS), true);
            log::transact(&*broker, "in", &records(0..30, PARTITIONS), false);
        }
        // Not a whole number of files, and a task without partitions of its own.
        write_ledger(
            &deployment,
            "ledger",
            "read.until=end\ntasks.max=4\nrows=70\ngate=open\n",
        );
        let worker = spawn(&deployment);
        answers(&deployment).await;
        eventually("something was read", async || {
            (read(&worker.metrics().await, "ledger") > 0.0).then_some(())
        })
        .await;
        assert_eq!(status(&worker, "ledger").await["connector"]["state"], "RUNNING");
        worker.kill();
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", PARTITIONS, &records(RECORDS..RECORDS + 900, PARTITIONS));
        }
        deployment.write("open", "");
        let worker = start(&deployment).await;
        completed(&worker, "ledger").await;
        check_files(&deployment, "ledger", RECORDS, PARTITIONS);
        assert!(worker.stop().success());

        // It stays so, and reads nothing more.
        let worker = start(&deployment).await;
        completed(&worker, "ledger").await;
        assert_eq!(read(&worker.metrics().await, "ledger"), 0.0);
        // Who resumes it gets what has come since.
        let resume = format!("{}/connectors/ledger/resume", deployment.rest());
        let answer = reqwest::Client::new().put(&resume).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        completed(&worker, "ledger").await;
        check_files(&deployment, "ledger", RECORDS + 900, PARTITIONS);
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        let ends: i64 = (0..PARTITIONS)
            .map(|partition| broker.watermarks("in", partition).unwrap().1)
            .sum();
        let committed = broker.group_offsets("connect-ledger", &["in"]).unwrap();
        assert_eq!(committed.iter().map(|offset| offset.offset).sum::<i64>(), ends);
    }

    async fn a_file_is_complete_when_its_sink_is(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            let events: Vec<log::Out> = (0..500)
                .map(|number| (number % 2, None, Some(json!({"number": number}).to_string().into_bytes())))
                .collect();
            log::fill(&*broker, "in", 2, &events);
            log::fill(&*broker, "empty", 2, &[]);
        }
        let worker = start(&deployment).await;
        let config = json!({
            "connector.class": "FileSink", "topics": "in,empty,nowhere", "read.until": "end",
            "value.converter": "JsonConverter", "value.converter.schemas.enable": "false",
            "file": "out/{topic}-{partition}.jsonl",
        });
        let put = reqwest::Client::new()
            .put(format!("{}/connectors/export/config", deployment.rest()))
            .json(&config);
        assert_eq!(put.send().await.unwrap().status(), 201);
        completed(&worker, "export").await;
        assert_eq!(deployment.output("in").len(), 500);
        // Nothing to be read: done at once.
        let config = json!({
            "connector.class": "FileSink", "topics": "nowhere", "read.until": "end",
            "file": "out/{topic}-{partition}.jsonl",
        });
        let put = reqwest::Client::new()
            .put(format!("{}/connectors/nothing/config", deployment.rest()))
            .json(&config);
        assert_eq!(put.send().await.unwrap().status(), 201);
        completed(&worker, "nothing").await;
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_sink_with_an_end_reads_up_to_it() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    write_ledger(&deployment, "ledger", "mode=broadcast\nread.until=end\n");
    let worker = spawn(&deployment);
    answers(&deployment).await;
    let status = crate::reaches(&worker, "ledger", "FAILED").await;
    assert_eq!(
        status["trace"],
        "read.until=end: a sink that broadcasts begins with the latest record and has no end"
    );
    let config = json!({
        "connector.class": "HttpSource", "http.listen": "127.0.0.1:0", "topic": "t", "read.until": "end",
    });
    let put = reqwest::Client::new()
        .put(format!("{}/connectors/gateway/config", deployment.rest()))
        .json(&config);
    let answer: Value = put.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        answer,
        json!({"error_code": 400, "message": "request: read.until: only a sink reads up to an end"})
    );
    assert_eq!(count(&deployment, "ledger"), 0);
    assert!(worker.stop().success());
}
