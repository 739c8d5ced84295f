//! Key links: UUIDs that name keys.
//!
//! A link looks like any random UUID (version 4). 90 of its bits are random; the last 32 are an HMAC of
//! the others, so that a store recognises the links it has issued: such a link without a key was erased,
//! even when compaction has removed every trace of it, and any other was never a key here.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A key link, in 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyLink(pub(crate) [u8; 16]);

impl KeyLink {
    pub(crate) const BYTES: usize = 16;

    /// A random link without a check.
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// A random link whose last bytes are what `check` makes of the others.
    pub(crate) fn checked(check: impl FnOnce(&[u8]) -> [u8; 4]) -> Self {
        let mut link = Self::random();
        let (random, checked) = link.0.split_at_mut(12);
        checked.copy_from_slice(&check(random));
        link
    }

    /// Whether [`checked`](Self::checked) may have made it.
    pub(crate) fn passes(&self, check: impl FnOnce(&[u8]) -> [u8; 4]) -> bool {
        self.0[12..] == check(&self.0[..12])
    }
}

impl FromStr for KeyLink {
    type Err = ();

    /// Reads the hyphenated form.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 36 {
            return Err(());
        }
        Uuid::try_parse(text)
            .map(|uuid| Self(uuid.into_bytes()))
            .map_err(|_| ())
    }
}

impl fmt::Display for KeyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl fmt::Debug for KeyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::StoreMac;

    #[test]
    fn a_store_recognises_its_own_links() {
        let (own, other) = (StoreMac::new(&[1; 32]), StoreMac::new(&[2; 32]));
        let link = KeyLink::checked(|random| own.link_check(random));
        assert!(link.passes(|random| own.link_check(random)));
        assert!(!link.passes(|random| other.link_check(random)));
        assert_eq!(link.to_string().parse(), Ok(link));
        assert_eq!(Uuid::from_bytes(link.0).get_version_num(), 4);
    }

    #[test]
    fn only_hyphenated_uuids_are_links() {
        let link = KeyLink::random().to_string();
        for text in [
            "",
            "marker",
            &link.replace('-', ""),
            &format!("{{{link}}}"),
            &format!("urn:uuid:{link}"),
        ] {
            assert_eq!(text.parse::<KeyLink>(), Err(()), "{text}");
        }
    }
}
