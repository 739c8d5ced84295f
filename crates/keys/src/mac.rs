//! Everything that is computed with the store's HMAC key: scopes, placements, data subjects, link checks.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 128 bits of an HMAC: stands for a value without telling it.
pub(crate) type Digest = [u8; 16];

/// HMAC-SHA256 under the store's key. A first byte keeps the uses apart, lengths keep the parts apart.
#[derive(Clone)]
pub(crate) struct StoreMac(Hmac<Sha256>);

impl StoreMac {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// What keys are elected for: a value of a stream's key field. With the hash that places its events.
    pub(crate) fn scope(&self, stream: &str, value: &str) -> (Digest, u64) {
        let full = self.full(b's', &[stream, value]);
        let (mut scope, mut placement) = ([0; 16], [0; 8]);
        scope.copy_from_slice(&full[..16]);
        placement.copy_from_slice(&full[16..24]);
        (scope, u64::from_be_bytes(placement))
    }

    /// A data subject, the same in all streams.
    pub(crate) fn subject(&self, subject: &str) -> Digest {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.full(b'd', &[subject])[..16]);
        digest
    }

    /// The check of a link's random bytes.
    pub(crate) fn link_check(&self, random: &[u8]) -> [u8; 4] {
        let mut mac = self.0.clone();
        mac.update(b"l");
        mac.update(random);
        let full = mac.finalize().into_bytes();
        [full[0], full[1], full[2], full[3]]
    }

    fn full(&self, purpose: u8, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(&[purpose]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// The partition that holds all records of a scope.
pub(crate) fn partition_of(scope: &Digest, partitions: i32) -> i32 {
    let mut head = [0; 8];
    head.copy_from_slice(&scope[..8]);
    let partitions = u64::from(partitions.unsigned_abs().max(1));
    (u64::from_be_bytes(head) % partitions) as i32
}
