//! The values of the keys topic. A record's key is the link as text; a null value is a tombstone.
//!
//! ```text
//! value    = version u8 (1) · kind u8 · body
//! data key = scope 16 · window i64 · subject flag u8 (0, 1) · [subject 16] · wrapping key link 16
//!            · stream length u16 · stream · wrapped keyset
//! barrier  = scope 16
//! root     = role u8 · window i64 · partitions u32 · id length u16 · key-encryption key id · wrapped key
//! marker   = nothing
//! keyset   = cipher u8 (0 AES256_SIV, 1 AES256_GCM_SIV) · Tink key id u32 · key
//! ```
//!
//! Integers are big endian, windows milliseconds. Scope and subject are 128 bits of an HMAC under the
//! store's own key. The stream stands in the clear, so that its keys can be listed.

use crate::link::KeyLink;
use crate::mac::Digest;

const VERSION: u8 = 1;
const DATA: u8 = 0;
const BARRIER: u8 = 1;
const ROOT: u8 = 2;
const MARKER: u8 = 3;

/// Key of the markers, the only records whose key is no link.
pub(crate) const MARKER_KEY: &[u8] = b"marker";

/// The store's own keys, which the key-encryption key wraps. They are elected in partition 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Keys the HMAC that hides values. One for the life of the topic.
    Hmac = 1,
    /// Seals dead letters. One for the life of the topic.
    Quarantine = 2,
    /// Wraps data keys. A new one each day.
    Wrapping = 3,
}

impl Role {
    /// The scope in which the role's key is elected.
    pub(crate) fn scope(self) -> Digest {
        let mut scope = [0; 16];
        scope[15] = self as u8;
        scope
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Hmac, Self::Quarantine, Self::Wrapping]
            .into_iter()
            .find(|role| *role as u8 == byte)
    }
}

/// A record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Data(DataRecord<'a>),
    Barrier { scope: Digest },
    Root(RootRecord<'a>),
    Marker,
}

/// A data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataRecord<'a> {
    pub(crate) scope: Digest,
    pub(crate) window: i64,
    pub(crate) subject: Option<Digest>,
    pub(crate) wrapping: KeyLink,
    pub(crate) stream: &'a str,
    pub(crate) wrapped: &'a [u8],
}

/// A key of the store itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RootRecord<'a> {
    pub(crate) role: Role,
    pub(crate) window: i64,
    /// Partitions of the topic when the key was made.
    pub(crate) partitions: u32,
    pub(crate) kek: &'a str,
    pub(crate) wrapped: &'a [u8],
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// To pass over it might elect another key than the version that wrote it does.
    #[error("it is written in a later format than this version knows; update this worker")]
    Later,
    #[error("it is no record of a key store, or was changed")]
    Malformed,
}

impl Value<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        out.push(VERSION);
        match self {
            Self::Data(data) => {
                out.push(DATA);
                out.extend_from_slice(&data.scope);
                out.extend_from_slice(&data.window.to_be_bytes());
                out.push(u8::from(data.subject.is_some()));
                out.extend_from_slice(data.subject.as_ref().map_or(&[], |subject| &subject[..]));
                out.extend_from_slice(&data.wrapping.0);
                put_text(&mut out, data.stream);
                out.extend_from_slice(data.wrapped);
            }
            Self::Barrier { scope } => {
                out.push(BARRIER);
                out.extend_from_slice(scope);
            }
            Self::Root(root) => {
                out.push(ROOT);
                out.push(root.role as u8);
                out.extend_from_slice(&root.window.to_be_bytes());
                out.extend_from_slice(&root.partitions.to_be_bytes());
                put_text(&mut out, root.kek);
                out.extend_from_slice(root.wrapped);
            }
            Self::Marker => out.push(MARKER),
        }
        out
    }
}

impl<'a> Value<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut scan = Scan(bytes);
        if scan.byte()? != VERSION {
            return Err(FormatError::Later);
        }
        let value = match scan.byte()? {
            DATA => Self::Data(DataRecord {
                scope: scan.array()?,
                window: scan.window()?,
                subject: match scan.byte()? {
                    0 => None,
                    1 => Some(scan.array()?),
                    _ => return Err(FormatError::Malformed),
                },
                wrapping: KeyLink(scan.array()?),
                stream: scan.text()?,
                wrapped: scan.0,
            }),
            BARRIER => Self::Barrier {
                scope: scan.array()?,
            },
            ROOT => Self::Root(RootRecord {
                role: Role::from_byte(scan.byte()?).ok_or(FormatError::Later)?,
                window: scan.window()?,
                partitions: u32::from_be_bytes(scan.array()?),
                kek: scan.text()?,
                wrapped: scan.0,
            }),
            MARKER => Self::Marker,
            _ => return Err(FormatError::Later),
        };
        Ok(value)
    }

    /// The scope in which it is elected.
    pub(crate) fn scope(&self) -> Option<Digest> {
        match self {
            Self::Data(data) => Some(data.scope),
            Self::Barrier { scope } => Some(*scope),
            Self::Root(root) => Some(root.role.scope()),
            Self::Marker => None,
        }
    }

    pub(crate) fn window(&self) -> i64 {
        match self {
            Self::Data(data) => data.window,
            Self::Root(root) => root.window,
            Self::Barrier { .. } | Self::Marker => 0,
        }
    }
}

/// Streams and ids are far shorter than what a length holds; topic names end at 249 bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&(end as u16).to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..end]);
}

struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(FormatError::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    fn window(&mut self) -> Result<i64, FormatError> {
        let window = i64::from_be_bytes(self.array()?);
        if window < 0 {
            Err(FormatError::Malformed)
        } else {
            Ok(window)
        }
    }

    fn text(&mut self) -> Result<&'a str, FormatError> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| FormatError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..most)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            kind in 0u8..4, digest: [u8; 16], window in 0..i64::MAX,
            subject: Option<[u8; 16]>, text in "[a-zé]{0,20}", wrapped in bytes(90)
        ) {
            let (stream, kek, wrapped) = (&*text, &*text, &*wrapped);
            let wrapping = KeyLink(digest);
            let value = match kind {
                0 => Value::Data(DataRecord { scope: digest, window, subject, wrapping, stream, wrapped }),
                1 => Value::Barrier { scope: digest },
                2 => Value::Root(RootRecord { role: Role::Quarantine, window, partitions: 7, kek, wrapped }),
                _ => Value::Marker,
            };
            let bytes = value.encode();
            prop_assert_eq!(Value::decode(&bytes).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_read_or_refused(kind in 0..5_u8, rest in bytes(120)) {
            let bytes = [&[VERSION, kind][..], &rest].concat();
            if let Ok(value) = Value::decode(&bytes) {
                // A marker and a barrier may be followed by what later versions put there.
                prop_assert!(bytes.starts_with(&value.encode()));
            }
            let _ = Value::decode(&rest);
        }
    }

    #[test]
    fn later_formats_are_not_passed_over() {
        for bytes in [&[2, 0][..], &[1, 9], &[1, 2, 9]] {
            assert_eq!(Value::decode(bytes), Err(FormatError::Later), "{bytes:?}");
        }
        assert_eq!(Value::decode(&[1, 0, 3]), Err(FormatError::Malformed));
        let negative = Value::Root(RootRecord {
            role: Role::Hmac,
            window: -1,
            partitions: 1,
            kek: "",
            wrapped: &[],
        });
        assert_eq!(
            Value::decode(&negative.encode()),
            Err(FormatError::Malformed)
        );
    }
}
