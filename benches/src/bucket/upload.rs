//! What a plain upload in parts takes: the same objects, their bytes ready in memory.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};

use crate::names;

/// Parts under way at a time: what the library's own buffered writer takes.
const AT_A_TIME: usize = 8;

#[derive(Args)]
pub(crate) struct Upload {
    /// Of the objects; it stands behind `again/` in the new ones.
    #[arg(long)]
    prefix: Path,
    /// Bytes of a part.
    #[arg(long)]
    part: usize,
}

impl Upload {
    /// Uploads one object after the other; returns how long that took.
    pub(crate) async fn run(self, store: &AmazonS3) -> Result<Duration, Box<dyn Error>> {
        let mut objects = Vec::new();
        for name in names(store, Some(&self.prefix)).await? {
            let bytes = store.get(&name).await?.bytes().await?;
            objects.push((Path::parse(format!("again/{name}"))?, bytes));
        }
        let start = Instant::now();
        for (name, mut left) in objects {
            let upload = store.put_multipart(&name).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, self.part);
            while !left.is_empty() {
                upload.wait_for_capacity(AT_A_TIME).await?;
                upload.put(left.split_to(self.part.min(left.len())));
            }
            upload.finish().await?;
        }
        Ok(start.elapsed())
    }
}
