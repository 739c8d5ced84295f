//! The listener: binding, TLS, paths, authentication, and an end that lets requests finish.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use penstock_connect::Error;
use tokio::task::JoinHandle;

use crate::answer::Refusal;
use crate::intake::Intake;
use crate::{batch, event};

/// How long requests may go on after the gateway has stopped taking events in.
const GRACE: Duration = Duration::from_secs(5);

/// How long a connection may take for a request's head, or stay open without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server. Dropped, it ends at once.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Binds the address and serves. `tls` is certificate and key.
    pub(crate) async fn start(
        listen: SocketAddr,
        tls: Option<(&Path, &Path)>,
        intake: Arc<Intake>,
    ) -> Result<Self, Error> {
        let tls = match tls {
            Some((certificate, key)) => Some(tls_config(certificate, key).await?),
            None => None,
        };
        let bound = bind(listen).map_err(|error| cannot_listen(listen, error))?;
        let address = bound
            .local_addr()
            .map_err(|error| cannot_listen(listen, error))?;
        let handle = Handle::new();
        let service = router(intake).into_make_service();
        let failed = |error| cannot_listen(listen, error);
        let task = match tls {
            None => {
                let mut server = axum_server::from_tcp(bound).map_err(failed)?;
                patience(server.http_builder());
                tokio::spawn(server.handle(handle.clone()).serve(service))
            }
            Some(config) => {
                let mut server = axum_server::from_tcp_rustls(bound, config).map_err(failed)?;
                patience(server.http_builder());
                tokio::spawn(server.handle(handle.clone()).serve(service))
            }
        };
        Ok(Self {
            address,
            handle,
            task,
        })
    }

    /// Ends when the server does, which it does by itself only when it fails.
    pub(crate) async fn failed(&mut self) -> Error {
        let cause = match (&mut self.task).await {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Error::reconnect(format!("the listener at {} failed: {cause}", self.address))
    }

    /// Accepts no further connections, and waits until those that are open have their answers.
    pub(crate) async fn stop(mut self) {
        self.handle.graceful_shutdown(Some(GRACE));
        if self.task.is_finished() {
            return;
        }
        if let Ok(Err(error)) = (&mut self.task).await {
            tracing::warn!("the listener at {} ended badly: {error}", self.address);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.task.abort();
    }
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn cannot_listen(listen: SocketAddr, error: io::Error) -> Error {
    let message = format!("http.listen: cannot listen on {listen}: {error}");
    match error.kind() {
        // Whoever holds the address may let it go.
        io::ErrorKind::AddrInUse => Error::backoff(message),
        _ => Error::never(message),
    }
    .with_source(error)
}

async fn tls_config(certificate: &Path, key: &Path) -> Result<RustlsConfig, Error> {
    RustlsConfig::from_pem_file(certificate, key)
        .await
        .map_err(|error| {
            Error::never(format!(
                "http.tls.certificate {} and http.tls.key {} cannot be used: {error}",
                certificate.display(),
                key.display()
            ))
            .with_source(error)
        })
}

/// Bounds how long a connection may hold its place without sending a request.
fn patience(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT);
}

fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/event", post(event::post))
        .route("/v1/events", post(batch::post))
        .route("/v1/_test/events", get(batch::probe))
        .route("/ready", get(ready))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "No such path: events go to POST /event or POST /v1/events.",
            )
        })
        .method_not_allowed_fallback(|| async {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "No such method here: events go to POST /event or POST /v1/events.",
            )
        })
        .layer(from_fn_with_state(Arc::clone(&intake), attend))
        .layer(from_fn(penstock_listen::hear_out))
        .with_state(intake)
}

/// Whether events are taken in now.
async fn ready(State(intake): State<Arc<Intake>>) -> Result<StatusCode, Refusal> {
    intake.queue.unready().map_or(Ok(StatusCode::OK), Err)
}

/// Lets in who may come in, and counts the answer.
async fn attend(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    let since = Instant::now();
    let path = match request.uri().path() {
        "/event" => "/event",
        "/v1/events" => "/v1/events",
        "/v1/_test/events" => "/v1/_test/events",
        "/ready" => "/ready",
        _ => "other",
    };
    let response = if path == "/ready" || intake.tokens.admit(request.headers()) {
        next.run(request).await
    } else {
        Refusal::unauthorized().into_response()
    };
    intake
        .counters
        .answered(path, response.status(), since.elapsed());
    response
}
