//! The listener and its paths.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use penstock_connect::Error;
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::hub::{Hub, NoView};
use crate::view;

/// How long viewers may take to hear that the sink stops.
const GRACE: Duration = Duration::from_secs(2);

/// How long a connection may take for a request's head, or stay open without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Viewers have next to nothing to say.
const MAX_INCOMING: usize = 4 << 10;

struct Egress {
    hub: Arc<Hub>,
    admission: Admission,
    ping: Duration,
}

/// A running server. Dropped, it ends at once.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    hub: Arc<Hub>,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) fn start(
        listen: SocketAddr,
        hub: Arc<Hub>,
        admission: Admission,
        ping: Duration,
    ) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            let message = format!("ws.listen: cannot listen on {listen}: {error}");
            match error.kind() {
                // Whoever holds the address may let it go.
                io::ErrorKind::AddrInUse => Error::backoff(message),
                _ => Error::never(message),
            }
            .with_source(error)
        };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let handle = Handle::new();
        let egress = Arc::new(Egress {
            hub: Arc::clone(&hub),
            admission,
            ping,
        });
        let mut server = axum_server::from_tcp(listener)
            .map_err(failed)?
            .handle(handle.clone());
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        let task = tokio::spawn(server.serve(router(egress).into_make_service()));
        Ok(Self {
            address,
            hub,
            handle,
            task,
        })
    }

    /// Whether the listener ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends viewers and listener.
    pub(crate) async fn stop(mut self) {
        self.hub.close();
        self.handle.graceful_shutdown(Some(GRACE));
        if !self.task.is_finished() {
            // An end is an end, however it came.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.close();
        self.handle.shutdown();
        self.task.abort();
    }
}

fn router(egress: Arc<Egress>) -> Router {
    Router::new()
        .route("/ws/{topic}", get(web_socket))
        .route("/sse/{topic}", get(event_stream))
        .fallback(nothing_here)
        .layer(from_fn_with_state(Arc::clone(&egress), admit))
        .with_state(egress)
}

async fn admit(State(egress): State<Arc<Egress>>, request: Request, next: Next) -> Response {
    match egress.admission.admit(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let mut response = refusal.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

async fn web_socket(
    State(egress): State<Arc<Egress>>,
    Path(topic): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    match egress.hub.watch(&topic) {
        Ok(viewer) => {
            let ping = egress.ping;
            upgrade
                .max_message_size(MAX_INCOMING)
                .on_upgrade(move |socket| view::web_socket(socket, viewer, ping))
        }
        Err(why) => refuse(&egress, why),
    }
}

async fn event_stream(State(egress): State<Arc<Egress>>, Path(topic): Path<String>) -> Response {
    match egress.hub.watch(&topic) {
        Ok(viewer) => view::event_stream(viewer, egress.ping).into_response(),
        Err(why) => refuse(&egress, why),
    }
}

fn refuse(egress: &Egress, why: NoView) -> Response {
    match why {
        NoView::UnknownTopic => (
            StatusCode::NOT_FOUND,
            format!("No such topic here. {}", topics(egress)),
        )
            .into_response(),
        NoView::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "10")],
            "As many viewers watch as may (ws.max.viewers).",
        )
            .into_response(),
    }
}

async fn nothing_here(State(egress): State<Arc<Egress>>) -> (StatusCode, String) {
    (
        StatusCode::NOT_FOUND,
        format!(
            "Watch a topic at /ws/<topic> (WebSocket) or /sse/<topic> (server-sent events). {}",
            topics(&egress)
        ),
    )
}

fn topics(egress: &Egress) -> String {
    let names = egress.hub.names();
    if names.is_empty() {
        "There are no topics to watch yet.".to_owned()
    } else {
        format!("Topics: {}.", names.join(", "))
    }
}
