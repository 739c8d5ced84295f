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

fn path(key: &str) -> &str {
    key.split(END).next().unwrap_or_default()
}

/// Which of the files of one name a record's file is, when several records were made of one and have
/// the same path, but other schemas. `earlier` are the records that came before it in its batch; those
/// of one offset come together, so that a replay counts the same.
pub(crate) fn namesake(plan: &Plan, earlier: &[Record], record: &Record, key: &str) -> usize {
    let origin = record.origin();
    let of_one = |other: &Record| {
        let other = other.origin();
        other.offset == origin.offset && other.partition == origin.partition
    };
    let since = earlier.iter().rposition(|other| !of_one(other));
    let mut keys: Vec<String> = Vec::new();
    for other in &earlier[since.map_or(0, |last| last + 1)..] {
        let mut other_key = String::new();
        if key_of(plan, other, &mut other_key).is_ok()
            && path(&other_key) == path(key)
            && !keys.contains(&other_key)
        {
            keys.push(other_key);
        }
    }
    let known = keys.iter().position(|known| known == key);
    known.unwrap_or(keys.len())
}

/// The name of a file that begins; `namesake` tells it from others that would have the same.
pub(crate) fn name_of(
    plan: &Plan,
    key: &str,
    stamp: &str,
    file: NamedBy<'_>,
    namesake: usize,
) -> Result<Arc<str>, RecordError> {
    let mut name = plan.layout.name(path(key), stamp, file);
    if namesake > 0 {
        let end = without_extension(&name, &plan.files.extension());
        name.insert_str(end, &format!("+{namesake}"));
    }
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
    let part = name.split('/').map(str::len).max().unwrap_or_default();
    let longest = plan.store.longest_part();
    if part > longest {
        return Err(RecordError::field(format!(
            "a part of the name of the record's file would have {part} bytes, and a directory takes {longest}"
        )));
    }
    Ok(name.into())
}

/// Where a name's extension begins: that of its format, or what a pattern gave it.
fn without_extension(name: &str, extension: &str) -> usize {
    match name.strip_suffix(extension) {
        Some(base) => base.len(),
        None => {
            let file = name.rfind('/').map_or(0, |slash| slash + 1);
            name[file..].rfind('.').map_or(name.len(), |dot| file + dot)
        }
    }
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
