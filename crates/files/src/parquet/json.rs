//! JSON events into the columns that their JSON Schema declares.

use std::borrow::Cow;
use std::collections::HashMap;

use ::parquet::basic::LogicalType;
use ::parquet::schema::types::TypePtr;
use penstock_connect::RecordError;
use penstock_formats::FormatError;
use penstock_formats::json::{Input, JsonText, Kind, Number, Outline, Property, View};
use smallvec::SmallVec;

use super::column::{Columns, Nulls, Physical, Value};
use super::plan::{Layout, Place};

/// Whole doubles up to here have no neighbour that rounds to them.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// What to do with a value.
#[derive(Debug)]
pub(super) enum Step {
    Leaf { column: usize, read: Read },
    Array(Elements),
    Object(Members),
}

/// How a column's value is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Boolean,
    Integer,
    Number,
    String,
    /// The value's JSON text.
    Text,
}

#[derive(Debug)]
pub(super) struct Elements {
    element: Box<Field>,
    /// Level of all elements but the first.
    repetition: i16,
    /// Where there are no elements.
    empty: Nulls,
}

#[derive(Debug)]
pub(super) struct Members {
    fields: Box<[Field]>,
    positions: HashMap<Box<str>, usize>,
}

/// A value that may be null, or must not.
#[derive(Debug)]
pub(super) struct Field {
    name: Box<str>,
    step: Step,
    nulls: Option<Nulls>,
}

/// Where a value stands in its event, for errors.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    outer: Option<&'a At<'a>>,
    name: &'a str,
}

/// Lays out an object's properties as columns of their own. `None` if it is none.
pub(super) fn fields(
    layout: &mut Layout,
    outline: &Outline,
) -> Result<Option<(Vec<TypePtr>, Step)>, RecordError> {
    match &outline.kind {
        Kind::Object(properties) => object(layout, properties, Place::TOP).map(Some),
        _ => Ok(None),
    }
}

/// Lays out a value as one column or group.
pub(super) fn column(
    layout: &mut Layout,
    name: &str,
    outline: &Outline,
    place: Place,
) -> Result<(TypePtr, Step), RecordError> {
    let first = layout.next();
    let mut leaf = |physical, logical, read| {
        let (leaf, column) = layout.leaf(name, place, physical, logical)?;
        Ok((leaf, Step::Leaf { column, read }))
    };
    match &outline.kind {
        Kind::Boolean => leaf(Physical::Boolean, None, Read::Boolean),
        Kind::Integer => leaf(Physical::Int64, None, Read::Integer),
        Kind::Number => leaf(Physical::Double, None, Read::Number),
        Kind::String => leaf(Physical::Bytes, Some(LogicalType::String), Read::String),
        Kind::Any => leaf(Physical::Bytes, Some(LogicalType::Json), Read::Text),
        Kind::Array(element) => {
            let inner = place.repeated();
            let (element, field) = field(layout, "element", element, inner, element.nullable)?;
            let elements = Elements {
                element: Box::new(field),
                repetition: inner.repetition,
                empty: layout.nulls(first, place.definition),
            };
            Ok((layout.list(name, place, element)?, Step::Array(elements)))
        }
        Kind::Object(properties) => {
            let (types, step) = object(layout, properties, place)?;
            Ok((layout.group(name, place, types)?, step))
        }
    }
}

fn object(
    layout: &mut Layout,
    properties: &[Property],
    place: Place,
) -> Result<(Vec<TypePtr>, Step), RecordError> {
    let mut types = Vec::with_capacity(properties.len());
    let mut fields = Vec::with_capacity(properties.len());
    let mut positions = HashMap::with_capacity(properties.len());
    for property in properties {
        let Property {
            name,
            required,
            value,
        } = property;
        let (column, member) = layout.within(name, |layout| {
            let optional = value.nullable || !required;
            field(layout, name, value, place.inner(), optional)
        })?;
        types.push(column);
        positions.insert(name.as_str().into(), fields.len());
        fields.push(member);
    }
    let members = Members {
        fields: fields.into(),
        positions,
    };
    Ok((types, Step::Object(members)))
}

fn field(
    layout: &mut Layout,
    name: &str,
    outline: &Outline,
    place: Place,
    optional: bool,
) -> Result<(TypePtr, Field), RecordError> {
    let first = layout.next();
    let place = if optional { place.nullable() } else { place };
    let (column, step) = column(layout, name, outline, place)?;
    let field = Field {
        name: name.into(),
        step,
        nulls: optional.then(|| layout.nulls(first, place.definition - 1)),
    };
    Ok((column, field))
}

impl<'a> At<'a> {
    /// The event itself.
    pub(super) const EVENT: Self = At {
        outer: None,
        name: "",
    };

