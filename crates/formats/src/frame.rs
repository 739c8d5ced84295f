//! Confluent framing: how a record says which registered schema its payload was written with.
//!
//! Prefix: `0x00` and a big-endian 32-bit schema id, or `0x01` and the 16 bytes of a GUID. The same
//! bytes may stand in a header instead ([`KEY_HEADER`], [`VALUE_HEADER`]), and the payload then has no
//! prefix. Readers try the header, then the prefix; writers use the prefix.

use uuid::Uuid;

/// Header that names the schema of the record's key.
pub const KEY_HEADER: &str = "__key_schema_id";
/// Header that names the schema of the record's value.
pub const VALUE_HEADER: &str = "__value_schema_id";

const BY_ID: u8 = 0;
const BY_GUID: u8 = 1;

/// Names a registered schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaRefId {
    /// By the id that the registry gave it.
    Id(u32),
    /// By the GUID that the registry derived from its text.
    Guid(Uuid),
}

impl std::fmt::Display for SchemaRefId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id {id}"),
            Self::Guid(guid) => write!(f, "GUID {guid}"),
        }
    }
}

/// The schema of a record, and where its payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The writer schema.
    pub id: SchemaRefId,
    /// Bytes of the record that come before the payload.
    pub offset: usize,
}

/// A record that is not framed as its converter expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte is neither 0 nor 1.
    #[error(
        "not in Confluent framing: first byte is 0x{0:02x}, not 0x00 (schema id) or 0x01 (schema GUID)"
    )]
    Magic(u8),
    /// Too short to name a schema.
    #[error("not in Confluent framing: {length} bytes, too few for the {needed} of a frame")]
    Short {
        /// Bytes there are.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// A header with anything after the id or GUID.
    #[error("the schema id header has {length} bytes instead of {needed}")]
    HeaderLength {
        /// Bytes there are.
        length: usize,
        /// Bytes expected.
        needed: usize,
    },
}

/// Reads the prefix of a record.
pub fn read(record: &[u8]) -> Result<Frame, FrameError> {
    let short = |needed| FrameError::Short {
        length: record.len(),
        needed,
    };
    match record.first() {
        Some(&BY_ID) => {
            let id = record
                .get(1..5)
                .and_then(|id| id.try_into().ok())
                .ok_or(short(5))?;
            Ok(Frame {
                id: SchemaRefId::Id(u32::from_be_bytes(id)),
                offset: 5,
            })
        }
        Some(&BY_GUID) => {
            let guid = record
                .get(1..17)
                .and_then(|guid| guid.try_into().ok())
                .ok_or(short(17))?;
            Ok(Frame {
                id: SchemaRefId::Guid(Uuid::from_bytes(guid)),
                offset: 17,
            })
        }
        Some(&other) => Err(FrameError::Magic(other)),
        None => Err(short(5)),
    }
}

/// Reads the value of a [`KEY_HEADER`] or [`VALUE_HEADER`].
pub fn read_header(value: &[u8]) -> Result<SchemaRefId, FrameError> {
    let frame = read(value)?;
    if frame.offset != value.len() {
        return Err(FrameError::HeaderLength {
            length: value.len(),
            needed: frame.offset,
        });
    }
    Ok(frame.id)
}

/// Reads the header if the record has one, else the prefix.
pub fn read_with_header(header: Option<&[u8]>, record: &[u8]) -> Result<Frame, FrameError> {
    match header {
        Some(value) => Ok(Frame {
            id: read_header(value)?,
            offset: 0,
        }),
        None => read(record),
    }
}

/// Appends the prefix.
pub fn write(id: SchemaRefId, out: &mut Vec<u8>) {
    match id {
        SchemaRefId::Id(id) => {
            out.push(BY_ID);
            out.extend_from_slice(&id.to_be_bytes());
        }
        SchemaRefId::Guid(guid) => {
            out.push(BY_GUID);
            out.extend_from_slice(guid.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_within_them_or_refused(
            magic in 0..3_u8, mut bytes in proptest::collection::vec(any::<u8>(), 0..24),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = magic;
            }
            if let Ok(frame) = read(&bytes) {
                prop_assert!(frame.offset <= bytes.len());
                let mut prefix = Vec::new();
                write(frame.id, &mut prefix);
                prop_assert_eq!(&prefix[..], &bytes[..frame.offset]);
            }
            prop_assert_eq!(read_header(&bytes).is_ok(), read(&bytes).is_ok_and(|f| f.offset == bytes.len()));
        }
    }

    const GUID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);

    #[test]
    fn what_was_written_is_read_back_and_the_payload_begins_behind_it() {
        for (id, length) in [
            (SchemaRefId::Id(0x0102_0304), 5),
            (SchemaRefId::Guid(GUID), 17),
        ] {
            let mut record = Vec::new();
            write(id, &mut record);
            assert_eq!(read_header(&record).unwrap(), id);
            record.extend_from_slice(b"payload");
            assert_eq!(read(&record).unwrap(), Frame { id, offset: length });
        }
        assert_eq!(
            read(&[0, 1, 2, 3, 4]).unwrap(),
            Frame {
                id: SchemaRefId::Id(0x0102_0304),
                offset: 5
            }
        );
    }

    #[test]
    fn a_header_goes_before_the_prefix_and_leaves_the_payload_whole() {
        let mut header = vec![1];
        header.extend_from_slice(GUID.as_bytes());
        let frame = read_with_header(Some(&header), &[0, 0, 0, 0, 9]).unwrap();
        assert_eq!(
            frame,
            Frame {
                id: SchemaRefId::Guid(GUID),
                offset: 0
            }
        );
        assert_eq!(
            read_with_header(Some(&[0, 0, 0, 0, 7]), b"x").unwrap().id,
            SchemaRefId::Id(7)
        );
        assert_eq!(read_with_header(None, &[0, 0, 0, 0, 9]).unwrap().offset, 5);
    }

    #[test]
    fn other_bytes_are_refused_with_what_was_expected() {
        assert_eq!(read(b"{}"), Err(FrameError::Magic(b'{')));
        assert_eq!(
            read(&[]),
            Err(FrameError::Short {
                length: 0,
                needed: 5
            })
        );
        assert_eq!(
            read(&[0, 0]),
            Err(FrameError::Short {
                length: 2,
                needed: 5
            })
        );
        assert_eq!(
            read(&[1; 16]),
            Err(FrameError::Short {
                length: 16,
                needed: 17
            })
        );
        assert_eq!(
            read_header(&[0, 0, 0, 0, 1, 1]),
            Err(FrameError::HeaderLength {
                length: 6,
                needed: 5
            })
        );
    }
}
