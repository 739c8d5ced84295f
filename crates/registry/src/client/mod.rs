//! The registry client: schemas by id, GUID and reference, each asked for once and then cached.

mod config;
mod flight;
mod http;
mod resolve;

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use penstock_formats::{Schema, SchemaKind};
use quick_cache::sync::Cache;
use serde_json::{Value, json};
use uuid::Uuid;

pub use config::{Auth, RegistryConfig, Secret};
use flight::Flights;
use http::{Http, Request};

use crate::error::RegistryError;
use crate::schema_ref::SchemaRef;
use crate::wire::{ContextId, Reference, SchemaBody, full_type_name};

/// A client for one registry, shared by all tasks of a worker. Cloning is cheap.
///
/// Schemas behind ids, GUIDs and [`SchemaRef`]s never change, so they are cached until they are
/// pushed out by others; what is unknown or of no use is remembered for
/// [`RegistryConfig::unknown_for`] only.
/// Misses of the same key at the same time cost one request.
#[derive(Clone)]
pub struct RegistryClient {
    shared: Arc<Shared>,
}

struct Shared {
    http: Http,
    config: RegistryConfig,
    by_id: Cache<u32, Arc<Schema>>,
    by_guid: Cache<Uuid, Arc<Schema>>,
    by_ref: Cache<SchemaRef, Arc<Schema>>,
    by_version: Cache<(String, i32), Arc<Registration>>,
    unknown: Cache<Key, (Instant, RegistryError)>,
    schema_flights: Flights<Key, Arc<Schema>>,
    version_flights: Flights<String, Arc<Registration>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Id(u32),
    Guid(Uuid),
    /// The latest version of a subject that a reference names.
    Subject(String),
}

/// A schema under a subject.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The subject.
    pub subject: String,
    /// The version within the subject, from 1.
    pub version: i32,
    /// The schema, with its id and, where the registry has them, its GUID.
    pub schema: Arc<Schema>,
    /// `metadata` as the registry sent it (tags, properties).
    pub metadata: Option<Value>,
    /// `ruleSet` as the registry sent it.
    pub rule_set: Option<Value>,
}

