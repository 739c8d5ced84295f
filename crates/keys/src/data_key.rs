//! A data key, unwrapped and ready: what encrypts and decrypts the fields of events.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cipher::{FieldCipher, PREFIX_BYTES, SHORTEST, TINK_VERSION};
use crate::error::DecryptError;
use crate::link::KeyLink;

/// The key of one value of a stream's key field, for one window of time. Shared by reference; all
/// methods may be called from many threads. They append to buffers of the caller and allocate nothing
/// else.
pub struct DataKey {
    pub(crate) link: KeyLink,
    text: Box<str>,
    stream: Arc<str>,
    created: i64,
    window: i64,
    placement: u64,
    cipher: FieldCipher,
}

impl DataKey {
    pub(crate) fn new(
        link: KeyLink,
        stream: Arc<str>,
        created: i64,
        window: i64,
        placement: u64,
        cipher: FieldCipher,
    ) -> Self {
        Self {
            link,
            text: link.to_string().into(),
            stream,
            created,
            window,
            placement,
            cipher,
        }
    }

    /// The key's name (`keyLink`): a UUID that says nothing of the person.
    pub fn link(&self) -> &str {
        &self.text
    }

    /// The stream that the key belongs to.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// When the keys topic's broker stored it: milliseconds since the epoch by the broker's clock.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// From when on another key takes its place: milliseconds since the epoch by the broker's clock.
    /// The key goes on decrypting.
    pub fn expires(&self) -> i64 {
        self.created.saturating_add(self.window)
    }

    /// [`KeyStore::placement_hash`](crate::KeyStore::placement_hash) of its stream and value.
    pub fn placement(&self) -> u64 {
        self.placement
    }

    /// Appends the ciphertext of `plaintext` to `out`. Equal plaintexts give equal ciphertexts.
    pub fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        self.cipher.encrypt(plaintext, out);
    }

    /// Appends the ciphertext as base64 (standard alphabet, padded).
    #[allow(
        clippy::expect_used,
        reason = "the buffer has the length of the encoding"
    )]
    pub fn encrypt_base64(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        let length = plaintext.len() + self.cipher.overhead();
        let encoded = length.div_ceil(3) * 4;
        let start = out.len();
        // The ciphertext lies behind its encoding for as long as that takes.
        out.resize(start + encoded + length, 0);
        let (text, ciphertext) = out[start..].split_at_mut(encoded);
        self.cipher.encrypt_into(plaintext, ciphertext);
        STANDARD
            .encode_slice(&*ciphertext, text)
            .expect("the buffer has the length of the encoding");
        out.truncate(start + encoded);
    }

    /// Whether a text [looks like a ciphertext](is_ciphertext) and names this key. That it is one only
    /// decrypting it can tell.
    pub fn has_encrypted(&self, text: &str) -> bool {
        is_ciphertext(text) && prefix(text.as_bytes()) == Some(*self.cipher.prefix())
    }

    /// Appends the plaintext of `ciphertext` to `out`; leaves `out` as it was if that fails.
    pub fn decrypt(&self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), DecryptError> {
        self.cipher.decrypt(ciphertext, out)
    }

    /// Appends the plaintext of a ciphertext in base64; leaves `out` as it was if that fails.
    pub fn decrypt_base64(&self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), DecryptError> {
        let start = out.len();
        let room = base64::decoded_len_estimate(ciphertext.len());
        // Decoded behind the place of the plaintext, which is shorter.
        out.resize(start + room, 0);
        let Ok(length) = STANDARD.decode_slice(ciphertext, &mut out[start..]) else {
            out.truncate(start);
            return Err(DecryptError);
        };
        out.truncate(start + length);
        let opened = self.cipher.decrypt_at(start, out);
        if opened.is_err() {
            out.truncate(start);
        }
        opened
    }
}

/// Whether a text looks like the ciphertext of some key: base64, as long as one is at least, and with
/// Tink's version byte in front. Decodes no more than the beginning.
pub fn is_ciphertext(text: &str) -> bool {
    let text = text.as_bytes();
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=');
    let body = &text[..text.len() - padding.count()];
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'+' | b'/');
    text.len().is_multiple_of(4)
        && text.len() >= SHORTEST.div_ceil(3) * 4
        && prefix(text).is_some_and(|prefix| prefix[0] == TINK_VERSION)
        // All of them, so that many are looked at in one step.
        && body.iter().fold(true, |all, byte| all & in_alphabet(byte))
}

