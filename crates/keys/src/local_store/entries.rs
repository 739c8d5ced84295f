//! The stored form of a scope's live records: link 16, kind u8, offset i64, stamp i64, window i64, little
//! endian; one after the other by offset.

use crate::fold::{Entry, EntryKind};
use crate::link::KeyLink;

const ENTRY_BYTES: usize = 41;

pub(super) fn encode_entries(live: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(live.len() * ENTRY_BYTES);
    for entry in live {
        bytes.extend_from_slice(&entry.link.0);
        bytes.push(u8::from(entry.kind == EntryKind::Barrier));
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.appended.to_le_bytes());
        bytes.extend_from_slice(&entry.window.to_le_bytes());
    }
    bytes
}

pub(super) fn decode_entries(bytes: &[u8]) -> Vec<Entry> {
    let integer = |bytes: &[u8]| {
        let mut array = [0; 8];
        array.copy_from_slice(bytes);
        i64::from_le_bytes(array)
    };
    let entry = |bytes: &[u8]| {
        let mut link = [0; 16];
        link.copy_from_slice(&bytes[..16]);
        Entry {
            link: KeyLink(link),
            kind: if bytes[16] == 0 {
                EntryKind::Candidate
            } else {
                EntryKind::Barrier
            },
            offset: integer(&bytes[17..25]),
            appended: integer(&bytes[25..33]),
            window: integer(&bytes[33..41]),
        }
    };
    bytes.chunks_exact(ENTRY_BYTES).map(entry).collect()
}
