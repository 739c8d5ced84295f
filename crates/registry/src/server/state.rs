//! What the registry holds, in memory: schemas by id, subjects with their versions, settings.
//! Changes are values, so that the same code loads them from disk and applies them at run time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use penstock_formats::SchemaKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::compat::CompatibilityLevel;
use crate::content::{self, Fingerprint};
use crate::wire::{Reference, kind_of, type_name};

/// A schema under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredSchema {
    pub(super) id: u32,
    pub(super) guid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) references: Vec<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule_set: Option<Value>,
    pub(super) schema: String,
}

impl StoredSchema {
    /// The schema with the GUID of its content.
    pub(super) fn new(id: u32, content: &Content) -> Self {
        Self {
            id,
            guid: content::guid(&content.fingerprint()),
            schema_type: type_name(content.kind),
            references: content.references.clone(),
            metadata: content.metadata.clone(),
            rule_set: content.rule_set.clone(),
            schema: content.text.clone(),
        }
    }

    pub(super) fn kind(&self) -> SchemaKind {
        // Nothing else is ever stored.
        kind_of(self.schema_type.as_deref()).unwrap_or(SchemaKind::Avro)
    }

    /// What it was registered as.
    pub(super) fn content(&self) -> Content {
        let schema = serde_json::from_str(&self.schema).unwrap_or_default();
        Content {
            kind: self.kind(),
            normal: content::normal_form(self.kind(), &schema),
            text: self.schema.clone(),
            references: self.references.clone(),
            metadata: self.metadata.clone(),
            rule_set: self.rule_set.clone(),
        }
    }
}

/// Everything about a schema that somebody sends.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) kind: SchemaKind,
    pub(super) text: String,
    pub(super) normal: Value,
    pub(super) references: Vec<Reference>,
    pub(super) metadata: Option<Value>,
    pub(super) rule_set: Option<Value>,
}

impl Content {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        content::fingerprint(
            self.kind,
            &self.normal,
            &self.references,
            self.metadata.as_ref(),
            self.rule_set.as_ref(),
        )
    }

    /// The same schema, whatever its metadata and rules.
    pub(super) fn same_schema(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.normal == other.normal
            && self.references == other.references
    }
}

/// One version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) id: u32,
    pub(super) deleted: bool,
}

/// Settings of a subject, or of all (`compatibility` and `normalize` of Confluent's config).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) normalize: Option<bool>,
    #[serde(rename = "compatibilityLevel", skip_serializing_if = "Option::is_none")]
    pub(super) compatibility: Option<CompatibilityLevel>,
}

/// What may be done with a subject, or with all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    /// As `ReadOnly`, and said for all it beats what subjects say.
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    /// Schemas come with their ids and versions.
    Import,
}

/// One change, as it goes to disk and into memory. Settings of all subjects are those of `""`.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Schema(Arc<StoredSchema>),
    NoSchema(u32),
    Version(String, u32, Version),
    NoVersion(String, u32),
    Config(String, Option<Config>),
    Mode(String, Option<Mode>),
    LastId(u32),
}

type Versions = BTreeMap<u32, Version>;

/// The registry's content.
#[derive(Debug, Default)]
pub(super) struct State {
    schemas: BTreeMap<u32, Arc<StoredSchema>>,
    by_fingerprint: HashMap<Fingerprint, u32>,
    by_guid: HashMap<Uuid, u32>,
    subjects: BTreeMap<String, Versions>,
    configs: BTreeMap<String, Config>,
    modes: BTreeMap<String, Mode>,
    last_id: u32,
}

