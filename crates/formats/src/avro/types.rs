//! An Avro schema as a flat table of types: names resolved, recursion as indices, sizes known.

use std::collections::HashMap;

use apache_avro::Schema as AvroSchema;
use apache_avro::schema::{FixedSchema, InnerDecimalSchema, UuidSchema};

use super::encode::Encoder;
use super::outline::{Time, TimeUnit};
use crate::error::SchemaError;
use crate::json::text;

/// Index of a type in [`Types`].
pub(crate) type NodeId = u32;

/// All types of one schema. Immutable after [`Types::build`].
#[derive(Debug)]
pub(crate) struct Types {
    nodes: Vec<Node>,
    root: NodeId,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) logical: Logical,
    /// Least number of bytes a value takes; 0 only for types that always take none.
    pub(crate) min_size: usize,
}

/// The encodings of the Avro specification.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: String, size: usize },
    Enum { name: String, symbols: Vec<String> },
    Array(NodeId),
    Map(NodeId),
    Union(Box<[NodeId]>),
    Record(Record),
}

/// The logical types that change how a value reads; dates and times are plain integers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logical {
    None,
    /// Integer with a date or time meaning.
    Time(Time),
    Decimal {
        precision: usize,
        scale: usize,
    },
    BigDecimal,
    Uuid,
    Duration,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) fields: Box<[Field]>,
    index: HashMap<Box<str>, usize>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Box<str>,
    /// The name and a colon, as JSON.
    pub(crate) label: Box<[u8]>,
    pub(crate) node: NodeId,
    /// The default as it stands in the schema.
    pub(crate) default_json: Option<Box<str>>,
    /// The default encoded.
    pub(crate) default: Option<Box<[u8]>>,
}

fn label(name: &str) -> Box<[u8]> {
    let mut label = Vec::new();
    text::write_string(name, &mut label);
    label.push(b':');
    label.into()
}

impl Record {
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

impl Types {
    /// Builds the table from a schema whose references are inlined.
    pub(crate) fn build(schema: &AvroSchema) -> Result<Self, SchemaError> {
        let mut builder = Builder {
            nodes: Vec::new(),
            names: HashMap::new(),
        };
        let root = builder.add(schema, None)?;
        let mut types = Self {
            nodes: builder.nodes,
            root,
        };
        types.set_sizes();
        types.set_defaults();
        Ok(types)
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }

    /// Name of a type as Avro's JSON encoding tags a union's branch with it.
    pub(crate) fn type_name(&self, id: NodeId) -> &str {
        match self.kind(id) {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Fixed { name, .. } | Kind::Enum { name, .. } => name,
            Kind::Record(record) => &record.name,
        }
    }

    /// The type in words, for errors.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        let node = self.node(id);
        match (&node.kind, node.logical) {
            (_, Logical::Decimal { precision, scale }) => {
                format!("decimal with {precision} digits, {scale} of them after the point")
            }
            (_, Logical::BigDecimal) => "big-decimal".to_owned(),
            (_, Logical::Uuid) => "uuid".to_owned(),
            (_, Logical::Duration) => "duration (12 bytes)".to_owned(),
            (Kind::Union(branches), _) => {
                let names: Vec<String> = branches.iter().map(|b| self.describe(*b)).collect();
                match names.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                    None => "an empty union".to_owned(),
                }
            }
            (Kind::Record(record), _) => format!("record {}", record.name),
            (Kind::Enum { name, .. }, _) => format!("enum {name}"),
            (Kind::Fixed { name, size }, _) => format!("fixed {name} of {size} bytes"),
            (Kind::Array(item), _) => format!("array of {}", self.describe_item(*item)),
            (Kind::Map(item), _) => format!("map of {}", self.describe_item(*item)),
            (_, _) => self.type_name(id).to_owned(),
        }
    }

    fn describe_item(&self, id: NodeId) -> String {
        match self.kind(id) {
            Kind::Array(_) | Kind::Map(_) => self.type_name(id).to_owned(),
            _ => self.describe(id),
        }
    }

    fn set_sizes(&mut self) {
        let mut sizes: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for id in 0..self.nodes.len() {
            self.size(id, &mut sizes);
        }
        for (node, size) in self.nodes.iter_mut().zip(sizes) {
            node.min_size = size.unwrap_or(1);
        }
    }

    fn size(&self, id: usize, sizes: &mut Vec<Option<usize>>) -> usize {
        if let Some(size) = sizes[id] {
            return size;
        }
        // A record that contains itself without a way out has no finite value: any size will do.
        sizes[id] = Some(1);
        let size = match &self.nodes[id].kind {
            Kind::Null => 0,
            Kind::Float => 4,
            Kind::Double => 8,
            Kind::Fixed { size, .. } => *size,
            Kind::Record(record) => record.fields.iter().fold(0, |sum: usize, f| {
                sum.saturating_add(self.size(f.node as usize, sizes))
            }),
            _ => 1,
        };
        sizes[id] = Some(size);
        size
    }

    /// Encodes the defaults that fit their type; one that does not is an error only where it is needed.
    fn set_defaults(&mut self) {
        let mut encoded = Vec::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let Kind::Record(record) = &node.kind else {
                continue;
            };
            for (position, field) in record.fields.iter().enumerate() {
                let mut out = Vec::new();
                if field.default_json.is_some()
                    && Encoder::for_defaults(self).default(field, &mut out).is_ok()
                {
                    encoded.push((id, position, out.into_boxed_slice()));
                }
            }
        }
        for (id, position, bytes) in encoded {
            if let Kind::Record(record) = &mut self.nodes[id].kind {
                record.fields[position].default = Some(bytes);
            }
        }
    }
}

