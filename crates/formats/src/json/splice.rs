//! Commas: members that go take one with them, members that come bring one.

use crate::edit::{Edit, EditKind, Edits};

/// Turns removals and insertions, in a sorted list of edits, into replacements with the commas right.
/// Neighbours that go together share the commas between them.
pub(crate) fn settle_commas(json: &[u8], edits: &mut Edits<'_>) {
    let (list, bytes) = edits.parts();
    if list.iter().all(|edit| edit.kind == EditKind::Replace) {
        return;
    }
    let mut settled: Vec<Edit> = Vec::with_capacity(list.len());
    let mut rest = list.drain(..).peekable();
    while let Some(edit) = rest.next() {
        if edit.kind == EditKind::Replace {
            settled.push(edit);
            continue;
        }
        let mut group = Group::new(edit, bytes);
        while let Some(next) = rest.next_if(|next| group.takes(json, next)) {
            group.add(next, bytes);
        }
        settled.push(group.settle(json, bytes));
    }
    drop(rest);
    *list = settled;
}

/// Removals with nothing but commas between them, and the insertions right behind.
struct Group {
    edit: Edit,
    removes: bool,
    inserts: bool,
}

impl Group {
    /// What the group puts in goes behind all new bytes.
    fn new(first: Edit, bytes: &mut Vec<u8>) -> Self {
        let empty = Edit {
            new: bytes.len()..bytes.len(),
            kind: EditKind::Replace,
            ..first.clone()
        };
        let mut group = Self {
            edit: empty,
            removes: false,
            inserts: false,
        };
        group.add(first, bytes);
        group
    }

    fn takes(&self, json: &[u8], next: &Edit) -> bool {
        if next.kind == EditKind::Replace || self.inserts && next.kind == EditKind::Remove {
            return false;
        }
        let between = json
            .get(self.edit.range.end..next.range.start)
            .unwrap_or_default();
        between
            .iter()
            .all(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t'))
            && (next.kind == EditKind::Remove || self.inserts || self.removes)
    }

    fn add(&mut self, next: Edit, bytes: &mut Vec<u8>) {
        self.edit.range.end = next.range.end;
        match next.kind {
            EditKind::Insert => {
                if self.inserts {
                    bytes.push(b',');
                }
                self.inserts = true;
                bytes.extend_from_within(next.new);
                self.edit.new.end = bytes.len();
            }
            _ => self.removes = true,
        }
    }

    fn settle(mut self, json: &[u8], bytes: &mut Vec<u8>) -> Edit {
        let range = &mut self.edit.range;
        let before = json[..range.start].trim_ascii_end();
        let after = json[range.end..].trim_ascii_start();
        let (left, right) = (before.last(), after.first());
        if self.inserts {
            // An insertion stands before the closing brace: a comma parts it from what is left of it.
            if !matches!(left, Some(b'{' | b',')) {
                bytes.insert(self.edit.new.start, b',');
                self.edit.new.end += 1;
            }
        } else if right == Some(&b',') {
            range.end = json.len() - after.len() + 1;
        } else if left == Some(&b',') {
            range.start = before.len() - 1;
        }
        self.edit
    }
}
