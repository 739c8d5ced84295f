//! One event at a time: what is taken in, what is refused and how, and when the answer comes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use penstock_connect::{Outcome, RecordError, RecordErrorKind};
use penstock_registry::{RegistryClient, RegistryConfig};
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::{DEMO, DEMO_AVRO, Gateway, PAGE, answer};

fn delivered() -> impl FnMut(&penstock_connect::Record) -> Outcome {
    |_| Outcome::Delivered
}

#[tokio::test]
async fn an_event_is_answered_once_it_is_durable() {
    let (gateway, mut records) = Gateway::start_held("").await;
    let request = tokio::spawn(answer(gateway.avro()));
    let (record, reply) = records.recv().await.unwrap();
    assert!(!request.is_finished());
    assert_eq!(&*record.topic, "demo");
    let value = record.value.unwrap();
    assert_eq!(value.bytes(), DEMO_AVRO);
    assert!(value.schema().unwrap().id().is_some());
    reply.send(Outcome::Delivered);
    let answer = request.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

#[tokio::test]
async fn events_that_come_while_others_are_written_are_one_batch() {
    let (gateway, mut records) = Gateway::start_held("").await;
    let requests: Vec<_> = (0..20)
        .map(|_| tokio::spawn(answer(gateway.avro())))
        .collect();
    for _ in 0..20 {
        records.recv().await.unwrap().1.send(Outcome::Delivered);
    }
    for request in requests {
        assert_eq!(request.await.unwrap().status, 204);
    }
}

#[tokio::test]
async fn json_becomes_the_wire_format_of_the_schema() {
    let values = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&values);
    let gateway = Gateway::start("", move |record| {
        let value = record.value.as_ref().unwrap();
        seen.lock().unwrap().push(value.bytes().clone());
        Outcome::Delivered
    })
    .await;
    let page = r#"{ "$schema": "/mediawiki/page/1.0.0", "page": 7 }"#;
    for (schema, body) in [(DEMO, r#"{"consistentValue":"hi"}"#), (PAGE, page)] {
        let request = gateway
            .post("/event")
            .header("Strm-Schema-Ref", schema)
            .header("Content-Type", "application/json; charset=utf-8");
        assert_eq!(answer(request.body(body)).await.status, 204);
    }
    let request = gateway
        .avro()
        .header("Strm-Serialization-Type", "application/x-avro-binary");
    assert_eq!(answer(request).await.status, 204);
    assert_eq!(
        *values.lock().unwrap(),
        [DEMO_AVRO, page.as_bytes(), DEMO_AVRO]
    );
}

/// Name, path, schema, content type, body.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a [u8]);

#[tokio::test]
async fn what_is_refused_and_how_it_is_said() {
    let gateway = Gateway::start("http.max.body=1kb", delivered()).await;
    let avro = "application/octet-stream";
    let json = "application/json";
    let deep = "[".repeat(200);
    let large = "x".repeat(1025);
    let cases: &[Case<'_>] = &[
        ("no schema", "/event", None, Some(avro), DEMO_AVRO),
        (
            "not a reference",
            "/event",
            Some("demo"),
            Some(avro),
            DEMO_AVRO,
        ),
        (
            "unknown schema",
            "/event",
            Some("no/such/1.0.0"),
            Some(avro),
            DEMO_AVRO,
        ),
        ("no content type", "/event", Some(DEMO), None, DEMO_AVRO),
        (
            "foreign content type",
            "/event",
            Some(DEMO),
            Some("text/plain"),
            DEMO_AVRO,
        ),
        (
            "trailing bytes",
            "/event",
            Some(DEMO),
            Some(avro),
            b"\x04hi\x00more",
        ),
        ("cut off", "/event", Some(DEMO), Some(avro), b"\x04h"),
        ("empty", "/event", Some(DEMO), Some(avro), b""),
        (
            "not UTF-8",
            "/event",
            Some(DEMO),
            Some(avro),
            b"\x04h\xff\x00",
        ),
        (
            "not JSON",
            "/event",
            Some(DEMO),
            Some(json),
            b"{\"consistentValue\":",
        ),
        (
            "a wrong type",
            "/event",
            Some(DEMO),
            Some(json),
            b"{\"consistentValue\":\"secret\",\"level\":\"secret\"}",
        ),
        (
            "a name twice",
            "/event",
            Some(DEMO),
            Some(json),
            b"{\"consistentValue\":\"a\",\"consistentValue\":\"secret\"}",
        ),
        ("a missing field", "/event", Some(DEMO), Some(json), b"{}"),
        (
            "an unknown field",
            "/event",
            Some(DEMO),
            Some(json),
            b"{\"consistentValue\":\"a\",\"other\":\"secret\"}",
        ),
        (
            "too deep",
            "/event",
            Some(DEMO),
            Some(json),
            deep.as_bytes(),
        ),
        (
            "JSON Schema broken",
            "/event",
            Some(PAGE),
            Some(json),
            b"{\"$schema\":\"x\",\"page\":\"secret\"}",
        ),
        (
            "JSON not UTF-8",
            "/event",
            Some(PAGE),
            Some(json),
            b"{\"page\":\"\xff\"}",
        ),
        (
            "Avro for a JSON Schema",
            "/event",
            Some(PAGE),
            Some(avro),
            DEMO_AVRO,
        ),
        (
            "too large",
            "/event",
            Some(DEMO),
            Some(avro),
            large.as_bytes(),
        ),
        ("no such path", "/events", Some(DEMO), Some(avro), DEMO_AVRO),
    ];
    let mut said = String::new();
    for (name, path, schema, content_type, body) in cases {
        let mut request = gateway.post(path).body(body.to_vec());
        if let Some(schema) = schema {
            request = request.header("Strm-Schema-Ref", *schema);
        }
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", *content_type);
        }
        let answer = answer(request).await;
        assert!(!answer.body.contains("secret"), "{name}: {}", answer.body);
        writeln!(said, "{name}: {} {}", answer.status, answer.body).unwrap();
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_path_that_takes_events_says_how() {
    let gateway = Gateway::start("", delivered()).await;
    for path in ["/event", "/v1/events"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 405);
        assert_eq!(
            answer.body,
            "No such method here: events go to POST /event or POST /v1/events."
        );
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let gateway = Gateway::start("http.max.body=1kb", delivered()).await;
    let chunks = (0..2000).map(|_| Ok::<_, std::io::Error>(&b"x"[..]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    assert_eq!(answer(gateway.avro().body(body)).await.status, 413);
    let body =
        reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(DEMO_AVRO)]));
    assert_eq!(answer(gateway.avro().body(body)).await.status, 204);
}

/// Clients that take the reset of a stream for a failure do not read the answer in front of it.
#[tokio::test]
async fn over_http_2_a_body_is_heard_out_before_it_is_refused() {
    const CHUNKS: usize = 256;
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let gateway = Gateway::start("http.max.body=1kb", delivered()).await;
    let gateway = gateway.speaking("http", client);
    for request in [gateway.avro(), gateway.post("/event")] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let chunks = (0..CHUNKS).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b'x'; 64 << 10])
        });
        let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        let answer = answer(request.body(body)).await;
        assert!([413, 415].contains(&answer.status), "{answer:?}");
        assert_eq!(taken.load(Ordering::Relaxed), CHUNKS);
    }
}

