//! Avro values into columns: the schema is laid out once, each payload walked once.
//!
//! Types are those of parquet-avro with lists in three levels, except that an `enum` is a string with
//! the annotation STRING, as Confluent's connectors write it, since some readers take an ENUM for bytes.

use ::parquet::basic::{LogicalType, TimeUnit as ParquetUnit};
use ::parquet::schema::types::TypePtr;
use penstock_connect::RecordError;
use penstock_formats::FormatError;
use penstock_formats::avro::{Cursor, MAX_DEPTH, Outline, Time, TimeUnit, blocks};

use super::column::{Columns, Nulls, Physical, Value};
use super::decimal;
use super::plan::{Layout, Place};

/// What to do with the bytes of one type.
#[derive(Debug)]
pub(super) enum Step {
    /// They are a value of a column.
    Leaf {
        column: usize,
        read: Read,
    },
    /// There are none, and no column for them.
    Nothing,
    Record(Box<[Step]>),
    Array(Repeated),
    Map {
        key: usize,
        values: Repeated,
    },
    /// A union of null and one other type.
    Optional {
        null: usize,
        nulls: Nulls,
        value: Box<Step>,
    },
    /// Any other union: a group with a column for each branch.
    Union {
        /// For all columns, where the null branch is taken.
        nulls: Nulls,
        /// For the columns of the branches that are not taken.
        absent: i16,
        branches: Box<[Branch]>,
    },
}

/// How a column's value is read.
#[derive(Debug)]
pub(super) enum Read {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Decimal {
        precision: usize,
        size: Option<usize>,
        path: Box<str>,
    },
    /// A UUID in `bytes`, which has to have 16.
    Uuid,
    Enum(Box<[Box<str>]>),
}

#[derive(Debug)]
pub(super) struct Repeated {
    item: Box<Step>,
    /// Least bytes of an item.
    size: usize,
    /// Level of all items but the first.
    repetition: i16,
    /// Where there are no items.
    empty: Nulls,
}

#[derive(Debug)]
pub(super) struct Branch {
    /// `None` is the null branch.
    step: Option<Step>,
    columns: std::ops::Range<usize>,
}

/// Lays out the fields of a record as columns of their own. `None` if it is no record.
pub(super) fn fields(
    layout: &mut Layout,
    outline: &Outline,
) -> Result<Option<(Vec<TypePtr>, Step)>, RecordError> {
    match outline {
        Outline::Record(fields) => record(layout, fields, Place::TOP).map(Some),
        _ => Ok(None),
    }
}

/// Lays out a type as one column or group.
pub(super) fn column(
    layout: &mut Layout,
    name: &str,
    outline: &Outline,
    place: Place,
) -> Result<(TypePtr, Step), RecordError> {
    match node(layout, name, outline, place)? {
        (Some(column), step) => Ok((column, step)),
        (None, _) => Err(layout.error("there is never anything but null in it")),
    }
}

fn record(
    layout: &mut Layout,
    fields: &[(String, Outline)],
    place: Place,
) -> Result<(Vec<TypePtr>, Step), RecordError> {
    let mut types = Vec::with_capacity(fields.len());
    let mut steps = Vec::with_capacity(fields.len());
    for (name, outline) in fields {
        let (column, step) =
            layout.within(name, |layout| node(layout, name, outline, place.inner()))?;
        types.extend(column);
        steps.push(step);
    }
    Ok((types, Step::Record(steps.into())))
}

/// Type and step; no type where there is never anything but null.
fn node(
    layout: &mut Layout,
    name: &str,
    outline: &Outline,
    place: Place,
) -> Result<(Option<TypePtr>, Step), RecordError> {
    let first = layout.next();
    Ok(match outline {
        Outline::Null => (None, Step::Nothing),
        Outline::Record(fields) => {
            let (types, step) = record(layout, fields, place)?;
            if types.is_empty() && place.optional {
                return Err(layout.error("a record without fields cannot be told from null"));
            }
            let group = if types.is_empty() {
                None
            } else {
                Some(layout.group(name, place, types)?)
            };
            (group, step)
        }
        Outline::Array(item) => {
            let inner = place.repeated();
            let (element, step) = column(layout, "element", item, inner)?;
            let items = Repeated {
                item: Box::new(step),
                size: item.min_size(),
                repetition: inner.repetition,
                empty: layout.nulls(first, place.definition),
            };
            (Some(layout.list(name, place, element)?), Step::Array(items))
        }
        Outline::Map(value) => {
            let inner = place.repeated();
            let (key, key_column) =
                layout.leaf("key", inner, Physical::Bytes, Some(LogicalType::String))?;
            let (element, step) = column(layout, "value", value, inner)?;
            let values = Repeated {
                item: Box::new(step),
                size: value.min_size().saturating_add(1),
                repetition: inner.repetition,
                empty: layout.nulls(first, place.definition),
            };
            let step = Step::Map {
                key: key_column,
                values,
            };
            (Some(layout.map(name, place, key, element)?), step)
        }
        Outline::Union(branches) => return union(layout, name, branches, place),
        _ => {
            let (physical, logical, read) = scalar(layout, outline);
            let (leaf, column) = layout.leaf(name, place, physical, logical)?;
            (Some(leaf), Step::Leaf { column, read })
        }
    })
}

