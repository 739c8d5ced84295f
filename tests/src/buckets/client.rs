//! What the client library of somebody else does with the objects of any store.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Object;

pub(super) async fn list(client: &impl ObjectStore, prefix: &str) -> Vec<Object> {
    // The client's own prefixes end with whole segments.
    let all: Vec<_> = client
        .list(None)
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    all.into_iter()
        .map(|object| Object {
            name: object.location.into(),
            bytes: object.size,
        })
        .filter(|object| object.name.starts_with(prefix))
        .collect()
}

pub(super) async fn get(client: &impl ObjectStore, name: &str) -> Bytes {
    let object = client
        .get(&path(name))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    object.bytes().await.expect("the object arrives whole")
}

pub(super) async fn put(client: &impl ObjectStore, name: &str, bytes: Bytes) {
    client
        .put(&path(name), bytes.into())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The name as it is: `Path::from` would write some characters as their percent codes.
fn path(name: &str) -> Path {
    Path::parse(name).unwrap_or_else(|error| panic!("{error}"))
}
