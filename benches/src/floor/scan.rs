//! Finds the fields of a demo event. Written for that one shape: the least that any reader has to do.

use std::ops::Range;

use memchr::memchr;
use memchr::memmem::Finder;
use penstock_bench::FRAME;

/// Where a value stands in an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// What a new value replaces.
    pub(crate) whole: Range<usize>,
    /// The text in it.
    pub(crate) text: Range<usize>,
}

/// What is wanted of an event, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spots {
    /// The null in `strmMeta.keyLink`.
    pub(crate) key_link: Range<usize>,
    /// `uniqueIdentifier`, `consistentValue`, `someSensitiveValue`.
    pub(crate) fields: [Field; 3],
}

/// Which of the fields is the key field.
pub(crate) const KEY_FIELD: usize = 1;

/// Finders for the names that stand before the values.
pub(crate) struct Json {
    key_link: Finder<'static>,
    fields: [Finder<'static>; 3],
}

impl Json {
    pub(crate) fn new() -> Self {
        Self {
            key_link: Finder::new(r#""keyLink":null"#),
            fields: [
                Finder::new(r#""uniqueIdentifier":""#),
                Finder::new(r#""consistentValue":""#),
                Finder::new(r#""someSensitiveValue":""#),
            ],
        }
    }

    pub(crate) fn find(&self, event: &[u8]) -> Option<Spots> {
        let mut at = FRAME;
        let after = |finder: &Finder<'_>, at: usize| {
            Some(at + finder.find(event.get(at..)?)? + finder.needle().len())
        };
        at = after(&self.key_link, at)?;
        let key_link = at - 4..at;
        let mut fields: [Field; 3] = Default::default();
        for (field, finder) in fields.iter_mut().zip(&self.fields) {
            let start = after(finder, at)?;
            at = start + memchr(b'"', &event[start..])?;
            (field.whole, field.text) = (start..at, start..at);
        }
        Some(Spots { key_link, fields })
    }
}

/// Walks an Avro event by the demo schema.
pub(crate) fn find_avro(event: &[u8]) -> Option<Spots> {
    let mut at = FRAME;
    text(event, &mut at)?;
    for _ in 0..4 {
        // Nonce and timestamp, each behind its branch.
        long(event, &mut at)?;
    }
    let start = at;
    if long(event, &mut at)? != 0 {
        return None;
    }
    let key_link = start..at;
    optional_text(event, &mut at)?;
    loop {
        let items = long(event, &mut at)?;
        if items == 0 {
            break;
        }
        for _ in 0..items {
            long(event, &mut at)?;
        }
    }
    let unique = optional_text(event, &mut at)?;
    let consistent = text(event, &mut at)?;
    let sensitive = optional_text(event, &mut at)?;
    Some(Spots {
        key_link,
        fields: [unique, consistent, sensitive],
    })
}

fn long(event: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0u64;
    let mut shift = 0;
    loop {
        let byte = *event.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

fn text(event: &[u8], at: &mut usize) -> Option<Field> {
    let start = *at;
    let length = usize::try_from(long(event, at)?).ok()?;
    let text = *at..at.checked_add(length)?;
    *at = text.end;
    (text.end <= event.len()).then_some(Field {
        whole: start..text.end,
        text,
    })
}

fn optional_text(event: &[u8], at: &mut usize) -> Option<Field> {
    match long(event, at)? {
        1 => text(event, at),
        _ => None,
    }
}
