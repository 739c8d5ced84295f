//! Fields, or a whole key or value, that become another type: what `Cast` and `TimestampConverter` share.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use penstock_connect::{Record, RecordError};
use penstock_formats::{
    EditBuffer, Encoding, FieldPath, Fields, Found, Payload, Scalar, Schema, SchemaKind, Value,
};
use serde_json::Value as Json;

use crate::derive::{self, Derived};
use crate::each::{Change, unfit, unreadable};
use crate::field_set::{FieldSet, FieldsFor, Presence};
use crate::part::Part;
use crate::replace_field::encoded;

/// The meaning of an Avro integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logical {
    TimestampMillis,
    TimestampMicros,
    Date,
    TimeMillis,
    TimeMicros,
}

impl Logical {
    fn of(kind: &Json) -> Option<Self> {
        Some(match kind.get("logicalType")?.as_str()? {
            "timestamp-millis" => Self::TimestampMillis,
            "timestamp-micros" => Self::TimestampMicros,
            "date" => Self::Date,
            "time-millis" => Self::TimeMillis,
            "time-micros" => Self::TimeMicros,
            _ => return None,
        })
    }
}

/// How values are converted.
pub(crate) trait Conversion: Send {
    /// The new value of the field with this index (0 for a whole key or value), which is not null. The
    /// error says what is wrong without the value.
    fn convert(
        &self,
        field: usize,
        value: &Scalar<'_>,
        meaning: Option<Logical>,
    ) -> Result<Scalar<'static>, String>;

    /// The Avro type of what it makes.
    fn avro_type(&self, field: usize) -> Json;
}

/// What an Avro schema becomes.
struct Retyped {
    schema: Arc<Schema>,
    /// By field: its own new schema and what its integers mean; `None` for one that is not there.
    fields: Vec<Option<(Schema, Option<Logical>)>>,
}

/// A conversion of fields, or of the whole where there are none.
pub(crate) struct Converter<C> {
    part: Part,
    conversion: C,
    fields: FieldSet,
    found: Found,
    edits: EditBuffer,
    retyped: Derived<Retyped>,
}

impl<C: Conversion> Converter<C> {
    /// Without paths, the whole key or value is converted.
    pub(crate) fn new(part: Part, paths: Vec<FieldPath>, conversion: C) -> Self {
        Self {
            part,
            conversion,
            fields: FieldSet::new(part, paths, Presence::Optional),
            found: Found::new(),
            edits: EditBuffer::new(),
            retyped: Derived::new(),
        }
    }

    fn whole(&mut self, payload: &Payload) -> Result<Payload, RecordError> {
        let value = payload.decode().map_err(unreadable)?;
        let scalar = scalar_of(&value).ok_or_else(|| {
            RecordError::field(format!("the {} is {}", self.part.name(), value.kind()))
        })?;
        if scalar == Scalar::Null {
            return Ok(payload.clone());
        }
        let convert = |meaning| {
            self.conversion
                .convert(0, &scalar, meaning)
                .map(value_of)
                .map_err(|problem| {
                    RecordError::field(format!("the {} {problem}", self.part.name()))
                })
        };
        if let Some(avro) = payload
            .schema()
            .filter(|schema| schema.kind() == SchemaKind::Avro)
        {
            let conversion = &self.conversion;
            let retyped = self.retyped.get(avro, |schema| {
                let mut tree = derive::tree(schema)?;
                let kind = derive::beside_null(&mut tree)?;
                let meaning = Logical::of(kind);
                *kind = conversion.avro_type(0);
                let schema = derive::parse(schema, &tree)?;
                let own =
                    Schema::avro(&tree.to_string(), &[]).map_err(|error| error.to_string())?;
                Ok(Retyped {
                    schema,
                    fields: vec![Some((own, meaning))],
                })
            })?;
            let meaning = retyped
                .fields
                .first()
                .and_then(Option::as_ref)
                .and_then(|(_, meaning)| *meaning);
            return encoded(
                &convert(meaning)?,
                Encoding::Registered(retyped.schema.clone()),
            );
        }
        encoded(&convert(None)?, Encoding::Json)
    }

    fn json_fields(&mut self, mut payload: Payload) -> Result<Payload, RecordError> {
        let fields = self.fields.for_payload(&payload, |_| ())?;
        payload
            .find(fields.fields, &mut self.found)
            .map_err(unreadable)?;
        let mut edits = self.edits.begin();
        for slot in self
            .found
            .slots()
            .iter()
            .filter(|slot| !slot.is_null() && !slot.is_absent())
        {
            let scalar = slot.scalar(payload.bytes()).map_err(unreadable)?;
            let path = slot.path();
            let new = convert_field(&self.conversion, fields, path, &scalar, None)?;
            slot.replace(fields.fields, &new, &mut edits)
                .map_err(unfit)?;
        }
        payload.edit(&self.found, edits).map_err(unfit)?;
        Ok(payload)
    }

