//! A directory of schema files, checked offline and published in a registry at start.
//!
//! `<dir>/handle/name/x.y.z.avsc` is an Avro schema, `….json` a JSON Schema; each is registered
//! under its reference's own subject. Publishing again what is there is nothing; other content
//! under a published reference is an error, since a published version does not change.

mod files;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use files::{SchemaFile, check_dir};
use penstock_formats::SchemaKind;

use crate::client::{Registration, RegistryClient};
use crate::content;
use crate::error::{RegistryError, Retry};
use crate::schema_ref::SchemaRef;
use crate::wire::Reference;

/// What is wrong with one schema file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, or directory, as found.
    pub file: PathBuf,
    /// Line, where the fault has one.
    pub line: Option<usize>,
    /// Column in bytes, where the fault has one.
    pub column: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    fn new(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A schema file that is in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its reference.
    pub reference: SchemaRef,
    /// Its id in the registry.
    pub id: u32,
}

/// Publishes every schema of a directory, those that others refer to first. Nothing is registered
/// unless all files are sound; a registry that is away ends the attempt.
pub async fn register_dir(
    client: &RegistryClient,
    dir: &Path,
) -> Result<Vec<Registered>, Vec<Problem>> {
    let owned = dir.to_owned();
    let files = tokio::task::spawn_blocking(move || check_dir(&owned))
        .await
        .map_err(|e| vec![Problem::new(dir, e.to_string())])??;
    let mut published = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    let mut versions = BTreeMap::new();
    for file in &files {
        let content = (file.kind, file.text.as_str());
        match publish(
            client,
            &file.reference,
            content,
            &file.references,
            &versions,
        )
        .await
        {
            Ok(registration) => {
                let Some(id) = registration.schema.id() else {
                    continue;
                };
                versions.insert(file.reference.clone(), registration.version);
                published.push(Registered {
                    reference: file.reference.clone(),
                    id,
                });
            }
            Err(error) => {
                problems.push(Problem::new(&file.path, error.to_string()));
                if error.retry() == Retry::Backoff {
                    break;
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(published)
    } else {
        Err(problems)
    }
}

/// Why a schema was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Its reference stands for something else.
    #[error(
        "{0} is in the registry with other content, and a published version does not change: give the changed schema a \
         new version"
    )]
    Changed(SchemaRef),
    /// What it refers to is not there.
    #[error("it refers to {0}, which is not in the registry: publish that first")]
    Missing(SchemaRef),
    /// It is no JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// The registry refuses it, or is away.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl PublishError {
    /// Whether it may be published later as it is.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

/// Publishes one schema. What the `$ref`s of a JSON Schema name, by reference or by a path relative to its
/// own, has to be in the registry already.
pub async fn register_schema(
    client: &RegistryClient,
    reference: &SchemaRef,
    kind: SchemaKind,
    text: &str,
) -> Result<Arc<Registration>, PublishError> {
    let json = serde_json::from_str(text).map_err(PublishError::NotJson)?;
    let references = match kind {
        SchemaKind::Json => files::named_by(reference, &json),
        SchemaKind::Avro => Vec::new(),
    };
    let mut versions = BTreeMap::new();
    for (_, target) in &references {
        match client.latest(&target.subject()).await {
            Ok(found) => versions.insert(target.clone(), found.version),
            Err(error) if error.is_not_found() => {
                return Err(PublishError::Missing(target.clone()));
            }
            Err(error) => return Err(error.into()),
        };
    }
    publish(client, reference, (kind, text), &references, &versions).await
}

/// A schema's registration, new or old. `versions` are those of what it refers to.
async fn publish(
    client: &RegistryClient,
    reference: &SchemaRef,
    (kind, text): (SchemaKind, &str),
    names: &[(String, SchemaRef)],
    versions: &BTreeMap<SchemaRef, i32>,
) -> Result<Arc<Registration>, PublishError> {
    let mut references = Vec::with_capacity(names.len());
    for (name, target) in names {
        let Some(version) = versions.get(target) else {
            return Err(PublishError::Missing(target.clone()));
        };
        references.push(Reference {
            name: name.clone(),
            subject: target.subject(),
            version: *version,
        });
    }
    let subject = reference.subject();
    match client.latest(&subject).await {
        // Compared here, not by a lookup: registries differ in what they call the same schema.
        Ok(latest) if is_same(kind, text, &latest) => return Ok(latest),
        Ok(_) => return Err(PublishError::Changed(reference.clone())),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    client.register(&subject, kind, text, &references).await?;
    Ok(client.latest(&subject).await?)
}

/// Whether a registered schema has this content. What it refers to is named in its text, with its
/// version.
fn is_same(kind: SchemaKind, text: &str, registered: &Registration) -> bool {
    let normal = |text: &str| {
        let json = serde_json::from_str(text).ok()?;
        Some(content::normal_form(kind, &json))
    };
    let schema = &registered.schema;
    schema.kind() == kind && normal(schema.text()) == normal(text)
}