struct Builder {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

impl Builder {
    fn push(&mut self, kind: Kind, logical: Logical) -> NodeId {
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node {
            kind,
            logical,
            min_size: 0,
        });
        id
    }

    fn timestamp(&mut self, unit: TimeUnit, utc: bool) -> NodeId {
        self.push(Kind::Long, Logical::Time(Time::Stamp { unit, utc }))
    }

    fn fixed(&mut self, fixed: &FixedSchema, namespace: Option<&str>, logical: Logical) -> NodeId {
        let name = fixed.name.fullname(namespace);
        let id = self.push(
            Kind::Fixed {
                name: name.clone(),
                size: fixed.size,
            },
            logical,
        );
        self.names.insert(name, id);
        id
    }

    fn add(&mut self, schema: &AvroSchema, namespace: Option<&str>) -> Result<NodeId, SchemaError> {
        Ok(match schema {
            AvroSchema::Null => self.push(Kind::Null, Logical::None),
            AvroSchema::Boolean => self.push(Kind::Boolean, Logical::None),
            AvroSchema::Int => self.push(Kind::Int, Logical::None),
            AvroSchema::Long => self.push(Kind::Long, Logical::None),
            AvroSchema::Float => self.push(Kind::Float, Logical::None),
            AvroSchema::Double => self.push(Kind::Double, Logical::None),
            AvroSchema::Bytes => self.push(Kind::Bytes, Logical::None),
            AvroSchema::String => self.push(Kind::String, Logical::None),
            AvroSchema::Date => self.push(Kind::Int, Logical::Time(Time::Date)),
            AvroSchema::TimeMillis => {
                self.push(Kind::Int, Logical::Time(Time::OfDay(TimeUnit::Millis)))
            }
            AvroSchema::TimeMicros => {
                self.push(Kind::Long, Logical::Time(Time::OfDay(TimeUnit::Micros)))
            }
            AvroSchema::TimestampMillis => self.timestamp(TimeUnit::Millis, true),
            AvroSchema::TimestampMicros => self.timestamp(TimeUnit::Micros, true),
            AvroSchema::TimestampNanos => self.timestamp(TimeUnit::Nanos, true),
            AvroSchema::LocalTimestampMillis => self.timestamp(TimeUnit::Millis, false),
            AvroSchema::LocalTimestampMicros => self.timestamp(TimeUnit::Micros, false),
            AvroSchema::LocalTimestampNanos => self.timestamp(TimeUnit::Nanos, false),
            AvroSchema::BigDecimal => self.push(Kind::Bytes, Logical::BigDecimal),
            AvroSchema::Decimal(decimal) => {
                let logical = Logical::Decimal {
                    precision: decimal.precision,
                    scale: decimal.scale,
                };
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => self.push(Kind::Bytes, logical),
                    InnerDecimalSchema::Fixed(fixed) => self.fixed(fixed, namespace, logical),
                }
            }
            AvroSchema::Uuid(UuidSchema::String) => self.push(Kind::String, Logical::Uuid),
            AvroSchema::Uuid(UuidSchema::Bytes) => self.push(Kind::Bytes, Logical::Uuid),
            AvroSchema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.fixed(fixed, namespace, Logical::Uuid)
            }
            AvroSchema::Duration(fixed) => self.fixed(fixed, namespace, Logical::Duration),
            AvroSchema::Fixed(fixed) => self.fixed(fixed, namespace, Logical::None),
            AvroSchema::Enum(inner) => {
                let name = inner.name.fullname(namespace);
                let kind = Kind::Enum {
                    name: name.clone(),
                    symbols: inner.symbols.clone(),
                };
                let id = self.push(kind, Logical::None);
                self.names.insert(name, id);
                id
            }
            AvroSchema::Array(array) => {
                let item = self.add(&array.items, namespace)?;
                self.push(Kind::Array(item), Logical::None)
            }
            AvroSchema::Map(map) => {
                let value = self.add(&map.types, namespace)?;
                self.push(Kind::Map(value), Logical::None)
            }
            AvroSchema::Union(union) => {
                let branches = union
                    .variants()
                    .iter()
                    .map(|branch| self.add(branch, namespace))
                    .collect::<Result<_, _>>()?;
                self.push(Kind::Union(branches), Logical::None)
            }
            AvroSchema::Record(record) => {
                let name = record.name.fullname(namespace);
                // The index is known before the fields are, for records that contain themselves.
                let id = self.push(Kind::Null, Logical::None);
                self.names.insert(name.clone(), id);
                let namespace = name.rsplit_once('.').map(|(namespace, _)| namespace);
                let mut fields = Vec::with_capacity(record.fields.len());
                let mut index = HashMap::with_capacity(record.fields.len());
                for (position, field) in record.fields.iter().enumerate() {
                    index.insert(field.name.as_str().into(), position);
                    fields.push(Field {
                        name: field.name.as_str().into(),
                        label: label(&field.name),
                        node: self.add(&field.schema, namespace)?,
                        default_json: field.default.as_ref().map(|d| d.to_string().into()),
                        default: None,
                    });
                }
                self.nodes[id as usize].kind = Kind::Record(Record {
                    name,
                    fields: fields.into(),
                    index,
                });
                id
            }
            AvroSchema::Ref { name } => self
                .names
                .get(&name.fullname(None))
                .or_else(|| self.names.get(&name.fullname(namespace)))
                .copied()
                .ok_or_else(|| {
                    SchemaError::Avro(format!(
                        "type '{}' is not defined",
                        name.fullname(namespace)
                    ))
                })?,
        })
    }
}
