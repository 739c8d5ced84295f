//! Streams, schemas and contracts: what the command line creates, lists, shows and deletes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use penstock_contracts::Contract;
use penstock_formats::{Schema, SchemaKind};
use penstock_registry::{PublishError, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Rest, RestError};
use crate::plugins::Kind;
use crate::services::Services;
use crate::status::State as RunState;
use crate::worker::blocking;

/// A new stream: a plain one is a topic; a derived one is a pipeline that routes by consent.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStream {
    /// Name; a derived stream without one is called after its origin and levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The stream it is derived from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) derived_from: Option<String>,
    /// Consent levels of a derived stream.
    #[serde(default)]
    pub(crate) levels: Vec<penstock_contracts::Level>,
    /// Whether every level has to be consented to, instead of the highest.
    #[serde(default)]
    pub(crate) granular: bool,
    /// Partitions of a plain stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partitions: Option<i32>,
}

pub(super) async fn streams(State(rest): State<Rest>) -> Result<Json<Value>, RestError> {
    let topics = blocking(&rest.services, |services| services.broker.topics()).await?;
    let mut streams = Vec::new();
    for topic in topics
        .into_iter()
        .filter(|topic| !topic.name.starts_with('_'))
    {
        streams.push(stream_json(&rest, &topic.name, topic.partitions).await?);
    }
    Ok(Json(streams.into()))
}

async fn stream_json(rest: &Rest, name: &str, partitions: i32) -> Result<Value, RestError> {
    let topic = name.to_owned();
    let offsets = blocking(&rest.services, move |services| {
        offsets(services, &topic, partitions)
    })
    .await?;
    let mut derived_from = Value::Null;
    let mut levels = Value::Null;
    let mut mode = Value::Null;
    for connector in rest
        .connectors
        .list()
        .into_values()
        .filter(|c| c.spec.kind == Kind::Pipeline)
    {
        for transform in &connector.spec.transforms {
            if let Some(setting) = transform.settings.get(&format!("{name}.levels")) {
                derived_from = connector.spec.common.topics.0.join(",").into();
                levels = setting.value().into();
                let given = transform.settings.get(&format!("{name}.mode"));
                mode = given.map_or("cumulative", |mode| mode.value()).into();
            }
        }
    }
    Ok(json!({
        "name": name,
        "partitions": partitions,
        "offsets": offsets,
        "derived_from": derived_from,
        "levels": levels,
        "mode": mode,
    }))
}

/// How many offsets a topic holds. Not its records: on Kafka, transaction markers stand between them.
fn offsets(services: &Services, topic: &str, partitions: i32) -> penstock_broker::Result<i64> {
    (0..partitions).try_fold(0, |sum, partition| {
        let (low, high) = services.watermarks(topic, partition)?;
        Ok(sum + high - low)
    })
}

pub(super) async fn stream(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let topic = existing(&rest, &name).await?;
    Ok(Json(stream_json(&rest, &name, topic.partitions).await?))
}

async fn existing(rest: &Rest, name: &str) -> Result<penstock_broker::TopicInfo, RestError> {
    let wanted = name.to_owned();
    blocking(&rest.services, move |services| {
        services.broker.topic(&wanted)
    })
    .await?
    .filter(|_| !rest.services.worker.is_internal(name))
    .ok_or_else(|| RestError::not_found(format!("there is no stream {name}")))
}

pub(super) async fn create_stream(
    State(rest): State<Rest>,
    Json(new): Json<NewStream>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let name = match &new.derived_from {
        None => {
            let name = new
                .name
                .ok_or_else(|| RestError::bad_request("a stream needs a name"))?;
            create_topic(&rest, &name, new.partitions).await?;
            name
        }
        Some(origin) => {
            existing(&rest, origin).await?;
            derive(&rest, origin, &new).await?
        }
    };
    let topic = existing(&rest, &name).await?;
    Ok((
        StatusCode::CREATED,
        Json(stream_json(&rest, &name, topic.partitions).await?),
    ))
}

fn refuse_internal(rest: &Rest, name: &str) -> Result<(), RestError> {
    if rest.services.worker.is_internal(name) {
        let message = format!("{name} belongs to the worker itself: choose another name");
        return Err(RestError::bad_request(message));
    }
    Ok(())
}