    fn avro_fields(
        &mut self,
        mut payload: Payload,
        schema: &Schema,
    ) -> Result<Payload, RecordError> {
        let (paths, conversion) = (self.fields.paths().to_vec(), &self.conversion);
        let retyped = self
            .retyped
            .get(schema, |schema| retype(schema, &paths, conversion))?;
        let fields = self.fields.for_payload(&payload, |_| ())?;
        payload
            .find(fields.fields, &mut self.found)
            .map_err(unreadable)?;
        let mut splices: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        for slot in self.found.slots().iter().filter(|slot| !slot.is_null()) {
            let field = fields.original(slot.path());
            let Some(Some((own, meaning))) = retyped.fields.get(field) else {
                continue;
            };
            let scalar = slot.scalar(payload.bytes()).map_err(unreadable)?;
            let new = convert_field(&self.conversion, fields, slot.path(), &scalar, *meaning)?;
            let mut bytes = Vec::new();
            value_of(new).encode(own, &mut bytes).map_err(|error| {
                RecordError::field(format!(
                    "field '{}': {error}",
                    fields.fields.paths()[slot.path()]
                ))
            })?;
            splices.push((slot.range(), bytes));
        }
        splices.sort_by_key(|(range, _)| range.start);
        let old = payload.bytes();
        let mut bytes = Vec::with_capacity(old.len() + 16);
        let mut copied = 0;
        for (range, new) in splices {
            bytes.extend_from_slice(&old[copied..range.start]);
            bytes.extend_from_slice(&new);
            copied = range.end;
        }
        bytes.extend_from_slice(&old[copied..]);
        Ok(Payload::new(
            bytes,
            Encoding::Registered(retyped.schema.clone()),
        ))
    }
}

fn convert_field<C: Conversion>(
    conversion: &C,
    fields: FieldsFor<'_>,
    path: usize,
    scalar: &Scalar<'_>,
    meaning: Option<Logical>,
) -> Result<Scalar<'static>, RecordError> {
    conversion
        .convert(fields.original(path), scalar, meaning)
        .map_err(|problem| {
            RecordError::field(format!("field '{}' {problem}", fields.fields.paths()[path]))
        })
}

/// Gives top-level fields their new types; null stays possible where it was.
fn retype<C: Conversion>(
    schema: &Schema,
    paths: &[FieldPath],
    conversion: &C,
) -> Result<Retyped, String> {
    let mut tree = derive::tree(schema)?;
    let record = derive::record_fields(&mut tree)?;
    let mut fields = Vec::with_capacity(paths.len());
    for (at, path) in paths.iter().enumerate() {
        if Fields::compile(schema, std::slice::from_ref(path)).is_err() {
            fields.push(None);
            continue;
        }
        if path.segments().len() > 1 {
            return Err(format!("'{path}' is a nested field"));
        }
        let Some(field) = derive::field_named(record, path.name()) else {
            return Err(format!("'{path}' is not a field of the record itself"));
        };
        let Some(kind) = field.get_mut("type") else {
            return Err(format!("'{path}' has no type"));
        };
        let inner = derive::beside_null(kind)?;
        let scalar = match &*inner {
            Json::String(name) => matches!(
                name.as_str(),
                "boolean" | "int" | "long" | "float" | "double" | "string" | "bytes"
            ),
            other => !matches!(
                other.get("type").and_then(Json::as_str),
                Some("record" | "array" | "map") | None
            ),
        };
        if !scalar {
            return Err(format!("'{path}' is not a single value"));
        }
        let meaning = Logical::of(inner);
        *inner = conversion.avro_type(at);
        let own = Schema::avro(&kind.to_string(), &[]).map_err(|error| error.to_string())?;
        // A default of the former type may not be one of the new.
        if let Some(object) = field.as_object_mut()
            && object
                .get("default")
                .is_some_and(|default| !default.is_null())
        {
            object.remove("default");
        }
        fields.push(Some((own, meaning)));
    }
    Ok(Retyped {
        schema: derive::parse(schema, &tree)?,
        fields,
    })
}

fn scalar_of(value: &Value) -> Option<Scalar<'_>> {
    Some(match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Int(number) => Scalar::Int(*number),
        Value::Double(number) => Scalar::Double(*number),
        Value::Number(number) => Scalar::Double(number.parse().ok()?),
        Value::Str(text) => Scalar::Str(Cow::Borrowed(text)),
        Value::Bytes(bytes) => Scalar::Bytes(Cow::Borrowed(bytes)),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// The scalar as a tree of one value.
pub(crate) fn value_of(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(number) => Value::Int(number),
        Scalar::Double(number) => Value::Double(number),
        Scalar::Str(text) => Value::Str(text.into_owned()),
        Scalar::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
    }
}

impl<C: Conversion> Change for Converter<C> {
    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let Some(payload) = self.part.of(record).cloned() else {
            return Ok(());
        };
        let schema = payload
            .schema()
            .filter(|schema| schema.kind() == SchemaKind::Avro)
            .cloned();
        let converted = match schema {
            _ if self.fields.paths().is_empty() => self.whole(&payload)?,
            Some(schema) => self.avro_fields(payload, &schema)?,
            None => self.json_fields(payload)?,
        };
        *self.part.of_mut(record) = Some(converted);
        Ok(())
    }
}
