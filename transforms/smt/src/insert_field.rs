//! `InsertField`: puts topic, partition, offset, timestamp or a fixed text into fields.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_connect::config::ConfigValue;
use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};
use penstock_formats::{
    EditBuffer, Encoding, FieldPath, Found, Payload, Scalar, Schema, SchemaKind, Value,
};
use serde_json::{Value as Json, json};

use crate::convert::value_of;
use crate::derive::{self, Derived};
use crate::each::{Change, unfit, unreadable};
use crate::field_set::{FieldSet, Presence};
use crate::part::Part;
use crate::values::Text;

config! {
    /// Puts facts about the record into fields. A field that the schema does not have is added to an
    /// Avro record at its end, as one that may be null (`name` or `name?`) or not (`name!`).
    #[check(check)]
    pub(crate) struct InsertFieldConfig {
        /// Field for the topic.
        "topic.field" => topic: Option<Target>,
        /// Field for the partition that the record was read from.
        "partition.field" => partition: Option<Target>,
        /// Field for the offset that the record was read from.
        "offset.field" => offset: Option<Target>,
        /// Field for the record's timestamp, in milliseconds since the epoch.
        "timestamp.field" => timestamp: Option<Target>,
        /// Field for `static.value`.
        "static.field" => fixed: Option<Target>,
        /// Text for `static.field`.
        "static.value" => fixed_value: Option<Text>,
    }
}

/// A field, and whether it has to hold a value where it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    path: FieldPath,
    required: bool,
}

impl ConfigValue for Target {
    const KIND: &'static str = "a field path, ! behind it for one that cannot be null";

    fn parse(text: &str) -> Result<Self, String> {
        let (path, required) = match text.strip_suffix('!') {
            Some(path) => (path, true),
            None => (text.strip_suffix('?').unwrap_or(text), false),
        };
        let path = FieldPath::parse(path).map_err(|error| error.to_string())?;
        Ok(Self { path, required })
    }
}

fn check(config: &InsertFieldConfig) -> Vec<(&'static str, String)> {
    let targets = [
        &config.topic,
        &config.partition,
        &config.offset,
        &config.timestamp,
        &config.fixed,
    ];
    let mut problems = Vec::new();
    if targets.iter().all(|target| target.is_none()) {
        problems.push((
            "static.field",
            "give at least one of topic.field, partition.field, offset.field, timestamp.field, static.field"
                .to_owned(),
        ));
    }
    match (&config.fixed, &config.fixed_value) {
        (Some(_), None) => {
            problems.push(("static.value", "is required with static.field".to_owned()))
        }
        (None, Some(_)) => {
            problems.push(("static.field", "is required with static.value".to_owned()))
        }
        _ => {}
    }
    problems
}

/// What is put into a field.
#[derive(Clone, Debug)]
enum Fact {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Fixed(String),
}

impl Fact {
    fn of<'a>(&'a self, record: &'a Record) -> Result<Scalar<'a>, RecordError> {
        let origin = record.origin();
        Ok(match self {
            Self::Topic => Scalar::Str(Cow::Borrowed(&record.topic)),
            Self::Partition => origin
                .partition
                .as_ref()
                .map_or(Scalar::Null, |from| Scalar::Int(from.partition.into())),
            Self::Offset if origin.partition.is_none() => {
                return Err(RecordError::field(
                    "the record comes from a source and has no offset to put into a field",
                ));
            }
            Self::Offset => Scalar::Int(origin.offset),
            Self::Timestamp => record.timestamp.map_or(Scalar::Null, Scalar::Int),
            Self::Fixed(text) => Scalar::Str(Cow::Borrowed(text)),
        })
    }

    fn avro_type(&self) -> Json {
        match self {
            Self::Topic | Self::Fixed(_) => json!("string"),
            Self::Partition => json!("int"),
            Self::Offset => json!("long"),
            Self::Timestamp => json!({"type": "long", "logicalType": "timestamp-millis"}),
        }
    }
}

/// What an Avro schema becomes.
struct Extended {
    schema: Arc<Schema>,
    /// A record of nothing but the new fields: its bytes go to the end of the record's.
    appended: Schema,
    /// Indexes of the new fields' targets.
    targets: Vec<usize>,
}

pub(crate) struct InsertField {
    part: Part,
    targets: Vec<Target>,
    facts: Vec<Fact>,
    fields: FieldSet,
    found: Found,
    edits: EditBuffer,
    extended: Derived<Extended>,
}

