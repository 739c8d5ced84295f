//! Fields of records' values, found without decoding the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use penstock_connect::{Record, RecordError};
use penstock_formats::avro::{Outline, Time as AvroTime, TimeUnit};
use penstock_formats::{Encoding, FieldPath, Fields, Found, Scalar, Schema};

/// Schemas kept before all are compiled anew; a topic has a handful.
const KEPT: usize = 1024;

/// What an integer says of time, where its schema tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// Days since the epoch.
    Days,
    /// Since midnight.
    OfDay,
    /// Units since the epoch, so many to a millisecond.
    Stamp { in_a_milli: i64 },
}

/// Reads the same fields of every record.
pub(super) struct FieldReader {
    paths: Vec<FieldPath>,
    // One task uses it: the lock is never contended.
    state: Mutex<State>,
}

struct State {
    schemaless: Arc<Compiled>,
    by_schema: HashMap<u64, Result<Arc<Compiled>, RecordError>>,
    found: Found,
}

struct Compiled {
    fields: Fields,
    times: Vec<Option<Time>>,
}

impl FieldReader {
    pub(super) fn new(paths: Vec<FieldPath>) -> Self {
        let schemaless = Compiled {
            fields: Fields::schemaless_json(&paths),
            times: vec![None; paths.len()],
        };
        Self {
            state: Mutex::new(State {
                schemaless: Arc::new(schemaless),
                by_schema: HashMap::new(),
                found: Found::new(),
            }),
            paths,
        }
    }

    /// Gives each field's value to `take`, in the order of the paths; a missing field is null.
    pub(super) fn read(
        &self,
        record: &Record,
        mut take: impl FnMut(&FieldPath, &Scalar<'_>, Option<Time>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let Some(value) = &record.value else {
            return Err(RecordError::field(
                "the value is null and has none of the fields that names need",
            ));
        };
        let mut flattened;
        let value = if value.is_edited() {
            flattened = value.clone();
            flattened.flatten();
            &flattened
        } else {
            value
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let compiled = match value.encoding() {
            Encoding::Json => state.schemaless.clone(),
            Encoding::Registered(schema) => state.compiled(schema, &self.paths)?,
            Encoding::Text => return Err(no_fields("text")),
            Encoding::Bytes => return Err(no_fields("bytes")),
        };
        compiled
            .fields
            .find(value.bytes(), &mut state.found)
            .map_err(RecordError::malformed)?;
        for (at, path) in self.paths.iter().enumerate() {
            let scalar = match state.found.first(at) {
                Some(slot) => slot
                    .scalar(value.bytes())
                    .map_err(|error| RecordError::field(format!("field {path}: {error}")))?,
                None => Scalar::Null,
            };
            take(path, &scalar, compiled.times[at])?;
        }
        Ok(())
    }
}

impl State {
    fn compiled(
        &mut self,
        schema: &Schema,
        paths: &[FieldPath],
    ) -> Result<Arc<Compiled>, RecordError> {
        if self.by_schema.len() >= KEPT && !self.by_schema.contains_key(&schema.uid()) {
            self.by_schema.clear();
        }
        let compiled = self
            .by_schema
            .entry(schema.uid())
            .or_insert_with(|| compile(schema, paths).map(Arc::new));
        compiled.clone()
    }
}

fn compile(schema: &Schema, paths: &[FieldPath]) -> Result<Compiled, RecordError> {
    let fields = Fields::compile(schema, paths).map_err(RecordError::field)?;
    for (at, path) in paths.iter().enumerate() {
        if fields.field_type(at).list {
            return Err(RecordError::field(format!(
                "field {path} runs through a list: a name takes one value"
            )));
        }
    }
    // A record that contains itself has no outline: its times are plain integers.
    let outline = schema.avro_outline().and_then(Result::ok);
    let times = paths
        .iter()
        .map(|path| {
            let segments: Vec<&str> = path.segments().collect();
            time_at(outline.as_ref()?, &segments)
        })
        .collect();
    Ok(Compiled { fields, times })
}

/// What the integer at a path says of time.
fn time_at(outline: &Outline, path: &[&str]) -> Option<Time> {
    match (outline, path) {
        (Outline::Union(branches), _) => branches.iter().find_map(|branch| time_at(branch, path)),
        (Outline::Time(time), []) => Some(match time {
            AvroTime::Date => Time::Days,
            AvroTime::OfDay(_) => Time::OfDay,
            AvroTime::Stamp { unit, .. } => Time::Stamp {
                in_a_milli: match unit {
                    TimeUnit::Millis => 1,
                    TimeUnit::Micros => 1_000,
                    TimeUnit::Nanos => 1_000_000,
                },
            },
        }),
        (Outline::Record(fields), [name, rest @ ..]) => fields
            .iter()
            .find(|(field, _)| field == name)
            .and_then(|(_, outline)| time_at(outline, rest)),
        (Outline::Map(values), [_, rest @ ..]) => time_at(values, rest),
        _ => None,
    }
}

fn no_fields(what: &str) -> RecordError {
    RecordError::field(format!(
        "the value is {what} and has none of the fields that names need; give the connector a \
         value.converter that reads records"
    ))
}
