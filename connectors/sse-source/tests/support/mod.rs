//! A server that plays scripts, one for each connection, and a source that reads from it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use penstock_connect::{
    Config, Error, Metrics, Settings, Source, SourceBatch, SourceRecord, TaskContext,
};
use penstock_formats::SchemaKind;
use penstock_registry::{RegistryClient, RegistryConfig, Store, serve};
use penstock_sse_source::{SseSource, SseSourceConfig};
use serde_json::{Value, json};

/// What the server does with one connection.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    status: u16,
    content_type: &'static str,
    chunks: Vec<Bytes>,
    gzip: bool,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// The connection ends as it should.
    Close,
    /// It breaks off.
    Break,
    /// It stays open, and nothing comes any more.
    Silence,
}

impl Script {
    /// These bytes, then silence.
    pub(crate) fn send(text: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream",
            chunks: vec![Bytes::from(text.into())],
            gzip: false,
            end: End::Silence,
        }
    }

    pub(crate) fn status(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            ..Self::send(text).then_close()
        }
    }

    pub(crate) fn typed(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    pub(crate) fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    pub(crate) fn then_break(mut self) -> Self {
        self.end = End::Break;
        self
    }

    /// Compressed, and flushed after each byte of the text.
    pub(crate) fn gzip(mut self) -> Self {
        self.gzip = true;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut chunks = Vec::new();
        for byte in self.chunks.concat() {
            encoder.write_all(&[byte]).unwrap();
            encoder.flush().unwrap();
            chunks.push(std::mem::take(encoder.get_mut()).into());
        }
        self.chunks = chunks;
        self
    }

    fn response(self) -> Response {
        let chunks = stream::iter(self.chunks.into_iter().map(Ok));
        let body = match self.end {
            End::Close => Body::from_stream(chunks),
            End::Break => {
                // What was sent before is on its way by the time that the connection breaks.
                let broken = stream::once(async {
                    tokio::task::yield_now().await;
                    Err(std::io::Error::other("broken off"))
                });
                Body::from_stream(chunks.chain(broken))
            }
            End::Silence => Body::from_stream(chunks.chain(stream::pending())),
        };
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type);
        if self.gzip {
            response = response.header("content-encoding", "gzip");
        }
        response.body(body).unwrap()
    }
}

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Plays = Arc<Mutex<(VecDeque<Script>, Vec<Asked>)>>;

/// The server; it stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    plays: Plays,
}

impl Server {
    /// Plays the scripts in order; the last one again and again.
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let plays: Plays = Arc::new(Mutex::new((scripts.into_iter().collect(), Vec::new())));
        let router = Router::new().fallback(play).with_state(Arc::clone(&plays));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, plays }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}/v2/stream/page_change", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.plays.lock().unwrap().1.clone()
    }

    pub(crate) fn last_event_ids(&self) -> Vec<Option<String>> {
        let asked = self.asked();
        let ids = asked.iter().map(|asked| asked.header("last-event-id"));
        ids.map(|id| id.map(str::to_owned)).collect()
    }

    /// A source that is open and reads from here, connecting again without a pause.
    pub(crate) async fn source(&self, lines: &str) -> Reading {
        self.resume(lines, None).await.unwrap()
    }

    /// A source of these streams, from a stored position.
    pub(crate) async fn streams(&self, streams: &str, position: Option<Value>) -> Reading {
        let text = format!(
            "sse.uri=http://{}/v2/stream/{streams}\ntopic=t\nsse.reconnect.backoff.ms=1\n",
            self.address
        );
        open(&text, position).await.unwrap()
    }

    /// As [`Server::source`], from a stored position.
    pub(crate) async fn resume(
        &self,
        lines: &str,
        position: Option<Value>,
    ) -> Result<Reading, Error> {
        let backoff = "sse.reconnect.backoff.ms";
        let backoff = if lines.contains(backoff) {
            String::new()
        } else {
            format!("{backoff}=1\n")
        };
        let text = format!("sse.uri={}\ntopic=t\n{backoff}{lines}", self.uri());
        open(&text, position).await
    }
}

