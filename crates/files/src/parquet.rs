//! Parquet files: each payload's wire bytes are walked once and taken apart into columns.
//!
//! # Columns
//!
//! The columns of a file follow from its first record. With the content `Value` they are the fields of
//! the value, or one column `value` where the value has no fields; of an envelope they are its members.
//!
//! Avro, as parquet-avro maps it, with lists in three levels (`list.element`):
//!
//! | Avro | Parquet |
//! |---|---|
//! | `boolean`, `int`, `long`, `float`, `double` | BOOLEAN, INT32, INT64, FLOAT, DOUBLE |
//! | `string` (`uuid` too), `enum` | BYTE_ARRAY, STRING |
//! | `bytes`, `fixed` (`duration` too) | BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY |
//! | `uuid` on `fixed` or `bytes` | FIXED_LEN_BYTE_ARRAY(16), UUID |
//! | `decimal` on `bytes`, on `fixed` | BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY, DECIMAL |
//! | `date`, `time-millis`, `time-micros` | INT32 DATE, INT32 and INT64 TIME |
//! | `timestamp-*`, `local-timestamp-*` | INT64 TIMESTAMP, adjusted to UTC and not |
//! | `record`, `array`, `map` | group, LIST, MAP |
//! | union of null and one other | optional |
//! | any other union | group of optional `member0`, `member1`, …, of which one is there |
//!
//! Fields of type `null` have no column. A record that contains itself, and a list or map of nothing
//! but nulls, have no place in Parquet: records of such a schema are rejected.
//!
//! JSON Schema: properties are columns, required ones not null (STRING, `integer` INT64, `number`
//! DOUBLE, BOOLEAN, LIST, group). What may have several types, has none, or is an object open to any
//! name (`additionalProperties` other than false, `patternProperties`, no `properties`) is JSON text
//! (BYTE_ARRAY, JSON). A member that the schema does not declare has no column: the record is rejected,
//! so that nothing is lost in silence.
//!
//! JSON without a schema is JSON text, text is STRING, bytes are BYTE_ARRAY. An envelope's `offset` is
//! INT64, its `timestamp` TIMESTAMP(MILLIS, UTC), its `headers` a LIST of `key` (STRING) and `value`
//! (BYTE_ARRAY).
//!
//! # Memory
//!
//! Rows gather in plain vectors until they take [`row_group_bytes`](FileSpec::row_group_bytes), or until
//! [`shrink`](FileWriter::shrink); then a row group is encoded, compressed and ready to drain. What stays
//! is its footer entry. A file of few rows therefore costs little more than its rows.

mod avro;
mod column;
mod decimal;
mod json;
mod output;
mod plan;
mod row;

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use penstock_connect::{Error, Record, RecordError};

use self::column::Columns;
use self::output::Output;
use self::row::Rows;
use crate::{FileSpec, FileWriter};

/// Begins a Parquet file for records like this one.
pub(crate) fn begin(spec: &FileSpec, first: &Record) -> Result<Box<dyn FileWriter>, RecordError> {
    let (rows, schema, columns) = Rows::lay_out(&spec.content, first)?;
    Ok(Box::new(ParquetFile {
        output: Output::new(schema, columns.count(), spec.compression),
        rows,
        columns,
        row_group_bytes: spec.row_group_bytes,
        failure: None,
    }))
}

struct ParquetFile {
    rows: Rows,
    columns: Columns,
    output: Output,
    row_group_bytes: usize,
    /// Why a row group could not be closed.
    failure: Option<ParquetError>,
}

impl ParquetFile {
    fn close_row_group(&mut self) {
        if self.columns.rows() > 0
            && let Err(error) = self.output.close_row_group(&mut self.columns)
        {
            self.failure.get_or_insert(error);
        }
    }

    fn outcome(&mut self) -> Result<(), Error> {
        match self.failure.take() {
            None => Ok(()),
            Some(error) => Err(failed(error)),
        }
    }

    /// What Avro's own readers of Parquet take for the schema of their records.
    fn metadata(&self) -> Vec<KeyValue> {
        let Some(schema) = self.rows.avro_schema() else {
            return Vec::new();
        };
        let text = if schema.references().is_empty() {
            Some(schema.text().to_owned())
        } else {
            schema
                .avro_schema()
                .and_then(|schema| serde_json::to_string(schema).ok())
        };
        vec![
            KeyValue::new("parquet.avro.schema".to_owned(), text),
            KeyValue::new("writer.model.name".to_owned(), "avro".to_owned()),
        ]
    }
}

fn failed(error: ParquetError) -> Error {
    Error::never("a Parquet file cannot be written").with_source(error)
}

impl FileWriter for ParquetFile {
    fn push(&mut self, record: &Record) -> Result<(), RecordError> {
        self.rows
            .push(record, &mut self.columns)
            .inspect_err(|_| self.columns.roll_back())?;
        self.columns.commit();
        if self.columns.buffered() >= self.row_group_bytes {
            self.close_row_group();
        }
        Ok(())
    }

    fn held(&self) -> usize {
        size_of::<Self>() + self.columns.held() + self.output.held()
    }

    fn length(&self) -> u64 {
        self.columns.length()
    }

    fn ready(&self) -> usize {
        self.output.ready()
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        self.output.drain(out);
    }

    fn shrink(&mut self) -> Result<(), Error> {
        // A row group of fewer bytes would leave more behind than it gives back.
        if self.columns.buffered() > self.output.row_group() {
            self.close_row_group();
        }
        self.outcome()
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.close_row_group();
        self.outcome()?;
        self.output.finish(self.metadata()).map_err(failed)?;
        self.output.drain(out);
        Ok(())
    }
}