fn union(
    layout: &mut Layout,
    name: &str,
    branches: &[Outline],
    place: Place,
) -> Result<(Option<TypePtr>, Step), RecordError> {
    let first = layout.next();
    let null = branches
        .iter()
        .position(|branch| matches!(branch, Outline::Null));
    let place = match null {
        Some(_) => place.nullable(),
        None => place,
    };
    if let (Some(null), [_, _]) = (null, branches) {
        let (value, step) = column(layout, name, &branches[1 - null], place)?;
        let step = Step::Optional {
            null,
            nulls: layout.nulls(first, place.definition - 1),
            value: Box::new(step),
        };
        return Ok((Some(value), step));
    }
    let mut members = Vec::with_capacity(branches.len());
    let mut steps = Vec::with_capacity(branches.len());
    for branch in branches {
        let start = layout.next();
        let step = match branch {
            Outline::Null => None,
            branch => {
                let name = format!("member{}", members.len());
                let (member, step) = column(layout, &name, branch, place.inner().nullable())?;
                members.push(member);
                Some(step)
            }
        };
        steps.push(Branch {
            step,
            columns: start..layout.next(),
        });
    }
    let group = if members.is_empty() {
        None
    } else {
        Some(layout.group(name, place, members)?)
    };
    let step = Step::Union {
        nulls: layout.nulls(first, place.definition - 1),
        absent: place.definition,
        branches: steps.into(),
    };
    Ok((group, step))
}

fn scalar(layout: &Layout, outline: &Outline) -> (Physical, Option<LogicalType>, Read) {
    match outline {
        Outline::Boolean => (Physical::Boolean, None, Read::Boolean),
        Outline::Int => (Physical::Int32, None, Read::Int),
        Outline::Float => (Physical::Float, None, Read::Float),
        Outline::Double => (Physical::Double, None, Read::Double),
        Outline::Bytes => (Physical::Bytes, None, Read::Bytes),
        Outline::String => (Physical::Bytes, Some(LogicalType::String), Read::String),
        Outline::Fixed(size) => (Physical::Fixed(*size), None, Read::Fixed(*size)),
        Outline::Time(time) => match time {
            Time::Date => (Physical::Int32, Some(LogicalType::Date), Read::Int),
            Time::OfDay(TimeUnit::Millis) => {
                let logical = LogicalType::time(true, ParquetUnit::MILLIS);
                (Physical::Int32, Some(logical), Read::Int)
            }
            Time::OfDay(time) => {
                let logical = LogicalType::time(true, unit(*time));
                (Physical::Int64, Some(logical), Read::Long)
            }
            Time::Stamp { unit: time, utc } => {
                let logical = LogicalType::timestamp(*utc, unit(*time));
                (Physical::Int64, Some(logical), Read::Long)
            }
        },
        Outline::Decimal {
            precision,
            scale,
            size,
        } => {
            let narrow = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
            let logical = LogicalType::decimal(narrow(*scale), narrow(*precision));
            let read = Read::Decimal {
                precision: *precision,
                size: *size,
                path: layout.path().into(),
            };
            let physical = size.map_or(Physical::Bytes, Physical::Fixed);
            (physical, Some(logical), read)
        }
        Outline::Uuid { fixed } => {
            let read = if *fixed { Read::Fixed(16) } else { Read::Uuid };
            (Physical::Fixed(16), Some(LogicalType::Uuid), read)
        }
        Outline::Enum(symbols) => {
            let symbols = symbols.iter().map(|symbol| symbol.as_str().into());
            let read = Read::Enum(symbols.collect());
            (Physical::Bytes, Some(LogicalType::String), read)
        }
        // All others are laid out by `node`.
        _ => (Physical::Int64, None, Read::Long),
    }
}

