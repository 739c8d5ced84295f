//! A set of field paths, compiled for one schema.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::avro::program::Program;
use crate::avro::types::Types;
use crate::error::{FormatError, PathError};
use crate::found::Found;
use crate::json::scalar::JsonTypes;
use crate::json::shape::{self, Leaf};
use crate::path::FieldPath;
use crate::schema::Schema;
use crate::trie::Trie;
use crate::{avro, json};

/// What the schema declares at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    /// Null may stand there.
    pub nullable: bool,
    /// The path runs through an array: there may be any number of values.
    pub list: bool,
    /// The kind of its non-null values.
    pub scalar: ScalarKind,
    /// Any base64 text may stand there: plain text without a rule on length, form or choice.
    pub takes_any_text: bool,
}

/// Kind of a field's non-null values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// Text, Avro enums and UUIDs included.
    String,
    /// Avro `bytes` and `fixed`.
    Bytes,
    /// Whole numbers, dates and times included.
    Integer,
    /// Numbers, decimals included.
    Number,
    /// Booleans.
    Boolean,
    /// Records, maps and JSON objects.
    Object,
    /// Several of these, or the schema does not say.
    Any,
}

/// Bounds for payloads from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values within values, the event itself being the first.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 100 }
    }
}

/// Paths compiled for one schema: finds their values in payloads written with it.
#[derive(Debug)]
pub struct Fields {
    /// Tells these from others within the process.
    pub(crate) uid: u64,
    paths: Box<[FieldPath]>,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    Avro {
        program: Program,
        declared: Box<[FieldType]>,
    },
    Json {
        trie: Trie,
        leaves: Box<[Leaf]>,
    },
}

impl Fields {
    /// Compiles the paths for a schema. Keys of Avro maps and names that a JSON Schema leaves open
    /// are accepted as they are; everything else must be declared.
    pub fn compile(schema: &Schema, paths: &[FieldPath]) -> Result<Self, PathError> {
        let plan = match schema.types() {
            Some(types) => {
                let (program, declared) = Program::compile(types, paths)?;
                Plan::Avro { program, declared }
            }
            None => Plan::Json {
                trie: Trie::new(paths),
                leaves: schema.json_leaves(paths)?,
            },
        };
        Ok(Self::new(paths, plan))
    }

    /// Compiles the paths for JSON without a schema.
    pub fn schemaless_json(paths: &[FieldPath]) -> Self {
        let leaves = vec![shape::ANYTHING; paths.len()].into();
        let trie = Trie::new(paths);
        Self::new(paths, Plan::Json { trie, leaves })
    }

    fn new(paths: &[FieldPath], plan: Plan) -> Self {
        // 0 is for what was found by none.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            paths: paths.into(),
            plan,
        }
    }

    /// The paths, in the order given; a slot's `path()` is an index into them.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// What the schema declares at the path with this index.
    ///
    /// # Panics
    /// If there are not as many paths.
    pub fn field_type(&self, path: usize) -> FieldType {
        match &self.plan {
            Plan::Avro { declared, .. } => declared[path],
            Plan::Json { leaves, .. } => leaves[path].declared,
        }
    }

    /// Finds the fields and stops after the last one wanted (Avro) or at the end of the event (JSON,
    /// where a name may come again). Every occurrence is found; a path through arrays, and a path to
    /// one, finds each element.
    pub fn find(&self, payload: &[u8], found: &mut Found) -> Result<(), FormatError> {
        found.reset(self.uid, payload)?;
        match &self.plan {
            Plan::Avro { program, .. } => avro::find::find(program, payload, found),
            Plan::Json { trie, .. } => json::find::find(trie, payload, found),
        }
    }

    /// Finds the fields and checks the whole payload: well-formed to the last byte, UTF-8, no name
    /// twice in a JSON object, nesting within `limits`.
    pub fn find_checked(
        &self,
        payload: &[u8],
        found: &mut Found,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        found.reset(self.uid, payload)?;
        match &self.plan {
            Plan::Avro { program, .. } => {
                avro::find::find_checked(program, payload, found, limits.depth)
            }
            Plan::Json { trie, .. } => json::find::find_checked(trie, payload, found, limits.depth),
        }
    }

    pub(crate) fn path_name(&self, path: usize) -> String {
        self.paths
            .get(path)
            .map(FieldPath::to_string)
            .unwrap_or_default()
    }

    pub(crate) fn types(&self) -> Option<&Types> {
        match &self.plan {
            Plan::Avro { program, .. } => Some(&program.types),
            Plan::Json { .. } => None,
        }
    }

    pub(crate) fn json_types(&self, path: usize) -> JsonTypes {
        match &self.plan {
            Plan::Json { leaves, .. } => leaves.get(path).map_or(JsonTypes::NONE, |l| l.types),
            Plan::Avro { .. } => JsonTypes::NONE,
        }
    }

    pub(crate) fn json_required(&self, path: usize) -> bool {
        match &self.plan {
            Plan::Json { leaves, .. } => leaves.get(path).is_some_and(|leaf| leaf.required),
            Plan::Avro { .. } => false,
        }
    }
}
