//! `/subjects` and what lies below it, and `/compatibility`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extension};
use serde::Serialize;

use super::error::ApiError;
use super::http::{Body, Params, VersionId, blocking, valid_subject};
use super::register::{self, Found, conflicts, content_of, version_body, writable};
use super::state::{Change, Deleted, State, Version};
use super::store::Store;
use crate::wire::SchemaBody;

type Shared = Extension<Arc<Store>>;
type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /subjects`.
pub(super) async fn list(Extension(store): Shared, params: Params) -> Answer<Vec<String>> {
    let state = store.read();
    let prefix = prefix(&params)?;
    let names = state
        .subjects()
        .keys()
        .filter(|name| name.starts_with(prefix))
        .filter(|name| state.versions(name, params.deleted()).next().is_some())
        .cloned()
        .collect();
    Ok(Json(params.page(names)?))
}

/// `subjectPrefix`; `:*:` is Confluent's for every context.
pub(super) fn prefix(params: &Params) -> Result<&str, ApiError> {
    let prefix = params.text("subjectPrefix").unwrap_or_default();
    let prefix = prefix.strip_prefix(":*:").unwrap_or(prefix);
    if prefix.starts_with(":.") {
        return Err(ApiError::contexts_unsupported());
    }
    Ok(prefix)
}

/// `POST /subjects/{subject}`: is this schema there?
pub(super) async fn lookup(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer<SchemaBody> {
    valid_subject(&subject)?;
    blocking(move || {
        let state = store.read();
        let deleted = params.deleted();
        if state.versions(&subject, deleted).next().is_none() {
            return Err(ApiError::subject_not_found(&subject));
        }
        let content = content_of(&state, &body, params.flag("normalize"))?;
        let found = register::find(&state, &subject, &content, deleted)
            .ok_or_else(ApiError::schema_not_found)?;
        Ok(Json(version_body(&subject, found.number, &found.schema)))
    })
    .await
}

/// `GET /subjects/{subject}/versions`.
pub(super) async fn versions(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer<Vec<u32>> {
    valid_subject(&subject)?;
    let state = store.read();
    let numbers: Vec<_> = state
        .versions(&subject, params.deleted())
        .map(|(number, _)| number)
        .collect();
    if numbers.is_empty() {
        return Err(ApiError::subject_not_found(&subject));
    }
    Ok(Json(params.page(numbers)?))
}

/// `POST /subjects/{subject}/versions`.
pub(super) async fn register(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer<SchemaBody> {
    valid_subject(&subject)?;
    blocking(move || {
        let found = register::register(&store, &subject, &body, params.flag("normalize"))?;
        let version = version_body(&subject, found.number, &found.schema);
        // Who asks has the schema.
        Ok(Json(SchemaBody {
            id: version.id,
            version: version.version,
            guid: version.guid,
            ..SchemaBody::default()
        }))
    })
    .await
}

fn version_of(
    state: &State,
    subject: &str,
    version: &str,
    deleted: Deleted,
) -> Result<Found, ApiError> {
    valid_subject(subject)?;
    let (number, version) = VersionId::parse(version)?.resolve(state, subject, deleted)?;
    let schema = state
        .schema(version.id)
        .ok_or_else(|| ApiError::id_not_found(version.id))?;
    Ok(Found {
        number,
        version,
        schema: Arc::clone(schema),
    })
}

/// `GET /subjects/{subject}/versions/{version}`.
pub(super) async fn version(
    Extension(store): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer<SchemaBody> {
    let found = version_of(&store.read(), &subject, &version, params.deleted())?;
    Ok(Json(version_body(&subject, found.number, &found.schema)))
}

/// `GET /subjects/{subject}/versions/{version}/schema`: the bare text.
pub(super) async fn text(
    Extension(store): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Result<String, ApiError> {
    let found = version_of(&store.read(), &subject, &version, params.deleted())?;
    Ok(found.schema.schema.clone())
}

/// `GET /subjects/{subject}/versions/{version}/referencedby`.
pub(super) async fn referenced_by(
    Extension(store): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer<Vec<u32>> {
    let state = store.read();
    let found = version_of(&state, &subject, &version, Deleted::With)?;
    let ids = state.referents(&subject, found.number, params.deleted());
    Ok(Json(params.page(ids.into_iter().collect())?))
}

/// `GET /subjects/{subject}/metadata?key=…&value=…`: the latest version with this property.
pub(super) async fn with_metadata(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer<SchemaBody> {
    valid_subject(&subject)?;
    let state = store.read();
    let deleted = params.deleted();
    if state.versions(&subject, deleted).next().is_none() {
        return Err(ApiError::subject_not_found(&subject));
    }
    let key = params.text("key").unwrap_or_default();
    let value = params.text("value").unwrap_or_default();
    let found = state
        .versions(&subject, deleted)
        .rev()
        .filter_map(|(number, version)| Some((number, state.schema(version.id)?)))
        .find(|(_, schema)| {
            let properties = schema.metadata.as_ref().and_then(|m| m.get("properties"));
            properties.and_then(|p| p.get(key)).and_then(|v| v.as_str()) == Some(value)
        });
    match found {
        Some((number, schema)) => Ok(Json(version_body(&subject, number, schema))),
        None => Err(ApiError::schema_not_found()),
    }
}

/// `DELETE /subjects/{subject}/versions/{version}`.
pub(super) async fn delete_version(
    Extension(store): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer<u32> {
    valid_subject(&subject)?;
    let permanent = params.flag("permanent");
    let wanted = VersionId::parse(&version)?;
    blocking(move || {
        store.change(|state| {
            writable(state.mode_in_scope(&subject), &subject)?;
            // "Latest" means the latest that can be deleted this way.
            let among = match (wanted, permanent) {
                (VersionId::Latest, false) => Deleted::Without,
                _ => Deleted::With,
            };
            let (number, version) = wanted.resolve(state, &subject, among)?;
            match (permanent, version.deleted) {
                (false, true) => return Err(ApiError::version_soft_deleted(&subject, number)),
                (true, false) => return Err(ApiError::version_not_soft_deleted(&subject, number)),
                _ => {}
            }
            let changes = removal(state, &subject, &[(number, version)], permanent)?;
            Ok((changes, Json(number)))
        })
    })
    .await
}

/// `DELETE /subjects/{subject}`.
pub(super) async fn delete_subject(
    Extension(store): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer<Vec<u32>> {
    valid_subject(&subject)?;
    let permanent = params.flag("permanent");
    blocking(move || {
        store.change(|state| {
            writable(state.mode_in_scope(&subject), &subject)?;
            let all: Vec<_> = state.versions(&subject, Deleted::With).collect();
            let live: Vec<_> = state.versions(&subject, Deleted::Without).collect();
            if all.is_empty() {
                return Err(ApiError::subject_not_found(&subject));
            }
            if permanent && !live.is_empty() {
                return Err(ApiError::subject_not_soft_deleted(&subject));
            }
            if !permanent && live.is_empty() {
                return Err(ApiError::subject_soft_deleted(&subject));
            }
            let gone = if permanent { all } else { live };
            let mut changes = removal(state, &subject, &gone, permanent)?;
            // A subject that begins anew begins with the settings of all.
            changes.push(Change::Config(subject.clone(), None));
            changes.push(Change::Mode(subject.clone(), None));
            let numbers = gone.into_iter().map(|(number, _)| number).collect();
            Ok((changes, Json(numbers)))
        })
    })
    .await
}

/// The changes that delete versions, softly or for good; refused while others refer to them.
fn removal(
    state: &State,
    subject: &str,
    gone: &[(u32, Version)],
    permanent: bool,
) -> Result<Vec<Change>, ApiError> {
    // A schema whose versions are all softly deleted can still be read by its id, and so needs
    // what it refers to.
    let referring = if permanent {
        Deleted::With
    } else {
        Deleted::Without
    };
    let mut changes = Vec::new();
    for (number, version) in gone {
        if !state.referents(subject, *number, referring).is_empty() {
            return Err(ApiError::reference_exists(subject, *number));
        }
        changes.push(if permanent {
            Change::NoVersion(subject.to_owned(), *number)
        } else {
            let deleted = Version {
                deleted: true,
                ..*version
            };
            Change::Version(subject.to_owned(), *number, deleted)
        });
        let elsewhere = state
            .uses(version.id, Deleted::With)
            .into_iter()
            .any(|(holder, held)| {
                holder != subject || !gone.iter().any(|(number, _)| *number == held)
            });
        if permanent && !elsewhere {
            changes.push(Change::NoSchema(version.id));
        }
    }
    Ok(changes)
}

/// The answer of the compatibility paths.
#[derive(Debug, Serialize)]
pub(super) struct Compatibility {
    is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

/// `POST /compatibility/subjects/{subject}/versions/{version}`.
pub(super) async fn compatible_with_version(
    store: Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer<Compatibility> {
    let wanted = VersionId::parse(&version)?;
    compatible(store, subject, Some(wanted), params, body).await
}

/// `POST /compatibility/subjects/{subject}/versions`: with all versions, if the level is
/// transitive, else with the latest.
pub(super) async fn compatible_with_all(
    store: Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer<Compatibility> {
    compatible(store, subject, None, params, body).await
}

async fn compatible(
    Extension(store): Shared,
    subject: String,
    wanted: Option<VersionId>,
    params: Params,
    body: SchemaBody,
) -> Answer<Compatibility> {
    valid_subject(&subject)?;
    blocking(move || {
        let state = store.read();
        let normalize = params.flag("normalize");
        let content = content_of(&state, &body, normalize)?;
        let all: Vec<_> = state.versions(&subject, Deleted::Without).collect();
        let against = match wanted {
            None => all,
            // Nothing to be compatible with.
            Some(VersionId::Latest) if all.is_empty() => all,
            Some(wanted) => vec![wanted.resolve(&state, &subject, Deleted::Without)?],
        };
        let level = state.compatibility_in_scope(&subject);
        let messages = conflicts(&state, level, &content, &against)?;
        Ok(Json(Compatibility {
            is_compatible: messages.is_empty(),
            messages: params.flag("verbose").then_some(messages),
        }))
    })
    .await
}
