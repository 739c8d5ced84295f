//! Registering, looking up and comparing schemas: what a posted body means, and the rules by which
//! it becomes a version.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_formats::{Schema, SchemaKind};
use serde_json::Value;

use super::error::ApiError;
use super::state::{Change, Content, Deleted, Mode, State, StoredSchema, Version};
use super::store::Store;
use crate::compat::{self, Comparable, CompatibilityLevel};
use crate::content;
use crate::wire::{Reference, SchemaBody, full_type_name, kind_of};

/// Longer chains of references are refused.
const MAX_REFERENCE_DEPTH: usize = 32;

/// Reads a posted schema: parses it with its references and brings it into normal form.
pub(super) fn content_of(
    state: &State,
    body: &SchemaBody,
    normalize: bool,
) -> Result<Content, ApiError> {
    let Some(kind) = kind_of(body.schema_type.as_deref()) else {
        return Err(ApiError::invalid_schema(
            "schemaType must be AVRO or JSON; the embedded registry has no other",
        ));
    };
    let text = body.schema.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Err(ApiError::invalid_schema("Empty schema"));
    }
    let json: Value = serde_json::from_str(text).map_err(|e| {
        ApiError::invalid_schema(format!("not JSON, line {} column {}", e.line(), e.column()))
    })?;
    let mut references = body.references.clone().unwrap_or_default();
    let mut known = BTreeMap::new();
    for reference in &mut references {
        // "Latest" is what is latest now: a registered schema does not change by itself.
        if reference.version == -1 {
            let latest = state.versions(&reference.subject, Deleted::Without).last();
            reference.version = latest
                .and_then(|(number, _)| i32::try_from(number).ok())
                .ok_or_else(|| missing_reference(reference))?;
        }
        referenced(state, reference, &mut known, 0)?;
    }
    let named = references
        .iter()
        .filter_map(|r| Some((r.name.clone(), Arc::clone(&known.get(&key(r))?.0))))
        .collect::<Vec<_>>();
    parse(kind, text, &named).map_err(ApiError::invalid_schema)?;
    let normal = content::normal_form(kind, &json);
    Ok(Content {
        kind,
        text: if normalize {
            normal.to_string()
        } else {
            content::minify(text)
        },
        normal,
        references,
        metadata: body.metadata.clone().filter(|value| !value.is_null()),
        rule_set: body.rule_set.clone().filter(|value| !value.is_null()),
    })
}

fn parse(
    kind: SchemaKind,
    text: &str,
    references: &[(String, Arc<Schema>)],
) -> Result<Schema, String> {
    match kind {
        SchemaKind::Avro => Schema::avro(text, references),
        SchemaKind::Json => Schema::json(text, references),
    }
    .map_err(|e| e.to_string())
}

type Known = BTreeMap<(String, i32), (Arc<Schema>, Arc<StoredSchema>)>;

fn key(reference: &Reference) -> (String, i32) {
    (reference.subject.clone(), reference.version)
}

/// Parses what a reference leads to, and what that leads to, each once.
fn referenced(
    state: &State,
    reference: &Reference,
    known: &mut Known,
    depth: usize,
) -> Result<(), ApiError> {
    if known.contains_key(&key(reference)) {
        return Ok(());
    }
    if depth == MAX_REFERENCE_DEPTH {
        return Err(ApiError::invalid_schema(format!(
            "the references are more than {MAX_REFERENCE_DEPTH} deep"
        )));
    }
    let stored = target(state, reference).ok_or_else(|| missing_reference(reference))?;
    let mut named = Vec::new();
    for inner in &stored.references {
        referenced(state, inner, known, depth + 1)?;
        if let Some((schema, _)) = known.get(&key(inner)) {
            named.push((inner.name.clone(), Arc::clone(schema)));
        }
    }
    let schema = parse(stored.kind(), &stored.schema, &named).map_err(ApiError::invalid_schema)?;
    known.insert(key(reference), (Arc::new(schema), stored));
    Ok(())
}

fn target(state: &State, reference: &Reference) -> Option<Arc<StoredSchema>> {
    let number = u32::try_from(reference.version).ok()?;
    let (_, version) = state
        .versions(&reference.subject, Deleted::With)
        .find(|(known, _)| *known == number)?;
    state.schema(version.id).cloned()
}

