//! Counts the rows that a job has left in the bucket.

use std::error::Error;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use memchr::memchr_iter;
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::names;

#[derive(Args)]
pub(crate) struct Rows {
    #[arg(long)]
    prefix: Path,
    /// What the objects are.
    #[arg(long)]
    format: Format,
}

/// What an object is.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Parquet,
}

impl Rows {
    /// Reads all objects; returns their rows and their bytes.
    pub(crate) async fn run(self, store: &AmazonS3) -> Result<(usize, usize), Box<dyn Error>> {
        let (mut rows, mut bytes) = (0, 0);
        for name in names(store, Some(&self.prefix)).await? {
            let object = store.get(&name).await?.bytes().await?;
            bytes += object.len();
            rows += self.format.rows(object)?;
        }
        Ok((rows, bytes))
    }
}

impl Format {
    fn rows(self, object: Bytes) -> Result<usize, Box<dyn Error>> {
        match self {
            Self::Jsonl => Ok(memchr_iter(b'\n', &object).count()),
            Self::Parquet => {
                let reader = SerializedFileReader::new(object)?;
                let mut rows = 0;
                for row in reader.get_row_iter(None)? {
                    row?;
                    rows += 1;
                }
                Ok(rows)
            }
        }
    }
}
