//! The server: its streams, its clients' requests, and the switches that tests turn.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::Utc;
use futures::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::{Interrupt, Kind, Wire, serve};
use super::history::{Position, Published, parse_since};

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The streams, as they stand in the path.
    pub streams: String,
    /// `Last-Event-ID`.
    pub last_event_id: Option<String>,
    /// `since`.
    pub since: Option<String>,
    /// Whether the client takes gzip.
    pub takes_gzip: bool,
}

/// A running server.
#[derive(Debug)]
pub struct SseServer {
    address: SocketAddr,
    state: Arc<State>,
    listener: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct State {
    streams: Vec<String>,
    history: Mutex<Vec<Published>>,
    requests: Mutex<Vec<Request>>,
    refusals: Mutex<Vec<StatusCode>>,
    gzip: Mutex<bool>,
    open: AtomicUsize,
    /// Number of events published.
    published: watch::Sender<usize>,
    interrupts: broadcast::Sender<Interrupt>,
}

impl SseServer {
    /// Serves `/v2/stream/<streams>` at `address`; port 0 picks one.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn start(address: SocketAddr, streams: &[&str]) -> Self {
        let state = Arc::new(State {
            streams: streams.iter().map(|stream| (*stream).into()).collect(),
            history: Mutex::default(),
            requests: Mutex::default(),
            refusals: Mutex::default(),
            gzip: Mutex::default(),
            open: AtomicUsize::new(0),
            published: watch::Sender::new(0),
            interrupts: broadcast::Sender::new(64),
        });
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let router = Router::new()
            .route("/v2/stream/{streams}", get(stream_events))
            .with_state(Arc::clone(&state));
        let listener = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on");
        });
        Self {
            address,
            state,
            listener,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Publishes an event now; returns its timestamp in milliseconds.
    pub fn publish(&self, stream: &str, event: &Value) -> i64 {
        let timestamp = Utc::now().timestamp_millis();
        self.publish_at(stream, timestamp, &event.to_string());
        timestamp
    }

    /// Publishes any one-line data, well-formed or not, with a timestamp of the caller's.
    pub fn publish_at(&self, stream: &str, timestamp: i64, data: &str) {
        let mut history = lock(&self.state.history);
        history.push(Published {
            stream: stream.into(),
            timestamp,
            data: data.into(),
        });
        self.state.published.send_replace(history.len());
    }

    /// Closes all connections, as the server does from time to time.
    pub fn close_connections(&self) {
        self.interrupt(Kind::Close);
    }

    /// Leaves all connections open without a further byte.
    pub fn silence_connections(&self) {
        self.interrupt(Kind::Silence);
    }

    /// Sends `event: error`, as the server does when its own source fails.
    pub fn send_error(&self, message: &str) {
        self.send_raw(&format!("event: error\ndata: {message}\n\n"));
    }

    /// Tells clients how long to wait before they reconnect.
    pub fn send_retry(&self, milliseconds: u64) {
        self.send_raw(&format!("retry: {milliseconds}\n\n"));
    }

    /// Sends bytes of the caller's to all connections.
    pub fn send_raw(&self, text: &str) {
        self.interrupt(Kind::Raw(text.into()));
    }

    /// Refuses the next requests, one status each.
    pub fn refuse_next(&self, statuses: &[u16]) {
        lock(&self.state.refusals).extend(
            statuses
                .iter()
                .map(|status| StatusCode::from_u16(*status).expect("a status")),
        );
    }

    /// Compresses the connections of clients that take gzip, from now on.
    pub fn use_gzip(&self) {
        *lock(&self.state.gzip) = true;
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// The number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    fn interrupt(&self, kind: Kind) {
        let after = lock(&self.state.history).len();
        let interrupt = Interrupt { after, kind };
        // No connection is open when nobody receives it.
        let _ = self.state.interrupts.send(interrupt);
    }
}

impl Drop for SseServer {
    fn drop(&mut self) {
        self.listener.abort();
        self.close_connections();
    }
}

impl State {
    pub(crate) fn published(&self) -> watch::Receiver<usize> {
        self.published.subscribe()
    }

    /// The events from `start` up to `end`, or to the last.
    pub(crate) fn events(&self, start: usize, end: Option<usize>) -> Vec<Published> {
        let history = lock(&self.history);
        let end = end.unwrap_or(history.len());
        history.get(start..end).unwrap_or_default().to_vec()
    }

    fn refusal(&self) -> Option<StatusCode> {
        let mut refusals = lock(&self.refusals);
        (!refusals.is_empty()).then(|| refusals.remove(0))
    }

    /// Where the client starts, or why it cannot.
    fn position(&self, request: &Request) -> Result<Position, &'static str> {
        let streams: Vec<_> = request.streams.split(',').map(str::to_owned).collect();
        if streams.iter().any(|stream| !self.streams.contains(stream)) {
            return Err("unknown stream");
        }
        let now = Utc::now().timestamp_millis();
        if let Some(id) = &request.last_event_id {
            return Position::from_id(id, &streams, now).ok_or("Last-Event-ID is not valid");
        }
        match &request.since {
            None => Ok(Position::since(&streams, now)),
            Some(since) => parse_since(since)
                .map(|from| Position::since(&streams, from))
                .ok_or("since is not valid"),
        }
    }
}

async fn stream_events(
    Shared(state): Shared<Arc<State>>,
    Path(streams): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let text = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let request = Request {
        streams,
        last_event_id: text("last-event-id"),
        since: query
            .into_iter()
            .find_map(|(key, value)| (key == "since").then_some(value)),
        takes_gzip: text("accept-encoding").is_some_and(|codings| codings.contains("gzip")),
    };
    lock(&state.requests).push(request.clone());
    if let Some(status) = state.refusal() {
        return status.into_response();
    }
    let position = match state.position(&request) {
        Ok(position) => position,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let gzip = *lock(&state.gzip) && request.takes_gzip;
    let (sender, receiver) = mpsc::channel(16);
    let interrupts = state.interrupts.subscribe();
    tokio::spawn(async move {
        state.open.fetch_add(1, Ordering::SeqCst);
        serve(
            Arc::clone(&state),
            position,
            interrupts,
            Wire::new(sender, gzip),
        )
        .await;
        state.open.fetch_sub(1, Ordering::SeqCst);
    });
    let body = Body::from_stream(stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(bytes), receiver))
    }));
    let mut response = body.into_response();
    let fields = response.headers_mut();
    fields.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    if gzip {
        fields.insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_static("gzip"),
        );
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
