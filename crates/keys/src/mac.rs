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

    /// What keys are elected for: a value of a stream's key field.
    pub(crate) fn scope(&self, stream: &str, value: &str) -> Digest {
        self.digest(b's', &[stream, value])
    }

    /// A data subject, the same in all streams.
    pub(crate) fn subject(&self, subject: &str) -> Digest {
        self.digest(b'd', &[subject])
    }

    /// The check of a link's random bytes.
    pub(crate) fn link_check(&self, random: &[u8]) -> [u8; 4] {
        let mut mac = self.0.clone();
        mac.update(b"l");
        mac.update(random);
        let full = mac.finalize().into_bytes();
        [full[0], full[1], full[2], full[3]]
    }

    fn digest(&self, purpose: u8, parts: &[&str]) -> Digest {
        let mut mac = self.0.clone();
        mac.update(&[purpose]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        digest
    }
}

/// The partition of the keys topic that holds all records of a scope.
pub(crate) fn partition_of(scope: &Digest, partitions: i32) -> i32 {
    let (head, _) = halves(scope);
    (head % u64::from(partitions.unsigned_abs().max(1))) as i32
}

/// The hash that places a scope's events.
pub(crate) fn placement_of(scope: &Digest) -> u64 {
    halves(scope).1
}

fn halves(scope: &Digest) -> (u64, u64) {
    let whole = u128::from_be_bytes(*scope);
    ((whole >> 64) as u64, whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_stream_value_and_purpose_apart() {
        let mac = StoreMac::new(&[1; 32]);
        let scopes = [
            mac.scope("demo", "ada"),
            mac.scope("demoa", "da"),
            mac.scope("demo", "bob"),
            mac.scope("", "demoada"),
            mac.subject("demoada"),
            StoreMac::new(&[2; 32]).scope("demo", "ada"),
        ];
        for (index, scope) in scopes.iter().enumerate() {
            assert!(!scopes[..index].contains(scope), "{index}");
        }
        assert_eq!(mac.scope("demo", "ada"), scopes[0]);
    }

    #[test]
    fn scopes_spread_over_all_partitions() {
        let mac = StoreMac::new(&[1; 32]);
        let mut counts = [0; 8];
        for n in 0..800 {
            counts[partition_of(&mac.scope("demo", &n.to_string()), 8) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..200).contains(count)),
            "{counts:?}"
        );
    }
}