fn missing_reference(reference: &Reference) -> ApiError {
    ApiError::invalid_schema(format!(
        "No schema reference found for subject \"{}\" and version {}",
        reference.subject, reference.version
    ))
}

/// A schema as the compatibility rules read it.
fn comparable(state: &State, content: &Content) -> Result<Comparable, ApiError> {
    let mut known = Known::new();
    for reference in &content.references {
        referenced(state, reference, &mut known, 0)?;
    }
    let mut references = Vec::new();
    let all = content
        .references
        .iter()
        .chain(known.values().flat_map(|(_, stored)| &stored.references));
    for reference in all {
        if let Some((_, stored)) = known.get(&key(reference)) {
            references.push((reference.name.clone(), rules_view(&stored.content())));
        }
    }
    Ok(Comparable {
        kind: content.kind,
        schema: rules_view(content),
        references,
    })
}

fn rules_view(content: &Content) -> Value {
    match content.kind {
        SchemaKind::Avro => content.normal.clone(),
        SchemaKind::Json => serde_json::from_str(&content.text).unwrap_or_default(),
    }
}

/// What keeps `content` from following these versions (oldest first) at this level.
pub(super) fn conflicts(
    state: &State,
    level: CompatibilityLevel,
    content: &Content,
    earlier: &[(u32, Version)],
) -> Result<Vec<String>, ApiError> {
    let considered = if level.is_transitive() {
        earlier
    } else {
        &earlier[earlier.len().saturating_sub(1)..]
    };
    let new = comparable(state, content)?;
    for (number, version) in considered.iter().rev() {
        let Some(stored) = state.schema(version.id) else {
            continue;
        };
        let old = stored.content();
        let mut messages = compat::check(level, &new, &comparable(state, &old)?);
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {number}}}"));
            messages.push(format!("{{oldSchema: '{}'}}", stored.schema));
            messages.push(format!("{{compatibility: '{level}'}}"));
            return Ok(messages);
        }
    }
    Ok(Vec::new())
}

/// A version of a subject and the schema it holds.
pub(super) struct Found {
    pub(super) number: u32,
    pub(super) version: Version,
    pub(super) schema: Arc<StoredSchema>,
}

/// The latest version of a subject with this schema. Without metadata and rules of its own, the
/// content is found whatever those of the version are.
pub(super) fn find(
    state: &State,
    subject: &str,
    content: &Content,
    deleted: Deleted,
) -> Option<Found> {
    let bare = content.metadata.is_none() && content.rule_set.is_none();
    let wanted = state.id_by_fingerprint(&content.fingerprint());
    let mut alike = None;
    for (number, version) in state.versions(subject, deleted).rev() {
        let schema = state.schema(version.id)?;
        let found = || Found {
            number,
            version,
            schema: Arc::clone(schema),
        };
        if wanted == Some(version.id) {
            return Some(found());
        }
        if bare && alike.is_none() && schema.content().same_schema(content) {
            alike = Some(found());
        }
    }
    alike
}

/// `POST /subjects/{subject}/versions`.
pub(super) fn register(
    store: &Store,
    subject: &str,
    body: &SchemaBody,
    normalize: bool,
) -> Result<Found, ApiError> {
    store.change(|state| {
        let mode = state.mode_in_scope(subject);
        writable(mode, subject)?;
        let normalize = normalize || state.normalize_in_scope(subject);
        let mut content = content_of(state, body, normalize)?;
        let asked = asked_id(body, mode, subject)?;
        let earlier: Vec<_> = state.versions(subject, Deleted::Without).collect();
        inherit(state, &mut content, earlier.last());
        if let Some(found) = find(state, subject, &content, Deleted::Without)
            && asked.is_none_or(|id| id == found.version.id)
        {
            return Ok((Vec::new(), found));
        }
        if mode != Mode::Import {
            let level = state.compatibility_in_scope(subject);
            let messages = conflicts(state, level, &content, &earlier)?;
            if !messages.is_empty() {
                return Err(ApiError::incompatible(subject, &messages));
            }
        }
        let number = next_version(state, subject, body, mode)?;
        let (schema, is_new) = stored(state, &content, asked)?;
        let version = Version {
            id: schema.id,
            deleted: false,
        };
        let mut changes = vec![Change::Version(subject.to_owned(), number, version)];
        if is_new {
            changes.push(Change::LastId(schema.id));
            changes.push(Change::Schema(Arc::clone(&schema)));
        }
        let found = Found {
            number,
            version,
            schema,
        };
        Ok((changes, found))
    })
}

