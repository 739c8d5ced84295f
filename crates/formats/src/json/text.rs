//! JSON strings and numbers: unescaping, escaping, and checking what stands between the quotes.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scan::RawStr;
use super::word;
use crate::error::FormatError;

/// The text of a string; `None` if it is not UTF-8 or an escape is malformed.
pub(crate) fn unescape(raw: RawStr<'_>) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw.inside).ok()?;
    if !raw.escaped {
        return Some(Cow::Borrowed(text));
    }
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = rest.find('\\') {
        unescaped.push_str(&rest[..backslash]);
        let (c, length) = escape(&rest.as_bytes()[backslash..])?;
        unescaped.push(c);
        rest = &rest[backslash + length..];
    }
    unescaped.push_str(rest);
    Some(Cow::Owned(unescaped))
}

/// The text of a string that is known to be well-formed.
pub(crate) fn unescaped(raw: RawStr<'_>) -> Cow<'_, str> {
    unescape(raw).unwrap_or_else(|| String::from_utf8_lossy(raw.inside))
}

/// The character of an escape sequence, and how many bytes the sequence has.
fn escape(sequence: &[u8]) -> Option<(char, usize)> {
    let c = match sequence.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(sequence.get(2..6)?)?;
            if !(0xd800..0xe000).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = hex(sequence.get(6..12)?.strip_prefix(b"\\u")?)?;
            if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            let c = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
            return Some((c, 12));
        }
        _ => return None,
    };
    Some((c, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Checks the inside of a string in text that is UTF-8 already. `offset`: where it begins.
pub(crate) fn check_string(raw: RawStr<'_>, offset: usize) -> Result<(), FormatError> {
    if let Some(position) = raw.inside.iter().position(|byte| *byte < 0x20) {
        return Err(FormatError::json(
            offset + position,
            "a control character in a string",
        ));
    }
    let mut position = 0;
    while let Some(backslash) = raw
        .escaped
        .then(|| memchr::memchr(b'\\', &raw.inside[position..]))
        .flatten()
    {
        position += backslash;
        match escape(&raw.inside[position..]) {
            Some((_, length)) => position += length,
            None => {
                return Err(FormatError::json(
                    offset + position,
                    "a malformed escape in a string",
                ));
            }
        }
    }
    Ok(())
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // Mostly there is nothing to escape.
    if !word::any(bytes, |word| word::equal(word, b'"') | word::escaped(word)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut copied = 0;
    for (position, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..position]);
        copied = position + 1;
        if short == 0 {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.extend([b'\\', short]);
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

pub(crate) fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(crate) fn write_int(value: i64, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail. This is quicker than the standard library's.
    let _ = serde_json::to_writer(out, &value);
}

/// Appends the shortest number that reads back the same; `"NaN"` and the like as strings.
pub(crate) fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        // Writing to a Vec cannot fail.
        let _ = serde_json::to_writer(out, &value);
    } else {
        write_not_a_number(value, out);
    }
}

pub(crate) fn write_float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        // Writing to a Vec cannot fail.
        let _ = serde_json::to_writer(out, &value);
    } else {
        write_not_a_number(value.into(), out);
    }
}

fn write_not_a_number(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

/// Appends bytes as a base64 string.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends JSON without the white space between its tokens, in one line. The tokens are not looked at,
/// but strings have to end, and in the line that they begin in.
pub(crate) fn write_compact(json: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let mut scanner = super::scan::Scanner::new(json);
    while let Some(byte) = scanner.peek() {
        let start = scanner.pos();
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {
                scanner.advance();
                continue;
            }
            b'"' => {
                let string = scanner.string()?;
                if memchr::memchr2(b'\n', b'\r', string.inside).is_some() {
                    return Err(FormatError::json(start, "a line break in a string"));
                }
            }
            _ => scanner.advance(),
        }
        out.extend_from_slice(scanner.since(start));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn raw(inside: &str) -> RawStr<'_> {
        RawStr {
            inside: inside.as_bytes(),
            escaped: inside.contains('\\'),
        }
    }

    #[test]
    fn escapes_are_read_as_json_defines_them() {
        for (inside, text) in [
            ("plain ü", "plain ü"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u0041\u00e9\ud83d\ude00!", "Aé😀!"),
        ] {
            assert_eq!(unescape(raw(inside)).unwrap(), text);
            check_string(raw(inside), 0).unwrap();
        }
        for inside in [
            r"\x",
            r"\u12",
            r"\u12g4",
            r"\ud83d",
            r"\ude00\ud83d",
            r"\ud83dx",
            "\\",
        ] {
            assert!(unescape(raw(inside)).is_none(), "{inside}");
            assert!(check_string(raw(inside), 0).is_err(), "{inside}");
        }
        assert!(check_string(raw("a\nb"), 0).is_err());
    }

    #[test]
    fn written_strings_read_back_in_another_parser() {
        let text: String = (0..0x200)
            .filter_map(char::from_u32)
            .chain(['😀', '"', '\\'])
            .collect();
        let mut out = Vec::new();
        write_string(&text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn compact_text_keeps_the_space_in_strings() {
        let mut out = Vec::new();
        write_compact(b"{\n \"a b\" : [ 1 ,\t\"\\\" \" ] }\n", &mut out).unwrap();
        assert_eq!(out, br#"{"a b":[1,"\" "]}"#);
    }

    #[test]
    fn a_string_without_an_end_or_with_a_line_break_is_no_compact_text() {
        for json in ["\n\"", "\n\"\\\"", "\n\"a", "[\"a\nb\"]", "[\"a\rb\"]"] {
            assert!(
                write_compact(json.as_bytes(), &mut Vec::new()).is_err(),
                "{json:?}"
            );
        }
    }
}
