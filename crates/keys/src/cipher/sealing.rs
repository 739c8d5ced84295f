//! AES-256-GCM-SIV with a random nonce: nonce, ciphertext, tag.

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::error::DecryptError;

const NONCE: usize = 12;
const TAG: usize = 16;

/// A key that wraps keys or seals dead letters. A repeated nonce would reveal no more than that two
/// equal messages are equal, which is why GCM-SIV and not GCM.
pub(crate) struct SealingKey(Aes256GcmSiv);

impl SealingKey {
    /// Bytes that a sealed message is longer than its plaintext.
    pub(crate) const OVERHEAD: usize = NONCE + TAG;

    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(key.into()))
    }

    /// Appends the sealed `plaintext` to `out`.
    #[allow(
        clippy::expect_used,
        reason = "a system without randomness must not make keys; lengths are far below 64 GiB"
    )]
    pub(crate) fn seal(&self, plaintext: &[u8], context: &[u8], out: &mut Vec<u8>) {
        let mut nonce = Nonce::default();
        OsRng
            .try_fill_bytes(&mut nonce)
            .expect("the operating system gives random bytes");
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .0
            .encrypt_inout_detached(&nonce, context, (&mut out[start..]).into())
            .expect("the message is shorter than 64 GiB");
        out.extend_from_slice(&tag);
    }

    /// Appends the plaintext of `sealed` to `out`; leaves `out` as it was if that fails.
    pub(crate) fn open(
        &self,
        sealed: &[u8],
        context: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), DecryptError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(DecryptError)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(DecryptError)?;
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let opened = self.0.decrypt_inout_detached(
            nonce.into(),
            context,
            (&mut out[start..]).into(),
            tag.into(),
        );
        opened.map_err(|_| {
            out.truncate(start);
            DecryptError
        })
    }
}
