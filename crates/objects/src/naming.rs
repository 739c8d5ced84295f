//! What a record's file is called, and names that no store would take.

use std::sync::Arc;

use object_store::path::Path;
use penstock_connect::{Record, RecordError};

use crate::{NamedBy, Plan};

/// Ends the path within a key; what follows is the group of schemas.
const END: char = '\0';

/// The longest name that S3, GCS and Azure take, in bytes.
const LONGEST: usize = 1024;

/// Puts what a record's file has in common with others into `key`, and returns the record's event time.
pub(crate) fn key_of(
    plan: &Plan,
    record: &Record,
    key: &mut String,
) -> Result<Option<i64>, RecordError> {
    key.clear();
    let event_time = plan.layout.path(record, key)?;
    if key.contains(END) {
        return Err(RecordError::field(
            "a name of a file cannot be made of a value that has a NUL in it",
        ));
    }
    key.push(END);
    plan.files.group(record, key);
    Ok(event_time)
}

/// The name of a file that begins.
pub(crate) fn name_of(
    plan: &Plan,
    key: &str,
    stamp: &str,
    file: NamedBy<'_>,
) -> Result<Arc<str>, RecordError> {
    let path = key.split(END).next().unwrap_or_default();
    let name = plan.layout.name(path, stamp, file);
    if !name.starts_with(&plan.prefix) {
        return Err(RecordError::field(format!(
            "the name of the record's file would not begin with {:?}",
            plan.prefix
        )));
    }
    if name.len() > LONGEST {
        return Err(RecordError::field(format!(
            "the name of the record's file would have {} bytes, and stores take {LONGEST}",
            name.len()
        )));
    }
    Ok(name.into())
}

/// The name as stores take it.
pub(crate) fn path_of(name: &str) -> Result<Path, RecordError> {
    let path = Path::parse(name).ok().filter(|path| path.as_ref() == name);
    path.ok_or_else(|| {
        RecordError::field(
            "the name of the record's file would have an empty part, a part that is . or .., or a slash at its end",
        )
    })
}
