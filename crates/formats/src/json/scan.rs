//! Moves over JSON text token by token, with byte offsets and without copying.

use memchr::memchr2;
use smallvec::SmallVec;

use super::word;
use crate::error::FormatError;

/// A position in JSON text.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
}

/// The inside of a string, between its quotes.
#[derive(Clone, Copy)]
pub(crate) struct RawStr<'a> {
    pub(crate) inside: &'a [u8],
    /// There is a backslash in it.
    pub(crate) escaped: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    #[cold]
    pub(crate) fn error(&self, problem: impl Into<String>) -> FormatError {
        FormatError::json(self.pos, problem)
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        self.pos += 1;
    }

    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.pos]
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), FormatError> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.error(format!("'{}' expected", char::from(byte))))
        }
    }

    /// The colon between name and value, and the space around it.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), FormatError> {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    /// A string at its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<RawStr<'a>, FormatError> {
        self.expect(b'"')?;
        let start = self.pos;
        let mut escaped = false;
        loop {
            match memchr2(b'"', b'\\', &self.bytes[self.pos..]) {
                Some(offset) if self.bytes[self.pos + offset] == b'"' => {
                    let end = self.pos + offset;
                    self.pos = end + 1;
                    return Ok(RawStr {
                        inside: &self.bytes[start..end],
                        escaped,
                    });
                }
                Some(offset) if self.pos + offset + 1 < self.bytes.len() => {
                    escaped = true;
                    self.pos += offset + 2;
                }
                _ => return Err(FormatError::json(start - 1, "a string without an end")),
            }
        }
    }

    /// Passes a string at its opening quote, and checks its escapes and that nothing in it had to be
    /// escaped. `PLAIN`: the text is known to have neither backslashes nor control characters.
    #[inline]
    pub(crate) fn pass_string<const PLAIN: bool>(&mut self) -> Result<(), FormatError> {
        let start = self.pos;
        self.expect(b'"')?;
        loop {
            // Most strings are short: eight bytes at a time are as quick as it gets.
            for word in self.bytes[self.pos..].as_chunks().0 {
                let word = u64::from_le_bytes(*word);
                let quotes = word::equal(word, b'"');
                let marks = if PLAIN {
                    quotes
                } else {
                    quotes | word::escaped(word)
                };
                if marks != 0 {
                    self.pos += marks.trailing_zeros() as usize / 8;
                    break;
                }
                self.pos += 8;
            }
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some(b'\\') if !PLAIN => self.pass_escape()?,
                Some(0..0x20) if !PLAIN => {
                    return Err(self.error("a control character in a string"));
                }
                Some(_) => self.pos += 1,
                None => return Err(FormatError::json(start, "a string without an end")),
            }
        }
    }

    /// Passes an escape at its backslash. Halves of surrogate pairs are not paired.
    fn pass_escape(&mut self) -> Result<(), FormatError> {
        let rest = &self.bytes[self.pos + 1..];
        let length = match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', digits @ ..]
                if digits
                    .first_chunk::<4>()
                    .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) =>
            {
                6
            }
            _ => return Err(self.error("a malformed escape in a string")),
        };
        self.pos += length;
        Ok(())
    }

    /// Goes to the first or next item of an array or object whose opening bracket is passed; `None`
    /// behind its end. Only for text that is known to be well-formed.
    pub(crate) fn next_item(&mut self, close: u8) -> Option<()> {
        self.skip_space();
        if self.peek() == Some(b',') {
            self.advance();
            self.skip_space();
        }
        match self.peek() {
            Some(byte) if byte != close => Some(()),
            _ => None,
        }
    }

    /// Passes a value of any kind and returns its text. Brackets have to match and strings to end;
    /// what lies between is not looked at.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<&'a [u8], FormatError> {
        let start = self.pos;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{' | b'[') => self.skip_container()?,
            _ => self.skip_token()?,
        }
        Ok(self.since(start))
    }

    fn skip_container(&mut self) -> Result<(), FormatError> {
        let mut open: SmallVec<[u8; 64]> = SmallVec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                b'}' | b']' => {
                    if open.pop() != Some(byte) {
                        return Err(self.error("a bracket that does not match"));
                    }
                    if open.is_empty() {
                        self.pos += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.pos += 1;
        }
        Err(self.error("ends within an object or array"))
    }

    /// Passes a number, `true`, `false` or `null` without looking at it.
    fn skip_token(&mut self) -> Result<(), FormatError> {
        let start = self.pos;
        while let Some(byte) = self.peek() {
            if matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                break;
            }
            self.pos += 1;
        }
        if self.pos == start {
            Err(self.error("a value expected"))
        } else {
            Ok(())
        }
    }

    /// Passes a number, `true`, `false` or `null` that must be well-formed.
    pub(crate) fn skip_scalar(&mut self) -> Result<(), FormatError> {
        match self.peek() {
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("a value expected")),
        }?;
        match self.peek() {
            None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') => Ok(()),
            Some(_) => Err(self.error("a value that goes on too long")),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), FormatError> {
        if self.bytes[self.pos..].starts_with(word) {
            self.pos += word.len();
            Ok(())
        } else {
            Err(self.error("a value expected"))
        }
    }

    fn number(&mut self) -> Result<(), FormatError> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        match self.peek() {
            Some(b'0') => self.pos += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), FormatError> {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.peek() {
            self.pos += 1;
        }
        if self.pos == start {
            Err(self.error("a digit expected"))
        } else {
            Ok(())
        }
    }

    /// Only white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), FormatError> {
        self.skip_space();
        match self.bytes.len() - self.pos {
            0 => Ok(()),
            count => Err(self.error(format!("{count} bytes after the end of the event"))),
        }
    }
}
