//! The schema that rows have to fit, as far as columns need to know it.

use std::sync::Arc;

use apache_avro::Schema as Avro;
use penstock_connect::Error;
use penstock_formats::avro::Outline;
use penstock_formats::{FieldPath, Fields, PathError, ScalarKind, Schema};
use penstock_registry::{RegistryClient, SchemaRef};

use crate::cell::{Cell, CellType};

/// What rows become.
pub(crate) enum Target {
    /// JSON of any shape.
    Json,
    /// Events of this schema.
    Schema {
        reference: SchemaRef,
        schema: Arc<Schema>,
        /// `None` for a JSON Schema, or an Avro schema that contains itself.
        outline: Option<Outline>,
    },
}

/// Fields of an Avro schema that no column fills and that have no default.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfilled {
    /// Those that take null.
    pub(crate) nulls: Vec<FieldPath>,
    /// The others.
    pub(crate) missing: Vec<FieldPath>,
}

impl Target {
    /// The pinned schema, from the registry.
    pub(crate) async fn find(
        registry: &RegistryClient,
        reference: Option<&SchemaRef>,
    ) -> Result<Self, Error> {
        let Some(reference) = reference else {
            return Ok(Self::Json);
        };
        let schema = registry.configured(reference).await?;
        Ok(Self::new(reference.clone(), schema))
    }

    pub(crate) fn new(reference: SchemaRef, schema: Arc<Schema>) -> Self {
        let outline = schema.avro_outline().and_then(Result::ok);
        Self::Schema {
            reference,
            schema,
            outline,
        }
    }

    /// How the text of a column becomes the value of a field; an error if there is no such field.
    pub(crate) fn cell(&self, field: &FieldPath) -> Result<Cell, PathError> {
        let Self::Schema {
            schema, outline, ..
        } = self
        else {
            return Ok(Cell {
                kind: CellType::Text,
                nullable: true,
            });
        };
        let fields = Fields::compile(schema, std::slice::from_ref(field))?;
        let declared = fields.field_type(0);
        let kind = match declared.scalar {
            _ if declared.list => CellType::Json,
            ScalarKind::String | ScalarKind::Bytes => CellType::Text,
            ScalarKind::Integer => match outline.as_ref().and_then(|o| at(o, field)) {
                Some(Outline::Time(time)) => CellType::Time(*time),
                _ => CellType::Integer,
            },
            ScalarKind::Number => CellType::Number,
            ScalarKind::Boolean => CellType::Boolean,
            ScalarKind::Object => CellType::Json,
            ScalarKind::Any => CellType::Any,
        };
        Ok(Cell {
            kind,
            nullable: declared.nullable,
        })
    }

    /// Whether there may be such a field. Without a schema nothing says so.
    pub(crate) fn has(&self, field: &FieldPath) -> bool {
        match self {
            Self::Json => false,
            Self::Schema { schema, .. } => {
                Fields::compile(schema, std::slice::from_ref(field)).is_ok()
            }
        }
    }

    /// The fields that stay empty if only these are filled.
    pub(crate) fn unfilled(&self, filled: &[FieldPath]) -> Unfilled {
        let mut unfilled = Unfilled::default();
        if let Self::Schema { schema, .. } = self
            && let Some(avro) = schema.avro_schema()
        {
            let filled: Vec<Vec<&str>> = filled
                .iter()
                .map(|path| path.segments().collect())
                .collect();
            collect_unfilled(avro, &mut Vec::new(), &filled, &mut unfilled);
        }
        unfilled
    }

    /// How the schema is called in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Json => "JSON".to_owned(),
            Self::Schema { reference, .. } => reference.to_string(),
        }
    }
}

/// The type at a path, out of its nullable union.
fn at<'o>(outline: &'o Outline, field: &FieldPath) -> Option<&'o Outline> {
    let mut here = bare(outline);
    for segment in field.segments() {
        let Outline::Record(fields) = here else {
            return None;
        };
        here = bare(&fields.iter().find(|(name, _)| name == segment)?.1);
    }
    Some(here)
}

fn bare(outline: &Outline) -> &Outline {
    match outline {
        Outline::Union(branches) => {
            let mut others = branches.iter().filter(|branch| **branch != Outline::Null);
            match (others.next(), others.next()) {
                (Some(only), None) => only,
                _ => outline,
            }
        }
        other => other,
    }
}

