//! Folding one record into the tables of the local copy.

use penstock_broker::Message;
use redb::{ReadableTable, Table};

use super::entries::{decode_entries, encode_entries};
use super::{Bytes16, Folded};
use crate::fold::{self, Change, Entry, EntryKind, Standing};
use crate::link::KeyLink;
use crate::mac::Digest;
use crate::record::Value;

/// The tables that records are folded into, within one write.
pub(super) struct Tables<'t> {
    pub(super) scopes: Table<'t, Bytes16, &'static [u8]>,
    pub(super) records: Table<'t, Bytes16, (i64, &'static [u8])>,
    pub(super) voids: Table<'t, Bytes16, i64>,
}

impl Tables<'_> {
    /// A candidate or a barrier.
    pub(super) fn put(
        &mut self,
        link: KeyLink,
        message: &Message,
        value: &Value<'_>,
        bytes: &[u8],
        folded: &mut Folded,
    ) -> Result<(), redb::Error> {
        let Some(scope) = value.scope() else {
            return Ok(());
        };
        let kind = match value {
            Value::Barrier { .. } => EntryKind::Barrier,
            _ => EntryKind::Candidate,
        };
        let entry = Entry {
            link,
            kind,
            offset: message.offset,
            appended: message.timestamp,
            window: value.window(),
        };
        let mut live = self.live(&scope)?;
        if kind == EntryKind::Barrier {
            folded.retired.extend(live.iter().map(|entry| entry.link));
        }
        fold::apply(&mut live, Change::Put(entry));
        self.scopes
            .insert(&scope, encode_entries(&live).as_slice())?;
        self.records.insert(&link.0, (message.timestamp, bytes))?;
        if fold::standings(&live).last() == Some(&Standing::Void) {
            self.voids.insert(&link.0, message.timestamp)?;
        } else {
            self.voids.remove(&link.0)?;
        }
        Ok(())
    }

    /// A tombstone.
    pub(super) fn remove(&mut self, link: KeyLink, folded: &mut Folded) -> Result<(), redb::Error> {
        let scope = match self.records.remove(&link.0)? {
            Some(record) => Value::decode(record.value().1)
                .ok()
                .and_then(|value| value.scope()),
            // Compaction was faster than this reader, or it is the second tombstone.
            None => return Ok(()),
        };
        let Some(scope) = scope else { return Ok(()) };
        folded.removed.push(link);
        if self.voids.remove(&link.0)?.is_none() {
            folded.retired.push(link);
        }
        let mut live = self.live(&scope)?;
        fold::apply(&mut live, Change::Remove(link));
        if live.is_empty() {
            self.scopes.remove(&scope)?;
        } else {
            self.scopes
                .insert(&scope, encode_entries(&live).as_slice())?;
        }
        Ok(())
    }

    fn live(&self, scope: &Digest) -> Result<Vec<Entry>, redb::Error> {
        Ok(self
            .scopes
            .get(scope)?
            .map_or_else(Vec::new, |bytes| decode_entries(bytes.value())))
    }
}