    fn inner(&'a self, name: &'a str) -> At<'a> {
        At {
            outer: Some(self),
            name,
        }
    }

    fn path(&self) -> String {
        match self.outer {
            None => String::new(),
            Some(outer) => {
                let path = outer.path();
                if path.is_empty() {
                    self.name.to_owned()
                } else {
                    format!("{path}.{}", self.name)
                }
            }
        }
    }

    #[cold]
    fn misfit(&self, problem: impl Into<String>) -> FormatError {
        FormatError::Mismatch {
            path: self.path(),
            problem: problem.into(),
        }
    }
}

/// Appends a value that is not null to the columns.
pub(super) fn push(
    step: &Step,
    json: JsonText<'_>,
    at: At<'_>,
    repetition: i16,
    columns: &mut Columns,
) -> Result<(), FormatError> {
    let view = json.view();
    match (step, view) {
        (
            Step::Leaf {
                column,
                read: Read::Text,
            },
            _,
        ) => {
            columns.push(*column, repetition, Value::Bytes(json.text()));
            Ok(())
        }
        (Step::Leaf { column, read }, view) => {
            let text: Cow<'_, str>;
            let value = match (read, view) {
                (Read::Boolean, View::Bool(value)) => Value::Boolean(value),
                (Read::Integer, View::Number(number)) => Value::Int64(integer(number, at)?),
                (Read::Number, View::Number(number)) => match number.as_f64() {
                    double if double.is_finite() => Value::Double(double),
                    _ => return Err(at.misfit("a number beyond the largest double")),
                },
                (Read::String, View::Str(string)) => {
                    text = string;
                    Value::Bytes(text.as_bytes())
                }
                (read, other) => return Err(unexpected(at, read.describe(), &other)),
            };
            columns.push(*column, repetition, value);
            Ok(())
        }
        (Step::Array(elements), View::Array(items)) => {
            let mut level = repetition;
            let mut any = false;
            for item in items {
                elements.element.push(item, at, level, columns)?;
                level = elements.repetition;
                any = true;
            }
            if !any {
                columns.push_nulls(&elements.empty, repetition);
            }
            Ok(())
        }
        (Step::Object(members), View::Object(given)) => {
            // Which fields the object has: a bit each, so that the others can be null.
            let mut seen: SmallVec<[u64; 4]> = SmallVec::new();
            seen.resize(members.fields.len().div_ceil(64), 0);
            let mut next = 0;
            for (name, value) in given {
                // Events mostly have the order of their schema.
                let position = match members.fields.get(next) {
                    Some(field) if *field.name == *name => next,
                    _ => *members.positions.get(&*name).ok_or_else(|| {
                        // Its name may be data.
                        at.misfit(
                            "has a member that the JSON Schema does not declare: there is no column for it",
                        )
                    })?,
                };
                next = position + 1;
                seen[position / 64] |= 1 << (position % 64);
                let field = &members.fields[position];
                field.push(value, at.inner(&field.name), repetition, columns)?;
            }
            for (position, field) in members.fields.iter().enumerate() {
                if seen[position / 64] >> (position % 64) & 1 == 0 {
                    match &field.nulls {
                        Some(nulls) => columns.push_nulls(nulls, repetition),
                        None => {
                            let at = at.inner(&field.name);
                            return Err(at.misfit("missing, and required by the JSON Schema"));
                        }
                    }
                }
            }
            Ok(())
        }
        (Step::Array(_), other) => Err(unexpected(at, "an array", &other)),
        (Step::Object(_), other) => Err(unexpected(at, "an object", &other)),
    }
}

impl Field {
    fn push(
        &self,
        json: JsonText<'_>,
        at: At<'_>,
        repetition: i16,
        columns: &mut Columns,
    ) -> Result<(), FormatError> {
        match &self.nulls {
            Some(nulls) if matches!(json.view(), View::Null) => {
                columns.push_nulls(nulls, repetition);
                Ok(())
            }
            _ => push(&self.step, json, at, repetition, columns),
        }
    }
}

impl Read {
    fn describe(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Text => "a value",
        }
    }
}

fn integer(number: Number<'_>, at: At<'_>) -> Result<i64, FormatError> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer);
    }
    if number.is_integer() {
        return Err(at.misfit("an integer of more than 64 bits"));
    }
    // JSON Schema takes `1.0` and `1e3` for integers.
    let double = number.as_f64();
    if double.fract() == 0.0 && double.abs() <= MAX_WHOLE {
        Ok(double as i64)
    } else {
        Err(at.misfit("expected an integer, found another number"))
    }
}

fn unexpected<'a>(at: At<'_>, expected: &str, found: &View<'a, JsonText<'a>>) -> FormatError {
    let found = match found {
        View::Null => "null",
        View::Bool(_) => "a boolean",
        View::Number(_) => "a number",
        View::Str(_) => "a string",
        View::Bytes(_) => "bytes",
        View::Array(_) => "an array",
        View::Object(_) => "an object",
    };
    at.misfit(format!("expected {expected}, found {found}"))
}