impl InsertField {
    pub(crate) fn from_settings(part: Part, settings: Settings) -> Result<Self, Vec<Problem>> {
        let config = InsertFieldConfig::read_all(settings)?;
        let fixed = Fact::Fixed(config.fixed_value.map(|text| text.0).unwrap_or_default());
        let (targets, facts): (Vec<Target>, Vec<Fact>) = [
            (config.topic, Fact::Topic),
            (config.partition, Fact::Partition),
            (config.offset, Fact::Offset),
            (config.timestamp, Fact::Timestamp),
            (config.fixed, fixed),
        ]
        .into_iter()
        .filter_map(|(target, fact)| target.map(|target| (target, fact)))
        .unzip();
        let paths = targets.iter().map(|target| target.path.clone()).collect();
        Ok(Self {
            part,
            targets,
            facts,
            fields: FieldSet::new(part, paths, Presence::Optional),
            found: Found::new(),
            edits: EditBuffer::new(),
            extended: Derived::new(),
        })
    }
}

/// Adds the fields that the schema does not have.
fn extend(
    schema: &Schema,
    targets: &[Target],
    facts: &[Fact],
    missing: &[usize],
) -> Result<Extended, String> {
    if schema.kind() == SchemaKind::Json {
        let path = missing
            .first()
            .map(|at| targets[*at].path.to_string())
            .unwrap_or_default();
        return Err(format!("the JSON Schema does not allow a field '{path}'"));
    }
    let mut tree = derive::tree(schema)?;
    let fields = derive::record_fields(&mut tree)?;
    let mut new = Vec::new();
    for at in missing {
        let path = &targets[*at].path;
        if path.segments().len() > 1 {
            return Err(format!(
                "it has no field '{path}', and nested ones cannot be added"
            ));
        }
        let kind = facts[*at].avro_type();
        new.push(if targets[*at].required {
            json!({"name": path.name(), "type": kind})
        } else {
            json!({"name": path.name(), "type": ["null", kind], "default": null})
        });
    }
    fields.extend(new.iter().cloned());
    let appended = json!({"type": "record", "name": "Appended", "fields": new});
    Ok(Extended {
        schema: derive::parse(schema, &tree)?,
        appended: Schema::avro(&appended.to_string(), &[]).map_err(|error| error.to_string())?,
        targets: missing.to_vec(),
    })
}

impl InsertField {
    /// Sets the fields that are declared; returns the changed payload and which targets are not.
    fn set(
        &mut self,
        mut payload: Payload,
        facts: &[Scalar<'_>],
    ) -> Result<(Payload, Vec<usize>), RecordError> {
        let fields = self.fields.for_payload(&payload, |_| ())?;
        payload
            .find(fields.fields, &mut self.found)
            .map_err(unreadable)?;
        let mut missing: Vec<usize> = (0..facts.len()).collect();
        let mut edits = self.edits.begin();
        for path in 0..fields.fields.paths().len() {
            let target = fields.original(path);
            missing.retain(|at| *at != target);
            if facts[target] == Scalar::Null {
                continue;
            }
            let before = edits.len();
            for slot in self.found.at(path) {
                slot.replace(fields.fields, &facts[target], &mut edits)
                    .map_err(unfit)?;
            }
            if edits.len() == before {
                return Err(RecordError::field(format!(
                    "field '{}' cannot be set: what it would lie in is not there",
                    fields.fields.paths()[path]
                )));
            }
        }
        payload.edit(&self.found, edits).map_err(unfit)?;
        payload.flatten();
        Ok((payload, missing))
    }
}

impl Change for InsertField {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of(record).cloned() else {
            return Ok(());
        };
        let kinds = self.facts.clone();
        let facts: Vec<Scalar<'_>> = kinds
            .iter()
            .map(|fact| fact.of(record))
            .collect::<Result<_, _>>()?;
        let (mut payload, missing) = self.set(payload, &facts)?;
        if let (false, Some(schema)) = (missing.is_empty(), payload.schema()) {
            let (targets, kinds) = (&self.targets, &self.facts);
            let extended = self
                .extended
                .get(schema, |schema| extend(schema, targets, kinds, &missing))?;
            let members = extended.targets.iter().map(|at| {
                (
                    self.targets[*at].path.name().to_owned(),
                    value_of(facts[*at].clone()),
                )
            });
            let mut bytes = payload.bytes().to_vec();
            Value::Object(members.collect())
                .encode(&extended.appended, &mut bytes)
                .map_err(unreadable)?;
            payload = Payload::new(bytes, Encoding::Registered(extended.schema.clone()));
        }
        *self.part.of_mut(record) = Some(payload);
        Ok(())
    }
}
