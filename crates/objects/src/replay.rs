//! What a partition's entry says against what is in the bucket.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use penstock_connect::Error;

use crate::bucket::Bucket;
use crate::entry::{Announced, Entry, PendingUpload};
use crate::naming::path_of;
use crate::upload::Session;

/// Requests at a time, over all partitions.
const AT_A_TIME: usize = 16;

/// Uploads of earlier tasks that are remembered. The store cleans up the others.
const LEFT: usize = 100;

/// What was found out about an entry.
pub(crate) struct Found {
    /// Names of announced files whose objects are there.
    pub(crate) there: HashSet<Arc<str>>,
    /// Uploads that could not be given up.
    pub(crate) left: Vec<PendingUpload>,
}

/// Gives up the uploads that were under way, then looks which of the announced objects are there: in
/// this order none can appear in between.
pub(crate) async fn look(bucket: &Bucket, entries: &[Entry]) -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = entries
        .iter()
        .map(|_| Found {
            there: HashSet::new(),
            left: Vec::new(),
        })
        .collect();
    let uploads = entries.iter().enumerate().flat_map(|(index, entry)| {
        let uploads = entry.uploads.iter().cloned();
        uploads.map(move |upload| (bucket.clone(), index, upload))
    });
    let mut left = futures::stream::iter(uploads.collect::<Vec<_>>())
        .map(give_up)
        .buffer_unordered(AT_A_TIME);
    while let Some(left) = left.next().await {
        if let Some((index, upload)) = left {
            let left = &mut found[index].left;
            if left.len() < LEFT {
                left.push(upload);
            } else {
                tracing::warn!(
                    "an unfinished upload of {} is not remembered any more, since {LEFT} others could not be given up \
                     either: let the store's rules remove unfinished uploads",
                    upload.name
                );
            }
        }
    }
    let announced = entries.iter().enumerate().flat_map(|(index, entry)| {
        let announced = entry.announced.iter().cloned();
        announced.map(move |file| (bucket.clone(), index, file))
    });
    let mut there = futures::stream::iter(announced.collect::<Vec<_>>())
        .map(find)
        .buffer_unordered(AT_A_TIME);
    while let Some((index, name)) = there.try_next().await? {
        found[index].there.extend(name);
    }
    Ok(found)
}

async fn find(
    (bucket, index, file): (Bucket, usize, Announced),
) -> Result<(usize, Option<Arc<str>>), Error> {
    let path = path(&file.name)?;
    bucket.0.unstage(&path).await?;
    let there = bucket.holds(&path, &file.contents).await?;
    Ok((index, there.then_some(file.name)))
}

/// Returns the upload if it could not be given up.
async fn give_up(
    (bucket, index, upload): (Bucket, usize, PendingUpload),
) -> Option<(usize, PendingUpload)> {
    let session = Session::Named(upload.id.clone());
    let given_up = match path(&upload.name) {
        Ok(path) => bucket.abort(&path, &session).await,
        Err(error) => Err(error),
    };
    given_up
        .inspect_err(|error| tracing::warn!("{error}; it is tried again when the task starts anew"))
        .is_err()
        .then_some((index, upload))
}

fn path(name: &str) -> Result<Path, Error> {
    path_of(name)
        .map_err(|error| Error::never(format!("the journal names an object {name}: {error}")))
}
