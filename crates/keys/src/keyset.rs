//! Keysets: the material of a data key, as it lies wrapped in a record and as Tink reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::cipher::{CipherKind, FieldCipher};

/// Cipher, Tink key id and key.
pub(crate) struct Keyset {
    cipher: CipherKind,
    key_id: u32,
    key: Zeroizing<Vec<u8>>,
}

impl Keyset {
    /// A new random key.
    pub(crate) fn generate(cipher: CipherKind) -> Self {
        let mut key = Zeroizing::new(vec![0; cipher.key_bytes()]);
        fill_random(&mut key);
        let mut id = [0; 4];
        fill_random(&mut id);
        // Tink's ids are not zero.
        let key_id = u32::from_be_bytes(id).max(1);
        Self {
            cipher,
            key_id,
            key,
        }
    }

    /// Bytes to be wrapped, see [`crate::record`].
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(5 + self.key.len()));
        bytes.push(match self.cipher {
            CipherKind::Aes256Siv => 0,
            CipherKind::Aes256GcmSiv => 1,
        });
        bytes.extend_from_slice(&self.key_id.to_be_bytes());
        bytes.extend_from_slice(&self.key);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (cipher, rest) = bytes.split_first()?;
        let cipher = match cipher {
            0 => CipherKind::Aes256Siv,
            1 => CipherKind::Aes256GcmSiv,
            _ => return None,
        };
        let (key_id, key) = rest.split_first_chunk::<4>()?;
        if key.len() != cipher.key_bytes() {
            return None;
        }
        Some(Self {
            cipher,
            key_id: u32::from_be_bytes(*key_id),
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// The cipher, ready for use.
    #[allow(
        clippy::expect_used,
        reason = "both ways to make a keyset give a key of the cipher's length"
    )]
    pub(crate) fn cipher(&self) -> FieldCipher {
        FieldCipher::new(self.cipher, self.key_id, &self.key).expect("a key of the cipher's length")
    }

    /// Tink's JSON keyset in the clear: one enabled primary key with Tink's output prefix. The key is a
    /// protobuf message, `AesSivKey { bytes key_value = 2 }` or `AesGcmSivKey { bytes key_value = 3 }`.
    pub(crate) fn to_tink_json(&self) -> Zeroizing<String> {
        let (message, tag) = match self.cipher {
            CipherKind::Aes256Siv => ("AesSivKey", 0x12),
            CipherKind::Aes256GcmSiv => ("AesGcmSivKey", 0x1a),
        };
        let mut proto = Zeroizing::new(Vec::with_capacity(2 + self.key.len()));
        proto.extend_from_slice(&[tag, self.key.len() as u8]);
        proto.extend_from_slice(&self.key);
        let value = Zeroizing::new(STANDARD.encode(&*proto));
        let id = self.key_id;
        Zeroizing::new(format!(
            "{{\"primaryKeyId\":{id},\"key\":[{{\"keyData\":{{\"typeUrl\":\
             \"type.googleapis.com/google.crypto.tink.{message}\",\"value\":\"{}\",\
             \"keyMaterialType\":\"SYMMETRIC\"}},\"status\":\"ENABLED\",\"keyId\":{id},\
             \"outputPrefixType\":\"TINK\"}}]}}",
            *value
        ))
    }
}

/// Fills with random bytes of the operating system.
#[allow(
    clippy::expect_used,
    reason = "a system without randomness must not make keys"
)]
pub(crate) fn fill_random(bytes: &mut [u8]) {
    OsRng
        .try_fill_bytes(bytes)
        .expect("the operating system gives random bytes");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keysets_survive_storage_and_are_valid_json() {
        for kind in [CipherKind::Aes256Siv, CipherKind::Aes256GcmSiv] {
            let keyset = Keyset::generate(kind);
            let read = Keyset::from_bytes(&keyset.to_bytes()).unwrap();
            assert_eq!(
                (read.cipher, read.key_id, &read.key),
                (kind, keyset.key_id, &keyset.key)
            );
            let json: serde_json::Value = serde_json::from_str(&keyset.to_tink_json()).unwrap();
            assert_eq!(json["primaryKeyId"], keyset.key_id);
            assert_eq!(json["key"][0]["status"], "ENABLED");
        }
    }

    #[test]
    fn keysets_of_the_wrong_length_are_refused() {
        let bytes = Keyset::generate(CipherKind::Aes256Siv).to_bytes();
        for wrong in [
            &[][..],
            &bytes[..20],
            &[9, 0, 0, 0, 1, 2],
            &bytes[..bytes.len() - 1],
        ] {
            assert!(Keyset::from_bytes(wrong).is_none());
        }
    }
}
