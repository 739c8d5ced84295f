//! Looks at eight bytes at a time, as a little-endian word. What is found has the highest bit of its byte
//! set, and none before it does; bytes behind the first find may have it set wrongly.

const ONES: u64 = u64::MAX / 0xff;
const HIGHEST: u64 = ONES << 7;

/// Bytes that are this one.
#[inline]
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * u64::from(byte));
    other.wrapping_sub(ONES) & !other & HIGHEST
}

/// Bytes within a string that have to be escaped, the quote left out: backslashes and control characters.
#[inline]
pub(crate) fn escaped(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHEST;
    control | equal(word, b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_find_is_where_it_is_said_to_be_for_all_bytes_and_places() {
        for place in 0..8 {
            for other in [0x20, b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xff] {
                for byte in 0..=u8::MAX {
                    let mut bytes = [other; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    let first = |marks: u64| (marks != 0).then(|| marks.trailing_zeros() / 8);
                    let expected = |is: bool| is.then_some(place as u32);
                    assert_eq!(first(equal(word, b'"')), expected(byte == b'"'));
                    let is_escaped = byte < 0x20 || byte == b'\\';
                    assert_eq!(first(escaped(word)), expected(is_escaped), "{byte}");
                }
            }
        }
    }
}
