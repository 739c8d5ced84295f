//! Values and levels of a row group, column by column, until it is closed.
//!
//! A column holds plain vectors, not a column writer, which costs tens of kilobytes before its first
//! value. Byte arrays lie behind one another in one buffer.

use std::ops::Range;

use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type,
};
use ::parquet::errors::Result;
use ::parquet::file::writer::SerializedColumnWriter;
use bytes::Bytes;

/// Byte arrays that are handed to a column writer at once.
const BATCH: usize = 1024;

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    Bytes,
    Fixed(usize),
}

/// One value on its way into a column.
pub(super) enum Value<'a> {
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float(f32),
    Double(f64),
    /// A byte array, or one of fixed length.
    Bytes(&'a [u8]),
}

/// Columns that are null together, and the level down to which something is there.
#[derive(Clone, Debug)]
pub(super) struct Nulls {
    pub(super) columns: Range<usize>,
    pub(super) definition: i16,
}

/// The columns of a file.
pub(super) struct Columns {
    columns: Box<[Column]>,
    /// Rows that have ended, in this row group.
    rows: usize,
    buffered: usize,
    length: u64,
    committed: (usize, u64),
}

impl Columns {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: 0,
            buffered: 0,
            length: 0,
            committed: (0, 0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.columns.len()
    }

    /// Appends a value, which has all that may be missing above it.
    pub(super) fn push(&mut self, column: usize, repetition: i16, value: Value<'_>) {
        let column = &mut self.columns[column];
        let definition = column.max_definition;
        self.buffered += column.levels(definition, repetition);
        let (buffered, length) = match (&mut column.values, value) {
            (Values::Boolean(values), Value::Boolean(value)) => {
                values.push(value);
                (1, 1)
            }
            (Values::Int32(values), Value::Int32(value)) => {
                values.push(value);
                (4, 4)
            }
            (Values::Int64(values), Value::Int64(value)) => {
                values.push(value);
                (8, 8)
            }
            (Values::Float(values), Value::Float(value)) => {
                values.push(value);
                (4, 4)
            }
            (Values::Double(values), Value::Double(value)) => {
                values.push(value);
                (8, 8)
            }
            (Values::Bytes { data, lengths }, Value::Bytes(value)) => {
                data.extend_from_slice(value);
                // No record is as long as 4 GiB.
                lengths.push(value.len() as u32);
                (value.len() + 4, value.len() + 4)
            }
            (Values::Fixed { data, size }, Value::Bytes(value)) => {
                debug_assert_eq!(value.len(), *size);
                data.extend_from_slice(value);
                (value.len(), value.len())
            }
            _ => unreachable!("the walk and the columns come from one plan"),
        };
        self.buffered += buffered;
        self.length += length as u64;
    }

    /// Appends a null to each of the columns.
    pub(super) fn push_nulls(&mut self, nulls: &Nulls, repetition: i16) {
        for column in &mut self.columns[nulls.columns.clone()] {
            self.buffered += column.levels(nulls.definition, repetition);
        }
    }

    /// Ends a row.
    pub(super) fn commit(&mut self) {
        self.columns.iter_mut().for_each(Column::commit);
        self.rows += 1;
        self.committed = (self.buffered, self.length);
    }

    /// Forgets what was appended since the last row ended.
    pub(super) fn roll_back(&mut self) {
        self.columns.iter_mut().for_each(Column::roll_back);
        (self.buffered, self.length) = self.committed;
    }

    /// Rows in this row group.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of values and levels in this row group.
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Bytes of all values so far, those of closed row groups included, as the plain encoding has them.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes allocated.
    pub(super) fn held(&self) -> usize {
        self.columns.iter().map(Column::held).sum()
    }

    /// Empties the columns for the next row group. Each is handed to `write`, and its memory given back
    /// before the next one.
    pub(super) fn take(&mut self, mut write: impl FnMut(Column) -> Result<()>) -> Result<()> {
        for column in &mut self.columns {
            let empty = column.empty();
            write(std::mem::replace(column, empty))?;
        }
        self.rows = 0;
        self.buffered = 0;
        self.committed = (0, self.length);
        Ok(())
    }
}

