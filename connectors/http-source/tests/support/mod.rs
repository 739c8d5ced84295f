//! A gateway on a free loopback port with a registry behind it, and a stand-in for the worker that
//! takes its records and decides their outcomes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use penstock_connect::{
    Config, Metrics, Outcome, Record, Reply, Settings, Source, SourceRecord, TaskContext,
};
use penstock_formats::SchemaKind;
use penstock_http_source::{HttpSource, HttpSourceConfig};
use penstock_registry::{RegistryClient, RegistryConfig, Store, serve};
use reqwest::{Client, RequestBuilder};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const DEMO: &str = "streammachine/demo/1.0.2";
pub(crate) const PAGE: &str = "mediawiki/page/1.0.0";

const DEMO_SCHEMA: &str = r#"{"type":"record","name":"DemoEvent","fields":[
    {"name":"consistentValue","type":"string"},
    {"name":"level","type":["null","int"],"default":null}]}"#;
const PAGE_SCHEMA: &str = r#"{"$id":"/mediawiki/page/1.0.0","type":"object","required":["$schema","page"],
    "properties":{"$schema":{"type":"string"},"page":{"type":"integer"},"meta":{"type":"object"}}}"#;

/// `{"consistentValue": "hi"}` in Avro's binary encoding.
pub(crate) const DEMO_AVRO: &[u8] = b"\x04hi\x00";

/// The embedded registry with the two schemas; it stops with the test's runtime.
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
        ("streammachine.demo.1.0.2", SchemaKind::Avro, DEMO_SCHEMA),
        ("mediawiki.page.1.0.0", SchemaKind::Json, PAGE_SCHEMA),
    ] {
        client.register(subject, kind, text, &[]).await.unwrap();
    }
    client
}

pub(crate) fn config(lines: &str) -> HttpSourceConfig {
    let text = format!("http.listen=127.0.0.1:0\ntopic=demo\n{lines}");
    HttpSourceConfig::read_all(Settings::parse("gateway.properties", &text).unwrap()).unwrap()
}

pub(crate) fn context() -> TaskContext {
    TaskContext {
        connector: "gateway".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::new(),
        budget: penstock_connect::Budget::unlimited(),
    }
}

/// A gateway whose records go to a worker.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) client: Client,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    worker: JoinHandle<()>,
}

/// Records as the worker gets them.
pub(crate) type Records = mpsc::Receiver<(Record, Reply)>;

impl Gateway {
    /// Every record is answered by `decide`.
    pub(crate) async fn start(
        lines: &str,
        decide: impl FnMut(&Record) -> Outcome + Send + 'static,
    ) -> Self {
        Self::start_with(lines, registry().await, decide).await
    }

    pub(crate) async fn start_with(
        lines: &str,
        registry: RegistryClient,
        mut decide: impl FnMut(&Record) -> Outcome + Send + 'static,
    ) -> Self {
        let (gateway, mut records) = Self::start_held_with(lines, registry).await;
        tokio::spawn(async move {
            while let Some((record, reply)) = records.recv().await {
                reply.send(decide(&record));
            }
        });
        gateway
    }

    /// The test itself answers the records.
    pub(crate) async fn start_held(lines: &str) -> (Self, Records) {
        Self::start_held_with(lines, registry().await).await
    }

    pub(crate) async fn start_held_with(lines: &str, registry: RegistryClient) -> (Self, Records) {
        let context = context();
        let mut source = HttpSource::new(config(lines), &context, registry).unwrap();
        source.open(None).await.unwrap();
        let address = source.address().unwrap();
        let (sender, records) = mpsc::channel(1);
        let (stop, mut stopped) = oneshot::channel();
        let worker = tokio::spawn(async move {
            'polling: loop {
                let batch = tokio::select! {
                    _ = &mut stopped => break,
                    batch = source.poll() => batch.unwrap(),
                };
                assert!(batch.position.is_none());
                for SourceRecord { record, reply, .. } in batch.records {
                    // Nobody answers what the test no longer takes.
                    let reply = reply.expect("somebody waits");
                    tokio::select! {
                        _ = &mut stopped => break 'polling,
                        sent = sender.send((record, reply)) => drop(sent),
                    }
                }
            }
            source.close().await;
        });
        let gateway = Self {
            address,
            metrics: context.metrics,
            client: Client::new(),
            scheme: "http",
            stop: Some(stop),
            worker,
        };
        (gateway, records)
    }

    pub(crate) fn speaking(mut self, scheme: &'static str, client: Client) -> Self {
        self.scheme = scheme;
        self.client = client;
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// An Avro event to `/event`.
    pub(crate) fn avro(&self) -> RequestBuilder {
        self.post("/event")
            .header("Strm-Schema-Ref", DEMO)
            .header("Content-Type", "application/octet-stream")
            .body(DEMO_AVRO)
    }

    /// JSON events to `/v1/events`.
    pub(crate) fn events(&self, body: &str) -> RequestBuilder {
        self.post("/v1/events")
            .header("Content-Type", "application/json")
            .body(body.to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path))).await
    }

    /// Stops the source as the worker does.
    pub(crate) async fn stop(mut self) {
        self.stop.take();
        self.worker.await.unwrap();
    }

    /// The value of a counter.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.metrics.registry().gather();
        let metrics = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| {
                labels.iter().all(|(name, value)| {
                    let mut own = metric.get_label().iter();
                    own.any(|label| label.name() == *name && label.value() == *value)
                })
            })
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

/// What a sender is told.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let retry_after = response.headers().get("retry-after");
    Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        body: response.text().await.unwrap(),
    }
}
