//! Plugins of others that misbehave: a panic takes its task for a moment and nothing else, and one that
//! does not let go holds up nobody but whoever asked it to.

use std::path::Path;
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use serde_json::{Value, json};

use crate::{bare, log, numbers, reaches, task};

const PROGRAM: &str = env!("CARGO_BIN_EXE_faulty-worker");

pub(crate) fn spawn(deployment: &Deployment) -> Worker {
    let mut arguments = deployment.files();
    arguments.insert(0, "run".into());
    Worker::spawn_program(Path::new(PROGRAM), deployment, &arguments, &[])
}

pub(crate) async fn start(deployment: &Deployment) -> Worker {
    let mut worker = spawn(deployment);
    worker.healthy().await;
    worker
}

const SECRET: &str = "Erika Mustermann";
const JSON: &str = "value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n";

fn lines(numbers: std::ops::Range<usize>) -> Vec<log::Out> {
    numbers
        .map(|number| {
            let mut event = json!({"number": number});
            if number == 5 {
                event["text"] = format!("{SECRET} will stumble").into();
            }
            (0, None, Some(event.to_string().into_bytes()))
        })
        .collect()
}

fn numbers_of(events: &[Value]) -> Vec<u64> {
    let number = |event: &Value| event["number"].as_u64().unwrap();
    events.iter().map(number).collect()
}

on_both_brokers! {
    async fn a_panic_restarts_its_task_and_nothing_else(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &lines(0..20));
        }
        for (name, times) in [("stumbles", 2), ("steady", 0)] {
            deployment.write(
                &format!("{name}.properties"),
                &format!(
                    "name={name}\nconnector.class=FileSink\ntopics=in\n{JSON}\
                     file=out/{name}-{{topic}}-{{partition}}.jsonl\n\
                     transforms=s\ntransforms.s.type=Stumbles\ntransforms.s.times={times}\n"
                ),
            );
        }
        // Long enough to be seen.
        deployment.set("worker.properties", "task.restart.delay.ms", "1500");
        let worker = start(&deployment).await;
        let restarting = reaches(&worker, "stumbles", "RESTARTING").await;
        let trace = restarting["trace"].as_str().unwrap();
        assert!(trace.contains("faulty-worker/main.rs"), "{trace}");
        assert!(trace.contains("withheld"), "{trace}");
        assert_eq!(task(&worker, "steady").await["state"], "RUNNING");
        assert_eq!(worker.get("/health").await.status(), 200);

        for name in ["stumbles", "steady"] {
            let topic = format!("{name}-in");
            eventually(&topic, async || (deployment.output(&topic).len() == 20).then_some(())).await;
            let expected: Vec<_> = (0..20).collect();
            assert_eq!(numbers_of(&deployment.output(&topic)), expected);
        }
        reaches(&worker, "stumbles", "RUNNING").await;
        let restarts = numbers::of_task(&worker, "penstock_task_restarts_total", "stumbles").await;
        assert_eq!(restarts, Some(2.0));
        let restarts = numbers::of_task(&worker, "penstock_task_restarts_total", "steady").await;
        assert_eq!(restarts, Some(0.0));
        // The panic's text held what the record holds.
        assert!(!worker.output().contains(SECRET), "{}", worker.output());
        assert!(worker.stop().success());
    }

    async fn a_panic_in_an_intake_leaves_no_sender_without_an_answer(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("gateway.properties", "transforms", "check,stumble,encrypt");
        deployment.set("gateway.properties", "transforms.stumble.type", "Stumbles");
        deployment.set("gateway.properties", "transforms.stumble.times", "1");
        let worker = start(&deployment).await;
        let gateway = deployment.gateway();
        gateway.ready().await;
        let mut event = demo("a session", &[]);
        event["notSensitiveValue"] = "stumble".into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        // It listens again by itself, and has forgotten nothing that it took.
        eventually("the gateway is back", async || {
            let request = gateway
                .post("/event")
                .header("Strm-Schema-Ref", DEMO_SCHEMA)
                .json(&event);
            let answer = request.send().await.ok()?;
            (answer.status() == 204).then_some(())
        })
        .await;
        eventually("the event", async || {
            (deployment.output("demo").len() == 1).then_some(())
        })
        .await;
        assert!(worker.stop().success());
    }

    async fn a_sink_that_does_not_let_go_holds_up_nobody_else(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &lines(0..3));
        }
        let settings = |until: &str| {
            json!({"connector.class": "Clings", "topics": "in", "until": until,
                "value.converter": "JsonConverter", "value.converter.schemas.enable": "false"})
        };
        deployment.write(
            "clings.properties",
            &format!("name=clings\nconnector.class=Clings\ntopics=in\n{JSON}until=released\n"),
        );
        deployment.set("worker.properties", "task.shutdown.graceful.timeout.ms", "60000");
        let worker = start(&deployment).await;
        numbers::settle(&worker, "clings", 3, 0).await;

        // Somebody changes it and hangs up while its task does not end.
        let config = format!("{}/connectors/clings/config", deployment.rest());
        let hung_up = reqwest::Client::new()
            .put(&config)
            .json(&settings("elsewhere"))
            .timeout(Duration::from_millis(500))
            .send()
            .await;
        assert!(hung_up.unwrap_err().is_timeout());
        // Meanwhile everybody else gets answers.
        for path in ["/connectors", "/connectors/clings/status", "/health", "/metrics"] {
            assert_eq!(worker.get(path).await.status(), 200, "{path}");
        }
        deployment.write("released", "");
        // The change came to its end.
        eventually("the new settings", async || {
            let config: Value = worker.get("/connectors/clings/config").await.json().await.unwrap();
            (config["until"] == "elsewhere").then_some(())
        })
        .await;
        reaches(&worker, "clings", "RUNNING").await;
        deployment.write("elsewhere", "");
        assert!(worker.stop().success());
    }
}
