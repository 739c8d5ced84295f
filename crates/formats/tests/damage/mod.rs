//! What strangers send: bytes that were right once, with some changed, taken out, or put in.
#![allow(dead_code, unreachable_pub)]

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What is put in: the integers and lengths that Avro readers trip over, and what JSON and line
/// protocols are made of.
const PIECES: &[&[u8]] = &[
    // -1, i64::MAX, i64::MIN, 2^31, 2^62, and an integer that does not end.
    &[1],
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x10",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    // A block of one item that says it has no bytes, and one that says it has very many.
    b"\x01\x00",
    b"\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\0",
    b"\"",
    b"\\",
    b"\\\"",
    b"\\u",
    b"\\ud800",
    b"\n",
    b"\r",
    b"\n\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"-",
    b"1e999",
    b"12345678901234567890",
    b"{\"a\":",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
];

/// One thing that happened to the bytes.
#[derive(Clone, Debug)]
pub enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, &'static [u8]),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

/// A few of them.
pub fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (at(), select(PIECES)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (at(), 1..9_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), 1..9_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        at().prop_map(Damage::Cut),
    ];
    prop::collection::vec(one, 1..4)
}

/// The bytes after all that.
pub fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for damage in damage {
        // The end counts as a place, so that something can be put there.
        let places = bytes.len() + 1;
        let stretch = |at: usize, length: usize| at..bytes.len().min(at + length);
        match damage {
            Damage::Set(at, byte) => {
                if let Some(place) = bytes.get_mut(at.index(places)) {
                    *place = *byte;
                }
            }
            Damage::Flip(at, bit) => {
                if let Some(place) = bytes.get_mut(at.index(places)) {
                    *place ^= 1 << bit;
                }
            }
            Damage::Insert(at, piece) => {
                let at = at.index(places);
                bytes.splice(at..at, piece.iter().copied());
            }
            Damage::Remove(at, length) => {
                bytes.drain(stretch(at.index(places), *length));
            }
            Damage::Repeat(at, length) => {
                let at = at.index(places);
                let again = bytes[stretch(at, *length)].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Cut(at) => bytes.truncate(at.index(places)),
        }
    }
    bytes
}
