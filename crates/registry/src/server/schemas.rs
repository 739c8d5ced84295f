//! `/schemas`: all versions, schemas by id and by GUID, and where they are used.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extension};
use serde::Serialize;
use uuid::Uuid;

use super::error::ApiError;
use super::http::Params;
use super::register::{schema_body, version_body};
use super::state::{State, StoredSchema};
use super::store::Store;
use super::subjects::prefix;
use crate::wire::{ContextId, SchemaBody};

type Shared = Extension<Arc<Store>>;
type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /schemas`.
pub(super) async fn list(Extension(store): Shared, params: Params) -> Answer<Vec<SchemaBody>> {
    let state = store.read();
    let prefix = prefix(&params)?;
    let mut found = Vec::new();
    for subject in state.subjects().keys() {
        if !subject.starts_with(prefix) {
            continue;
        }
        let mut versions: Vec<_> = state.versions(subject, params.deleted()).collect();
        if params.flag("latestOnly") && versions.len() > 1 {
            versions.drain(..versions.len() - 1);
        }
        for (number, version) in versions {
            if let Some(schema) = state.schema(version.id) {
                found.push((subject, number, Arc::clone(schema)));
            }
        }
    }
    let page = params.page(found)?;
    Ok(Json(
        page.into_iter()
            .map(|(subject, number, schema)| version_body(subject, number, &schema))
            .collect(),
    ))
}

/// `GET /schemas/types`.
pub(super) async fn types() -> Json<[&'static str; 2]> {
    Json(["JSON", "AVRO"])
}

fn by_id<'a>(state: &'a State, id: &str) -> Result<&'a Arc<StoredSchema>, ApiError> {
    id.parse()
        .ok()
        .and_then(|id| state.schema(id))
        .ok_or_else(|| {
            let shown: String = id.escape_debug().take(40).collect();
            ApiError::id_not_found(shown)
        })
}

fn by_guid<'a>(state: &'a State, guid: &str) -> Result<&'a Arc<StoredSchema>, ApiError> {
    Uuid::parse_str(guid)
        .ok()
        .and_then(|guid| state.schema(state.id_by_guid(&guid)?))
        .ok_or_else(|| {
            let shown: String = guid.escape_debug().take(40).collect();
            ApiError::id_not_found(shown)
        })
}

/// `GET /schemas/ids/{id}`.
pub(super) async fn id(
    Extension(store): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Answer<SchemaBody> {
    let state = store.read();
    let mut body = schema_body(by_id(&state, &id)?);
    if params.flag("fetchMaxId") {
        body.max_id = Some(state.last_id());
    }
    Ok(Json(body))
}

/// `GET /schemas/ids/{id}/schema`: the bare text.
pub(super) async fn text(
    Extension(store): Shared,
    Path(id): Path<String>,
) -> Result<String, ApiError> {
    Ok(by_id(&store.read(), &id)?.schema.clone())
}

/// `GET /schemas/ids/{id}/subjects`.
pub(super) async fn subjects(
    Extension(store): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Answer<Vec<String>> {
    let state = store.read();
    let mut subjects: Vec<_> = uses(&state, &id, &params)?
        .into_iter()
        .map(|using| using.subject)
        .collect();
    subjects.dedup();
    Ok(Json(params.page(subjects)?))
}

/// One use of a schema.
#[derive(Debug, Serialize)]
pub(super) struct Use {
    subject: String,
    version: u32,
}

/// `GET /schemas/ids/{id}/versions`.
pub(super) async fn versions(
    Extension(store): Shared,
    Path(id): Path<String>,
    params: Params,
) -> Answer<Vec<Use>> {
    let uses = uses(&store.read(), &id, &params)?;
    Ok(Json(params.page(uses)?))
}

/// Uses in the order of subjects.
fn uses(state: &State, id: &str, params: &Params) -> Result<Vec<Use>, ApiError> {
    let schema = by_id(state, id)?;
    let wanted = params.text("subject").filter(|subject| !subject.is_empty());
    Ok(state
        .uses(schema.id, params.deleted())
        .into_iter()
        .filter(|(subject, _)| wanted.is_none_or(|wanted| wanted == *subject))
        .map(|(subject, version)| Use {
            subject: subject.to_owned(),
            version,
        })
        .collect())
}

/// `GET /schemas/guids/{guid}`.
pub(super) async fn guid(Extension(store): Shared, Path(guid): Path<String>) -> Answer<SchemaBody> {
    Ok(Json(schema_body(by_guid(&store.read(), &guid)?)))
}

/// `GET /schemas/guids/{guid}/ids`.
pub(super) async fn ids(
    Extension(store): Shared,
    Path(guid): Path<String>,
) -> Answer<Vec<ContextId>> {
    let state = store.read();
    Ok(Json(vec![ContextId {
        context: ".".to_owned(),
        id: by_guid(&state, &guid)?.id,
    }]))
}