/// One column.
pub(super) struct Column {
    max_definition: i16,
    max_repetition: i16,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Values,
    committed: Lengths,
}

enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes { data: Vec<u8>, lengths: Vec<u32> },
    Fixed { data: Vec<u8>, size: usize },
}

/// How much of a column belongs to rows that have ended.
#[derive(Clone, Copy, Default)]
struct Lengths {
    levels: usize,
    values: usize,
    bytes: usize,
}

impl Column {
    pub(super) fn new(physical: Physical, max_definition: i16, max_repetition: i16) -> Self {
        let values = match physical {
            Physical::Boolean => Values::Boolean(Vec::new()),
            Physical::Int32 => Values::Int32(Vec::new()),
            Physical::Int64 => Values::Int64(Vec::new()),
            Physical::Float => Values::Float(Vec::new()),
            Physical::Double => Values::Double(Vec::new()),
            Physical::Bytes => Values::Bytes {
                data: Vec::new(),
                lengths: Vec::new(),
            },
            Physical::Fixed(size) => Values::Fixed {
                data: Vec::new(),
                size,
            },
        };
        Self {
            max_definition,
            max_repetition,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            values,
            committed: Lengths::default(),
        }
    }

    fn empty(&self) -> Self {
        Self::new(self.physical(), self.max_definition, self.max_repetition)
    }

    fn physical(&self) -> Physical {
        match &self.values {
            Values::Boolean(_) => Physical::Boolean,
            Values::Int32(_) => Physical::Int32,
            Values::Int64(_) => Physical::Int64,
            Values::Float(_) => Physical::Float,
            Values::Double(_) => Physical::Double,
            Values::Bytes { .. } => Physical::Bytes,
            Values::Fixed { size, .. } => Physical::Fixed(*size),
        }
    }

    /// Appends levels; the bytes that they take.
    #[inline]
    fn levels(&mut self, definition: i16, repetition: i16) -> usize {
        let mut bytes = 0;
        if self.max_definition > 0 {
            self.definitions.push(definition);
            bytes += size_of::<i16>();
        }
        if self.max_repetition > 0 {
            self.repetitions.push(repetition);
            bytes += size_of::<i16>();
        }
        bytes
    }

    fn commit(&mut self) {
        let (values, bytes) = match &self.values {
            Values::Boolean(values) => (values.len(), 0),
            Values::Int32(values) => (values.len(), 0),
            Values::Int64(values) => (values.len(), 0),
            Values::Float(values) => (values.len(), 0),
            Values::Double(values) => (values.len(), 0),
            Values::Bytes { data, lengths } => (lengths.len(), data.len()),
            Values::Fixed { data, .. } => (0, data.len()),
        };
        self.committed = Lengths {
            // A repeated column has definition levels as well.
            levels: self.definitions.len(),
            values,
            bytes,
        };
    }

