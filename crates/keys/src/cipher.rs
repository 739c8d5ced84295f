//! The ciphers: AES-SIV and AES-256-GCM-SIV for fields, and AES-256-GCM-SIV with random nonces for
//! wrapping and sealing.

mod field;
mod sealing;
mod siv;

pub use field::CipherKind;
pub(crate) use field::{FieldCipher, PREFIX_BYTES, SHORTEST, TINK_VERSION};
pub(crate) use sealing::SealingKey;

#[cfg(test)]
mod tests;
