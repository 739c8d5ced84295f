//! `/admin/loggers`: the log's levels, changed while the worker runs.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};

use super::RestError;
use super::connectors::parse;
use crate::logging::{self, Logger};

fn shown(logger: &Logger) -> Value {
    json!({"level": logger.level, "last_modified": logger.last_modified})
}

pub(super) async fn list() -> Json<Value> {
    let all: BTreeMap<String, Value> = logging::all()
        .iter()
        .map(|(name, logger)| (name.clone(), shown(logger)))
        .collect();
    Json(json!(all))
}

pub(super) async fn get(Path(name): Path<String>) -> Result<Json<Value>, RestError> {
    let all = logging::all();
    let logger = all
        .get(&name)
        .ok_or_else(|| RestError::not_found(format!("Logger {name} not found.")))?;
    Ok(Json(shown(logger)))
}

#[derive(Deserialize)]
struct NewLevel {
    level: String,
}

/// Answers with the loggers whose level was set, as Kafka Connect does.
pub(super) async fn set(
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, RestError> {
    let new: NewLevel = parse(&body)?;
    let level = logging::level_of(&new.level)
        .ok_or_else(|| RestError::not_found(format!("invalid log level '{}'.", new.level)))?;
    if !logging::set(&name, level) {
        return Err(RestError::bad_request(format!(
            "the level of logger {name} cannot be set"
        )));
    }
    Ok(Json(json!([name])))
}