impl std::fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryClient")
            .field("schemas", &self.shared.by_id.len())
            .finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// Makes a client; talks to nobody yet.
    pub fn new(config: RegistryConfig) -> Result<Self, RegistryError> {
        let capacity = config.cache_capacity.max(16);
        Ok(Self {
            shared: Arc::new(Shared {
                http: Http::new(&config)?,
                by_id: Cache::new(capacity),
                by_guid: Cache::new(capacity),
                by_ref: Cache::new(capacity),
                by_version: Cache::new(capacity),
                unknown: Cache::new(1_000),
                schema_flights: Flights::new(),
                version_flights: Flights::new(),
                config,
            }),
        })
    }

    /// The schema of a framed record, if it is in the cache. Never waits: for the path of an event.
    pub fn cached(&self, id: u32) -> Option<Arc<Schema>> {
        self.shared.by_id.get(&id)
    }

    /// The schema that a record's GUID header names, if it is in the cache. Never waits.
    pub fn cached_guid(&self, guid: Uuid) -> Option<Arc<Schema>> {
        self.shared.by_guid.get(&guid)
    }

    /// The schema behind a reference, if it is in the cache. Never waits.
    pub fn cached_ref(&self, reference: &SchemaRef) -> Option<Arc<Schema>> {
        self.shared.by_ref.get(reference)
    }

    /// The schema with this id.
    pub async fn by_id(&self, id: u32) -> Result<Arc<Schema>, RegistryError> {
        match self.cached(id) {
            Some(schema) => Ok(schema),
            None => {
                let shared = Arc::clone(&self.shared);
                self.fetch(Key::Id(id), move || shared.fetch_id(id)).await
            }
        }
    }

    /// The schema with this GUID.
    pub async fn by_guid(&self, guid: Uuid) -> Result<Arc<Schema>, RegistryError> {
        match self.cached_guid(guid) {
            Some(schema) => Ok(schema),
            None => {
                let shared = Arc::clone(&self.shared);
                self.fetch(Key::Guid(guid), move || shared.fetch_guid(guid))
                    .await
            }
        }
    }

    /// The schema that a reference names: the latest version of its subject.
    pub async fn by_ref(&self, reference: &SchemaRef) -> Result<Arc<Schema>, RegistryError> {
        match self.cached_ref(reference) {
            Some(schema) => Ok(schema),
            None => {
                let shared = Arc::clone(&self.shared);
                let wanted = reference.clone();
                self.fetch(Key::Subject(reference.subject()), move || {
                    shared.fetch_ref(wanted)
                })
                .await
            }
        }
    }

    async fn fetch<F>(
        &self,
        key: Key,
        start: impl FnOnce() -> F,
    ) -> Result<Arc<Schema>, RegistryError>
    where
        F: Future<Output = Result<Arc<Schema>, RegistryError>> + Send + 'static,
    {
        let shared = &self.shared;
        if let Some((when, error)) = shared.unknown.get(&key) {
            if when.elapsed() < shared.config.unknown_for {
                return Err(error);
            }
            shared.unknown.remove(&key);
        }
        let answer = shared
            .schema_flights
            .join(key.clone(), || start().boxed())
            .await;
        if let Err(error) = &answer
            && error.is_about_schema()
        {
            shared.unknown.insert(key, (Instant::now(), error.clone()));
        }
        answer
    }

    /// The latest version of a subject, as of now: not cached, since it changes.
    pub async fn latest(&self, subject: &str) -> Result<Arc<Registration>, RegistryError> {
        let shared = Arc::clone(&self.shared);
        let name = subject.to_owned();
        self.shared
            .version_flights
            .join(subject.to_owned(), move || {
                shared.fetch_version(name, None).boxed()
            })
            .await
    }

    /// One version of a subject.
    pub async fn version(
        &self,
        subject: &str,
        version: i32,
    ) -> Result<Arc<Registration>, RegistryError> {
        let key = (subject.to_owned(), version);
        if let Some(known) = self.shared.by_version.get(&key) {
            return Ok(known);
        }
        Arc::clone(&self.shared)
            .fetch_version(key.0, Some(version))
            .await
    }

    /// Registers a schema under a subject, or finds that it is there already.
    pub async fn register(
        &self,
        subject: &str,
        kind: SchemaKind,
        text: &str,
        references: &[Reference],
    ) -> Result<Arc<Schema>, RegistryError> {
        let body = request_body(kind, text, references);
        let path = ["subjects", subject, "versions"];
        let answer: SchemaBody = self.shared.http.call(Request::post(&path, &body)).await?;
        let what = format!("the schema registered under '{subject}'");
        let id = resolve::positive_id(&what, answer.id)?;
        // They may have been asked for in vain before.
        self.shared.unknown.remove(&Key::Id(id));
        self.shared
            .unknown
            .remove(&Key::Subject(subject.to_owned()));
        // The registry may have put the text in its own order; what it hands out counts, so that
        // all readers of the id see the same.
        self.by_id(id).await
    }

    /// Finds a schema under a subject by its content; [`RegistryError::is_not_found`] if it is not
    /// there.
    pub async fn lookup(
        &self,
        subject: &str,
        kind: SchemaKind,
        text: &str,
        references: &[Reference],
    ) -> Result<Arc<Registration>, RegistryError> {
        let body = request_body(kind, text, references);
        let path = ["subjects", subject];
        let answer: SchemaBody = self.shared.http.call(Request::post(&path, &body)).await?;
        self.shared.registration(subject, answer).await
    }

    /// All subjects, in the registry's order.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        self.shared.http.call(Request::get(&["subjects"])).await
    }

    /// The versions of a subject, oldest first.
    pub async fn versions(&self, subject: &str) -> Result<Vec<i32>, RegistryError> {
        let path = ["subjects", subject, "versions"];
        self.shared.http.call(Request::get(&path)).await
    }

    /// Deletes a subject softly, or for good if it was softly deleted before; the versions deleted. This
    /// client finds it by reference no more; records that name its ids can be read on.
    pub async fn delete_subject(
        &self,
        subject: &str,
        permanent: bool,
    ) -> Result<Vec<i32>, RegistryError> {
        let path = ["subjects", subject];
        let query = [("permanent", if permanent { "true" } else { "false" })];
        let shared = &self.shared;
        let deleted = shared
            .http
            .call(Request {
                method: reqwest::Method::DELETE,
                path: &path,
                query: &query,
                body: None,
                optional: false,
            })
            .await?;
        shared
            .by_ref
            .retain(|reference, _| reference.subject() != subject);
        shared
            .by_version
            .retain(|(of_subject, _), _| of_subject != subject);
        Ok(deleted)
    }
}

impl Shared {
    async fn fetch_id(self: Arc<Self>, id: u32) -> Result<Arc<Schema>, RegistryError> {
        // Anything may stand in a frame, and some registries have no answer to what is no id.
        if id == 0 || i32::try_from(id).is_err() {
            return Err(RegistryError::Schema {
                what: format!("schema {id}"),
                cause: "ids are from 1 to 2147483647".into(),
            });
        }
        let text = id.to_string();
        let body: SchemaBody = self
            .http
            .call(Request::get(&["schemas", "ids", &text]))
            .await?;
        self.build(format!("schema {id}"), body, Some(id)).await
    }