fn collect_unfilled<'s>(
    schema: &'s Avro,
    path: &mut Vec<&'s str>,
    filled: &[Vec<&str>],
    unfilled: &mut Unfilled,
) {
    let Avro::Record(record) = schema else {
        return;
    };
    for field in &record.fields {
        path.push(&field.name);
        let below = |filled: &Vec<&str>| filled.len() > path.len() && filled.starts_with(path);
        let (nullable, inner) = match &field.schema {
            Avro::Union(union) => {
                let mut others = union.variants().iter().filter(|b| **b != Avro::Null);
                let only = others.next().filter(|_| others.next().is_none());
                (
                    union.variants().contains(&Avro::Null),
                    only.unwrap_or(&field.schema),
                )
            }
            other => (false, other),
        };
        if filled.iter().any(below) {
            collect_unfilled(inner, path, filled, unfilled);
        } else if field.default.is_none()
            && !filled.contains(path)
            && let Ok(field) = FieldPath::from_segments(&*path)
        {
            match nullable {
                true => unfilled.nulls.push(field),
                false => unfilled.missing.push(field),
            }
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_formats::avro::{Time, TimeUnit};

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    fn avro(fields: &str) -> Target {
        let text = format!(r#"{{"type":"record","name":"Row","fields":[{fields}]}}"#);
        let schema = Schema::avro(&text, &[]).unwrap();
        Target::new(SchemaRef::parse("a/row/1.0.0").unwrap(), schema.into())
    }

    #[test]
    fn a_fields_type_says_how_its_column_is_read() {
        let target = avro(
            r#"{"name":"id","type":"string"},
               {"name":"count","type":["null","int"]},
               {"name":"rate","type":"double"},
               {"name":"ok","type":"boolean"},
               {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
               {"name":"tags","type":{"type":"array","items":"string"}},
               {"name":"more","type":{"type":"map","values":"int"}},
               {"name":"who","type":{"type":"record","name":"Who","fields":[
                   {"name":"born","type":{"type":"int","logicalType":"date"}}]}}"#,
        );
        let micros = Time::Stamp {
            unit: TimeUnit::Micros,
            utc: true,
        };
        for (field, kind, nullable) in [
            ("id", CellType::Text, false),
            ("count", CellType::Integer, true),
            ("rate", CellType::Number, false),
            ("ok", CellType::Boolean, false),
            ("at", CellType::Time(micros), true),
            ("tags", CellType::Json, false),
            ("more", CellType::Json, false),
            ("more.size", CellType::Integer, false),
            ("who", CellType::Json, false),
            ("who.born", CellType::Time(Time::Date), false),
        ] {
            assert_eq!(
                target.cell(&path(field)),
                Ok(Cell { kind, nullable }),
                "{field}"
            );
        }
        assert!(target.cell(&path("conut")).is_err());
    }

    #[test]
    fn json_schemas_say_how_columns_are_read_as_well() {
        let text = r#"{"type":"object","properties":{
            "id":{"type":"integer"},"name":{"type":["string","null"]},"tags":{"type":"array"}}}"#;
        let schema = Schema::json(text, &[]).unwrap();
        let target = Target::new(SchemaRef::parse("a/row/1.0.0").unwrap(), schema.into());
        for (field, kind) in [
            ("id", CellType::Integer),
            ("name", CellType::Text),
            ("tags", CellType::Json),
            ("other", CellType::Any),
        ] {
            assert_eq!(target.cell(&path(field)).unwrap().kind, kind, "{field}");
        }
    }

    #[test]
    fn fields_without_column_or_default_are_known_before_the_first_row() {
        let target = avro(
            r#"{"name":"id","type":"string"},
               {"name":"note","type":["null","string"]},
               {"name":"size","type":"int","default":0},
               {"name":"meta","type":{"type":"record","name":"Meta","fields":[
                   {"name":"a","type":"int"},{"name":"b","type":"int"}]}}"#,
        );
        let shown = |filled: &[&str]| {
            let filled: Vec<_> = filled.iter().map(|text| path(text)).collect();
            let unfilled = target.unfilled(&filled);
            let texts = |paths: Vec<FieldPath>| {
                paths
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            (texts(unfilled.nulls), texts(unfilled.missing))
        };
        let expected = |nulls: &str, missing: &str| (nulls.to_owned(), missing.to_owned());
        assert_eq!(shown(&[]), expected("note", "id meta"));
        assert_eq!(shown(&["id", "meta.a"]), expected("note", "meta.b"));
        assert_eq!(shown(&["id", "note", "meta"]), expected("", ""));
    }
}