    fn roll_back(&mut self) {
        let Lengths {
            levels,
            values: count,
            bytes,
        } = self.committed;
        self.definitions.truncate(levels);
        self.repetitions.truncate(levels);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(count),
            Values::Int32(values) => values.truncate(count),
            Values::Int64(values) => values.truncate(count),
            Values::Float(values) => values.truncate(count),
            Values::Double(values) => values.truncate(count),
            Values::Bytes { data, lengths } => {
                data.truncate(bytes);
                lengths.truncate(count);
            }
            Values::Fixed { data, .. } => data.truncate(bytes),
        }
    }

    fn held(&self) -> usize {
        let values = match &self.values {
            Values::Boolean(values) => values.capacity(),
            Values::Int32(values) => values.capacity() * size_of::<i32>(),
            Values::Int64(values) => values.capacity() * size_of::<i64>(),
            Values::Float(values) => values.capacity() * size_of::<f32>(),
            Values::Double(values) => values.capacity() * size_of::<f64>(),
            Values::Bytes { data, lengths } => {
                data.capacity() + lengths.capacity() * size_of::<u32>()
            }
            Values::Fixed { data, .. } => data.capacity(),
        };
        let levels = self.definitions.capacity() + self.repetitions.capacity();
        size_of::<Self>() + values + levels * size_of::<i16>()
    }

    /// Writes the column's chunk of a row group.
    pub(super) fn write(self, writer: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let Self {
            definitions,
            repetitions,
            max_definition,
            max_repetition,
            values,
            ..
        } = self;
        let levels = Levels {
            max_definition,
            definitions: (max_definition > 0).then_some(&definitions),
            repetitions: (max_repetition > 0).then_some(&repetitions),
        };
        let (def, rep) = (
            levels.definitions.map(Vec::as_slice),
            levels.repetitions.map(Vec::as_slice),
        );
        match values {
            Values::Boolean(values) => writer
                .typed::<BoolType>()
                .write_batch(&values, def, rep)
                .map(drop),
            Values::Int32(values) => writer
                .typed::<Int32Type>()
                .write_batch(&values, def, rep)
                .map(drop),
            Values::Int64(values) => writer
                .typed::<Int64Type>()
                .write_batch(&values, def, rep)
                .map(drop),
            Values::Float(values) => writer
                .typed::<FloatType>()
                .write_batch(&values, def, rep)
                .map(drop),
            Values::Double(values) => writer
                .typed::<DoubleType>()
                .write_batch(&values, def, rep)
                .map(drop),
            Values::Bytes { data, lengths } => {
                let writer = writer.typed::<ByteArrayType>();
                let mut slices = Slices {
                    data: data.into(),
                    start: 0,
                };
                let mut batch: Vec<ByteArray> = Vec::with_capacity(BATCH.min(lengths.len()));
                levels.batches(lengths.len(), |values, def, rep| {
                    batch.clear();
                    batch.extend(
                        lengths[values]
                            .iter()
                            .map(|length| ByteArray::from(slices.next(*length as usize))),
                    );
                    writer.write_batch(&batch, def, rep).map(drop)
                })
            }
            Values::Fixed { data, size } => {
                let writer = writer.typed::<FixedLenByteArrayType>();
                let count = data.len().checked_div(size).unwrap_or_default();
                let mut slices = Slices {
                    data: data.into(),
                    start: 0,
                };
                let mut batch: Vec<FixedLenByteArray> = Vec::with_capacity(BATCH.min(count));
                levels.batches(count, |values, def, rep| {
                    batch.clear();
                    batch.extend(values.map(|_| ByteArray::from(slices.next(size)).into()));
                    writer.write_batch(&batch, def, rep).map(drop)
                })
            }
        }
    }
}

/// Byte arrays out of one buffer, one behind the other.
struct Slices {
    data: Bytes,
    start: usize,
}

impl Slices {
    fn next(&mut self, length: usize) -> Bytes {
        let end = self.start + length;
        let slice = self.data.slice(self.start..end);
        self.start = end;
        slice
    }
}

struct Levels<'a> {
    max_definition: i16,
    definitions: Option<&'a Vec<i16>>,
    repetitions: Option<&'a Vec<i16>>,
}

impl Levels<'_> {
    /// Calls `write` with ranges of values and their levels, each of whole rows.
    fn batches(
        &self,
        values: usize,
        mut write: impl FnMut(Range<usize>, Option<&[i16]>, Option<&[i16]>) -> Result<()>,
    ) -> Result<()> {
        let entries = self.definitions.map_or(values, Vec::len);
        let (mut entry, mut value) = (0, 0);
        while entry < entries {
            let mut end = entries.min(entry + BATCH);
            if let Some(repetitions) = self.repetitions {
                while end < entries && repetitions[end] != 0 {
                    end += 1;
                }
            }
            let definitions = self.definitions.map(|levels| &levels[entry..end]);
            let present = definitions.map_or(end - entry, |levels| {
                levels
                    .iter()
                    .filter(|level| **level == self.max_definition)
                    .count()
            });
            write(
                value..value + present,
                definitions,
                self.repetitions.map(|levels| &levels[entry..end]),
            )?;
            entry = end;
            value += present;
        }
        Ok(())
    }
}