/// What the ciphertext in a base64 text begins with.
fn prefix(text: &[u8]) -> Option<[u8; PREFIX_BYTES]> {
    let mut decoded = [0; 6];
    STANDARD.decode_slice(text.get(..8)?, &mut decoded).ok()?;
    decoded.first_chunk().copied()
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey")
            .field("link", &self.text)
            .field("stream", &self.stream)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// What there is to a key link.
#[derive(Clone, Debug)]
pub enum KeyLookup {
    /// The key.
    Usable(Arc<DataKey>),
    /// The key was erased, or its retention is over: nobody can decrypt what it encrypted.
    Erased,
    /// No key of this store ever had that link.
    Unknown,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::cipher::CipherKind;
    use crate::keyset::Keyset;

    fn key(kind: CipherKind) -> DataKey {
        DataKey::new(
            KeyLink::random(),
            "demo".into(),
            100,
            50,
            7,
            Keyset::generate(kind).cipher(),
        )
    }

    proptest! {
        #[test]
        fn base64_is_that_of_the_ciphertext(plaintext in proptest::collection::vec(any::<u8>(), 0..80)) {
            for kind in [CipherKind::Aes256Siv, CipherKind::Aes256GcmSiv] {
                let key = key(kind);
                let (mut ciphertext, mut text, mut back) = (Vec::new(), b"x".to_vec(), b"y".to_vec());
                key.encrypt(&plaintext, &mut ciphertext);
                key.encrypt_base64(&plaintext, &mut text);
                prop_assert_eq!(&text[..1], b"x");
                let encoded = STANDARD.encode(&ciphertext);
                prop_assert_eq!(&text[1..], encoded.as_bytes());
                key.decrypt_base64(&text[1..], &mut back).unwrap();
                prop_assert_eq!(&back[..1], b"y");
                prop_assert_eq!(&back[1..], &plaintext[..]);
            }
        }
    }

    #[test]
    fn a_ciphertext_looks_like_one_and_names_its_key() {
        for kind in [CipherKind::Aes256Siv, CipherKind::Aes256GcmSiv] {
            let (own, other) = (key(kind), key(kind));
            for length in 0..9 {
                let mut text = Vec::new();
                own.encrypt_base64(&b"ada@example.org"[..length], &mut text);
                let text = std::str::from_utf8(&text).unwrap();
                assert!(is_ciphertext(text), "{text}");
                assert!(own.has_encrypted(text), "{text}");
                assert!(!other.has_encrypted(text), "{text}");
            }
        }
    }

    #[test]
    fn other_texts_do_not() {
        for text in [
            "",
            "AQ==",
            "ada@example.org",
            // Base64, and as long as a ciphertext, but of another version.
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "/////////////////////////////w==",
            // Version byte, too short.
            "AQAAAAAAAAAAAAAAAAAAAAAA",
            // No base64 behind the beginning.
            "Abernathy-Featherstonehaugh, Mrs",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAA=AAA",
            "AQAAAAAAAAAAAAAAAAAAAAAAAA\u{e9}",
            // No length that base64 has.
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(!is_ciphertext(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_or_no_ciphertext_is_refused_and_leaves_the_buffer() {
        let key = key(CipherKind::Aes256Siv);
        for text in ["", "not base64", "AAAA", "ada@example.org"] {
            let mut out = b"before".to_vec();
            assert_eq!(
                key.decrypt_base64(text.as_bytes(), &mut out),
                Err(DecryptError),
                "{text}"
            );
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn a_key_shows_its_link_and_no_material() {
        let key = key(CipherKind::Aes256Siv);
        assert_eq!(
            format!("{key:?}"),
            format!(
                "DataKey {{ link: {:?}, stream: \"demo\", created: 100, .. }}",
                key.link()
            )
        );
        assert_eq!(key.expires(), 150);
    }
}
