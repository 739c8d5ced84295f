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
    committed: usize,
    length: u64,
}

impl Columns {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: 0,
            buffered: 0,
            committed: 0,
            length: 0,
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
        self.buffered += match (&mut column.values, value) {
            (Values::Boolean(values), Value::Boolean(value)) => {
                values.push(value);
                1
            }
            (Values::Int32(values), Value::Int32(value)) => {
                values.push(value);
                4
            }
            (Values::Int64(values), Value::Int64(value)) => {
                values.push(value);
                8
            }
            (Values::Float(values), Value::Float(value)) => {
                values.push(value);
                4
            }
            (Values::Double(values), Value::Double(value)) => {
                values.push(value);
                8
            }
            (Values::Bytes { data, lengths, .. }, Value::Bytes(value)) => {
                data.extend_from_slice(value);
                // No record is as long as 4 GiB.
                lengths.push(value.len() as u32);
                value.len() + size_of::<u32>()
            }
            (Values::Fixed { data, size }, Value::Bytes(value)) => {
                debug_assert_eq!(value.len(), *size);
                data.extend_from_slice(value);
                value.len()
            }
            _ => unreachable!("the walk and the columns come from one plan"),
        };
    }

    /// Appends a null to each of the columns.
    pub(super) fn push_nulls(&mut self, nulls: &Nulls, repetition: i16) {
        for column in &mut self.columns[nulls.columns.clone()] {
            self.buffered += column.levels(nulls.definition, repetition);
        }
    }

    /// Ends a row.
    pub(super) fn commit(&mut self) {
        for column in &mut self.columns {
            self.length += column.commit() as u64;
        }
        self.rows += 1;
        self.committed = self.buffered;
    }

    /// Forgets what was appended since the last row ended.
    pub(super) fn roll_back(&mut self) {
        self.columns.iter_mut().for_each(Column::roll_back);
        self.buffered = self.committed;
    }

    /// Rows in this row group.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of values and levels in this row group.
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Bytes of all values so far, those of closed row groups included: as the plain encoding has them,
    /// but one byte for a text that comes again, as a dictionary has it. Compression is not foreseen.
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
            write(column.take())?;
        }
        self.rows = 0;
        self.buffered = 0;
        self.committed = 0;
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
    Bytes {
        data: Vec<u8>,
        lengths: Vec<u32>,
        recent: Recent,
    },
    Fixed {
        data: Vec<u8>,
        size: usize,
    },
}

/// Marks of values that a column had lately, to tell whether a dictionary will hold them.
struct Recent([u16; 64]);

impl Default for Recent {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Recent {
    /// Whether the value (or, once in thousands, another one) was there lately; it is from now on.
    fn has(&mut self, value: &[u8]) -> bool {
        let hash = crc32fast::hash(value);
        let mark = (hash >> 16) as u16 | 1;
        std::mem::replace(&mut self.0[hash as usize % 64], mark) == mark
    }
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
                recent: Recent::default(),
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

    /// What the column holds; it is empty then, and still knows its recent values.
    fn take(&mut self) -> Self {
        let empty = Self::new(self.physical(), self.max_definition, self.max_repetition);
        let mut full = std::mem::replace(self, empty);
        if let (Values::Bytes { recent, .. }, Values::Bytes { recent: known, .. }) =
            (&mut self.values, &mut full.values)
        {
            *recent = std::mem::take(known);
        }
        full
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

    /// Makes what was appended part of the file; its length, as [`Columns::length`] counts it.
    fn commit(&mut self) -> usize {
        let before = self.committed;
        let (values, bytes, length) = match &mut self.values {
            Values::Boolean(values) => (values.len(), 0, values.len() - before.values),
            Values::Int32(values) => (values.len(), 0, (values.len() - before.values) * 4),
            Values::Int64(values) => (values.len(), 0, (values.len() - before.values) * 8),
            Values::Float(values) => (values.len(), 0, (values.len() - before.values) * 4),
            Values::Double(values) => (values.len(), 0, (values.len() - before.values) * 8),
            Values::Bytes {
                data,
                lengths,
                recent,
            } => {
                let mut length = 0;
                let mut start = before.bytes;
                for bytes in &lengths[before.values..] {
                    let end = start + *bytes as usize;
                    length += if recent.has(&data[start..end]) {
                        1
                    } else {
                        end - start + size_of::<u32>()
                    };
                    start = end;
                }
                (lengths.len(), data.len(), length)
            }
            Values::Fixed { data, .. } => (0, data.len(), data.len() - before.bytes),
        };
        self.committed = Lengths {
            // A repeated column has definition levels as well.
            levels: self.definitions.len(),
            values,
            bytes,
        };
        length
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
            Values::Bytes { data, lengths, .. } => {
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
            Values::Bytes { data, lengths, .. } => {
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
            Values::Bytes { data, lengths, .. } => {
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
