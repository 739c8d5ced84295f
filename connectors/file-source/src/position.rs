//! The durable position: which files are done, and where in which one to go on.

use penstock_connect::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::done::Done;

/// As it is stored: `{"done_through": name, "done": base64, "file": {…}}`.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored<'p> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done_through: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    done: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<std::borrow::Cow<'p, FilePosition>>,
}

/// Where the source is within a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilePosition {
    /// Name of the file.
    pub(crate) name: String,
    /// Its size when it was first read, compressed if it is.
    pub(crate) size: u64,
    /// Its tag when it was first read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// Rows that are done, rejected ones included.
    pub(crate) rows: u64,
    /// Where the next row begins, in uncompressed bytes.
    pub(crate) offset: u64,
    /// Line ends before that.
    pub(crate) lines: u64,
    /// Rows of them that were rejected.
    #[serde(default)]
    pub(crate) rejected: u64,
}

/// Where the source is.
#[derive(Debug, Default)]
pub(crate) struct Position {
    pub(crate) done: Done,
    /// The file that is being read.
    pub(crate) file: Option<FilePosition>,
}

impl Position {
    pub(crate) fn load(stored: Option<Value>) -> Result<Self, Error> {
        let Some(stored) = stored else {
            return Ok(Self::default());
        };
        let unusable = |why: &str| {
            Error::never(format!(
                "the stored position cannot be used ({why}); delete it to begin anew"
            ))
        };
        let stored: Stored<'_> =
            serde_json::from_value(stored).map_err(|error| unusable(&error.to_string()))?;
        let done = Done::load(stored.done_through, &stored.done)
            .ok_or_else(|| unusable("done is not base64 of digests"))?;
        Ok(Self {
            done,
            file: stored.file.map(std::borrow::Cow::into_owned),
        })
    }
}

/// The position as it is stored.
pub(crate) fn store(done: &Done, file: Option<&FilePosition>) -> Value {
    let stored = Stored {
        done_through: done.through().map(str::to_owned),
        done: done.store(),
        file: file.map(std::borrow::Cow::Borrowed),
    };
    // A struct of strings and numbers is always a JSON object.
    serde_json::to_value(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::done::Known;
    use serde_json::json;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let mut done = Done::default();
        done.insert("in/a.csv".to_owned(), 1, None);
        let file = FilePosition {
            name: "in/b.csv".to_owned(),
            size: 100,
            etag: Some("x".to_owned()),
            rows: 3,
            offset: 40,
            lines: 4,
            rejected: 1,
        };
        let mut loaded = Position::load(Some(store(&done, Some(&file)))).unwrap();
        assert_eq!(loaded.file, Some(file));
        assert_eq!(loaded.done.look("in/a.csv", 1), Known::Done);
        assert_eq!(store(&Done::default(), None), json!({}));
    }

    #[test]
    fn a_position_of_another_shape_is_refused() {
        for stored in [
            json!({"last_event_id": "3"}),
            json!("a"),
            json!({"done": "?"}),
        ] {
            let error = Position::load(Some(stored)).unwrap_err();
            assert!(
                error
                    .message
                    .starts_with("the stored position cannot be used ("),
                "{error}"
            );
        }
    }
}
