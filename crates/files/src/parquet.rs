//! Parquet files.

use penstock_connect::{Record, RecordError};

use crate::{FileSpec, FileWriter};

/// Begins a Parquet file for records like this one.
pub(crate) fn begin(spec: &FileSpec, first: &Record) -> Result<Box<dyn FileWriter>, RecordError> {
    let _ = (spec, first);
    Err(RecordError::malformed("no writer of Parquet yet"))
}
