//! The folder or bucket that files are in, and which of them are new.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use penstock_connect::Error;
use penstock_objects::Store;

use crate::body::Compression;
use crate::config::{FileFormat, FileSourceConfig, FileSourceKeys};
use crate::done::{Done, Known, version};
use crate::place::FilePlace;
use crate::rows::RowFormat;

/// Files that are remembered of one listing; those with the first names. What else there is comes with
/// the next.
const LISTED: usize = 10_000;

/// Where files are.
pub(crate) struct Folder {
    store: Store,
    place: FilePlace,
    /// What stands before a path in the store to make a file's name.
    before: String,
    /// The place is one file.
    single: Option<Path>,
    /// What the place begins with, within the store.
    base: Option<Path>,
}

/// A file that was not read yet.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Its name, by which it is known.
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// What a listing found.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Files to read, in order, at most [`LISTED`].
    pub(crate) files: BTreeMap<String, Candidate>,
    /// How many there are altogether, and their bytes.
    pub(crate) count: usize,
    pub(crate) bytes: u64,
    /// The first of those that changed after they had been read, and how many they are.
    pub(crate) changed: Option<(String, u64)>,
}

impl Folder {
    pub(crate) async fn open(config: &FileSourceConfig) -> Result<Self, Error> {
        let place = config.keys.place().clone();
        match &place.bucket {
            None => Self::local(place, config.keys.poll_interval.is_some()).await,
            Some(bucket) => Self::remote(config.store.open(bucket)?, place).await,
        }
    }

    async fn remote(store: Store, place: FilePlace) -> Result<Self, Error> {
        let path =
            Path::parse(&place.base).map_err(|error| Error::never(format!("{place}: {error}")))?;
        let base = (!place.base.is_empty()).then_some(path);
        let mut single = None;
        if let (Some(base), None) = (&base, &place.pattern) {
            // An object of just that name, or else what lies below it.
            match store.objects().head(base).await {
                Ok(_) => single = Some(base.clone()),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(store.failure("cannot be read", error)),
            }
        }
        Ok(Self {
            before: format!("{}/", store.name()),
            store,
            single,
            base,
            place,
        })
    }

    async fn local(place: FilePlace, waits: bool) -> Result<Self, Error> {
        let base = if place.base.is_empty() {
            "."
        } else {
            &place.base
        };
        let metadata = tokio::fs::metadata(base).await.map_err(|error| {
            let message = format!("{place}: cannot read {base}");
            match waits || error.kind() != std::io::ErrorKind::NotFound {
                true => Error::reconnect(message),
                false => Error::never(message),
            }
            .with_source(error)
        })?;
        let (root, single) = match metadata.is_dir() {
            true => (base, None),
            false if place.pattern.is_some() => {
                return Err(Error::never(format!("{place}: {base} is no directory")));
            }
            false => match base.rsplit_once('/') {
                Some(("", name)) => ("/", Some(name)),
                Some((root, name)) => (root, Some(name)),
                None => (".", Some(base)),
            },
        };
        let unusable = |error: &dyn std::fmt::Display| {
            Error::never(format!("{place}: cannot read {root}: {error}"))
        };
        let single = single.map(Path::parse).transpose();
        let single = single.map_err(|error| unusable(&error))?;
        let store = LocalFileSystem::new_with_prefix(root).map_err(|error| unusable(&error))?;
        let before = match root {
            "." => String::new(),
            "/" => "/".to_owned(),
            root => format!("{root}/"),
        };
        Ok(Self {
            store: Store::whole(store, root),
            before,
            single,
            base: None,
            place,
        })
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where in the store a file of this name is.
    pub(crate) fn location(&self, name: &str) -> Result<Path, Error> {
        let below = name.strip_prefix(&self.before).ok_or_else(|| {
            Error::never(format!(
                "{name} was being read, and is not in {}: change the place back until it is done, or delete the stored \
                 position to begin anew",
                self.place
            ))
        })?;
        Path::parse(below).map_err(|error| Error::never(format!("{name} is no path: {error}")))
    }

    /// Looks for files that are not done.
    pub(crate) async fn list(&self, done: &mut Done) -> Result<Listing, Error> {
        let failed = |error| match error {
            // A listing that finds nothing is empty; it is the bucket that is not there.
            object_store::Error::NotFound { .. } if self.place.bucket.is_some() => {
                Error::never(format!(
                    "{} cannot be listed: there is no such bucket; make it, or correct its name",
                    self.store.name()
                ))
            }
            error => self.store.failure("cannot be listed", error),
        };
        let objects = self.store.objects();
        let mut listing = Listing::default();
        if let Some(single) = &self.single {
            match objects.head(single).await {
                Ok(meta) => self.look(&meta, done, &mut listing),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
            return Ok(listing);
        }
        // What lies before is done, whatever it is.
        let from = done
            .through()
            .and_then(|through| through.strip_prefix(&self.before))
            .and_then(|through| Path::parse(through).ok());
        let base = self.base.as_ref();
        let mut found = match from {
            Some(from) => objects.list_with_offset(base, &from),
            None => objects.list(base),
        };
        while let Some(meta) = found.try_next().await.map_err(failed)? {
            self.look(&meta, done, &mut listing);
        }
        Ok(listing)
    }

    fn look(&self, meta: &ObjectMeta, done: &mut Done, listing: &mut Listing) {
        let location = meta.location.as_ref();
        let below = match &self.base {
            None => location,
            Some(base) => match location.strip_prefix(base.as_ref()) {
                Some(below) => below.trim_start_matches('/'),
                None => return,
            },
        };
        if self.single.is_none() && !self.place.includes(below) {
            return;
        }
        // Consoles mark directories with empty objects.
        if meta.size == 0
            && !meta
                .location
                .filename()
                .is_some_and(|name| name.contains('.'))
        {
            return;
        }
        let name = format!("{}{location}", self.before);
        let version = version(meta);
        match done.look(&name, version) {
            Known::Done => {}
            Known::Changed => {
                // Said once, not with every listing.
                done.note(name.clone(), version);
                listing.changed.get_or_insert((name, 0)).1 += 1;
            }
            Known::New => {
                listing.count += 1;
                listing.bytes += meta.size;
                let size = meta.size;
                listing.files.insert(name.clone(), Candidate { name, size });
                if listing.files.len() > LISTED {
                    listing.files.pop_last();
                }
            }
        }
    }
}

/// How the rows of a file are told apart, and how it is compressed.
pub(crate) fn form(name: &str, config: &FileSourceKeys) -> Result<(RowFormat, Compression), Error> {
    let (compression, plain) = Compression::of(name);
    let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is = |known: &[&str]| known.iter().any(|known| ending.eq_ignore_ascii_case(known));
    let tabs = is(&["tsv", "tab"]);
    let is_csv = match config.format {
        FileFormat::Csv => true,
        FileFormat::JsonLines => false,
        FileFormat::Auto if tabs || is(&["csv"]) => true,
        FileFormat::Auto if is(&["jsonl", "ndjson", "json"]) => false,
        FileFormat::Auto => {
            return Err(Error::never(format!(
                "{name}: its ending does not say what it holds (.csv, .tsv, .jsonl, .ndjson, .json, and .gz or .zst \
                 after that): set format, or give a pattern that leaves it out"
            )));
        }
    };
    let comma = if tabs { b'\t' } else { b',' };
    let format = match is_csv {
        false => RowFormat::Lines,
        true => RowFormat::Csv {
            delimiter: config.delimiter.map_or(comma, |delimiter| delimiter.0),
            quote: config.quote.0,
        },
    };
    Ok((format, compression))
}