#[tokio::test]
async fn the_outcome_of_the_record_is_the_answer() {
    let text = "Invalid event contract: a/b/1.0.0. Not supported.";
    let rejected = |kind| Outcome::Rejected(RecordError::new(kind, text));
    for (outcome, status, body) in [
        (Outcome::Delivered, 204, ""),
        (Outcome::Filtered { reason: "test" }, 204, ""),
        (rejected(RecordErrorKind::Contract), 400, text),
        (rejected(RecordErrorKind::TooLarge), 413, text),
        (
            Outcome::Unavailable {
                message: "the broker is away".into(),
            },
            503,
            "the broker is away",
        ),
    ] {
        let gateway = Gateway::start("", move |_| outcome.clone()).await;
        let answer = answer(gateway.avro()).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        assert_eq!(answer.retry_after.is_some(), status == 503);
    }
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_said_to_be_so() {
    let (gateway, mut records) = Gateway::start_held("").await;
    let request = tokio::spawn(answer(gateway.avro()));
    drop(records.recv().await.unwrap());
    let answer = request.await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("is not known"), "{}", answer.body);
    assert_eq!(gateway.get("/ready").await.status, 503);
}

#[tokio::test]
async fn a_request_ends_within_its_time() {
    let (gateway, _records) = Gateway::start_held("http.request.timeout.ms=50").await;
    let answer = answer(gateway.avro()).await;
    assert_eq!((answer.status, answer.retry_after.is_some()), (503, true));
}

/// Sends the head of a request that announces a body, and the beginning of the body.
async fn begin(gateway: &Gateway, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /event HTTP/1.1\r\nHost: localhost\r\nStrm-Schema-Ref: {DEMO}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = Gateway::start("http.request.timeout.ms=50", delivered()).await;
    let mut stream = begin(&gateway, 10, b"\x04h").await;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    let received = String::from_utf8(received).unwrap();
    assert!(received.starts_with("HTTP/1.1 408"), "{received}");
}

