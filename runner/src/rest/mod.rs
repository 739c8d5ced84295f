//! The worker's HTTP listener: Kafka Connect's REST, health, metrics, and the resources of the
//! privacy platform (streams, schemas, contracts, keys).

mod admission;
mod connectors;
mod error;
mod health;
mod keys;
mod loggers;
mod offsets;
mod plugins;
mod resources;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connectors::Connectors;
use crate::plugins::Plugins;
use crate::services::Services;

pub(crate) use error::RestError;
pub(crate) use resources::{NewSchema, NewStream};

/// What every handler sees.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) services: Arc<Services>,
    pub(crate) plugins: Arc<Plugins>,
}

/// The running listener.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes open requests and stops.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // The task only ends by itself; a panic in it was logged by the runtime.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.task).await;
    }
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

pub(crate) fn serve(
    listener: TcpListener,
    connectors: Arc<Connectors>,
    services: Arc<Services>,
    plugins: Arc<Plugins>,
) -> Server {
    let address = listener
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let router = router(Rest {
        connectors,
        services,
        plugins,
    });
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service)
            .with_graceful_shutdown(stopped.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!("the worker's listener stopped: {error}");
        }
    });
    Server {
        address,
        stop,
        task,
    }
}

fn router(rest: Rest) -> Router {
    Router::new()
        .route("/", get(health::root))
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .route(
            "/connectors",
            get(connectors::list).post(connectors::create),
        )
        .route(
            "/connectors/{name}",
            get(connectors::get).delete(connectors::delete),
        )
        .route(
            "/connectors/{name}/config",
            get(connectors::config)
                .put(connectors::put_config)
                .patch(connectors::patch_config),
        )
        .route("/connectors/{name}/status", get(connectors::status))
        .route("/connectors/{name}/tasks", get(connectors::tasks))
        .route(
            "/connectors/{name}/tasks/{task}/status",
            get(connectors::task_status),
        )
        .route(
            "/connectors/{name}/tasks/{task}/restart",
            post(connectors::restart_task),
        )
        .route(
            "/connectors/{name}/offsets",
            get(offsets::get)
                .patch(offsets::alter)
                .delete(offsets::reset),
        )
        .route("/connectors/{name}/topics", get(offsets::topics))
        .route(
            "/connectors/{name}/topics/reset",
            put(offsets::reset_topics),
        )
        .route("/connectors/{name}/pause", put(connectors::pause))
        .route("/connectors/{name}/resume", put(connectors::resume))
        .route("/connectors/{name}/stop", put(connectors::stop))
        .route("/connectors/{name}/restart", post(connectors::restart))
        .route("/connector-plugins", get(plugins::list))
        .route(
            "/connector-plugins/{class}/config/validate",
            put(plugins::validate),
        )
        .route("/admin/loggers", get(loggers::list))
        .route("/admin/loggers/{name}", get(loggers::get).put(loggers::set))
        .route(
            "/streams",
            get(resources::streams).post(resources::create_stream),
        )
        .route(
            "/streams/{name}",
            get(resources::stream).delete(resources::delete_stream),
        )
        .route("/streams/{name}/keys", get(keys::export))
        .route(
            "/schemas",
            get(resources::schemas).post(resources::create_schema),
        )
        .route(
            "/schemas/{*ref}",
            get(resources::schema).delete(resources::delete_schema),
        )
        .route(
            "/contracts",
            get(resources::contracts).post(resources::create_contract),
        )
        .route(
            "/contracts/{*ref}",
            get(resources::contract).delete(resources::delete_contract),
        )
        .route("/dead-letters/{topic}", get(keys::dead_letters))
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            RestError::new(status, "HTTP 405 Method Not Allowed")
        })
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .layer(middleware::from_fn_with_state(
            rest.clone(),
            only_when_ready,
        ))
        .layer(middleware::from_fn(admission::admit))
        .layer(middleware::map_response(error::in_one_shape))
        .layer(middleware::from_fn(penstock_listen::hear_out))
        .with_state(rest)
}

/// While the worker starts it says so, and answers nothing else.
async fn only_when_ready(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let always = ["/", "/health", "/metrics"].contains(&request.uri().path());
    match rest.services.startup.waits_for() {
        Some(waits_for) if !always => {
            RestError::new(StatusCode::SERVICE_UNAVAILABLE, waits_for).into_response()
        }
        _ => next.run(request).await,
    }
}
