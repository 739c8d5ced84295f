//! The columns that a value is laid out in: nested records flattened, everything else one column.
//!
//! A value is laid out from its JSON rendering, so that Avro and JSON take the same way. A cell is a
//! range of that text.

use std::borrow::Cow;
use std::ops::Range;

use penstock_connect::RecordError;
use penstock_formats::avro::Outline;
use penstock_formats::{FieldPath, Schema};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// Records within records that are flattened; what lies deeper is one column of JSON.
const MAX_DEPTH: usize = 32;

/// The columns of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Columns {
    root: Node,
    names: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Node {
    /// The value is the cell of this column.
    Cell(usize),
    /// Its members are laid out.
    Members(Vec<(String, Node)>),
}

/// What is known of a value's shape before columns are numbered.
enum Shape {
    Leaf,
    Object(Vec<(String, Shape)>),
}

impl Columns {
    /// One column for the whole value.
    pub(crate) fn single() -> Self {
        Self {
            root: Node::Cell(0),
            names: vec![String::new()],
        }
    }

    /// The columns of an Avro schema.
    pub(crate) fn of_avro(outline: &Outline) -> Self {
        Self::number(of_outline(outline, 0))
    }

    /// The columns of a JSON Schema: what its `properties` name, the same for every file; `None` if it
    /// names nothing.
    pub(crate) fn of_json_schema(schema: &Schema) -> Result<Option<Self>, RecordError> {
        let document: Json = serde_json::from_str(schema.text())
            .map_err(|_| RecordError::schema("the value's schema is not JSON"))?;
        Ok(match of_properties(&document, &document, &mut Vec::new()) {
            Shape::Object(members) if !members.is_empty() => {
                Some(Self::number(Shape::Object(members)))
            }
            _ => None,
        })
    }

    /// The columns of a JSON text.
    pub(crate) fn of_json(first: &[u8]) -> Result<Self, RecordError> {
        Ok(Self::number(of_value(&parse(first)?, 0)))
    }

    fn number(shape: Shape) -> Self {
        let mut names = Vec::new();
        let root = number(shape, &mut Vec::new(), &mut names);
        Self { root, names }
    }

    /// How many columns there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names: paths within the value, dots in a name written `\.`; empty for a value that is one
    /// column.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Finds the cells of a value in its JSON text; a column that the value has nothing for keeps an
    /// empty range.
    pub(crate) fn lay_out(
        &self,
        json: &str,
        cells: &mut Vec<Range<usize>>,
    ) -> Result<(), RecordError> {
        cells.clear();
        cells.resize(self.len(), 0..0);
        let mut row = Row {
            start: json.as_ptr() as usize,
            cells,
        };
        let mut text = serde_json::Deserializer::from_str(json);
        Cell {
            node: &self.root,
            name: "",
            row: &mut row,
        }
        .deserialize(&mut text)
        .map_err(|error| RecordError::schema(strip_place(&error)))
    }
}

/// The error without the place in the text, which says nothing to those who have the record.
fn strip_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

fn parse(json: &[u8]) -> Result<Json, RecordError> {
    serde_json::from_slice(json)
        .map_err(|error| RecordError::malformed(format!("the value is not JSON: {error}")))
}

/// Numbers the leaves of a shape, and names them by their paths.
fn number(shape: Shape, path: &mut Vec<String>, names: &mut Vec<String>) -> Node {
    match shape {
        Shape::Object(members) if !members.is_empty() => Node::Members(
            members
                .into_iter()
                .map(|(name, shape)| {
                    path.push(name.clone());
                    let node = number(shape, path, names);
                    path.pop();
                    (name, node)
                })
                .collect(),
        ),
        _ => {
            names.push(
                FieldPath::from_segments(path.iter())
                    .map_or_else(|_| path.join("."), |path| path.to_string()),
            );
            Node::Cell(names.len() - 1)
        }
    }
}