async fn play(State(plays): State<Plays>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let mut plays = plays.lock().unwrap();
    plays.1.push(Asked {
        uri: parts.uri.to_string(),
        headers: std::mem::take(&mut parts.headers),
    });
    let script = match plays.0.len() {
        1 => plays.0[0].clone(),
        _ => plays.0.pop_front().unwrap(),
    };
    script.response()
}

/// A source of the connector "pages" with these properties.
pub(crate) async fn open(text: &str, position: Option<Value>) -> Result<Reading, Error> {
    let config = SseSourceConfig::read_all(Settings::parse("s.properties", text).unwrap()).unwrap();
    let context = TaskContext {
        connector: "pages".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::new(),
        budget: penstock_connect::Budget::unlimited(),
    };
    let mut source = SseSource::new(config, &context, registry().await).unwrap();
    assert!(source.replayable());
    source.open(position).await?;
    Ok(Reading {
        source,
        metrics: context.metrics,
        position: Value::Null,
    })
}

const PAGE_SCHEMA: &str =
    r#"{"type":"object","required":["page"],"properties":{"page":{"type":"integer"}}}"#;
const AVRO_SCHEMA: &str =
    r#"{"type":"record","name":"Page","fields":[{"name":"page","type":"int"}]}"#;

/// The embedded registry with the pinned schemas; it stops with the test's runtime.
pub(crate) async fn registry() -> RegistryClient {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("registry.redb")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let _dir = dir;
        serve(store, listener, std::future::pending())
            .await
            .unwrap();
    });
    let client = RegistryClient::new(RegistryConfig::new([url])).unwrap();
    for (subject, kind, text) in [
        ("page.1.0.0", SchemaKind::Json, PAGE_SCHEMA),
        ("page.avro.1.0.0", SchemaKind::Avro, AVRO_SCHEMA),
    ] {
        client.register(subject, kind, text, &[]).await.unwrap();
    }
    client
}

/// An open source, polled as the worker polls it.
pub(crate) struct Reading {
    pub(crate) source: SseSource,
    pub(crate) metrics: Metrics,
    /// Of the last batch.
    pub(crate) position: Value,
}

impl Reading {
    pub(crate) async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        let SourceBatch { records, position } = self.source.poll().await?;
        self.position = position.expect("each batch has a position");
        Ok(records)
    }

    /// Polls until there are so many records; no more come with them.
    pub(crate) async fn records(&mut self, count: usize) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        while records.len() < count {
            records.extend(self.poll().await.unwrap());
        }
        assert_eq!(records.len(), count);
        records
    }

    /// The pages of the next so many events.
    pub(crate) async fn pages(&mut self, count: usize) -> Vec<u64> {
        let records = self.records(count).await;
        records
            .iter()
            .map(|record| {
                assert!(record.fault.is_none(), "{:?}", record.fault);
                let value = record.record.value.as_ref().unwrap();
                let event: Value = serde_json::from_slice(value.bytes()).unwrap();
                event["page"].as_u64().unwrap()
            })
            .collect()
    }

    /// The value of a counter.
    pub(crate) fn count(&self, name: &str, reason: &str) -> f64 {
        let families = self.metrics.registry().gather();
        families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric())
            .filter(|metric| {
                metric
                    .get_label()
                    .iter()
                    .any(|label| label.value() == reason)
            })
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }

    pub(crate) fn reconnects(&self, reason: &str) -> f64 {
        self.count("penstock_sse_source_reconnects_total", reason)
    }

    pub(crate) fn dropped(&self, reason: &str) -> f64 {
        self.count("penstock_sse_source_events_dropped_total", reason)
    }
}

/// An id as EventStreams makes it.
pub(crate) fn id(timestamp: u64) -> String {
    json!([
        {"topic": "eqiad.page_change", "partition": 0, "timestamp": timestamp},
        {"topic": "codfw.page_change", "partition": 0, "offset": -1},
    ])
    .to_string()
}

/// An event of a page at a timestamp.
pub(crate) fn event(timestamp: u64, page: u64) -> String {
    let data = json!({"page": page, "meta": {"id": format!("id-{page}"), "domain": "example"}});
    format!("event: message\nid: {}\ndata: {data}\n\n", id(timestamp))
}

pub(crate) fn events(range: std::ops::Range<u64>) -> String {
    range.map(|page| event(page, page)).collect()
}
