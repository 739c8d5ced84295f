//! Viewers over real sockets: what they see, what they lose, who may watch, and the end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use futures::StreamExt;
use penstock_connect::{
    Config, Metrics, Origin, Record, Retry, Settings, Sink, SinkMode, TaskContext, TopicPartition,
};
use penstock_formats::{Encoding, Payload, Schema};
use penstock_websocket_sink::{WebSocketSink, WebSocketSinkConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn context() -> TaskContext {
    TaskContext {
        connector: "egress".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::new(),
        budget: penstock_connect::Budget::unlimited(),
    }
}

fn config(lines: &str) -> WebSocketSinkConfig {
    let text = format!("ws.listen=127.0.0.1:0\n{lines}");
    WebSocketSinkConfig::read_all(Settings::parse("egress.properties", &text).unwrap()).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition {
        topic: "demo".into(),
        partition: 0,
    }
}

struct Egress {
    sink: WebSocketSink,
    address: SocketAddr,
}

impl Egress {
    async fn start(lines: &str) -> Self {
        let mut sink = WebSocketSink::new(config(lines), &context()).unwrap();
        assert_eq!(sink.mode(), SinkMode::Broadcast);
        // Listening begins before there are topics.
        sink.open(&[], &mut penstock_connect::MemoryJournal::default())
            .await
            .unwrap();
        let address = sink.address().unwrap();
        sink.open(
            &[partition()],
            &mut penstock_connect::MemoryJournal::default(),
        )
        .await
        .unwrap();
        Self { sink, address }
    }

    async fn watch(&self) -> Socket {
        connect_async(format!("ws://{}/ws/demo", self.address))
            .await
            .unwrap()
            .0
    }

    async fn show(&mut self, values: &[&str]) {
        let records = values.iter().map(|value| json_record(value)).collect();
        assert_eq!(self.sink.write(records).await.unwrap(), []);
    }

    /// Status and text of a request to connect with these headers.
    async fn refusal(&self, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok(_) => (101, String::new()),
            Err(WsError::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                (status, String::from_utf8(body).unwrap())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn record(value: Option<Payload>) -> Record {
    let mut record = Record::new("renamed".into(), value);
    record.set_origin(Origin {
        index: 0,
        partition: Some(partition()),
        offset: 0,
    });
    record
}

fn json_record(value: &str) -> Record {
    record(Some(Payload::new(value.to_owned(), Encoding::Json)))
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

#[tokio::test]
async fn every_viewer_sees_the_values_as_json() {
    let mut egress = Egress::start("").await;
    let mut viewers = [egress.watch().await, egress.watch().await];
    let schema = r#"{"type":"record","name":"E","fields":[{"name":"a","type":["null","string"]}]}"#;
    let schema = Arc::new(Schema::avro(schema, &[]).unwrap());
    let avro = Payload::new(&b"\x02\x04hi"[..], Encoding::Registered(schema));
    let records = vec![json_record("{\"a\":\n1}"), record(Some(avro)), record(None)];
    assert_eq!(egress.sink.write(records).await.unwrap(), []);
    for viewer in &mut viewers {
        assert_eq!(next(viewer).await, json!({"a": 1}));
        assert_eq!(next(viewer).await, json!({"a": "hi"}));
        assert_eq!(next(viewer).await, Value::Null);
    }
}

#[tokio::test]
async fn a_viewer_that_is_too_slow_is_told_what_it_lost() {
    let mut egress = Egress::start("ws.buffer.bytes=30").await;
    let mut viewer = egress.watch().await;
    let values: Vec<_> = (10..20).map(|number| number.to_string()).collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    // The stream does not wait: all of this is written before the viewer can read any.
    egress.show(&values).await;
    egress.show(&values).await;
    assert_eq!(next(&mut viewer).await, json!({"penstock": {"dropped": 5}}));
    for expected in (15..20).chain(10..20) {
        assert_eq!(next(&mut viewer).await, json!(expected));
    }
}

#[tokio::test]
async fn what_cannot_be_shown_is_rejected_only_while_somebody_watches() {
    let mut egress = Egress::start("").await;
    let bad = || {
        vec![
            json_record("1"),
            record(Some(Payload::new(&b"\"\xff\""[..], Encoding::Json))),
        ]
    };
    assert_eq!(egress.sink.write(bad()).await.unwrap(), []);
    let mut viewer = egress.watch().await;
    let rejected = egress.sink.write(bad()).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].0, 1);
    assert_eq!(next(&mut viewer).await, json!(1));
}

#[tokio::test]
async fn server_sent_events_show_the_same() {
    let mut egress = Egress::start("").await;
    let url = format!("http://{}/sse/demo", egress.address);
    let mut response = reqwest::Client::new().get(url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    egress.show(&[r#"{"a":1}"#]).await;
    let chunk = response.chunk().await.unwrap().unwrap();
    assert_eq!(chunk, "data: {\"a\":1}\n\n");
}

/// A page that asks its own host says no origin, and a name can be made to point here.
#[tokio::test]
async fn server_sent_events_are_not_shown_by_a_name_that_may_be_feigned() {
    let egress = Egress::start("").await;
    let url = format!("http://{}/sse/demo", egress.address);
    let request = reqwest::Client::new().get(url);
    let feigned = request.header("host", "evil.example:8082");
    let response = feigned.send().await.unwrap();
    assert_eq!(response.status(), 403);
    let text = response.text().await.unwrap();
    assert!(
        text.contains("ws.origins") && text.contains("ws.auth.tokens"),
        "{text}"
    );
}

#[tokio::test]
async fn who_may_not_watch_is_told_why() {
    let egress = Egress::start("ws.auth.tokens=one,two\nws.max.viewers=1").await;
    let token = ("authorization", "Bearer two");
    let _viewer = {
        let mut request = format!("ws://{}/ws/demo", egress.address)
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert(token.0, token.1.parse().unwrap());
        connect_async(request).await.unwrap()
    };
    let own = format!("http://{}", egress.address);
    let mut said = String::new();
    for (name, path, headers) in [
        ("no token", "/ws/demo", &[][..]),
        (
            "a foreign page",
            "/ws/demo",
            &[token, ("origin", "https://evil.example")],
        ),
        (
            "one viewer too many",
            "/ws/demo",
            &[token, ("origin", own.as_str())],
        ),
        ("an unknown topic", "/ws/other", &[token]),
        ("no path", "/", &[token]),
    ] {
        let (status, text) = egress.refusal(path, headers).await;
        said += &format!("{name}: {status} {text}\n");
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn viewers_are_told_of_the_end() {
    let mut egress = Egress::start("").await;
    let mut viewer = egress.watch().await;
    // Reading and closing have to go on side by side.
    let ours = [partition()];
    let (closed, message) = tokio::join!(egress.sink.close(&ours), viewer.next());
    closed.unwrap();
    let Message::Close(Some(frame)) = message.unwrap().unwrap() else {
        panic!("not a close frame")
    };
    assert_eq!(frame.code, CloseCode::Away);
    drop(TcpListener::bind(egress.address).unwrap());
    egress
        .sink
        .open(
            &[partition()],
            &mut penstock_connect::MemoryJournal::default(),
        )
        .await
        .unwrap();
    assert!(egress.sink.address().is_some());
}

#[tokio::test]
async fn a_viewer_that_does_not_answer_pings_is_disconnected() {
    let egress = Egress::start("ws.ping.interval.ms=10").await;
    let mut viewer = egress.watch().await;
    // This one answers, since its protocol does.
    assert!(matches!(
        viewer.next().await.unwrap().unwrap(),
        Message::Ping(_)
    ));
    let mut silent = TcpStream::connect(egress.address).await.unwrap();
    let request = format!(
        "GET /ws/demo HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        egress.address
    );
    silent.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    // Ends only because the sink ends it.
    silent.read_to_end(&mut received).await.unwrap();
    assert!(received.starts_with(b"HTTP/1.1 101"));
}

#[tokio::test]
async fn what_cannot_work_is_said_at_the_start() {
    let context = TaskContext {
        tasks: 2,
        ..context()
    };
    let error = WebSocketSink::new(config(""), &context).err().unwrap();
    insta::assert_snapshot!(error.message, @"tasks.max: a WebSocketSink has one listener and so one task; leave tasks.max at 1");

    let mut sink = WebSocketSink::new(config("ws.auth.tokens=\\,"), &self::context()).unwrap();
    let error = sink
        .open(&[], &mut penstock_connect::MemoryJournal::default())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error.message, @"ws.auth.tokens: holds no token");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config("");
    config.listen.0 = taken.local_addr().unwrap();
    let mut sink = WebSocketSink::new(config, &self::context()).unwrap();
    let error = sink
        .open(&[], &mut penstock_connect::MemoryJournal::default())
        .await
        .unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert!(
        error
            .message
            .starts_with("ws.listen: cannot listen on 127.0.0.1:"),
        "{error}"
    );
}