fn unit(unit: TimeUnit) -> ParquetUnit {
    match unit {
        TimeUnit::Millis => ParquetUnit::MILLIS,
        TimeUnit::Micros => ParquetUnit::MICROS,
        TimeUnit::Nanos => ParquetUnit::NANOS,
    }
}

/// Appends a payload to the columns.
pub(super) fn push(step: &Step, payload: &[u8], columns: &mut Columns) -> Result<(), FormatError> {
    let mut cursor = Cursor::new(payload, MAX_DEPTH);
    walk(step, &mut cursor, 0, columns)?;
    cursor.end()
}

fn walk(
    step: &Step,
    cursor: &mut Cursor<'_>,
    repetition: i16,
    columns: &mut Columns,
) -> Result<(), FormatError> {
    match step {
        Step::Leaf { column, read } => {
            columns.push(*column, repetition, value(read, cursor)?);
            Ok(())
        }
        Step::Nothing => Ok(()),
        Step::Record(fields) => fields
            .iter()
            .try_for_each(|field| walk(field, cursor, repetition, columns)),
        Step::Optional { null, nulls, value } => {
            if cursor.index(2, "union branch")? == *null {
                columns.push_nulls(nulls, repetition);
                Ok(())
            } else {
                walk(value, cursor, repetition, columns)
            }
        }
        Step::Array(items) => items.walk(cursor, repetition, columns, |_, _, _| Ok(())),
        Step::Map { key, values } => values.walk(
            cursor,
            repetition,
            columns,
            |cursor, repetition, columns| {
                let text = cursor.string()?.as_bytes();
                columns.push(*key, repetition, Value::Bytes(text));
                Ok(())
            },
        ),
        Step::Union {
            nulls,
            absent,
            branches,
        } => {
            let branch = &branches[cursor.index(branches.len(), "union branch")?];
            let Some(step) = &branch.step else {
                columns.push_nulls(nulls, repetition);
                return Ok(());
            };
            for other in [
                nulls.columns.start..branch.columns.start,
                branch.columns.end..nulls.columns.end,
            ] {
                let others = Nulls {
                    columns: other,
                    definition: *absent,
                };
                columns.push_nulls(&others, repetition);
            }
            walk(step, cursor, repetition, columns)
        }
    }
}

impl Repeated {
    /// Walks the items, each behind what `before` does.
    fn walk(
        &self,
        cursor: &mut Cursor<'_>,
        repetition: i16,
        columns: &mut Columns,
        before: impl Fn(&mut Cursor<'_>, i16, &mut Columns) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let mut level = repetition;
        let mut any = false;
        blocks(cursor, self.size, |_, cursor| {
            before(cursor, level, columns)?;
            walk(&self.item, cursor, level, columns)?;
            level = self.repetition;
            any = true;
            Ok(())
        })?;
        if !any {
            columns.push_nulls(&self.empty, repetition);
        }
        Ok(())
    }
}

#[inline]
fn value<'v, 'b: 'v>(read: &'v Read, cursor: &mut Cursor<'b>) -> Result<Value<'v>, FormatError> {
    Ok(match read {
        Read::Boolean => Value::Boolean(cursor.boolean()?),
        Read::Int => Value::Int32(cursor.int()?),
        Read::Long => Value::Int64(cursor.long()?),
        Read::Float => Value::Float(cursor.float()?),
        Read::Double => Value::Double(cursor.double()?),
        Read::Bytes => Value::Bytes(cursor.bytes()?),
        Read::String => Value::Bytes(cursor.string()?.as_bytes()),
        Read::Fixed(size) => Value::Bytes(cursor.take(*size)?),
        Read::Enum(symbols) => {
            let symbol = cursor.index(symbols.len(), "enum symbol")?;
            Value::Bytes(symbols[symbol].as_bytes())
        }
        Read::Uuid => {
            let bytes = cursor.bytes()?;
            if bytes.len() != 16 {
                return Err(cursor.error("a uuid that has not 16 bytes"));
            }
            Value::Bytes(bytes)
        }
        Read::Decimal {
            precision,
            size,
            path,
        } => {
            let bytes = match size {
                Some(size) => cursor.take(*size)?,
                None => cursor.bytes()?,
            };
            let shortest = decimal::shortest(bytes);
            if !decimal::fits(shortest, *precision) {
                return Err(FormatError::Mismatch {
                    path: path.to_string(),
                    problem: format!("a decimal of more than the {precision} digits of its column"),
                });
            }
            // Readers hold a column to the bytes that its precision needs.
            Value::Bytes(if size.is_some() { bytes } else { shortest })
        }
    })
}
