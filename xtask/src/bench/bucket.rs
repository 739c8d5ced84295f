//! The bucket that exports write to: what they leave there, beside a plain upload of the same bytes.

use std::fmt;
use std::path::Path;
use std::process::Command;

use super::estate::{output, program, seconds};
use super::figures::median;
use super::jobs::Files;
use crate::services::Minio;
use crate::{Error, Result};

/// The bucket's name.
pub(super) const NAME: &str = "lake";

/// Bytes of a part, as the worker cuts them unless told otherwise.
const PART: &str = "5242880";

/// MinIO with one bucket.
pub(super) struct Bucket {
    minio: Minio,
}

/// What an export has brought to the bucket, or the median of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Transfer {
    /// Megabytes (10⁶) of all objects.
    pub(super) megabytes: f64,
    /// Seconds from the first record that the worker read until the last one was durable.
    pub(super) export: f64,
    /// Seconds that a plain upload of the same objects takes.
    pub(super) upload: f64,
}

impl Transfer {
    /// The median of each figure.
    pub(super) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Self {
            megabytes: of(|run| run.megabytes),
            export: of(|run| run.export),
            upload: of(|run| run.upload),
        }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MB in {:.2} s, plainly in {:.2} s",
            self.megabytes, self.export, self.upload
        )
    }
}

impl Bucket {
    /// Starts the store and makes the bucket.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let bucket = Self {
            minio: Minio::start(dir)?,
        };
        bucket.run(&["create"])?;
        Ok(bucket)
    }

    /// By these variables clients find the store.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.minio.url()),
            ("AWS_REGION", Minio::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", Minio::ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Minio::SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    /// Checks that the objects under a prefix hold every event, uploads them once more in the plainest way,
    /// and empties the bucket.
    pub(super) fn measure(
        &self,
        prefix: &str,
        files: Files,
        events: usize,
        export: f64,
    ) -> Result<Transfer> {
        let counted = self.run(&["rows", "--prefix", prefix, "--format", files.name()])?;
        let (rows, bytes) = counts(&counted)
            .ok_or_else(|| Error::Other(format!("the rows cannot be counted: {counted:?}")))?;
        if rows != events {
            return Err(Error::Other(format!(
                "{prefix} has {rows} rows in the bucket instead of {events}"
            )));
        }
        let upload = self.run(&["upload", "--prefix", prefix, "--part", PART])?;
        self.run(&["clear"])?;
        Ok(Transfer {
            megabytes: bytes / 1e6,
            export,
            upload: seconds(&upload)?,
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program("bucket"));
        command
            .args(["--bucket", NAME])
            .args(arguments)
            .envs(self.environment());
        output("the look at the bucket", command)
    }
}

/// Rows and bytes.
fn counts(printed: &str) -> Option<(usize, f64)> {
    let (rows, bytes) = printed.trim().split_once(' ')?;
    Some((rows.parse().ok()?, bytes.parse().ok()?))
}