async fn create_topic(rest: &Rest, name: &str, partitions: Option<i32>) -> Result<(), RestError> {
    refuse_internal(rest, name)?;
    let topic = name.to_owned();
    let created = blocking(&rest.services, move |services: &Services| {
        let mut spec = penstock_broker::TopicSpec::new(topic, 1);
        spec.partitions = partitions.or_else(|| services.default_partitions());
        spec.replication = services.replication();
        services.broker.create_topic(&spec)
    })
    .await?;
    match created {
        penstock_broker::Created::New => Ok(()),
        penstock_broker::Created::Existed => Err(exists_already(name)),
    }
}

fn exists_already(name: &str) -> RestError {
    let message = format!("stream {name} exists already: choose another name, or delete it first");
    RestError::new(StatusCode::CONFLICT, message)
}

/// Whether records lie in a topic of this name: those of a derived stream would be mixed into them.
async fn holds_something(rest: &Rest, name: &str) -> Result<bool, RestError> {
    let topic = name.to_owned();
    let held = blocking(&rest.services, move |services| {
        let Some(info) = services.broker.topic(&topic)? else {
            return Ok(0);
        };
        offsets(services, &topic, info.partitions)
    });
    Ok(held.await? > 0)
}

/// Starts the pipeline behind a derived stream.
async fn derive(rest: &Rest, origin: &str, new: &NewStream) -> Result<String, RestError> {
    if new.levels.is_empty() {
        return Err(RestError::bad_request("a derived stream needs levels"));
    }
    if !new.granular && new.levels.len() > 1 {
        return Err(RestError::bad_request(
            "a cumulative stream has one level; with several say granular",
        ));
    }
    let levels = new
        .levels
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let name = new
        .name
        .clone()
        .unwrap_or_else(|| penstock_consent_router::default_stream_name(origin, &new.levels));
    refuse_internal(rest, &name)?;
    if rest.connectors.get(&name).is_ok() || holds_something(rest, &name).await? {
        return Err(exists_already(&name));
    }
    let pairs = [
        ("connector.class", "TopicPipeline".to_owned()),
        ("topics", origin.to_owned()),
        ("transforms", "consent".to_owned()),
        ("transforms.consent.type", "ConsentRouter".to_owned()),
        ("transforms.consent.streams", name.clone()),
    ];
    let mut config: BTreeMap<String, String> = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    config.insert(
        format!("transforms.consent.{name}.levels"),
        levels.join(","),
    );
    if new.granular {
        config.insert(
            format!("transforms.consent.{name}.mode"),
            "granular".to_owned(),
        );
    }
    rest.connectors
        .put(&name, config, false, RunState::Running)
        .await?;
    Ok(name)
}

