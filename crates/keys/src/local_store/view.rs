//! Lookups in the local copy as of one moment.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::entries::decode_entries;
use super::{Bytes16, LocalStore, RECORDS, SCOPES, Stored, VOIDS};
use crate::error::KeyError;
use crate::fold::Entry;
use crate::link::KeyLink;
use crate::mac::Digest;

/// The local copy at one moment.
pub(crate) struct View<'s> {
    store: &'s LocalStore,
    read: ReadTransaction,
    // Opened once: that takes longer than a lookup.
    scopes: ReadOnlyTable<Bytes16, &'static [u8]>,
    records: ReadOnlyTable<Bytes16, (i64, &'static [u8])>,
}

impl<'s> View<'s> {
    pub(super) fn new(store: &'s LocalStore, read: ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            store,
            scopes: read.open_table(SCOPES)?,
            records: read.open_table(RECORDS)?,
            read,
        })
    }

    /// The live records of a scope, by offset.
    pub(crate) fn live(&self, scope: &Digest) -> Result<Vec<Entry>, KeyError> {
        self.store.run(|| {
            Ok(self
                .scopes
                .get(scope)?
                .map_or_else(Vec::new, |bytes| decode_entries(bytes.value())))
        })
    }

    /// The live record with this link.
    pub(crate) fn record(&self, link: KeyLink) -> Result<Option<Stored>, KeyError> {
        self.store.run(|| {
            Ok(self.records.get(&link.0)?.map(|record| {
                let (appended, value) = record.value();
                Stored {
                    appended,
                    value: value.to_vec(),
                }
            }))
        })
    }

    /// Candidates that landed void before `before` (broker's clock), at most `limit`.
    pub(crate) fn voids(&self, before: i64, limit: usize) -> Result<Vec<KeyLink>, KeyError> {
        self.store.run(|| {
            let mut voids = Vec::new();
            for entry in self.read.open_table(VOIDS)?.iter()? {
                let (link, appended) = entry?;
                if appended.value() < before && voids.len() < limit {
                    voids.push(KeyLink(*link.value()));
                }
            }
            Ok(voids)
        })
    }

    /// Goes through all live records, until `each` returns false.
    pub(crate) fn each_record(
        &self,
        mut each: impl FnMut(KeyLink, i64, &[u8]) -> bool,
    ) -> Result<(), KeyError> {
        self.store.run(|| {
            for entry in self.records.iter()? {
                let (link, record) = entry?;
                let (appended, value) = record.value();
                if !each(KeyLink(*link.value()), appended, value) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Goes through all scopes and their live records, until `each` returns false.
    pub(crate) fn each_scope(
        &self,
        mut each: impl FnMut(&Digest, &[Entry]) -> bool,
    ) -> Result<(), KeyError> {
        self.store.run(|| {
            for entry in self.scopes.iter()? {
                let (scope, bytes) = entry?;
                if !each(scope.value(), &decode_entries(bytes.value())) {
                    break;
                }
            }
            Ok(())
        })
    }
}
