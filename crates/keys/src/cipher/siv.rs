//! AES-SIV (RFC 5297) with one empty component of associated data, which is what Tink's deterministic AEAD
//! is without any. CMAC, CTR and the doubling are those of the crates; here they are put together so that
//! what depends on the key alone is made once: both key schedules, and S2V of all that comes before the
//! message. For fields of a few bytes that is most of the work (docs/adr/0012).

use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes256Enc, Block};
use cmac::digest::InnerInit;
use cmac::{Cmac, Mac};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use dbl::Dbl;
use zeroize::Zeroize;

use crate::error::DecryptError;

/// Bytes of the synthetic IV.
pub(super) const SIV: usize = 16;

/// A key, ready for messages. It is shared by threads as it is: no message changes it.
pub(super) struct AesSiv {
    mac: Aes256Enc,
    ctr: Aes256Enc,
    /// S2V before the message.
    head: Block,
}

impl AesSiv {
    /// A key of two halves: that of the MAC, that of the encryption.
    pub(super) fn new(key: &[u8; 64]) -> Self {
        let (first, second) = key.split_at(32);
        let half = |half: &[u8]| {
            let mut key = aes::cipher::Key::<Aes256Enc>::default();
            key.copy_from_slice(half);
            let cipher = Aes256Enc::new(&key);
            key.as_mut_slice().zeroize();
            cipher
        };
        let (mac, ctr) = (half(first), half(second));
        let of = |component: &[u8]| cmac(&mac).chain_update(component).finalize().into_bytes();
        let mut head = of(&[0; SIV]).dbl();
        xor(&mut head, &of(&[]));
        Self { mac, ctr, head }
    }

    /// Encrypts in place; returns the synthetic IV.
    pub(super) fn encrypt(&self, text: &mut [u8]) -> Block {
        let siv = self.s2v(text).finalize().into_bytes();
        self.xor_keystream(siv, text);
        siv
    }

    /// Decrypts in place. If the IV is not that of the message, zeros are all that is left.
    pub(super) fn decrypt(&self, siv: &[u8; SIV], text: &mut [u8]) -> Result<(), DecryptError> {
        self.xor_keystream((*siv).into(), text);
        // Compared in constant time.
        self.s2v(text).verify(siv.into()).map_err(|_| {
            text.zeroize();
            DecryptError
        })
    }

    /// RFC 5297, section 2.4, from the last component on.
    fn s2v(&self, text: &[u8]) -> Cmac<&Aes256Enc> {
        let mac = cmac(&self.mac);
        match text.len().checked_sub(SIV) {
            Some(begin) => {
                let mut end = self.head;
                xor(&mut end, &text[begin..]);
                mac.chain_update(&text[..begin]).chain_update(end)
            }
            None => {
                let mut padded = self.head.dbl();
                xor(&mut padded, text);
                padded[text.len()] ^= 0x80;
                mac.chain_update(padded)
            }
        }
    }

    /// Section 2.5: the counter begins with the IV, two of its bits cleared.
    fn xor_keystream(&self, mut siv: Block, text: &mut [u8]) {
        siv[8] &= 0x7f;
        siv[12] &= 0x7f;
        CtrCore::<_, Ctr128BE>::inner_iv_init(&self.ctr, &siv).apply_keystream_partial(text.into());
    }
}

impl Drop for AesSiv {
    fn drop(&mut self) {
        self.head.as_mut_slice().zeroize();
    }
}

fn cmac(cipher: &Aes256Enc) -> Cmac<&Aes256Enc> {
    Cmac::inner_init(cipher)
}

/// Into the beginning of the block.
fn xor(block: &mut Block, with: &[u8]) {
    for (byte, with) in block.iter_mut().zip(with) {
        *byte ^= with;
    }
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes256Siv;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_aes_siv_of_others(
            key in any::<[u8; 32]>(),
            other in any::<[u8; 32]>(),
            text in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut both = [0; 64];
            both[..32].copy_from_slice(&key);
            both[32..].copy_from_slice(&other);
            let mut theirs = text.clone();
            let expected = <Aes256Siv as aes_siv::KeyInit>::new(&both.into())
                .encrypt_inout_detached([&[] as &[u8]], theirs.as_mut_slice().into());
            let cipher = AesSiv::new(&both);
            let mut ours = text.clone();
            let siv = cipher.encrypt(&mut ours);
            prop_assert_eq!(Ok(siv), expected);
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(cipher.decrypt(&siv.into(), &mut ours), Ok(()));
            prop_assert_eq!(&ours, &text);
        }

        #[test]
        fn one_bit_off_leaves_nothing_but_zeros(
            text in proptest::collection::vec(any::<u8>(), 1..40),
            at in any::<proptest::sample::Index>(),
            bit in 0..8,
        ) {
            let cipher = AesSiv::new(&[7; 64]);
            let mut sealed = text.clone();
            let siv = cipher.encrypt(&mut sealed);
            let mut all = [&siv[..], &sealed].concat();
            all[at.index(SIV + text.len())] ^= 1_u8 << bit;
            let (siv, body) = all.split_first_chunk_mut::<SIV>().ok_or_else(|| TestCaseError::fail("short"))?;
            prop_assert_eq!(cipher.decrypt(siv, body), Err(DecryptError));
            prop_assert!(body.iter().all(|byte| *byte == 0));
        }
    }
}