/// Deletes a stream's topic, and the pipeline behind it if it is a derived one.
pub(super) async fn delete_stream(
    State(rest): State<Rest>,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    existing(&rest, &name).await?;
    for (connector, view) in rest.connectors.list() {
        let writes_only_this = view.spec.transforms.iter().any(|transform| {
            transform
                .settings
                .get("streams")
                .is_some_and(|streams| streams.value().trim() == name)
        });
        if view.spec.kind == Kind::Pipeline && writes_only_this {
            rest.connectors.delete(&connector).await?;
        }
    }
    let topic = name.clone();
    blocking(&rest.services, move |services| {
        services.broker.delete_topic(&topic)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Subjects that hold schemas by ref: dotted, with the version at the end.
fn ref_of_subject(subject: &str) -> Option<SchemaRef> {
    let mut parts: Vec<&str> = subject.split('.').collect();
    let version = parts.split_off(parts.len().checked_sub(3)?);
    SchemaRef::parse(&format!("{}/{}", parts.join("/"), version.join("."))).ok()
}

pub(super) async fn schemas(State(rest): State<Rest>) -> Result<Json<Value>, RestError> {
    let mut schemas = Vec::new();
    for subject in rest.services.registry.subjects().await? {
        let Some(reference) = ref_of_subject(&subject) else {
            continue;
        };
        let schema = rest.services.registry.by_ref(&reference).await?;
        schemas.push(schema_json(&reference, &schema, false));
    }
    Ok(Json(schemas.into()))
}

fn schema_json(reference: &SchemaRef, schema: &Schema, text: bool) -> Value {
    let kind = match schema.kind() {
        SchemaKind::Avro => "AVRO",
        SchemaKind::Json => "JSON",
    };
    let mut out =
        json!({"ref": reference.as_str(), "type": kind, "id": schema.id(), "name": schema.name()});
    if text {
        out["schema"] = serde_json::from_str(schema.text())
            .unwrap_or_else(|_| Value::String(schema.text().to_owned()));
    }
    out
}

fn schema_ref(text: &str) -> Result<SchemaRef, RestError> {
    SchemaRef::parse(text).map_err(|error| RestError::bad_request(error.to_string()))
}

pub(super) async fn schema(
    State(rest): State<Rest>,
    Path(text): Path<String>,
) -> Result<Json<Value>, RestError> {
    let reference = schema_ref(&text)?;
    let schema = rest
        .services
        .registry
        .by_ref(&reference)
        .await
        .map_err(|error| {
            if error.is_not_found() {
                RestError::not_found(format!("there is no schema {reference}"))
            } else {
                error.into()
            }
        })?;
    Ok(Json(schema_json(&reference, &schema, true)))
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSchema {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    /// `AVRO` or `JSON`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) schema: String,
}

pub(super) async fn create_schema(
    State(rest): State<Rest>,
    Json(new): Json<NewSchema>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let reference = schema_ref(&new.reference)?;
    let kind = match new.kind.as_str() {
        "AVRO" => SchemaKind::Avro,
        "JSON" => SchemaKind::Json,
        other => {
            return Err(RestError::bad_request(format!(
                "type must be AVRO or JSON, not {other}"
            )));
        }
    };
    let registry = &rest.services.registry;
    let registered = penstock_registry::register_schema(registry, &reference, kind, &new.schema)
        .await
        .map_err(|error| match error {
            PublishError::Registry(error) => error.into(),
            PublishError::Changed(_) => RestError::new(StatusCode::CONFLICT, error.to_string()),
            other => RestError::bad_request(format!("{reference}: {other}")),
        })?;
    let schema = &registered.schema;
    Ok((
        StatusCode::CREATED,
        Json(schema_json(&reference, schema, false)),
    ))
}

pub(super) async fn delete_schema(
    State(rest): State<Rest>,
    Path(text): Path<String>,
) -> Result<StatusCode, RestError> {
    let reference = schema_ref(&text)?;
    rest.services
        .registry
        .delete_subject(&reference.subject(), false)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn contracts(State(rest): State<Rest>) -> Json<Value> {
    let all: Vec<Value> = rest
        .services
        .contracts
        .list()
        .iter()
        .map(|contract| contract.to_json())
        .collect();
    Json(all.into())
}

pub(super) async fn contract(
    State(rest): State<Rest>,
    Path(text): Path<String>,
) -> Result<Json<Value>, RestError> {
    let contract = rest.services.contracts.get(&text);
    let contract =
        contract.ok_or_else(|| RestError::not_found(format!("there is no contract {text}")))?;
    Ok(Json(contract.to_json()))
}

/// Takes a contract in after holding it against its schema.
pub(super) async fn create_contract(
    State(rest): State<Rest>,
    body: String,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let invalid = |problems: Vec<penstock_contracts::Problem>| {
        RestError::bad_request(
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    };
    let contract = Contract::parse("contract", &body).map_err(invalid)?;
    let schema = rest.services.registry.by_ref(&contract.schema_ref).await?;
    let problems = contract.check_schema(&schema);
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    let shown = contract.to_json();
    rest.connectors.put_contract(contract).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Only contracts that came over REST can be deleted, and only before they are approved.
pub(super) async fn delete_contract(
    State(rest): State<Rest>,
    Path(text): Path<String>,
) -> Result<StatusCode, RestError> {
    rest.connectors.delete_contract(&text).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_with_a_version_are_refs() {
        for (subject, expected) in [
            ("streammachine.demo.1.0.2", Some("streammachine/demo/1.0.2")),
            ("error.2.1.0", Some("error/2.1.0")),
            ("demo-value", None),
            ("a.b", None),
        ] {
            assert_eq!(
                ref_of_subject(subject).as_ref().map(SchemaRef::as_str),
                expected,
                "{subject}"
            );
        }
    }
}
