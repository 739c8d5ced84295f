//! Makes the bucket that jobs write to, counts what they left there, and uploads the same bytes again in
//! the plainest way. Address and keys are in the variables of AWS's own tools.
#![allow(clippy::print_stdout)] // A command line program prints.

mod rows;
mod upload;

use std::error::Error;
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Method;

/// Works on a bucket.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    bucket: String,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Makes the bucket.
    Create,
    /// Counts the rows of the objects under a prefix; prints them and the objects' bytes.
    Rows(rows::Rows),
    /// Uploads the objects under a prefix once more; prints the milliseconds that it took.
    Upload(upload::Upload),
    /// Deletes all objects.
    Clear,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(&arguments.bucket)
        .with_allow_http(true)
        .build()?;
    match arguments.task {
        Task::Create => create(&store).await?,
        Task::Rows(rows) => {
            let (rows, bytes) = rows.run(&store).await?;
            println!("{rows} {bytes}");
        }
        Task::Upload(upload) => println!("{}", upload.run(&store).await?.as_millis()),
        Task::Clear => {
            for name in names(&store, None).await? {
                store.delete(&name).await?;
            }
        }
    }
    Ok(())
}

/// The store's client has no request for this: a signed one for the object without a name is it.
async fn create(store: &AmazonS3) -> Result<(), Box<dyn Error>> {
    let url = store
        .signed_url(Method::PUT, &Path::default(), Duration::from_secs(60))
        .await?;
    let answer = reqwest::Client::new().put(url).send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("the bucket was not made: {status} {}", answer.text().await?).into())
}

/// The names of all objects, or of those under a prefix, in their order.
async fn names(store: &AmazonS3, prefix: Option<&Path>) -> object_store::Result<Vec<Path>> {
    let objects = store.list(prefix).map_ok(|object| object.location);
    let mut names: Vec<_> = objects.try_collect().await?;
    names.sort_unstable();
    Ok(names)
}