pub(super) fn writable(mode: Mode, subject: &str) -> Result<(), ApiError> {
    match mode {
        Mode::ReadOnly | Mode::ReadOnlyOverride => Err(ApiError::not_permitted(format!(
            "Subject {subject} is in read-only mode"
        ))),
        Mode::ReadWrite | Mode::Import => Ok(()),
    }
}

fn asked_id(body: &SchemaBody, mode: Mode, subject: &str) -> Result<Option<u32>, ApiError> {
    let asked = body.id.filter(|id| *id > 0);
    match (asked, mode) {
        (None, Mode::Import) => Err(ApiError::not_permitted(format!(
            "Subject {subject} is in import mode: the schema needs an id"
        ))),
        (Some(_), mode) if mode != Mode::Import => Err(ApiError::not_permitted(format!(
            "Subject {subject} is not in import mode"
        ))),
        (asked, _) => asked
            .map(u32::try_from)
            .transpose()
            .map_err(|_| ApiError::id_does_not_match("the id is too large")),
    }
}

/// A schema without metadata or rules takes over those of the version before it.
fn inherit(state: &State, content: &mut Content, latest: Option<&(u32, Version)>) {
    let Some(before) = latest.and_then(|(_, version)| state.schema(version.id)) else {
        return;
    };
    if content.metadata.is_none() {
        content.metadata.clone_from(&before.metadata);
    }
    if content.rule_set.is_none() {
        content.rule_set.clone_from(&before.rule_set);
    }
}

fn next_version(
    state: &State,
    subject: &str,
    body: &SchemaBody,
    mode: Mode,
) -> Result<u32, ApiError> {
    let last = state.versions(subject, Deleted::With).last();
    let next = last.map_or(1, |(number, _)| number + 1);
    match body.version.filter(|version| *version > 0) {
        None => Ok(next),
        Some(asked) => {
            let asked = asked.unsigned_abs();
            let taken = state
                .versions(subject, Deleted::With)
                .any(|(number, _)| number == asked);
            if taken || (mode != Mode::Import && asked != next) {
                return Err(ApiError::not_permitted(format!(
                    "Version {asked} of subject {subject} cannot be registered: the next version is {next}"
                )));
            }
            Ok(asked)
        }
    }
}

/// The schema under its one id, and whether it is new.
fn stored(
    state: &State,
    content: &Content,
    asked: Option<u32>,
) -> Result<(Arc<StoredSchema>, bool), ApiError> {
    let known = state
        .id_by_fingerprint(&content.fingerprint())
        .and_then(|id| state.schema(id));
    match (known, asked) {
        (Some(known), Some(asked)) if known.id != asked => {
            Err(ApiError::id_does_not_match(format!(
                "Schema already registered with id {} instead of input id {asked}",
                known.id
            )))
        }
        (Some(known), _) => Ok((Arc::clone(known), false)),
        (None, Some(asked)) if state.schema(asked).is_some() => Err(ApiError::id_does_not_match(
            format!("Overwrite new schema with id {asked} is not permitted."),
        )),
        (None, asked) => {
            let id = asked.unwrap_or(state.last_id() + 1);
            Ok((Arc::new(StoredSchema::new(id, content)), true))
        }
    }
}

/// The body of a schema as it is under a subject.
pub(super) fn version_body(subject: &str, number: u32, schema: &StoredSchema) -> SchemaBody {
    SchemaBody {
        subject: Some(subject.to_owned()),
        version: i32::try_from(number).ok(),
        id: Some(i64::from(schema.id)),
        ..schema_body(schema)
    }
}

/// The body of a schema by itself.
pub(super) fn schema_body(schema: &StoredSchema) -> SchemaBody {
    let named = match schema.kind() {
        SchemaKind::Avro => None,
        other => Some(full_type_name(other).to_owned()),
    };
    SchemaBody {
        guid: Some(schema.guid),
        schema_type: named,
        references: Some(schema.references.clone()).filter(|list| !list.is_empty()),
        metadata: schema.metadata.clone(),
        rule_set: schema.rule_set.clone(),
        schema: Some(schema.schema.clone()),
        ..SchemaBody::default()
    }
}