fn of_outline(outline: &Outline, depth: usize) -> Shape {
    match outline {
        Outline::Record(fields) if depth < MAX_DEPTH => Shape::Object(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), of_outline(field, depth + 1)))
                .collect(),
        ),
        Outline::Union(branches) => {
            let mut others = branches
                .iter()
                .filter(|branch| !matches!(branch, Outline::Null));
            match (others.next(), others.next()) {
                (Some(only), None) => of_outline(only, depth),
                _ => Shape::Leaf,
            }
        }
        _ => Shape::Leaf,
    }
}

fn of_value(value: &Json, depth: usize) -> Shape {
    match value {
        Json::Object(members) if depth < MAX_DEPTH => Shape::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), of_value(value, depth + 1)))
                .collect(),
        ),
        _ => Shape::Leaf,
    }
}

/// What `properties` name, through references within the document. A reference that leads back to where
/// it stands is a leaf.
fn of_properties<'s>(schema: &'s Json, document: &'s Json, around: &mut Vec<&'s str>) -> Shape {
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer));
        let Some(target) = target.filter(|_| !around.contains(&reference)) else {
            return Shape::Leaf;
        };
        around.push(reference);
        let shape = of_properties(target, document, around);
        around.pop();
        return shape;
    }
    match schema.get("properties").and_then(Json::as_object) {
        Some(properties) => Shape::Object(
            properties
                .iter()
                .map(|(name, schema)| (name.clone(), of_properties(schema, document, around)))
                .collect(),
        ),
        None => Shape::Leaf,
    }
}

/// The cells of one row, found in a text that begins at this address.
struct Row<'r> {
    start: usize,
    cells: &'r mut Vec<Range<usize>>,
}

/// Reads one value into its cells.
struct Cell<'c, 'r> {
    node: &'c Node,
    name: &'c str,
    row: &'c mut Row<'r>,
}

impl<'de> DeserializeSeed<'de> for Cell<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        match self.node {
            Node::Members(_) => text.deserialize_any(self),
            Node::Cell(column) => {
                let raw = <&RawValue>::deserialize(text)?.get();
                let start = raw.as_ptr() as usize - self.row.start;
                let cell = &mut self.row.cells[*column];
                if cell.end != 0 {
                    return Err(Error::custom(format!("member '{}' comes twice", self.name)));
                }
                *cell = start..start + raw.len();
                Ok(())
            }
        }
    }
}

/// The name of a member, copied only if it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Cell<'_, '_> {
    /// The error for a value that is no object. serde's own would show the value.
    /// Without the member's name, which may be data: an address, a person's name.
    #[cold]
    fn no_column<E: Error>(&self) -> E {
        match self.name {
            "" => E::custom("the value has a member that has no column in the file"),
            name => E::custom(format!(
                "member '{name}' has a member that has no column in the file"
            )),
        }
    }

    fn no_object<E: Error>(&self) -> E {
        match self.name {
            "" => E::custom("the value is no object, but the file has columns for members"),
            name => E::custom(format!(
                "member '{name}' is no object, but the file has columns for its members"
            )),
        }
    }
}

impl<'de> Visitor<'de> for Cell<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(self.no_object())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(self.no_object())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(self.no_object())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(self.no_object())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.no_object())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.no_object())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let Node::Members(known) = self.node else {
            return Ok(());
        };
        // Members mostly come in the order of the columns.
        let mut next = 0;
        while let Some(name) = members.next_key::<Name<'de>>()? {
            let name = name.0;
            let position = match known.get(next) {
                Some((expected, _)) if *expected == name => next,
                _ => known
                    .iter()
                    .position(|(known, _)| *known == name)
                    .ok_or_else(|| self.no_column())?,
            };
            next = position + 1;
            let (name, node) = &known[position];
            members.next_value_seed(Cell {
                node,
                name,
                row: &mut *self.row,
            })?;
        }
        Ok(())
    }
}
