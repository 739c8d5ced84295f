//! A record as a row: the columns of its parts.

use std::borrow::Cow;
use std::sync::Arc;

use ::parquet::basic::{LogicalType, TimeUnit};
use ::parquet::schema::types::{Type, TypePtr};
use penstock_connect::{Record, RecordError};
use penstock_formats::json::{Input, JsonText, Outline, View};
use penstock_formats::{Encoding, FormatError, Limits, Payload, Schema};

use super::column::{Columns, Nulls, Physical, Value};
use super::plan::{Layout, Place};
use super::{avro, json};
use crate::{Content, Member};

/// What a file's rows are, by its first record.
pub(super) struct Rows {
    parts: Box<[Part]>,
}

enum Part {
    Key(Cell),
    Value(Cell),
    Offset {
        column: usize,
    },
    Timestamp {
        column: usize,
        nulls: Nulls,
    },
    Headers {
        name: usize,
        value: usize,
        /// Level of all headers but the first.
        repetition: i16,
        empty: Nulls,
        no_value: Nulls,
    },
}

/// A key or value.
struct Cell {
    payload: Shape,
    /// `None` if there has to be a payload.
    nulls: Option<Nulls>,
}

/// How a payload becomes columns.
enum Shape {
    Avro {
        schema: Arc<Schema>,
        step: avro::Step,
    },
    Json {
        schema: Arc<Schema>,
        step: json::Step,
    },
    /// JSON of no schema: its text.
    JsonText {
        column: usize,
    },
    Text {
        column: usize,
    },
    Bytes {
        column: usize,
    },
    /// Files of records without a value have no column for it.
    Absent,
}

impl Rows {
    /// Lays out the rows of records like this one.
    pub(super) fn lay_out(
        content: &Content,
        first: &Record,
    ) -> Result<(Self, TypePtr, Columns), RecordError> {
        let mut layout = Layout::default();
        let mut types = Vec::new();
        let mut parts = Vec::new();
        let mut name = "event";
        match content {
            Content::Value => {
                let value = first.value.as_ref().ok_or_else(no_value)?;
                if let Some(schema) = value.schema() {
                    name = schema.name().unwrap_or(name);
                }
                let (columns, shape) = top_level(&mut layout, value)?;
                types.extend(columns);
                parts.push(Part::Value(Cell {
                    payload: shape,
                    nulls: None,
                }));
            }
            Content::Envelope(members) => {
                for member in members {
                    let (column, part) =
                        layout.within(member.name(), |layout| envelope(layout, *member, first))?;
                    types.extend(column);
                    parts.push(part);
                }
            }
        }
        if types.is_empty() {
            return Err(RecordError::schema(
                "there is nothing in the record that a Parquet file could have a column for",
            ));
        }
        let root = Type::group_type_builder(name)
            .with_fields(types)
            .build()
            .map_err(|error| layout.error(error))?;
        let rows = Self {
            parts: parts.into(),
        };
        Ok((rows, Arc::new(root), layout.columns()))
    }

    /// The Avro schema that the file's columns are those of.
    pub(super) fn avro_schema(&self) -> Option<&Arc<Schema>> {
        match &*self.parts {
            [
                Part::Value(Cell {
                    payload:
                        Shape::Avro {
                            schema,
                            step: avro::Step::Record(_),
                        },
                    nulls: None,
                }),
            ] => Some(schema),
            _ => None,
        }
    }

