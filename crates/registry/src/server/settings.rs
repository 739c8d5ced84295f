//! `/config` and `/mode`: compatibility, normalisation and write protection, for all subjects or
//! for one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extension};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::http::{Body, Params, blocking, valid_subject};
use super::state::{Change, Config, Deleted, Mode, State};
use super::store::Store;

type Shared = Extension<Arc<Store>>;
type Answer<T> = Result<Json<T>, ApiError>;

/// The settings of all subjects are kept under this name, which no subject can have.
const ALL: &str = "";

/// `GET /config`.
pub(super) async fn config(Extension(store): Shared) -> Json<Config> {
    Json(in_scope(&store.read(), ALL))
}

/// `GET /config/{subject}`.
pub(super) async fn subject_config(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer<Config> {
    valid_subject(&subject)?;
    let state = store.read();
    if params.flag("defaultToGlobal") {
        return Ok(Json(in_scope(&state, &subject)));
    }
    state
        .config(&subject)
        .map(Json)
        .ok_or_else(|| ApiError::no_compatibility(&subject))
}

fn in_scope(state: &State, subject: &str) -> Config {
    let of = |name| state.config(name).and_then(|config| config.normalize);
    Config {
        normalize: of(subject).or_else(|| of(ALL)),
        compatibility: Some(state.compatibility_in_scope(subject)),
    }
}

/// `PUT /config`.
pub(super) async fn put_config(store: Shared, Body(update): Body<Value>) -> Answer<Value> {
    update_config(store, ALL.to_owned(), update).await
}

/// `PUT /config/{subject}`.
pub(super) async fn put_subject_config(
    store: Shared,
    Path(subject): Path<String>,
    Body(update): Body<Value>,
) -> Answer<Value> {
    valid_subject(&subject)?;
    update_config(store, subject, update).await
}

async fn update_config(Extension(store): Shared, subject: String, update: Value) -> Answer<Value> {
    let wanted = config_update(&update)?;
    blocking(move || {
        store.change(|state| {
            let before = state.config(&subject).unwrap_or_default();
            let after = Config {
                normalize: wanted.normalize.or(before.normalize),
                compatibility: wanted.compatibility.or(before.compatibility),
            };
            Ok((vec![Change::Config(subject, Some(after))], Json(update)))
        })
    })
    .await
}

/// What an update asks for. What this registry does not do is refused, not forgotten: rules that
/// somebody believes to be in force would not be.
fn config_update(update: &Value) -> Result<Config, ApiError> {
    let empty = Map::new();
    let mut wanted = Config::default();
    for (key, value) in update.as_object().unwrap_or(&empty) {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("compatibility" | "compatibilityLevel", value) => {
                let level = value.as_str().and_then(|text| text.parse().ok());
                wanted.compatibility = Some(level.ok_or_else(ApiError::invalid_compatibility)?);
            }
            ("normalize", Value::Bool(normalize)) => wanted.normalize = Some(*normalize),
            ("validateFields", Value::Bool(false)) => {}
            (key, _) => {
                let shown: String = key.escape_debug().take(40).collect();
                return Err(ApiError::plain(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    format!(
                        "'{shown}' is not supported by the embedded registry: use compatibility and normalize"
                    ),
                ));
            }
        }
    }
    if wanted == Config::default() {
        return Err(ApiError::invalid_compatibility());
    }
    Ok(wanted)
}

/// `DELETE /config`: back to the default; what was in force.
pub(super) async fn delete_config(Extension(store): Shared) -> Answer<Config> {
    blocking(move || {
        store.change(|state| {
            let before = in_scope(state, ALL);
            Ok((vec![Change::Config(ALL.to_owned(), None)], Json(before)))
        })
    })
    .await
}

/// `DELETE /config/{subject}`; what was in force.
pub(super) async fn delete_subject_config(
    Extension(store): Shared,
    Path(subject): Path<String>,
) -> Answer<Config> {
    valid_subject(&subject)?;
    blocking(move || {
        store.change(|state| {
            let before = state
                .config(&subject)
                .ok_or_else(|| ApiError::subject_not_found(&subject))?;
            Ok((vec![Change::Config(subject, None)], Json(before)))
        })
    })
    .await
}

/// The body of `/mode`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ModeBody {
    mode: String,
}

impl From<Mode> for ModeBody {
    fn from(mode: Mode) -> Self {
        let name = match mode {
            Mode::ReadWrite => "READWRITE",
            Mode::ReadOnly => "READONLY",
            Mode::ReadOnlyOverride => "READONLY_OVERRIDE",
            Mode::Import => "IMPORT",
        };
        Self { mode: name.into() }
    }
}

/// `GET /mode`.
pub(super) async fn mode(Extension(store): Shared) -> Json<ModeBody> {
    Json(store.read().mode(ALL).unwrap_or_default().into())
}

/// `GET /mode/{subject}`.
pub(super) async fn subject_mode(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer<ModeBody> {
    valid_subject(&subject)?;
    let state = store.read();
    if params.flag("defaultToGlobal") {
        return Ok(Json(state.mode_in_scope(&subject).into()));
    }
    state
        .mode(&subject)
        .map(|mode| Json(mode.into()))
        .ok_or_else(|| ApiError::no_mode(&subject))
}

/// `PUT /mode`.
pub(super) async fn put_mode(
    store: Shared,
    params: Params,
    Body(body): Body<ModeBody>,
) -> Answer<ModeBody> {
    update_mode(store, ALL.to_owned(), params, body).await
}

/// `PUT /mode/{subject}`.
pub(super) async fn put_subject_mode(
    store: Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<ModeBody>,
) -> Answer<ModeBody> {
    valid_subject(&subject)?;
    update_mode(store, subject, params, body).await
}

async fn update_mode(
    Extension(store): Shared,
    subject: String,
    params: Params,
    body: ModeBody,
) -> Answer<ModeBody> {
    let wanted: Mode = serde_json::from_value(json!(body.mode.to_ascii_uppercase()))
        .map_err(|_| ApiError::invalid_mode())?;
    let force = params.flag("force");
    blocking(move || {
        store.change(|state| {
            // Imported ids could mean other schemas already.
            let occupied = match subject.as_str() {
                ALL => !state.subjects().is_empty(),
                name => state.versions(name, Deleted::Without).next().is_some(),
            };
            if wanted == Mode::Import && occupied && !force {
                return Err(ApiError::not_permitted(
                    "Cannot import since found existing subjects",
                ));
            }
            Ok((
                vec![Change::Mode(subject, Some(wanted))],
                Json(wanted.into()),
            ))
        })
    })
    .await
}

/// `DELETE /mode`: back to the default; what was in force.
pub(super) async fn delete_mode(Extension(store): Shared) -> Answer<ModeBody> {
    blocking(move || {
        store.change(|state| {
            let before = state.mode(ALL).unwrap_or_default();
            Ok((
                vec![Change::Mode(ALL.to_owned(), None)],
                Json(before.into()),
            ))
        })
    })
    .await
}

/// `DELETE /mode/{subject}`; what was in force.
pub(super) async fn delete_subject_mode(
    Extension(store): Shared,
    Path(subject): Path<String>,
) -> Answer<ModeBody> {
    valid_subject(&subject)?;
    blocking(move || {
        store.change(|state| {
            let before = state
                .mode(&subject)
                .ok_or_else(|| ApiError::subject_not_found(&subject))?;
            Ok((vec![Change::Mode(subject, None)], Json(before.into())))
        })
    })
    .await
}
