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
        match publish(client, file, &versions).await {
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
            Err((message, retry)) => {
                problems.push(Problem::new(&file.path, message));
                if retry == Retry::Backoff {
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

/// A file's registration, new or old. Its references are published already.
async fn publish(
    client: &RegistryClient,
    file: &SchemaFile,
    versions: &BTreeMap<SchemaRef, i32>,
) -> Result<Arc<Registration>, (String, Retry)> {
    let failed = |error: RegistryError| (error.to_string(), error.retry());
    let mut references = Vec::with_capacity(file.references.len());
    for (name, target) in &file.references {
        let Some(version) = versions.get(target) else {
            let message = format!("it refers to {target}, which could not be registered");
            return Err((message, Retry::Never));
        };
        references.push(Reference {
            name: name.clone(),
            subject: target.subject(),
            version: *version,
        });
    }
    let subject = file.reference.subject();
    match client.latest(&subject).await {
        // Compared here, not by a lookup: registries differ in what they call the same schema.
        Ok(latest) if is_same(file, &latest) => return Ok(latest),
        Ok(_) => {
            let message = format!(
                "{} is in the registry with other content, and a published version does not change: give the changed schema a new version",
                file.reference
            );
            return Err((message, Retry::Never));
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(failed(error)),
    }
    client
        .register(&subject, file.kind, &file.text, &references)
        .await
        .map_err(failed)?;
    client.latest(&subject).await.map_err(failed)
}

/// Whether a registered schema is what a file holds. What a file refers to is named in its text,
/// with its version.
fn is_same(file: &SchemaFile, registered: &Registration) -> bool {
    let normal = |text: &str| {
        let json = serde_json::from_str(text).ok()?;
        Some(content::normal_form(file.kind, &json))
    };
    let schema = &registered.schema;
    schema.kind() == file.kind && normal(schema.text()) == normal(&file.text)
}
