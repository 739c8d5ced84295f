//! The store that files are in: how to reach it, with the keys that the sinks for stores have.

use penstock_connect::{Error, config};
use penstock_objects::Store;
use penstock_objects::vocabulary::AccessKeys;

use crate::place::Bucket;

config! {
    /// How to reach the store that files are in.
    #[check(check)]
    pub struct StoreKeys {
        /// Whether the bucket is public, and read without credentials.
        "anonymous" => anonymous: bool = "false";
        flatten access: AccessKeys,
    }
}

fn check(config: &StoreKeys) -> Vec<(&'static str, String)> {
    config.access.check()
}

impl StoreKeys {
    /// A client for the bucket. Nothing is sent yet.
    pub(crate) fn open(&self, bucket: &Bucket) -> Result<Store, Error> {
        self.access
            .open(bucket.scheme, bucket.name.clone(), self.anonymous)
    }

    /// What is missing, or means nothing, for files in this bucket (`None`: on this machine).
    pub(crate) fn check_for(&self, bucket: Option<&Bucket>) -> Vec<(&'static str, String)> {
        let scheme = bucket.map(|bucket| bucket.scheme);
        self.access.check_for(scheme, "files on this machine")
    }
}
