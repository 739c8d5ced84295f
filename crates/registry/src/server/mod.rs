//! The embedded registry: Confluent's REST interface over a durable [`Store`].
//!
//! Contexts (`:.name:subject`) are refused; everything lives in the default context.

mod error;
mod http;
mod register;
mod schemas;
mod settings;
mod state;
mod store;
mod subjects;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use error::ApiError;
pub use store::{Store, StoreError};

/// The registry's paths, to be served wherever the caller binds.
pub fn router(store: Arc<Store>) -> Router {
    let subjects = Router::new()
        .route("/", get(subjects::list))
        .route(
            "/{subject}",
            post(subjects::lookup).delete(subjects::delete_subject),
        )
        .route("/{subject}/metadata", get(subjects::with_metadata))
        .route(
            "/{subject}/versions",
            get(subjects::versions).post(subjects::register),
        )
        .route(
            "/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/{subject}/versions/{version}/schema", get(subjects::text))
        .route(
            "/{subject}/versions/{version}/referencedby",
            get(subjects::referenced_by),
        );
    let schemas = Router::new()
        .route("/", get(schemas::list))
        .route("/types", get(schemas::types))
        .route("/ids/{id}", get(schemas::id))
        .route("/ids/{id}/schema", get(schemas::text))
        .route("/ids/{id}/subjects", get(schemas::subjects))
        .route("/ids/{id}/versions", get(schemas::versions))
        .route("/guids/{guid}", get(schemas::guid))
        .route("/guids/{guid}/ids", get(schemas::ids));
    let compatibility = Router::new()
        .route(
            "/subjects/{subject}/versions",
            post(subjects::compatible_with_all),
        )
        .route(
            "/subjects/{subject}/versions/{version}",
            post(subjects::compatible_with_version),
        );
    let config = get(settings::config)
        .put(settings::put_config)
        .delete(settings::delete_config);
    let subject_config = get(settings::subject_config)
        .put(settings::put_subject_config)
        .delete(settings::delete_subject_config);
    let mode = get(settings::mode)
        .put(settings::put_mode)
        .merge(delete(settings::delete_mode));
    let subject_mode = get(settings::subject_mode)
        .put(settings::put_subject_mode)
        .delete(settings::delete_subject_mode);
    Router::new()
        .route("/", get(|| async { Json(serde_json::json!({})) }))
        .route("/contexts", get(|| async { Json(["."]) }))
        .nest("/subjects", subjects)
        .nest("/schemas", schemas)
        .nest("/compatibility", compatibility)
        .route("/config", config)
        .route("/config/{subject}", subject_config)
        .route("/mode", mode)
        .route("/mode/{subject}", subject_mode)
        .fallback(|| async { ApiError::plain(StatusCode::NOT_FOUND, "HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async {
            ApiError::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "HTTP 405 Method Not Allowed",
            )
        })
        .layer(axum::middleware::from_fn(http::media_types))
        .layer(DefaultBodyLimit::max(http::MAX_BODY))
        .layer(axum::middleware::from_fn(penstock_listen::hear_out))
        .with_state(store)
}

/// Serves the registry on a bound listener until `shutdown` resolves; requests under way are
/// finished.
pub async fn serve(
    store: Arc<Store>,
    listener: std::net::TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, router(store))
        .with_graceful_shutdown(shutdown)
        .await
}