    /// Appends a row. On an error, part of it may stand in the columns.
    pub(super) fn push(&self, record: &Record, columns: &mut Columns) -> Result<(), RecordError> {
        for part in &self.parts {
            match part {
                Part::Key(cell) => cell.push(record.key.as_ref(), columns)?,
                Part::Value(cell) => cell.push(record.value.as_ref(), columns)?,
                Part::Offset { column } => {
                    columns.push(*column, 0, Value::Int64(record.origin().offset));
                }
                Part::Timestamp { column, nulls } => match record.timestamp {
                    Some(millis) => columns.push(*column, 0, Value::Int64(millis)),
                    None => columns.push_nulls(nulls, 0),
                },
                Part::Headers {
                    name,
                    value,
                    repetition,
                    empty,
                    no_value,
                } => {
                    if record.headers.is_empty() {
                        columns.push_nulls(empty, 0);
                    }
                    for (position, header) in record.headers.iter().enumerate() {
                        let level = if position == 0 { 0 } else { *repetition };
                        columns.push(*name, level, Value::Bytes(header.name.as_bytes()));
                        match &header.value {
                            Some(bytes) => columns.push(*value, level, Value::Bytes(bytes)),
                            None => columns.push_nulls(no_value, level),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn no_value() -> RecordError {
    RecordError::schema("the record has no value, and a row of its columns cannot be null")
}

/// A value's fields as columns, or the value as the column `value`.
fn top_level(layout: &mut Layout, value: &Payload) -> Result<(Vec<TypePtr>, Shape), RecordError> {
    if let Some(schema) = value.schema() {
        let schema = Arc::clone(schema);
        if let Some(outline) = schema.avro_outline() {
            if let Some((columns, step)) = avro::fields(layout, &outline.map_err(unfit)?)? {
                return Ok((columns, Shape::Avro { schema, step }));
            }
        } else if let Some(outline) = schema.json_outline()
            && let Some((columns, step)) = json::fields(layout, &outline)?
        {
            return Ok((columns, Shape::Json { schema, step }));
        }
    }
    let name = Member::Value.name();
    let (column, shape) = layout.within(name, |layout| payload(layout, name, value, Place::TOP))?;
    Ok((vec![column], shape))
}

fn unfit(error: impl std::fmt::Display) -> RecordError {
    RecordError::schema(format!("the schema has no place in Parquet: {error}"))
}

fn payload(
    layout: &mut Layout,
    name: &str,
    payload: &Payload,
    place: Place,
) -> Result<(TypePtr, Shape), RecordError> {
    let mut leaf = |logical| layout.leaf(name, place, Physical::Bytes, logical);
    Ok(match payload.encoding() {
        Encoding::Text => {
            let (leaf, column) = leaf(Some(LogicalType::String))?;
            (leaf, Shape::Text { column })
        }
        Encoding::Bytes => {
            let (leaf, column) = leaf(None)?;
            (leaf, Shape::Bytes { column })
        }
        Encoding::Json => {
            let (leaf, column) = leaf(Some(LogicalType::Json))?;
            (leaf, Shape::JsonText { column })
        }
        Encoding::Registered(schema) => {
            let schema = Arc::clone(schema);
            match schema.avro_outline() {
                Some(outline) => {
                    let outline = outline.map_err(unfit)?;
                    let (column, step) = avro::column(layout, name, &outline, place)?;
                    (column, Shape::Avro { schema, step })
                }
                None => {
                    let outline = schema.json_outline().unwrap_or(Outline::ANY);
                    let (column, step) = json::column(layout, name, &outline, place)?;
                    (column, Shape::Json { schema, step })
                }
            }
        }
    })
}

/// A member of the envelope as a column.
fn envelope(
    layout: &mut Layout,
    member: Member,
    first: &Record,
) -> Result<(Option<TypePtr>, Part), RecordError> {
    let name = member.name();
    let start = layout.next();
    let optional = Place::TOP.nullable();
    let cell = |layout: &mut Layout, given: &Payload| {
        let (column, shape) = payload(layout, name, given, optional)?;
        let cell = Cell {
            payload: shape,
            nulls: Some(layout.nulls(start, 0)),
        };
        Ok::<_, RecordError>((Some(column), cell))
    };
    Ok(match member {
        Member::Key => {
            // Keys are mostly text: what there is none of is null text.
            let none = Payload::new(Vec::new(), Encoding::Text);
            let (column, cell) = cell(layout, first.key.as_ref().unwrap_or(&none))?;
            (column, Part::Key(cell))
        }
        Member::Value => match &first.value {
            Some(value) => {
                let (column, cell) = cell(layout, value)?;
                (column, Part::Value(cell))
            }
            None => {
                let cell = Cell {
                    payload: Shape::Absent,
                    nulls: Some(layout.nulls(start, 0)),
                };
                (None, Part::Value(cell))
            }
        },
        Member::Offset => {
            let (leaf, column) = layout.leaf(name, Place::TOP, Physical::Int64, None)?;
            (Some(leaf), Part::Offset { column })
        }
        Member::Timestamp => {
            let logical = LogicalType::timestamp(true, TimeUnit::MILLIS);
            let (leaf, column) = layout.leaf(name, optional, Physical::Int64, Some(logical))?;
            let nulls = layout.nulls(start, 0);
            (Some(leaf), Part::Timestamp { column, nulls })
        }
        Member::Headers => {
            let element = Place::TOP.repeated();
            let text = Some(LogicalType::String);
            let (key, name_column) = layout.leaf("key", element, Physical::Bytes, text)?;
            let bytes = element.nullable();
            let (value, value_column) = layout.leaf("value", bytes, Physical::Bytes, None)?;
            let header = layout.group("element", element, vec![key, value])?;
            let part = Part::Headers {
                name: name_column,
                value: value_column,
                repetition: element.repetition,
                empty: layout.nulls(start, 0),
                no_value: layout.nulls(value_column, element.definition),
            };
            (Some(layout.list(name, Place::TOP, header)?), part)
        }
    })
}

impl Cell {
    fn push(&self, payload: Option<&Payload>, columns: &mut Columns) -> Result<(), RecordError> {
        let Some(payload) = payload else {
            let nulls = self.nulls.as_ref().ok_or_else(no_value)?;
            columns.push_nulls(nulls, 0);
            return Ok(());
        };
        let bytes = if payload.is_edited() {
            let mut bytes = Vec::new();
            payload.write_to(&mut bytes);
            Cow::Owned(bytes)
        } else {
            Cow::Borrowed(&payload.bytes()[..])
        };
        match (&self.payload, payload.encoding()) {
            (Shape::Avro { schema, step }, Encoding::Registered(other)) if same(schema, other) => {
                avro::push(step, &bytes, columns).map_err(rejected)
            }
            (Shape::Json { schema, step }, Encoding::Registered(other)) if same(schema, other) => {
                let json = checked(&bytes)?;
                match (&self.nulls, json.view()) {
                    (Some(nulls), View::Null) => {
                        columns.push_nulls(nulls, 0);
                        Ok(())
                    }
                    _ => json::push(step, json, json::At::EVENT, 0, columns).map_err(rejected),
                }
            }
            (Shape::JsonText { column }, Encoding::Json) => {
                let json = checked(&bytes)?;
                columns.push(*column, 0, Value::Bytes(json.text()));
                Ok(())
            }
            (Shape::Text { column }, Encoding::Text) => {
                if std::str::from_utf8(&bytes).is_err() {
                    return Err(RecordError::malformed("text that is not UTF-8"));
                }
                columns.push(*column, 0, Value::Bytes(&bytes));
                Ok(())
            }
            (Shape::Bytes { column }, Encoding::Bytes) => {
                columns.push(*column, 0, Value::Bytes(&bytes));
                Ok(())
            }
            _ => Err(RecordError::schema(
                "the record's schema is not that of the file",
            )),
        }
    }
}

fn checked(json: &[u8]) -> Result<JsonText<'_>, RecordError> {
    JsonText::checked(json, &Limits::default()).map_err(rejected)
}

fn rejected(error: FormatError) -> RecordError {
    match error {
        FormatError::Malformed { .. } => RecordError::malformed(error),
        _ => RecordError::schema(error),
    }
}

/// Schemas are parsed again when a cache has forgotten them.
fn same(one: &Arc<Schema>, other: &Arc<Schema>) -> bool {
    Arc::ptr_eq(one, other)
        || one.text() == other.text()
            && one.references().len() == other.references().len()
            && std::iter::zip(one.references(), other.references())
                .all(|((_, one), (_, other))| same(one, other))
}
