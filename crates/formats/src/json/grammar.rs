//! Checks that a text is JSON, for those who pass it on as it is: RFC 8259's grammar in UTF-8 and no more.
//! Names may come again in an object, nesting may be of any depth, and half a surrogate pair may be escaped;
//! [`check`](super::check) is stricter.

use smallvec::SmallVec;

use super::scan::Scanner;
use super::word;
use crate::error::FormatError;

/// Checks a whole text.
pub fn check_grammar(json: &[u8]) -> Result<(), FormatError> {
    // Looking at all bytes for what mostly is not there is quicker than at each string's.
    let unusual = |word| word::escaped(word) | word::beyond_ascii(word);
    if !word::any(json, unusual) {
        return walk::<true>(Scanner::new(json));
    }
    if let Err(error) = std::str::from_utf8(json) {
        return Err(FormatError::json(error.valid_up_to(), "not UTF-8"));
    }
    if word::any(json, word::escaped) {
        walk::<false>(Scanner::new(json))
    } else {
        walk::<true>(Scanner::new(json))
    }
}

/// `PLAIN`: the text has neither backslashes nor control characters.
fn walk<const PLAIN: bool>(mut scanner: Scanner<'_>) -> Result<(), FormatError> {
    // What closes the objects and arrays around.
    let mut open: SmallVec<[u8; 64]> = SmallVec::new();
    scanner.skip_space();
    loop {
        match scanner.peek() {
            Some(b'"') => scanner.pass_string::<PLAIN>()?,
            Some(b'{') => {
                scanner.advance();
                scanner.skip_space();
                open.push(b'}');
                if scanner.peek() != Some(b'}') {
                    name::<PLAIN>(&mut scanner)?;
                    continue;
                }
            }
            Some(b'[') => {
                scanner.advance();
                scanner.skip_space();
                open.push(b']');
                if scanner.peek() != Some(b']') {
                    continue;
                }
            }
            _ => scanner.skip_scalar()?,
        }
        // Behind a value, or before the end of an empty container.
        loop {
            scanner.skip_space();
            let Some(close) = open.last().copied() else {
                return scanner.end();
            };
            match scanner.peek() {
                Some(byte) if byte == close => {
                    scanner.advance();
                    open.pop();
                }
                Some(b',') => {
                    scanner.advance();
                    scanner.skip_space();
                    if close == b'}' {
                        name::<PLAIN>(&mut scanner)?;
                    }
                    break;
                }
                _ => {
                    return Err(scanner.error(format!("',' or '{}' expected", char::from(close))));
                }
            }
        }
    }
}

fn name<const PLAIN: bool>(scanner: &mut Scanner<'_>) -> Result<(), FormatError> {
    scanner.pass_string::<PLAIN>()?;
    scanner.colon()
}
