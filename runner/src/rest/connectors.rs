//! `/connectors`: Kafka Connect's paths and shapes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::{Rest, RestError};
use crate::connectors::{ConnectorView, Restart};
use crate::status::State as RunState;

fn info(rest: &Rest, name: &str, view: &ConnectorView) -> Value {
    let tasks: Vec<Value> = (0..view.spec.tasks)
        .map(|task| json!({"connector": name, "task": task}))
        .collect();
    json!({
        "name": name,
        "config": view.spec.shown(&rest.plugins),
        "tasks": tasks,
        "type": view.spec.kind.as_str(),
    })
}

fn status_of(rest: &Rest, name: &str, view: &ConnectorView) -> Value {
    let worker = rest.services.worker.listeners.0.to_string();
    let tasks: Vec<Value> = view
        .tasks
        .iter()
        .enumerate()
        .map(|(id, (state, trace))| {
            let mut task = json!({"id": id, "state": state.as_str(), "worker_id": worker});
            if let Some(trace) = trace {
                task["trace"] = trace.as_str().into();
            }
            task
        })
        .collect();
    json!({
        "name": name,
        "connector": {"state": view.state.as_str(), "worker_id": worker},
        "tasks": tasks,
        "type": view.spec.kind.as_str(),
    })
}

pub(super) async fn list(
    State(rest): State<Rest>,
    Query(expand): Query<Vec<(String, String)>>,
) -> Json<Value> {
    let all = rest.connectors.list();
    let wanted: Vec<&str> = expand
        .iter()
        .filter(|(key, _)| key == "expand")
        .map(|(_, value)| value.as_str())
        .collect();
    if wanted.is_empty() {
        return Json(json!(all.keys().collect::<Vec<_>>()));
    }
    let mut out = Map::new();
    for (name, view) in &all {
        let mut entry = Map::new();
        if wanted.contains(&"status") {
            entry.insert("status".into(), status_of(&rest, name, view));
        }
        if wanted.contains(&"info") {
            entry.insert("info".into(), info(&rest, name, view));
        }
        out.insert(name.clone(), entry.into());
    }
    Json(out.into())
}

/// Settings as they come, null for what is to be left out. Numbers and booleans count as the texts that
/// they are, as Kafka Connect takes them.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Config(
    #[serde(deserialize_with = "texts")] pub(super) BTreeMap<String, Option<String>>,
);

fn texts<'de, D: Deserializer<'de>>(
    given: D,
) -> Result<BTreeMap<String, Option<String>>, D::Error> {
    let text = |(key, value)| {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                let message = format!("{key} must be a text, a number or a boolean");
                return Err(D::Error::custom(message));
            }
        };
        Ok((key, text))
    };
    let pairs = BTreeMap::<String, Value>::deserialize(given)?;
    pairs.into_iter().map(text).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    config: Config,
    #[serde(default)]
    initial_state: Option<String>,
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, RestError> {
    serde_json::from_slice(body)
        .map_err(|error| RestError::bad_request(format!("the request body: {error}")))
}

/// A configuration may repeat the connector's name, and may not have another one.
fn same_name(name: &str, config: &BTreeMap<String, Option<String>>) -> Result<(), RestError> {
    match config.get("name") {
        Some(Some(other)) if other != name => Err(RestError::bad_request(format!(
            "Connector name configuration ({other}) doesn't match connector name in the URL or beside it ({name})"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn given(config: BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    config
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

pub(super) async fn create(
    State(rest): State<Rest>,
    body: axum::body::Bytes,
) -> Result<Response, RestError> {
    let create: Create = parse(&body)?;
    let Config(config) = create.config;
    same_name(&create.name, &config)?;
    let word = create.initial_state.as_deref().unwrap_or("RUNNING");
    let initial = RunState::initial(word)
        .map_err(|error| RestError::bad_request(format!("initial_state {error}")))?;
    let (view, _) = rest
        .connectors
        .put(&create.name, given(config), false, initial)
        .await?;
    let location = format!("/connectors/{}", create.name);
    let body = Json(info(&rest, &create.name, &view));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

pub(super) async fn get(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let view = rest.connectors.get(&name)?;
    Ok(Json(info(&rest, &name, &view)))
}

pub(super) async fn delete(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn config(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let view = rest.connectors.get(&name)?;
    Ok(Json(json!(view.spec.shown(&rest.plugins))))
}

pub(super) async fn put_config(
    State(rest): State<Rest>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, RestError> {
    let Config(config) = parse(&body)?;
    same_name(&name, &config)?;
    let (view, created) = rest
        .connectors
        .put(&name, given(config), true, RunState::Running)
        .await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(info(&rest, &name, &view))).into_response())
}

/// Changes some settings; null deletes one.
pub(super) async fn patch_config(
    State(rest): State<Rest>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, RestError> {
    let Config(patch) = parse(&body)?;
    same_name(&name, &patch)?;
    let mut config = rest.connectors.get(&name)?.spec.settings.written();
    for (key, value) in patch {
        match value {
            Some(value) => config.insert(key, value),
            None => config.remove(&key),
        };
    }
    let (view, _) = rest
        .connectors
        .put(&name, config, true, RunState::Running)
        .await?;
    Ok(Json(info(&rest, &name, &view)))
}

pub(super) async fn status(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let view = rest.connectors.get(&name)?;
    Ok(Json(status_of(&rest, &name, &view)))
}

pub(super) async fn tasks(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let view = rest.connectors.get(&name)?;
    let config = view.spec.shown(&rest.plugins);
    let tasks: Vec<Value> = (0..view.tasks.len())
        .map(|task| json!({"id": {"connector": name, "task": task}, "config": config}))
        .collect();
    Ok(Json(tasks.into()))
}

pub(super) async fn pause(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.set_state(&name, RunState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn resume(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.set_state(&name, RunState::Running).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.set_state(&name, RunState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestartOptions {
    include_tasks: Option<bool>,
    only_failed: Option<bool>,
}

pub(super) async fn restart(
    State(rest): State<Rest>,
    Path(name): Path<String>,
    options: Result<Query<RestartOptions>, QueryRejection>,
) -> Result<Response, RestError> {
    let Query(options) = options?;
    let which = match options.only_failed {
        Some(true) => Restart::Failed,
        _ => Restart::All,
    };
    rest.connectors.restart(&name, which).await?;
    if options.include_tasks.is_none() && options.only_failed.is_none() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let view = rest.connectors.get(&name)?;
    Ok((StatusCode::ACCEPTED, Json(status_of(&rest, &name, &view))).into_response())
}

pub(super) async fn restart_task(
    State(rest): State<Rest>,
    Path((name, task)): Path<(String, usize)>,
) -> Result<StatusCode, RestError> {
    rest.connectors.restart(&name, Restart::One(task)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn task_status(
    State(rest): State<Rest>,
    Path((name, task)): Path<(String, usize)>,
) -> Result<Json<Value>, RestError> {
    let view = rest.connectors.get(&name)?;
    match status_of(&rest, &name, &view)["tasks"].get_mut(task) {
        Some(status) => Ok(Json(status.take())),
        None => Err(RestError::not_found(format!(
            "Task {name}-{task} not found"
        ))),
    }
}
