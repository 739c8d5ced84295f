//! Looks at eight bytes at a time, as a little-endian word. What is found has the highest bit of its byte
//! set, and none before it does; bytes behind the first find may have it set wrongly.

const ONES: u64 = u64::MAX / 0xff;
const HIGHEST: u64 = ONES << 7;

/// Whether `look` finds something in the words of a text; a short one is filled up with spaces.
#[inline]
pub(crate) fn any(text: &[u8], look: impl Fn(u64) -> u64) -> bool {
    let look = |word: &[u8; 8]| look(u64::from_le_bytes(*word));
    let (words, rest) = text.as_chunks();
    let last = match text.last_chunk() {
        // It may share bytes with the word before it.
        Some(last) => look(last),
        None => {
            let mut filled = [b' '; 8];
            filled[..rest.len()].copy_from_slice(rest);
            look(&filled)
        }
    };
    words.iter().fold(last, |any, word| any | look(word)) != 0
}

/// Bytes that are no ASCII.
#[inline]
pub(crate) fn beyond_ascii(word: u64) -> u64 {
    word & HIGHEST
}

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
                    assert_eq!(any(&bytes[..=place], escaped), is_escaped, "{byte}");
                }
            }
        }
    }
}
