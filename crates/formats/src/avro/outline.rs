//! An Avro schema as a tree: named types spelled out wherever they are used.

use super::types::{Kind, Logical, NodeId, Types};
use crate::schema::Schema;

/// Types that a tree may have; a schema can name each type many times over.
const MAX_TYPES: usize = 100_000;

/// A type, with all that its values' bytes depend on.
#[derive(Clone, Debug, PartialEq)]
pub enum Outline {
    /// `null`.
    Null,
    /// `boolean`.
    Boolean,
    /// `int`.
    Int,
    /// `long`.
    Long,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `bytes`, `big-decimal` among them.
    Bytes,
    /// `string`, `uuid` on a string among them.
    String,
    /// `fixed` of this size, `duration` among them.
    Fixed(usize),
    /// `int` (a date, a time of day in milliseconds) or `long` (all others).
    Time(Time),
    /// `decimal`, the unscaled value in two's complement, big-endian.
    Decimal {
        /// Most digits.
        precision: usize,
        /// Digits after the point.
        scale: usize,
        /// Size of the `fixed`; `None` for `bytes`.
        size: Option<usize>,
    },
    /// `uuid` of 16 bytes: a `fixed`, or `bytes`.
    Uuid {
        /// It is a `fixed`.
        fixed: bool,
    },
    /// `enum`, its symbols in order.
    Enum(Vec<String>),
    /// `array` of items.
    Array(Box<Outline>),
    /// `map` of values.
    Map(Box<Outline>),
    /// Union of branches in order.
    Union(Vec<Outline>),
    /// `record` of fields in order.
    Record(Vec<(String, Outline)>),
}

/// What an integer says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Days since 1970-01-01.
    Date,
    /// Units since midnight (milliseconds are an `int`).
    OfDay(TimeUnit),
    /// Units since 1970-01-01T00:00.
    Stamp {
        /// The unit.
        unit: TimeUnit,
        /// An instant; else a date and time of no time zone.
        utc: bool,
    },
}

/// Unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Thousandths of a second.
    Millis,
    /// Millionths.
    Micros,
    /// Billionths.
    Nanos,
}

/// Why a schema has no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// A record that contains itself.
    #[error("{}: record {name} contains itself", place(.path))]
    Recursive {
        /// Dotted path of the field.
        path: String,
        /// Full name of the record.
        name: String,
    },
    /// More types than anyone could use.
    #[error("the schema has more than {MAX_TYPES} types when all are spelled out")]
    TooLarge,
}

fn place(path: &str) -> String {
    if path.is_empty() {
        "the event".to_owned()
    } else {
        format!("field '{path}'")
    }
}

impl Schema {
    /// An Avro schema as a tree; `None` for a JSON Schema.
    pub fn avro_outline(&self) -> Option<Result<Outline, OutlineError>> {
        self.types().map(|types| {
            let mut builder = Builder {
                types,
                around: Vec::new(),
                path: Vec::new(),
                count: 0,
            };
            builder.outline(types.root())
        })
    }
}

impl Outline {
    /// Least number of bytes that a value takes.
    pub fn min_size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Float => 4,
            Self::Double => 8,
            Self::Fixed(size)
            | Self::Decimal {
                size: Some(size), ..
            } => *size,
            Self::Uuid { fixed: true } => 16,
            Self::Record(fields) => fields
                .iter()
                .fold(0, |sum, (_, field)| sum.saturating_add(field.min_size())),
            _ => 1,
        }
    }
}

struct Builder<'s> {
    types: &'s Types,
    /// Records that the walk is within.
    around: Vec<NodeId>,
    path: Vec<&'s str>,
    count: usize,
}

impl Builder<'_> {
    fn outline(&mut self, id: NodeId) -> Result<Outline, OutlineError> {
        self.count += 1;
        if self.count > MAX_TYPES {
            return Err(OutlineError::TooLarge);
        }
        let types = self.types;
        let node = types.node(id);
        Ok(match (&node.kind, node.logical) {
            (_, Logical::Time(time)) => Outline::Time(time),
            (kind, Logical::Decimal { precision, scale }) => Outline::Decimal {
                precision,
                scale,
                size: match kind {
                    Kind::Fixed { size, .. } => Some(*size),
                    _ => None,
                },
            },
            (Kind::Bytes, Logical::Uuid) => Outline::Uuid { fixed: false },
            (Kind::Fixed { size: 16, .. }, Logical::Uuid) => Outline::Uuid { fixed: true },
            (Kind::Null, _) => Outline::Null,
            (Kind::Boolean, _) => Outline::Boolean,
            (Kind::Int, _) => Outline::Int,
            (Kind::Long, _) => Outline::Long,
            (Kind::Float, _) => Outline::Float,
            (Kind::Double, _) => Outline::Double,
            (Kind::Bytes, _) => Outline::Bytes,
            (Kind::String, _) => Outline::String,
            (Kind::Fixed { size, .. }, _) => Outline::Fixed(*size),
            (Kind::Enum { symbols, .. }, _) => Outline::Enum(symbols.clone()),
            (Kind::Array(item), _) => Outline::Array(Box::new(self.outline(*item)?)),
            (Kind::Map(value), _) => Outline::Map(Box::new(self.outline(*value)?)),
            (Kind::Union(branches), _) => Outline::Union(
                branches
                    .iter()
                    .map(|branch| self.outline(*branch))
                    .collect::<Result<_, _>>()?,
            ),
            (Kind::Record(record), _) => {
                if self.around.contains(&id) {
                    return Err(OutlineError::Recursive {
                        path: self.path.join("."),
                        name: record.name.clone(),
                    });
                }
                self.around.push(id);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    self.path.push(&field.name);
                    fields.push((field.name.to_string(), self.outline(field.node)?));
                    self.path.pop();
                }
                self.around.pop();
                Outline::Record(fields)
            }
        })
    }
}
