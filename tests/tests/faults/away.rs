//! Servers go away and come back, or come later than the worker: what needs them waits, nothing is lost, nobody restarts
//! anything by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::{Deployment, Estate, Worker, eventually};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::{bare, framed, log, numbers, reaches, register};

/// A way to the registry that can be cut.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(true));
        let is_cut = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let address = address.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(address).await.unwrap();
                    // Either end may close it.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { port, cut }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_is_waited_for() {
    const RECORDS: usize = 50;
    let estate = Estate::kafka().await;
    let deployment = bare(&estate);
    let id = register(&estate, &deployment, "streammachine.demo.1.0.2").await;
    let broker = log::open(&estate, &deployment);
    let records: Vec<log::Out> = (0..RECORDS)
        .map(|_| {
            (
                0,
                None,
                Some(framed(id, &demo_avro(&demo("a session", &[])))),
            )
        })
        .collect();
    log::fill(&*broker, "in", 1, &records);

    let registry = reqwest::Url::parse(estate.registry_url().unwrap()).unwrap();
    let address = format!("127.0.0.1:{}", registry.port().unwrap());
    let wire = Wire::to(address).await;
    // A worker that does not need the registry to start, only to read.
    deployment.write(
        "worker.properties",
        &format!(
            "data.dir=data\nlisteners=http://127.0.0.1:8083\nbootstrap.servers={}\n\
             schema.registry.url=http://127.0.0.1:{}{}\ntask.restart.delay.max.ms=1000\n",
            estate.bootstrap_servers().unwrap(),
            wire.port,
            registry.path(),
        ),
    );
    for (name, patience) in [("patient", 30_000), ("anew", 0)] {
        deployment.write(
            &format!("{name}.properties"),
            &format!(
                "name={name}\nconnector.class=FileSink\ntopics=in\n\
                 file=out/{name}-{{topic}}-{{partition}}.jsonl\nerrors.retry.timeout={patience}\n\
                 value.converter=io.confluent.connect.avro.AvroConverter\n"
            ),
        );
    }
    let mut worker = deployment.start().await;
    let status = reaches(&worker, "anew", "RESTARTING").await;
    let trace = status["trace"].as_str().unwrap();
    assert!(trace.contains(&format!("id {id}")), "{trace}");
    eventually("a retry in place", async || {
        let name = "kafka_connect_task_error_metrics_total_retries";
        let retries = numbers::of_task(&worker, name, "patient").await;
        (retries > Some(0.0)).then_some(())
    })
    .await;
    // Waiting is not failing.
    assert_eq!(worker.get("/health").await.status(), 200);
    for name in ["patient", "anew"] {
        assert!(deployment.output(&format!("{name}-in")).is_empty());
    }
    wire.cut.store(false, Ordering::Relaxed);
    for name in ["patient", "anew"] {
        let topic = format!("{name}-in");
        eventually(&topic, async || {
            (deployment.output(&topic).len() == RECORDS).then_some(())
        })
        .await;
        reaches(&worker, name, "RUNNING").await;
    }
    assert!(worker.is_running());
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_when_the_worker_starts_is_waited_for() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    let registry = reqwest::Url::parse(estate.registry_url().unwrap()).unwrap();
    let wire = Wire::to(format!("127.0.0.1:{}", registry.port().unwrap())).await;
    let url = format!("http://127.0.0.1:{}{}", wire.port, registry.path());
    deployment.set("worker.properties", "schema.registry.url", &url);
    let mut worker = deployment.spawn(&[]);
    waits(&worker, &deployment, "the schema registry").await;
    // Nothing else is answered, and it says why.
    let answer = worker.get("/connectors").await;
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("the schema registry"),
        "{body}"
    );
    wire.cut.store(false, Ordering::Relaxed);
    works(&mut worker, &deployment).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_when_the_worker_starts_is_waited_for() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    estate.broker().await.kill();
    let mut worker = deployment.spawn(&[]);
    waits(&worker, &deployment, "the broker").await;
    {
        let mut broker = estate.broker().await;
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    works(&mut worker, &deployment).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_can_be_stopped() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    estate.broker().await.kill();
    let worker = deployment.spawn(&[]);
    waits(&worker, &deployment, "the broker").await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_whose_broker_went_away_stop_in_the_time_that_they_have() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    // Tasks of every kind; these look for their topics now and then.
    for name in ["all", "anew"] {
        deployment.write(
            &format!("{name}.properties"),
            &format!(
                "name={name}\nconnector.class=FileSink\ntopics.regex=demo.*\n\
                 file=out/{name}-{{topic}}-{{partition}}.jsonl\n\
                 value.converter=io.confluent.connect.avro.AvroConverter\n"
            ),
        );
    }
    let worker = deployment.start().await;
    let event = demo("a session", &[2]);
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    // Nothing is left to be committed.
    for (name, records) in [("demo-2", 1), ("files", 2), ("all", 2), ("anew", 2)] {
        numbers::settle(&worker, name, records, 0).await;
    }
    estate.broker().await.kill();
    // Long enough for every task to be in the middle of a look, which waits for the broker for much longer.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for name in ["anew", "demo-2"] {
        let path = format!("{}/connectors/{name}/tasks/0/restart", deployment.rest());
        let answer = reqwest::Client::new().post(path).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{name}");
    }
    let log = deployment.path().join("logs/worker.log");
    assert!(worker.stop().success());
    let output = std::fs::read_to_string(log).unwrap();
    assert!(!output.contains("did not stop in time"), "{output}");
}

/// What was sent to a broker that stands still is written once it goes on. The time that an intake waits is
/// what is tested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_a_silent_broker_may_have_taken_is_not_said_to_be_refused() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    let worker = deployment.start().await;
    let gateway = deployment.gateway();
    let send = async |marker: &str| {
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = marker.into();
        gateway.send_json(DEMO_SCHEMA, &event).await
    };
    assert_eq!(send("before").await.status, 204);
    estate.broker().await.freeze();
    let answer = send("meanwhile").await;
    estate.broker().await.thaw();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert_eq!(
        answer.body,
        "Whether the event was accepted is not known. Send again; it may then be there twice."
    );
    eventually("an event that is accepted", async || {
        (send("after").await.status == 204).then_some(())
    })
    .await;
    eventually("the event that nobody answered for", async || {
        let written = deployment.output("demo");
        let is_it = |event: &Value| event["notSensitiveValue"] == "meanwhile";
        written.iter().any(is_it).then_some(())
    })
    .await;
    assert!(worker.stop().success());
}

/// Waits until the worker says that it waits, and for what; in its log it stands once.
async fn waits(worker: &Worker, deployment: &Deployment, what: &str) {
    crate::answers(deployment).await;
    let said = format!("the worker waits: {what}");
    let health = eventually(&said, async || {
        let answer = worker.get("/health").await;
        assert_eq!(answer.status(), 503);
        let health: Value = answer.json().await.unwrap();
        let message = health["message"].as_str().unwrap_or_default();
        message.contains(&said).then_some(health)
    })
    .await;
    assert_eq!(health["status"], "starting", "{health}");
    assert_eq!(
        worker.output().matches(&said).count(),
        1,
        "{}",
        worker.output()
    );
}

async fn works(worker: &mut Worker, deployment: &Deployment) {
    worker.healthy().await;
    let gateway = deployment.gateway();
    gateway.ready().await;
    let answer = gateway
        .send_json(DEMO_SCHEMA, &demo("a session", &[2]))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    eventually("the event", async || {
        (deployment.output("demo-2").len() == 1).then_some(())
    })
    .await;
}
