//! Finds the wanted fields of a JSON text in one scan.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::scan::{RawStr, Scanner};
use super::text;
use crate::error::FormatError;
use crate::found::{Form, Found, JsonShape, Slot};
use crate::names::Names;
use crate::trie::{self, Trie, TrieId};

/// Containers within containers that a walk goes down into when nobody set a limit.
const MAX_DEPTH: usize = 512;

/// Finds fields. What no path wants is skipped with its brackets matched; all of the text is passed,
/// since a name may come again.
pub(crate) fn find(trie: &Trie, json: &[u8], found: &mut Found) -> Result<(), FormatError> {
    walk::<false>(trie, json, found, MAX_DEPTH)
}

/// Finds fields and checks every byte of the text.
pub(crate) fn find_checked(
    trie: &Trie,
    json: &[u8],
    found: &mut Found,
    depth: usize,
) -> Result<(), FormatError> {
    if let Err(error) = std::str::from_utf8(json) {
        return Err(FormatError::json(error.valid_up_to(), "not UTF-8"));
    }
    walk::<true>(trie, json, found, depth.min(MAX_DEPTH))
}

fn walk<const CHECK: bool>(
    trie: &Trie,
    json: &[u8],
    found: &mut Found,
    depth: usize,
) -> Result<(), FormatError> {
    let mut walk = Walk::<CHECK> {
        trie,
        scanner: Scanner::new(json),
        found,
        depth_left: depth,
    };
    walk.scanner.skip_space();
    walk.value(Some(trie::ROOT), 0)?;
    walk.scanner.end()
}

struct Walk<'a, 'f, const CHECK: bool> {
    trie: &'f Trie,
    scanner: Scanner<'a>,
    found: &'f mut Found,
    depth_left: usize,
}

impl<'a, const CHECK: bool> Walk<'a, '_, CHECK> {
    /// Passes a value. `wanted`: its place among the paths; `member`: where its name begins, or it
    /// itself in an array.
    fn value(&mut self, wanted: Option<TrieId>, member: usize) -> Result<(), FormatError> {
        let wanted = wanted.filter(|id| {
            let node = self.trie.node(*id);
            !node.paths.is_empty() || !node.children.is_empty()
        });
        if !CHECK && wanted.is_none() {
            self.scanner.skip_value()?;
            return Ok(());
        }
        match self.scanner.peek() {
            Some(b'[') => self.array(wanted),
            Some(b'{') => {
                let first = self.begin_slots(wanted, member, JsonShape::Object);
                self.object(wanted)?;
                self.end_slots(wanted, first);
                Ok(())
            }
            Some(b'"') => {
                let first = self.begin_slots(wanted, member, JsonShape::Str);
                self.string()?;
                self.end_slots(wanted, first);
                Ok(())
            }
            other => {
                let shape = match other {
                    Some(b'n') => JsonShape::Null,
                    Some(b't' | b'f') => JsonShape::Bool,
                    _ => JsonShape::Number,
                };
                let first = self.begin_slots(wanted, member, shape);
                self.scanner.skip_scalar()?;
                self.end_slots(wanted, first);
                Ok(())
            }
        }
    }

    fn string(&mut self) -> Result<RawStr<'a>, FormatError> {
        let start = self.scanner.pos();
        let raw = self.scanner.string()?;
        if CHECK {
            text::check_string(raw, start + 1)?;
        }
        Ok(raw)
    }

    fn begin_slots(&mut self, wanted: Option<TrieId>, member: usize, shape: JsonShape) -> usize {
        let first = self.found.slots.len();
        if let Some(id) = wanted {
            let start = self.scanner.pos();
            for path in &self.trie.node(id).paths {
                self.found.slots.push(Slot {
                    path: *path,
                    start: start as u32,
                    value: member as u32,
                    end: start as u32,
                    block: 0,
                    form: Form::Json(shape),
                });
            }
        }
        first
    }

    fn end_slots(&mut self, wanted: Option<TrieId>, first: usize) {
        if let Some(id) = wanted {
            let end = self.scanner.pos() as u32;
            let count = self.trie.node(id).paths.len();
            for slot in &mut self.found.slots[first..first + count] {
                slot.end = end;
            }
        }
    }

    fn enter(&mut self) -> Result<(), FormatError> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                self.scanner.advance();
                self.scanner.skip_space();
                Ok(())
            }
            None => Err(self.scanner.error("nested too deeply")),
        }
    }

    /// After an item: `true` if another follows, `false` if the closing bracket came.
    fn more(&mut self, close: u8) -> Result<bool, FormatError> {
        self.scanner.skip_space();
        match self.scanner.peek() {
            Some(b',') => {
                self.scanner.advance();
                self.scanner.skip_space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.scanner.advance();
                self.depth_left += 1;
                Ok(false)
            }
            _ => Err(self
                .scanner
                .error(format!("',' or '{}' expected", char::from(close)))),
        }
    }

    fn empty(&mut self, close: u8) -> bool {
        let empty = self.scanner.peek() == Some(close);
        if empty {
            self.scanner.advance();
            self.depth_left += 1;
        }
        empty
    }

    fn array(&mut self, wanted: Option<TrieId>) -> Result<(), FormatError> {
        self.enter()?;
        if self.empty(b']') {
            return Ok(());
        }
        loop {
            self.value(wanted, self.scanner.pos())?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    fn object(&mut self, wanted: Option<TrieId>) -> Result<(), FormatError> {
        self.enter()?;
        let trie = self.trie;
        let children = wanted.map_or(&[][..], |id| &trie.node(id).children);
        let mut seen: SmallVec<[bool; 16]> = SmallVec::from_elem(false, children.len());
        if !self.empty(b'}') {
            let mut names = CHECK.then(Names::default);
            loop {
                let member = self.scanner.pos();
                let raw = self.string()?;
                if let Some(names) = &mut names
                    && !names.insert(unescaped(raw))
                {
                    return Err(FormatError::json(
                        member,
                        "a name that the object has already",
                    ));
                }
                self.scanner.colon()?;
                let child = match position(children, raw) {
                    Ok(child) => child,
                    Err(problem) => return Err(FormatError::json(member, problem)),
                };
                if let Some(child) = child {
                    seen[child] = true;
                }
                self.value(child.map(|child| children[child].1), member)?;
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        let end = (self.scanner.pos() - 1) as u32;
        for ((_, child), seen) in children.iter().zip(seen) {
            if seen {
                continue;
            }
            for path in &trie.node(*child).paths {
                self.found.slots.push(Slot {
                    path: *path,
                    start: end,
                    value: end,
                    end,
                    block: 0,
                    form: Form::Json(JsonShape::Absent),
                });
            }
        }
        Ok(())
    }
}

fn unescaped(name: RawStr<'_>) -> Cow<'_, [u8]> {
    if name.escaped {
        Cow::Owned(text::unescaped(name).into_owned().into_bytes())
    } else {
        Cow::Borrowed(name.inside)
    }
}

/// The wanted child of that name. A name that cannot be read could be any: that is an error.
fn position(
    children: &[(Box<str>, TrieId)],
    name: RawStr<'_>,
) -> Result<Option<usize>, &'static str> {
    if children.is_empty() {
        return Ok(None);
    }
    if !name.escaped {
        return Ok(children
            .iter()
            .position(|(child, _)| child.as_bytes() == name.inside));
    }
    let name = text::unescape(name).ok_or("a malformed escape in a name")?;
    Ok(children.iter().position(|(child, _)| **child == *name))
}
