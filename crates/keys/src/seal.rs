//! Sealed messages: what only holders of the key-encryption key may read, such as dead letters.
//!
//! ```text
//! sealed = "PSQ" · version u8 (1) · quarantine key's link 16 · nonce 12 · ciphertext · tag 16
//! ```
//!
//! AES-256-GCM-SIV (RFC 8452); all before the nonce is associated data.

use std::sync::Arc;

use crate::cipher::SealingKey;
use crate::error::KeyError;
use crate::link::KeyLink;
use crate::shared::Shared;

const MAGIC: [u8; 4] = *b"PSQ\x01";
const HEADER: usize = MAGIC.len() + KeyLink::BYTES;

/// The quarantine key.
pub(crate) struct Quarantine {
    header: [u8; HEADER],
    key: Arc<SealingKey>,
}

impl Quarantine {
    pub(crate) fn new(link: KeyLink, shared: &Shared) -> Result<Self, KeyError> {
        let view = shared.local.view()?;
        let key = shared.sealing_key(&view, link)?;
        let key = key.ok_or_else(|| {
            KeyError::corrupt(format!("key {link}"), "it is not the quarantine key")
        })?;
        Ok(Self::of(link, key))
    }

    fn of(link: KeyLink, key: Arc<SealingKey>) -> Self {
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header[MAGIC.len()..].copy_from_slice(&link.0);
        Self { header, key }
    }

    pub(crate) fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEADER + plaintext.len() + SealingKey::OVERHEAD);
        sealed.extend_from_slice(&self.header);
        self.key.seal(plaintext, &self.header, &mut sealed);
        sealed
    }

    pub(crate) fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let refuse = |reason: &str| Err(KeyError::corrupt("sealed message", reason));
        let Some((header, body)) = sealed.split_first_chunk::<HEADER>() else {
            return refuse("it is too short to be one");
        };
        if header[..MAGIC.len()] != MAGIC {
            return refuse("it does not begin as one");
        }
        if *header != self.header {
            return refuse("it was sealed with the quarantine key of another keys topic");
        }
        let mut plaintext = Vec::with_capacity(body.len());
        match self.key.open(body, header, &mut plaintext) {
            Ok(()) => Ok(plaintext),
            Err(_) => refuse("it was changed since it was sealed"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quarantine() -> Quarantine {
        Quarantine::of(KeyLink::random(), Arc::new(SealingKey::new(&[7; 32])))
    }

    #[test]
    fn sealed_messages_open_and_do_not_repeat() {
        let quarantine = quarantine();
        for message in [&b""[..], b"a dead letter"] {
            let sealed = quarantine.seal(message);
            assert_eq!(quarantine.unseal(&sealed).unwrap(), message);
            assert_ne!(quarantine.seal(message), sealed);
        }
    }

    #[test]
    fn whatever_was_changed_is_refused_with_its_reason() {
        let quarantine = quarantine();
        let sealed = quarantine.seal(b"a dead letter");
        let changed = |at: usize| {
            let mut sealed = sealed.clone();
            sealed[at] ^= 1;
            sealed
        };
        for (sealed, reason) in [
            (sealed[..10].to_vec(), "too short"),
            (changed(0), "does not begin as one"),
            (changed(5), "another keys topic"),
            (changed(HEADER), "was changed"),
            (changed(sealed.len() - 1), "was changed"),
        ] {
            let error = quarantine.unseal(&sealed).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
