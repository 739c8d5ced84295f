//! What an operator asks a worker, and changes in it while it runs.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, Worker, eventually, on_both_brokers};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::journal::{records, write_ledger};
use crate::offsets::call;
use crate::plugins::{spawn, start};
use crate::{answers, bare, log};

const JSON: &str = "application/json";

async fn topics(worker: &Worker, connector: &str) -> Value {
    let path = format!("/connectors/{connector}/topics");
    let mut answer: Value = worker.get(&path).await.json().await.unwrap();
    answer[connector]["topics"].take()
}

on_both_brokers! {
    async fn topics_in_use_and_streams_are_shown(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        for levels in [&[][..], &[2]] {
            let answer = deployment.gateway().send_json(DEMO_SCHEMA, &demo("a session", levels)).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        eventually("the derived stream", async || {
            (deployment.output("demo-2").len() == 1).then_some(())
        })
        .await;
        assert_eq!(topics(&worker, "gateway").await, json!(["demo"]));
        assert_eq!(topics(&worker, "demo-2").await, json!(["demo", "demo-2"]));
        assert_eq!(topics(&worker, "files").await, json!(["demo", "demo-2"]));
        let reset = call(&deployment, Method::PUT, "/connectors/demo-2/topics/reset", None).await;
        assert_eq!(reset.0, 200);
        assert_eq!(topics(&worker, "demo-2").await, json!([]));
        assert_eq!(call(&deployment, Method::GET, "/connectors/nobody/topics", None).await.0, 404);

        // Markers of transactions count as offsets, not as records.
        let (_, stream) = call(&deployment, Method::GET, "/streams/demo-2", None).await;
        let offsets = if estate.is_kafka() { 2 } else { 1 };
        assert_eq!(stream["offsets"], offsets, "{stream}");
        // Right after they were made, nobody is sure yet who leads their partitions.
        for number in 0..10 {
            let new = json!({"name": format!("new-{number}"), "partitions": 12});
            let (status, answer) = call(&deployment, Method::POST, "/streams", Some(new)).await;
            assert_eq!(status, 201, "{answer}");
        }
        assert!(worker.stop().success());
    }

    async fn a_worker_is_healthy_once_its_connectors_listen(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("gateway.properties", "transforms", "wait,check,encrypt");
        deployment.set("gateway.properties", "transforms.wait.type", "Hesitates");
        deployment.set("gateway.properties", "transforms.wait.until", "listen");
        deployment.set("gateway.properties", "tasks.max", "3");
        let mut worker = spawn(&deployment);
        answers(&deployment).await;
        let (status, health) = eventually("the connectors", async || {
            let health = call(&deployment, Method::GET, "/health", None).await;
            (health.1["message"] == "starting: gateway task 0").then_some(health)
        })
        .await;
        assert_eq!((status, &health["status"]), (503, &json!("starting")));
        let (_, status) = call(&deployment, Method::GET, "/connectors/gateway/status", None).await;
        assert_eq!(status["tasks"][0]["state"], "UNASSIGNED");
        deployment.write("listen", "");
        worker.healthy().await;
        let answer = deployment.gateway().send_json(DEMO_SCHEMA, &demo("a session", &[])).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        // An intake listens once, however many tasks it might have.
        let (_, tasks) = call(&deployment, Method::GET, "/connectors/gateway/tasks", None).await;
        assert_eq!(tasks.as_array().map(Vec::len), Some(1));
        let (_, status) = call(&deployment, Method::GET, "/connectors/gateway/status", None).await;
        assert_eq!(status["tasks"].as_array().map(Vec::len), Some(1));
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_the_same_shape() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    let worker = start(&deployment).await;
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", deployment.rest());
    let requests = [
        http.post(url("/streams"))
            .header(CONTENT_TYPE, JSON)
            .body("{"),
        http.post(url("/streams")).json(&json!({"nome": "x"})),
        http.post(url("/streams"))
            .json(&json!({"name": "no name of a topic"})),
        http.post(url("/schemas")).json(&json!({"ref": 7})),
        http.post(url("/contracts"))
            .header(CONTENT_TYPE, JSON)
            .body(vec![0xff, 0xfe]),
        http.post(url("/streams")).body("{}"),
        http.get(url("/streams/demo/keys?reveal=perhaps")),
        http.get(url("/connector-plugins?connectorsOnly=7")),
        http.post(url("/connectors/x/tasks/one/restart")),
        http.post(url("/connectors"))
            .header(CONTENT_TYPE, JSON)
            .body(vec![b' '; 3 << 20]),
        http.get(url("/nowhere")),
        http.delete(url("/streams")),
    ];
    for request in requests {
        let answer = request.send().await.unwrap();
        let (status, path) = (answer.status().as_u16(), answer.url().path().to_owned());
        assert!((400..500).contains(&status), "{path} {status}");
        let body = answer.text().await.unwrap();
        let body: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(body["error_code"], status, "{path}: {body}");
        let message = body["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{path}: {body}");
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_of_the_log_change_while_the_worker_runs() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    {
        let broker = log::open(&estate, &deployment);
        log::fill(&*broker, "in", 1, &records(0..3, 1));
    }
    let worker = start(&deployment).await;
    let root = json!({"level": "INFO", "last_modified": null});
    let (_, all) = call(&deployment, Method::GET, "/admin/loggers", None).await;
    assert_eq!(all, json!({"root": root}));
    let set = async |logger: &str, level: &str| {
        let path = format!("/admin/loggers/{logger}");
        call(
            &deployment,
            Method::PUT,
            &path,
            Some(json!({"level": level})),
        )
        .await
    };
    let done = set("penstock_runner", "off").await;
    assert_eq!(done, (200, json!(["penstock_runner"])));
    let path = "/admin/loggers/penstock_runner";
    let (_, logger) = call(&deployment, Method::GET, path, None).await;
    assert_eq!(logger["level"], "OFF");
    assert!(
        logger["last_modified"].as_i64().is_some_and(|at| at > 0),
        "{logger}"
    );
    let failing = async |name: &str| {
        let config = json!({
            "connector.class": "Ledger", "topics": "in", "notices": "n", "mode": "broadcast",
        });
        let path = format!("/connectors/{name}/config");
        let (status, answer) = call(&deployment, Method::PUT, &path, Some(config)).await;
        assert_eq!(status, 201, "{answer}");
        crate::reaches(&worker, name, "FAILED").await;
    };
    failing("silent").await;
    let output = worker.output();
    assert!(!output.contains("connector=\"silent\""), "{output}");
    assert_eq!(set("root", "WARN").await.0, 200);
    assert_eq!(set("penstock_runner", "ERROR").await.0, 200);
    failing("loud").await;
    let output = worker.output();
    assert!(output.contains("connector=\"loud\""), "{output}");
    let (status, answer) = set("root", "LOUD").await;
    assert_eq!(status, 404);
    assert_eq!(answer["message"], "invalid log level 'LOUD'.");
    let nobody = call(&deployment, Method::GET, "/admin/loggers/nobody", None).await;
    assert_eq!(nobody.0, 404);
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_into_the_memory_budget_is_refused() {
    let estate = Estate::embedded();
    let deployment = bare(&estate);
    deployment.set("worker.properties", "memory.budget", "64mb");
    write_ledger(&deployment, "ledger", "tasks.max=2\n");
    let worker = start(&deployment).await;
    let config = json!({
        "connector.class": "HttpSource", "http.listen": "127.0.0.1:0", "topic": "t",
        "http.queue.bytes": "40mb",
    });
    let path = "/connectors/gateway/config";
    let (status, answer) = call(&deployment, Method::PUT, path, Some(config)).await;
    assert_eq!(status, 409);
    assert_eq!(
        answer["message"],
        "memory.budget: 64mb cannot hold what connectors need (http.queue.bytes of gateway 40mb, tasks that read \
         topics (2) 8mb, producers (1) 8mb, the embedded log's cache 8mb, producers for dead letters and journals \
         (2) 4mb): a quarter has to be left for the buffers of sinks; set it to at least 91mb, or lower \
         http.queue.bytes, tasks.max"
    );
    assert!(worker.stop().success());
    deployment.write(
        "gateway.properties",
        "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:0\ntopic=t\nhttp.queue.bytes=40mb\n",
    );
    let mut worker = spawn(&deployment);
    eventually("the end", async || (!worker.is_running()).then_some(())).await;
    let output = worker.output();
    let refused = "worker.properties: memory.budget: 64mb cannot hold";
    assert!(output.contains(refused), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_stops_a_worker_as_gracefully_as_a_termination() {
    let estate = Estate::embedded();
    for stop in [Worker::interrupt, Worker::stop] {
        let deployment = estate.deploy("demo");
        // Sinks make progress durable at their stop alone.
        deployment.set("worker.properties", "offset.flush.interval.ms", "600000");
        let worker = deployment.start().await;
        for _ in 0..5 {
            let event = demo("a session", &[]);
            let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        eventually("the events at the sink", async || {
            let name = "kafka_connect_sink_task_metrics_sink_record_read_total";
            let read = crate::numbers::of_task(&worker, name, "files").await;
            (read == Some(5.0)).then_some(())
        })
        .await;
        assert!(stop(worker).success());
        let broker = log::open(&estate, &deployment);
        assert_eq!(log::committed(&*broker, "files", "demo"), Some(5));
    }
}
