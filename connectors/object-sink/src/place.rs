//! Where files go, as a URL, and who may write there.

use penstock_connect::{ConfigValue, Error, config};
use penstock_objects::Store;
use penstock_objects::vocabulary::{AccessKeys, Scheme};

/// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///directory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    /// `None`: a directory.
    scheme: Option<Scheme>,
    /// The bucket, or the directory.
    place: String,
    /// What names begin with: empty, or ending in a slash.
    prefix: String,
}

/// What the URL of a directory begins with.
const DIRECTORY: &str = "file://";

impl ConfigValue for StoreUrl {
    const KIND: &'static str = "`s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///directory`";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or \
                 file:///directory, not {text:?}"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        if scheme == "file" {
            return match rest.strip_prefix('/') {
                Some(path) if !path.is_empty() => Ok(Self {
                    scheme: None,
                    place: rest.to_owned(),
                    prefix: String::new(),
                }),
                _ => Err(expected()),
            };
        }
        let scheme = Scheme::named(scheme).ok_or_else(expected)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(expected());
        }
        let prefix = prefix.trim_end_matches('/');
        penstock_objects::layout::check_prefix(prefix)?;
        Ok(Self {
            scheme: Some(scheme),
            place: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        })
    }
}

config! {
    /// Where files go.
    #[check(check)]
    pub struct PlaceKeys {
        /// Where files go: a bucket with a prefix, or a directory.
        "url" => url: StoreUrl;
        flatten access: AccessKeys,
    }
}

fn check(config: &PlaceKeys) -> Vec<(&'static str, String)> {
    let mut problems = config.access.check_for(config.url.scheme, DIRECTORY);
    problems.extend(config.access.check());
    problems
}

impl PlaceKeys {
    /// What names begin with: empty, or ending in a slash.
    pub fn prefix(&self) -> &str {
        &self.url.prefix
    }

    /// A client for the store. Nothing is sent yet.
    pub fn store(&self) -> Result<Store, Error> {
        let place = &self.url.place;
        match self.url.scheme {
            Some(scheme) => self.access.open(scheme, place.clone(), false),
            None => Store::directory(place.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_name_a_store_a_place_and_a_prefix() {
        for (text, scheme, place, prefix) in [
            ("s3://lake", "s3", "lake", ""),
            ("s3://lake/", "s3", "lake", ""),
            ("s3a://lake/events/raw/", "s3", "lake", "events/raw/"),
            ("gs://lake/events", "gs", "lake", "events/"),
            ("az://container/events", "az", "container", "events/"),
            ("file:///var/lake", "file", "/var/lake", ""),
        ] {
            let url = StoreUrl::parse(text).unwrap();
            let found = url.scheme.map_or(DIRECTORY, Scheme::url);
            assert_eq!(
                (
                    found.trim_end_matches("://"),
                    url.place.as_str(),
                    url.prefix.as_str()
                ),
                (scheme, place, prefix),
                "{text}"
            );
        }
        for text in [
            "lake",
            "s3://",
            "s3:///x",
            "http://host/x",
            "file://",
            "file:///",
            "file://rel",
        ] {
            assert_eq!(
                StoreUrl::parse(text).unwrap_err(),
                format!(
                    "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or \
                     file:///directory, not {text:?}"
                )
            );
        }
        assert_eq!(
            StoreUrl::parse("s3://lake/a/../b").unwrap_err(),
            "has the part \"..\", which would lead to another directory"
        );
    }
}
