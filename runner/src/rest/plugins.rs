//! `/connector-plugins`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connectors::{Config, given, parse};
use super::{Rest, RestError};
use crate::connectors::ConnectorError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Which {
    connectors_only: Option<bool>,
}

pub(super) async fn list(
    State(rest): State<Rest>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, RestError> {
    let Query(which) = which?;
    let all = !which.connectors_only.unwrap_or(true);
    let plugins: Vec<Value> = rest
        .plugins
        .classes()
        .filter(|(_, kind, ..)| all || matches!(*kind, "source" | "sink" | "pipeline"))
        .map(|(class, kind, ..)| json!({"class": class, "type": kind, "version": env!("CARGO_PKG_VERSION")}))
        .collect();
    Ok(Json(plugins.into()))
}

/// Checks settings: every problem stands beside its key.
pub(super) async fn validate(
    State(rest): State<Rest>,
    Path(class): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, RestError> {
    let Config(config) = parse(&body)?;
    let mut config = given(config);
    config
        .entry("connector.class".to_owned())
        .or_insert(class.clone());
    let problems = match rest.connectors.check(config.clone()) {
        Ok(()) => Vec::new(),
        Err(ConnectorError::Invalid(problems)) => problems,
        Err(error) => return Err(error.into()),
    };
    let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for problem in &problems {
        errors
            .entry(problem.key.clone().unwrap_or_default())
            .or_default()
            .push(problem.message.clone());
    }
    let names: std::collections::BTreeSet<&String> = config.keys().chain(errors.keys()).collect();
    let configs: Vec<Value> = names
        .into_iter()
        .map(|name| {
            json!({
                "definition": {"name": name},
                "value": {
                    "name": name,
                    "value": config.get(name),
                    "recommended_values": [],
                    "errors": errors.get(name).cloned().unwrap_or_default(),
                    "visible": true,
                },
            })
        })
        .collect();
    Ok(Json(
        json!({"name": class, "error_count": problems.len(), "groups": [], "configs": configs}),
    ))
}
