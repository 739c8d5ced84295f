//! Who writes: a service account's key, or what the machine has.

use std::path::PathBuf;

use penstock_connect::config::Secret;
use penstock_objects::store::GcsCredentials;

/// Without credentials Google is asked with what the machine has, and anything else, such as a server for
/// tests, without any.
pub(crate) fn credentials(
    path: Option<&PathBuf>,
    json: Option<&Secret>,
    machine: bool,
    endpoint: Option<&String>,
) -> GcsCredentials {
    match (path, json, endpoint) {
        (Some(path), ..) => GcsCredentials::File(path.clone()),
        (None, Some(json), _) => GcsCredentials::Json(json.clone()),
        (None, None, Some(_)) if !machine => GcsCredentials::Anonymous,
        _ => GcsCredentials::Environment,
    }
}
