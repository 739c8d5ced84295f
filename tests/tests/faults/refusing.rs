//! A registry that answers, and does not let anybody in, or is not the one that answers: no record is
//! blamed for it, and all goes on once it is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use penstock_tests::events::{DEMO_SCHEMA, demo, demo_avro};
use penstock_tests::{Estate, eventually};
use serde_json::json;

use crate::{framed, log, reaches, register, without_contracts};

type Answer = fn() -> Response;

/// What stands between the worker and its registry does.
const MISCHIEF: [(Answer, &str); 4] = [
    (
        || {
            let body = json!({"error_code": 401, "message": "Unauthorized"});
            (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
        },
        "basic.auth.user.info",
    ),
    (|| StatusCode::FORBIDDEN.into_response(), "rights"),
    (
        || axum::response::Html("<html>Please log in</html>").into_response(),
        "schema.registry.url",
    ),
    (
        || (StatusCode::NOT_FOUND, "default backend - 404").into_response(),
        "schema.registry.url",
    ),
];

/// A way to a registry on which the gatekeeper does mischief of this number, or none.
struct Gatekeeper {
    url: String,
    mischief: Arc<AtomicUsize>,
}

const NONE: usize = usize::MAX;

impl Gatekeeper {
    async fn before(registry: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mischief = Arc::new(AtomicUsize::new(NONE));
        let (registry, current) = (registry.to_owned(), mischief.clone());
        let app = axum::Router::new().fallback(move |request: Request| {
            let (registry, current) = (registry.clone(), current.clone());
            async move {
                match MISCHIEF.get(current.load(Ordering::Relaxed)) {
                    Some((answer, _)) => answer(),
                    None => pass(&registry, request).await,
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, mischief }
    }

    fn does(&self, mischief: usize) {
        self.mischief.store(mischief, Ordering::Relaxed);
    }
}

async fn pass(registry: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path_and_query().unwrap();
    let mut onward = reqwest::Client::new().request(parts.method, format!("{registry}{path}"));
    if let Some(kind) = parts.headers.get("content-type") {
        onward = onward.header("content-type", kind);
    }
    let answer = onward.body(body).send().await.unwrap();
    let status = answer.status();
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_refuses_costs_no_record_and_needs_no_restart() {
    const RECORDS: usize = 20;
    let estate = Estate::kafka().await;
    let deployment = without_contracts(&estate);
    let id = register(&estate, &deployment, "streammachine.demo.1.0.2").await;
    let broker = log::open(&estate, &deployment);
    let record = || {
        (
            0,
            None,
            Some(framed(id, &demo_avro(&demo("a session", &[])))),
        )
    };
    for number in 0..MISCHIEF.len() {
        let records: Vec<log::Out> = (0..RECORDS).map(|_| record()).collect();
        log::fill(&*broker, &format!("in-{number}"), 1, &records);
    }
    log::fill(&*broker, "looked-at", 1, &[]);
    let gatekeeper = Gatekeeper::before(estate.registry_url().unwrap()).await;
    deployment.set("worker.properties", "schema.registry.url", &gatekeeper.url);
    deployment.set("worker.properties", "task.restart.delay.max.ms", "500");
    // Without schemas of its own it does not need the registry to start.
    let settings = std::fs::read_to_string(deployment.path().join("worker.properties")).unwrap();
    let settings: Vec<_> = settings
        .lines()
        .filter(|line| !line.starts_with("schemas.dir"))
        .collect();
    deployment.write("worker.properties", &(settings.join("\n") + "\n"));
    deployment.write(
        "egress.properties",
        "name=egress\nconnector.class=WebSocketSink\ntopics=looked-at\nws.listen=127.0.0.1:8082\n\
         value.converter=io.confluent.connect.avro.AvroConverter\n",
    );
    deployment.write(
        "gateway.properties",
        "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:8080\ntopic=events\n\
         value.converter=io.confluent.connect.avro.AvroConverter\n",
    );
    gatekeeper.does(0);
    let worker = deployment.start().await;
    let mut viewer = deployment.viewer("looked-at").await;
    eventually("an event that the viewer has to wait for", async || {
        log::fill(&*broker, "looked-at", 1, &[record()]);
        worker
            .output()
            .contains("viewers see nothing new")
            .then_some(())
    })
    .await;
    for (number, (_, advice)) in MISCHIEF.iter().enumerate() {
        gatekeeper.does(number);
        let name = format!("sink-{number}");
        let config = json!({
            "connector.class": "FileSink", "topics": format!("in-{number}"),
            "file": "out/{topic}-{partition}.jsonl",
            "value.converter": "io.confluent.connect.avro.AvroConverter",
            // What is wrong with records is set aside; what is wrong with the registry is not.
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": format!("{name}-dlq"),
            "errors.deadletterqueue.topic.replication.factor": "1",
        });
        let put = reqwest::Client::new()
            .put(format!("{}/connectors/{name}/config", deployment.rest()))
            .json(&config);
        assert_eq!(put.send().await.unwrap().status(), 201);
        let status = reaches(&worker, &name, "RESTARTING").await;
        let trace = status["trace"].as_str().unwrap();
        assert!(
            trace.contains(&format!("id {id}")) && trace.contains(advice),
            "{trace}"
        );
        assert_eq!(deployment.output(&format!("in-{number}")).len(), 0);
        if number == 0 {
            let event = demo("a session", &[]);
            for _ in 0..3 {
                let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
                assert_eq!(answer.status, 503, "{}", answer.body);
                assert!(!answer.body.contains("Unauthorized"), "{}", answer.body);
            }
        }
    }
    gatekeeper.does(NONE);
    for number in 0..MISCHIEF.len() {
        let topic = format!("in-{number}");
        eventually(&topic, async || {
            (deployment.output(&topic).len() == RECORDS).then_some(())
        })
        .await;
        assert_eq!(log::read(&*broker, &format!("sink-{number}-dlq")).len(), 0);
    }
    // Whoever looked on still does, on the same connection.
    let seen = viewer.next().await;
    assert_eq!(seen["consistentValue"], "a session", "{seen}");
    let event = demo("a session", &[]);
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    // However many senders there were.
    let told = worker.output();
    let told = told.matches("a schema cannot be looked up").count();
    assert_eq!(told, 1, "{}", worker.output());
    assert!(worker.stop().success());
}
