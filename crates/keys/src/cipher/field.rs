//! The ciphers of fields, in Tink's formats. Equal plaintexts have equal ciphertexts under one key.
//!
//! ```text
//! AES256_SIV      0x01 · key id u32 BE · SIV 16 · ciphertext             (RFC 5297, empty associated data)
//! AES256_GCM_SIV  0x01 · key id u32 BE · nonce 12 · ciphertext · tag 16  (RFC 8452)
//! ```
//!
//! Tink hands its associated data to S2V as one component even where it is empty; an S2V without that
//! component gives other ciphertexts.
//!
//! The nonce of AES-256-GCM-SIV is derived, so that equal plaintexts stay equal: the first 12 bytes of
//! HMAC-SHA256 over the plaintext, under a key that is itself HMAC-SHA256 of a fixed label under the
//! data key. A fixed nonce would also be deterministic, and safe with this cipher; a derived one keeps
//! each plaintext under its own message key, so that the bounds of RFC 8452 for distinct nonces hold.

use std::str::FromStr;

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::siv::{AesSiv, SIV};
use crate::error::DecryptError;

/// Bytes of Tink's output prefix: version and key id.
pub(crate) const PREFIX_BYTES: usize = 5;
pub(crate) const TINK_VERSION: u8 = 1;
/// Bytes of the shortest ciphertext, that of nothing.
pub(crate) const SHORTEST: usize = PREFIX_BYTES + SIV;
const NONCE: usize = 12;
const TAG: usize = 16;
const NONCE_LABEL: &[u8] = b"penstock AES256_GCM_SIV nonce";

/// Which cipher new keys are for; a key keeps its cipher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CipherKind {
    /// AES-SIV with a 512-bit key (Tink's deterministic AEAD).
    #[default]
    Aes256Siv,
    /// AES-256-GCM-SIV with a nonce derived from the plaintext (Tink's AEAD decrypts it).
    Aes256GcmSiv,
}

impl CipherKind {
    /// The name in properties files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Siv => "AES256_SIV",
            Self::Aes256GcmSiv => "AES256_GCM_SIV",
        }
    }

    /// Bytes of key material.
    pub(crate) fn key_bytes(self) -> usize {
        match self {
            Self::Aes256Siv => 64,
            Self::Aes256GcmSiv => 32,
        }
    }
}

impl FromStr for CipherKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Aes256Siv, Self::Aes256GcmSiv]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                format!("there is no cipher {name:?}; there are AES256_SIV and AES256_GCM_SIV")
            })
    }
}

/// A cipher with its key schedule.
pub(crate) struct FieldCipher {
    prefix: [u8; PREFIX_BYTES],
    mode: Mode,
}

enum Mode {
    Siv(Box<AesSiv>),
    GcmSiv {
        cipher: Box<Aes256GcmSiv>,
        nonces: Box<Hmac<Sha256>>,
    },
}

impl FieldCipher {
    /// `None` if the key has the wrong length.
    pub(crate) fn new(kind: CipherKind, key_id: u32, key: &[u8]) -> Option<Self> {
        let mut prefix = [TINK_VERSION; PREFIX_BYTES];
        prefix[1..].copy_from_slice(&key_id.to_be_bytes());
        let mode = match kind {
            CipherKind::Aes256Siv => {
                let key: &[u8; 64] = key.try_into().ok()?;
                Mode::Siv(Box::new(AesSiv::new(key)))
            }
            CipherKind::Aes256GcmSiv => {
                let key: &[u8; 32] = key.try_into().ok()?;
                Mode::GcmSiv {
                    cipher: Box::new(<Aes256GcmSiv as aes_gcm_siv::KeyInit>::new(key.into())),
                    nonces: Box::new(nonce_mac(key)),
                }
            }
        };
        Some(Self { prefix, mode })
    }

    /// What each of its ciphertexts begins with.
    pub(crate) fn prefix(&self) -> &[u8; PREFIX_BYTES] {
        &self.prefix
    }

    /// Bytes that a ciphertext is longer than its plaintext.
    pub(crate) fn overhead(&self) -> usize {
        PREFIX_BYTES
            + match self.mode {
                Mode::Siv(_) => SIV,
                Mode::GcmSiv { .. } => NONCE + TAG,
            }
    }

    /// Appends the ciphertext of `plaintext` to `out`.
    pub(crate) fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.overhead() + plaintext.len(), 0);
        self.encrypt_into(plaintext, &mut out[start..]);
    }

    /// Writes the ciphertext of `plaintext` to `out`, which is exactly as long as that needs.
    #[allow(clippy::expect_used, reason = "far less than 64 GiB")]
    pub(crate) fn encrypt_into(&self, plaintext: &[u8], out: &mut [u8]) {
        let (prefix, out) = out.split_at_mut(PREFIX_BYTES);
        prefix.copy_from_slice(&self.prefix);
        match &self.mode {
            Mode::Siv(cipher) => {
                let (siv, body) = out.split_at_mut(SIV);
                body.copy_from_slice(plaintext);
                siv.copy_from_slice(&cipher.encrypt(body));
            }
            Mode::GcmSiv { cipher, nonces } => {
                let (nonce, rest) = out.split_at_mut(NONCE);
                let (body, tag) = rest.split_at_mut(plaintext.len());
                let mut mac = nonces.as_ref().clone();
                mac.update(plaintext);
                nonce.copy_from_slice(&mac.finalize().into_bytes()[..NONCE]);
                body.copy_from_slice(plaintext);
                let nonce: &[u8; NONCE] =
                    (&*nonce).try_into().expect("split at the nonce's length");
                let made = cipher
                    .encrypt_inout_detached(nonce.into(), &[], body.into())
                    .expect("the message is shorter than 64 GiB");
                tag.copy_from_slice(&made);
            }
        }
    }

    /// Appends the plaintext of `ciphertext` to `out`; leaves `out` as it was if that fails.
    pub(crate) fn decrypt(&self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), DecryptError> {
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let opened = self.decrypt_at(start, out);
        if opened.is_err() {
            out.truncate(start);
        }
        opened
    }

    /// Replaces the ciphertext in `buffer` from `start` on by its plaintext. If that fails, what lies
    /// there is no plaintext, and of no use.
    pub(crate) fn decrypt_at(
        &self,
        start: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DecryptError> {
        if !buffer[start..].starts_with(&self.prefix) {
            return Err(DecryptError);
        }
        let sealed = &mut buffer[start + PREFIX_BYTES..];
        let (head, length, opened) = match &self.mode {
            Mode::Siv(cipher) => {
                let (siv, body) = sealed.split_first_chunk_mut::<SIV>().ok_or(DecryptError)?;
                (SIV, body.len(), cipher.decrypt(siv, body))
            }
            Mode::GcmSiv { cipher, .. } => {
                let (nonce, rest) = sealed
                    .split_first_chunk_mut::<NONCE>()
                    .ok_or(DecryptError)?;
                let (body, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(DecryptError)?;
                let length = body.len();
                let opened = cipher.decrypt_inout_detached(
                    (&*nonce).into(),
                    &[],
                    body.into(),
                    (&*tag).into(),
                );
                (NONCE, length, opened.map_err(|_| DecryptError))
            }
        };
        opened?;
        let from = start + PREFIX_BYTES + head;
        buffer.copy_within(from..from + length, start);
        buffer.truncate(start + length);
        Ok(())
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn nonce_mac(key: &[u8; 32]) -> Hmac<Sha256> {
    use hmac::KeyInit;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(NONCE_LABEL);
    let derived = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    Hmac::new_from_slice(derived.as_ref()).expect("HMAC takes keys of any length")
}