impl State {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Schema(schema) => {
                let print = schema.content().fingerprint();
                self.by_fingerprint.insert(print, schema.id);
                self.by_guid.insert(schema.guid, schema.id);
                self.schemas.insert(schema.id, schema);
            }
            Change::NoSchema(id) => {
                if let Some(schema) = self.schemas.remove(&id) {
                    self.by_guid.remove(&schema.guid);
                    self.by_fingerprint.retain(|_, known| *known != id);
                }
            }
            Change::Version(subject, number, version) => {
                self.subjects
                    .entry(subject)
                    .or_default()
                    .insert(number, version);
            }
            Change::NoVersion(subject, number) => {
                if let Some(versions) = self.subjects.get_mut(&subject) {
                    versions.remove(&number);
                    if versions.is_empty() {
                        self.subjects.remove(&subject);
                    }
                }
            }
            Change::Config(subject, config) => set(&mut self.configs, subject, config),
            Change::Mode(subject, mode) => set(&mut self.modes, subject, mode),
            Change::LastId(id) => self.last_id = self.last_id.max(id),
        }
    }

    pub(super) fn schema(&self, id: u32) -> Option<&Arc<StoredSchema>> {
        self.schemas.get(&id)
    }

    pub(super) fn id_by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<u32> {
        self.by_fingerprint.get(fingerprint).copied()
    }

    pub(super) fn id_by_guid(&self, guid: &Uuid) -> Option<u32> {
        self.by_guid.get(guid).copied()
    }

    /// The highest id ever given; ids are not given twice.
    pub(super) fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Subjects by name with their versions, deleted ones among them.
    pub(super) fn subjects(&self) -> &BTreeMap<String, Versions> {
        &self.subjects
    }

    /// The versions of a subject that `deleted` lets through; none if there is no such subject.
    pub(super) fn versions(
        &self,
        subject: &str,
        deleted: Deleted,
    ) -> impl DoubleEndedIterator<Item = (u32, Version)> + '_ {
        self.subjects
            .get(subject)
            .into_iter()
            .flatten()
            .map(|(number, version)| (*number, *version))
            .filter(move |(_, version)| deleted.lets_through(*version))
    }

    /// All uses of a schema: subject and version.
    pub(super) fn uses(&self, id: u32, deleted: Deleted) -> Vec<(&str, u32)> {
        let mut uses = Vec::new();
        for (subject, versions) in &self.subjects {
            for (number, version) in versions {
                if version.id == id && deleted.lets_through(*version) {
                    uses.push((subject.as_str(), *number));
                }
            }
        }
        uses
    }

    /// Ids of the schemas that refer to this version, if a version that `deleted` lets through
    /// holds them.
    pub(super) fn referents(&self, subject: &str, number: u32, deleted: Deleted) -> BTreeSet<u32> {
        let refers = |schema: &StoredSchema| {
            schema.references.iter().any(|reference| {
                reference.subject == subject && u32::try_from(reference.version) == Ok(number)
            })
        };
        self.schemas
            .values()
            .filter(|schema| refers(schema) && !self.uses(schema.id, deleted).is_empty())
            .map(|schema| schema.id)
            .collect()
    }

    pub(super) fn config(&self, subject: &str) -> Option<Config> {
        self.configs.get(subject).copied()
    }

    pub(super) fn mode(&self, subject: &str) -> Option<Mode> {
        self.modes.get(subject).copied()
    }

    /// The compatibility that counts for a subject: its own, that of all, the default.
    pub(super) fn compatibility_in_scope(&self, subject: &str) -> CompatibilityLevel {
        let of = |name| self.config(name)?.compatibility;
        of(subject).or_else(|| of("")).unwrap_or_default()
    }

    /// Whether new texts are put into normal form.
    pub(super) fn normalize_in_scope(&self, subject: &str) -> bool {
        let of = |name| self.config(name)?.normalize;
        of(subject).or_else(|| of("")).unwrap_or_default()
    }

    /// The mode that counts for a subject.
    pub(super) fn mode_in_scope(&self, subject: &str) -> Mode {
        match self.mode("") {
            Some(Mode::ReadOnlyOverride) => Mode::ReadOnlyOverride,
            all => self.mode(subject).or(all).unwrap_or_default(),
        }
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, subject: String, value: Option<T>) {
    match value {
        Some(value) => map.insert(subject, value),
        None => map.remove(&subject),
    };
}

/// Which versions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleted {
    /// Those that are not deleted.
    Without,
    /// All.
    With,
    /// Those that are softly deleted.
    Only,
}

impl Deleted {
    fn lets_through(self, version: Version) -> bool {
        match self {
            Self::Without => !version.deleted,
            Self::With => true,
            Self::Only => version.deleted,
        }
    }
}