#[tokio::test]
async fn an_announced_body_takes_no_room_before_it_comes() {
    let lines = "http.max.body=1kb\nhttp.queue.bytes=1kb";
    let gateway = Gateway::start(lines, delivered()).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(begin(&gateway, 1000, b"x").await);
    }
    assert_eq!(answer(gateway.avro()).await.status, 204);
}

#[tokio::test]
async fn senders_are_held_back_while_too_much_waits() {
    let (gateway, mut records) =
        Gateway::start_held("http.queue.events=1\nhttp.max.events=1").await;
    // Two are on their way to the test and one waits: of five, at least two find no room.
    let requests = (0..5).map(|_| answer(gateway.avro()));
    let mut requests: FuturesUnordered<_> = requests.collect();
    let refused = requests.next().await.unwrap();
    assert_eq!((refused.status, refused.retry_after.is_some()), (429, true));
    tokio::spawn(async move {
        while let Some((_, reply)) = records.recv().await {
            reply.send(Outcome::Delivered);
        }
    });
    let answers: Vec<_> = requests.map(|answer| answer.status).collect().await;
    assert!(answers.contains(&204), "{answers:?}");
    assert_eq!(answer(gateway.avro()).await.status, 204);
}

#[tokio::test]
async fn only_those_with_a_token_may_send() {
    let gateway = Gateway::start("http.auth.tokens=first,second", delivered()).await;
    let refused = answer(gateway.avro()).await;
    assert_eq!(refused.status, 401);
    insta::assert_snapshot!(refused.body, @"Not authorised. Send Authorization: Bearer with a token that this gateway knows.");
    assert_eq!(
        answer(gateway.avro().bearer_auth("third")).await.status,
        401
    );
    assert_eq!(
        answer(gateway.avro().bearer_auth("second")).await.status,
        204
    );
    assert_eq!(answer(gateway.events("[]")).await.status, 401);
    assert_eq!(gateway.get("/ready").await.status, 200);
}

#[tokio::test]
async fn a_registry_that_is_away_is_not_the_senders_fault() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut config = RegistryConfig::new([format!("http://{nobody}")]);
    config.max_wait = std::time::Duration::from_millis(100);
    let registry = RegistryClient::new(config).unwrap();
    let gateway = Gateway::start_with("", registry, delivered()).await;
    let answer = answer(gateway.avro()).await;
    assert_eq!((answer.status, answer.retry_after.is_some()), (503, true));
    insta::assert_snapshot!(answer.body, @"The schema registry is not available. Send again later.");
}

/// A registry that has one schema under every name.
async fn registry_with(schema: &str) -> RegistryClient {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let version =
        serde_json::json!({"subject": "a.b.1.0.0", "version": 1, "id": 1, "schema": schema});
    let answer = axum::Router::new().fallback(async move || axum::Json(version));
    tokio::spawn(async move { axum::serve(listener, answer).await });
    RegistryClient::new(RegistryConfig::new([url])).unwrap()
}

/// What is logged on this thread, until the guard is dropped.
fn logged() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Log(Arc::clone(&writer)))
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn why_a_schema_is_unusable_is_for_the_operator_alone() {
    let (log, _guard) = logged();
    let schema =
        r#"{"type":"record","name":"Inner","fields":[{"name":"x","type":"no-such-type"}]}"#;
    let registry = registry_with(schema).await;
    let gateway = Gateway::start_with("", registry, delivered()).await;
    let answers = [
        answer(gateway.avro()).await,
        answer(gateway.avro()).await,
        answer(gateway.avro()).await,
    ];
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let told = &answers[0];
    assert_eq!((told.status, &told.retry_after), (400, &None));
    insta::assert_snapshot!(told.body, @"Invalid schema: streammachine/demo/1.0.2. It is registered and cannot be used here; the operator of this gateway finds the reason in its log.");
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let reasons: Vec<_> = log
        .lines()
        .filter(|line| line.contains("no-such-type"))
        .collect();
    assert_eq!(reasons.len(), 1, "{log}");
    assert!(reasons[0].contains(DEMO), "{log}");
}

#[tokio::test]
async fn a_schema_may_be_configured_for_events_that_name_none() {
    let gateway = Gateway::start(&format!("schema={DEMO}"), delivered()).await;
    let request = gateway
        .post("/event")
        .header("Content-Type", "application/octet-stream")
        .body(DEMO_AVRO);
    assert_eq!(answer(request).await.status, 204);
}
