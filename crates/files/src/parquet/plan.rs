//! A file's columns as they come about: Parquet types, and the levels of each leaf.

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use ::parquet::schema::types::{Type, TypePtr};
use penstock_connect::RecordError;

use super::column::{Column, Columns, Nulls, Physical};

/// Columns that a file may have. Readers take seconds for more.
const MAX_COLUMNS: usize = 10_000;

/// Where a node stands in the tree of types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) optional: bool,
    /// Definition level of a node that is there.
    pub(super) definition: i16,
    /// Repetition level of its values.
    pub(super) repetition: i16,
}

impl Place {
    /// A column of each row.
    pub(super) const TOP: Self = Self {
        optional: false,
        definition: 0,
        repetition: 0,
    };

    /// The same, but it may be null.
    pub(super) fn nullable(self) -> Self {
        if self.optional {
            self
        } else {
            Self {
                optional: true,
                definition: self.definition + 1,
                ..self
            }
        }
    }

    /// A required field of the group that stands here.
    pub(super) fn inner(self) -> Self {
        Self {
            optional: false,
            ..self
        }
    }

    /// A required field of the repeated group in the list or map that stands here.
    pub(super) fn repeated(self) -> Self {
        Self {
            optional: false,
            definition: self.definition + 1,
            repetition: self.repetition + 1,
        }
    }

    fn repetition(self) -> Repetition {
        if self.optional {
            Repetition::OPTIONAL
        } else {
            Repetition::REQUIRED
        }
    }
}

/// The columns so far, and the path of the field that is being laid out.
#[derive(Default)]
pub(super) struct Layout {
    columns: Vec<Column>,
    path: Vec<String>,
}

impl Layout {
    pub(super) fn columns(self) -> Columns {
        Columns::new(self.columns)
    }

    /// Number of columns so far: the index of the next one.
    pub(super) fn next(&self) -> usize {
        self.columns.len()
    }

    /// All columns from `first` on, null because a node at this level is null.
    pub(super) fn nulls(&self, first: usize, definition: i16) -> Nulls {
        Nulls {
            columns: first..self.columns.len(),
            definition,
        }
    }

    /// Lays a field out, whose name stands in errors about it.
    pub(super) fn within<T>(&mut self, name: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let result = inner(self);
        self.path.pop();
        result
    }

    /// Dotted path of the field that is being laid out.
    pub(super) fn path(&self) -> String {
        self.path.join(".")
    }

    /// A schema that cannot be laid out, and where.
    pub(super) fn error(&self, problem: impl std::fmt::Display) -> RecordError {
        RecordError::schema(format!(
            "field '{}' has no place in Parquet: {problem}",
            self.path()
        ))
    }

    /// A column.
    pub(super) fn leaf(
        &mut self,
        name: &str,
        place: Place,
        physical: Physical,
        logical: Option<LogicalType>,
    ) -> Result<(TypePtr, usize), RecordError> {
        let index = self.columns.len();
        if index == MAX_COLUMNS {
            return Err(RecordError::schema(format!(
                "the schema has more than {MAX_COLUMNS} columns"
            )));
        }
        let kind = match physical {
            Physical::Boolean => PhysicalType::BOOLEAN,
            Physical::Int32 => PhysicalType::INT32,
            Physical::Int64 => PhysicalType::INT64,
            Physical::Float => PhysicalType::FLOAT,
            Physical::Double => PhysicalType::DOUBLE,
            Physical::Bytes => PhysicalType::BYTE_ARRAY,
            Physical::Fixed(_) => PhysicalType::FIXED_LEN_BYTE_ARRAY,
        };
        let mut builder =
            Type::primitive_type_builder(name, kind).with_repetition(place.repetition());
        if let Physical::Fixed(size) = physical {
            builder = builder.with_length(i32::try_from(size).map_err(|error| self.error(error))?);
        }
        if let Some(LogicalType::Decimal(decimal)) = &logical {
            builder = builder
                .with_precision(decimal.precision)
                .with_scale(decimal.scale);
        }
        let leaf = builder
            .with_logical_type(logical)
            .build()
            .map_err(|error| self.error(error))?;
        self.columns
            .push(Column::new(physical, place.definition, place.repetition));
        Ok((Arc::new(leaf), index))
    }

    /// A group of fields.
    pub(super) fn group(
        &self,
        name: &str,
        place: Place,
        fields: Vec<TypePtr>,
    ) -> Result<TypePtr, RecordError> {
        self.build(name, place.repetition(), None, fields)
    }

    /// A list in three levels (`list`, `element`) of elements.
    pub(super) fn list(
        &self,
        name: &str,
        place: Place,
        element: TypePtr,
    ) -> Result<TypePtr, RecordError> {
        let list = self.build("list", Repetition::REPEATED, None, vec![element])?;
        self.build(
            name,
            place.repetition(),
            Some(LogicalType::List),
            vec![list],
        )
    }

    /// A map (`key_value`, `key`, `value`).
    pub(super) fn map(
        &self,
        name: &str,
        place: Place,
        key: TypePtr,
        value: TypePtr,
    ) -> Result<TypePtr, RecordError> {
        let pairs = self.build("key_value", Repetition::REPEATED, None, vec![key, value])?;
        self.build(
            name,
            place.repetition(),
            Some(LogicalType::Map),
            vec![pairs],
        )
    }

    fn build(
        &self,
        name: &str,
        repetition: Repetition,
        logical: Option<LogicalType>,
        fields: Vec<TypePtr>,
    ) -> Result<TypePtr, RecordError> {
        Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_fields(fields)
            .build()
            .map(Arc::new)
            .map_err(|error| self.error(error))
    }
}
