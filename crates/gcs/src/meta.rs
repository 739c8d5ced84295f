//! What the service says of objects.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{ObjectMeta, PutResult, Result};
use serde::Deserialize;

use crate::request::generic;

/// The members of an object resource that are asked for.
pub(crate) const FIELDS: &str = "name,size,updated,etag,generation";

/// An object resource.
#[derive(Debug, Deserialize)]
pub(crate) struct Resource {
    name: String,
    /// A number as text, as the API writes 64-bit numbers.
    size: String,
    updated: DateTime<Utc>,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    generation: Option<String>,
}

impl Resource {
    pub(crate) fn size(&self) -> Result<u64> {
        self.size.parse().map_err(generic)
    }

    pub(crate) fn meta(self) -> Result<ObjectMeta> {
        Ok(ObjectMeta {
            size: self.size()?,
            location: Path::parse(self.name)?,
            last_modified: self.updated,
            e_tag: self.etag,
            version: self.generation,
        })
    }

    pub(crate) fn put(self) -> PutResult {
        PutResult {
            e_tag: self.etag,
            version: self.generation,
            extensions: object_store::Extensions::default(),
        }
    }
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) items: Vec<Resource>,
    #[serde(default)]
    pub(crate) prefixes: Vec<String>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
}

/// One step of a copy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rewrite {
    pub(crate) done: bool,
    #[serde(default)]
    pub(crate) rewrite_token: Option<String>,
}