    async fn fetch_guid(self: Arc<Self>, guid: Uuid) -> Result<Arc<Schema>, RegistryError> {
        let text = guid.to_string();
        let what = format!("schema {guid}");
        let mut body = self.guid_body(&what, &text).await?;
        let id = match body.id {
            Some(id) => resolve::positive_id(&what, Some(id))?,
            // Confluent's answer has no id: it depends on the context.
            None => {
                let ids: Vec<ContextId> = self
                    .http
                    .call(Request::get(&["schemas", "guids", &text, "ids"]))
                    .await?;
                let default = ids.iter().find(|entry| entry.context == ".");
                default
                    .or(ids.first())
                    .map(|entry| entry.id)
                    .ok_or_else(|| RegistryError::Schema {
                        what: what.clone(),
                        cause: "the registry has no id for it".into(),
                    })?
            }
        };
        body.guid = Some(guid);
        self.build(what, body, Some(id)).await
    }

    /// What the registry has under a GUID. Not every registry has GUIDs: one that answers elsewhere, and
    /// has no such path before and after, is told from an ingress with nothing behind it.
    async fn guid_body(&self, what: &str, guid: &str) -> Result<SchemaBody, RegistryError> {
        let path = ["schemas", "guids", guid];
        let ask = || {
            self.http.call::<SchemaBody>(Request {
                optional: true,
                ..Request::get(&path)
            })
        };
        let no_path = |answer: &Result<SchemaBody, RegistryError>| matches!(answer, Err(RegistryError::Refused { status: 404, code, .. }) if *code < 40400);
        let mut answer = ask().await;
        if no_path(&answer) {
            let _: Vec<String> = self.http.call(Request::get(&["schemas", "types"])).await?;
            answer = ask().await;
        }
        if no_path(&answer) {
            return Err(RegistryError::Schema {
                what: what.to_owned(),
                cause: "this schema registry has no GUIDs".into(),
            });
        }
        answer
    }

    async fn fetch_ref(
        self: Arc<Self>,
        reference: SchemaRef,
    ) -> Result<Arc<Schema>, RegistryError> {
        let latest = Arc::clone(&self)
            .fetch_version(reference.subject(), None)
            .await?;
        self.by_ref.insert(reference, Arc::clone(&latest.schema));
        Ok(Arc::clone(&latest.schema))
    }

    fn fetch_version(
        self: Arc<Self>,
        subject: String,
        version: Option<i32>,
    ) -> BoxFuture<'static, Result<Arc<Registration>, RegistryError>> {
        async move {
            let number = version.map_or_else(|| "latest".to_owned(), |v| v.to_string());
            let path = ["subjects", subject.as_str(), "versions", &number];
            let body: SchemaBody = self.http.call(Request::get(&path)).await?;
            self.registration(&subject, body).await
        }
        .boxed()
    }

    /// A version's body as a registration, and into the caches.
    async fn registration(
        &self,
        subject: &str,
        mut body: SchemaBody,
    ) -> Result<Arc<Registration>, RegistryError> {
        let what = format!("subject '{subject}'");
        let version = body
            .version
            .filter(|v| *v > 0)
            .ok_or_else(|| RegistryError::BadAnswer {
                request: what.clone(),
                cause: "it has no version".into(),
            })?;
        let what = format!("subject '{subject}' version {version}");
        let id = resolve::positive_id(&what, body.id)?;
        let metadata = body.metadata.take();
        let rule_set = body.rule_set.take();
        let registration = Arc::new(Registration {
            subject: subject.to_owned(),
            version,
            schema: self.build(what, body, Some(id)).await?,
            metadata,
            rule_set,
        });
        let key = (registration.subject.clone(), version);
        self.by_version.insert(key, Arc::clone(&registration));
        Ok(registration)
    }

    /// The one schema object of an id: the cached one, so that everything compiled for it is
    /// compiled once, or the new one, which then is cached.
    fn remember(&self, schema: Arc<Schema>) -> Arc<Schema> {
        let Some(id) = schema.id() else {
            return schema;
        };
        let kept = match self.by_id.get(&id) {
            Some(known) if known.guid().is_some() || schema.guid().is_none() => known,
            _ => {
                self.by_id.insert(id, Arc::clone(&schema));
                schema
            }
        };
        if let Some(guid) = kept.guid() {
            self.by_guid.insert(guid, Arc::clone(&kept));
        }
        kept
    }
}

fn request_body(kind: SchemaKind, text: &str, references: &[Reference]) -> Value {
    let mut body = json!({ "schema": text });
    // Older registries know no schemaType: leave it out where it is the default.
    if kind != SchemaKind::Avro {
        body["schemaType"] = full_type_name(kind).into();
    }
    if !references.is_empty() {
        body["references"] = json!(references);
    }
    body
}
