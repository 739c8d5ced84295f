//! `/connectors/{name}/offsets`, `/connectors/{name}/topics`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connectors::parse;
use super::{Rest, RestError};
use crate::connectors::NewOffset;

pub(super) async fn get(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    Ok(Json(rest.connectors.offsets(&name).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOffsets {
    offsets: Vec<NewOffset>,
}

pub(super) async fn alter(
    State(rest): State<Rest>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, RestError> {
    let new: NewOffsets = parse(&body)?;
    rest.connectors.alter_offsets(&name, new.offsets).await?;
    let message = "The offsets for this connector have been altered successfully";
    Ok(Json(json!({"message": message})))
}

pub(super) async fn reset(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    rest.connectors.reset_offsets(&name).await?;
    let message = "The offsets for this connector have been reset successfully";
    Ok(Json(json!({"message": message})))
}

pub(super) async fn topics(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let topics = rest.connectors.used_topics(&name)?;
    let topics: Vec<Value> = topics.all().iter().map(|topic| (&**topic).into()).collect();
    Ok(Json(json!({name: {"topics": topics}})))
}

pub(super) async fn reset_topics(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.used_topics(&name)?.reset();
    Ok(StatusCode::OK)
}
