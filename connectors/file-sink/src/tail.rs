//! A checksum over the end of a file: tells whether the file is still the one that was written,
//! without reading all of a large one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crc32fast::Hasher;

/// How much of the end is checked, give or take one commit.
const WINDOW: u64 = 16 << 20;

/// CRC-32 over the bytes from `from` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) from: u64,
    pub(crate) crc: u32,
}

/// The checksum of a file that is being written.
pub(crate) struct TailCheck {
    from: u64,
    window: Hasher,
    committed: u64,
    since_commit: Hasher,
}

impl TailCheck {
    /// Goes on behind `length` bytes whose end has the checksum `tail`.
    pub(crate) fn resume(tail: Tail, length: u64) -> Self {
        Self {
            from: tail.from,
            window: Hasher::new_with_initial(tail.crc),
            committed: length,
            since_commit: Hasher::new(),
        }
    }

    /// Bytes that were appended to the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.window.update(bytes);
        self.since_commit.update(bytes);
    }

    /// The checksum for a file of `length` bytes; moves the window on when it has become large.
    pub(crate) fn commit(&mut self, length: u64) -> Tail {
        if length - self.from > WINDOW && length > self.committed {
            self.from = self.committed;
            self.window = self.since_commit.clone();
        }
        self.committed = length;
        self.since_commit = Hasher::new();
        Tail {
            from: self.from,
            crc: self.window.clone().finalize(),
        }
    }
}

/// Whether the bytes of `file` up to `length` end as `tail` says.
pub(crate) fn holds(file: &mut File, tail: Tail, length: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(tail.from))?;
    let mut rest = file.take(length.saturating_sub(tail.from));
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(rest.limit() == 0 && hasher.finalize() == tail.crc),
            n => hasher.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn the_window_moves_on_and_still_vouches_for_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let mut check = TailCheck::resume(Tail::default(), 0);
        let (mut length, mut tail) = (0, Tail::default());
        for round in 0..5u8 {
            let bytes = vec![round; 6 << 20];
            file.write_all(&bytes).unwrap();
            check.update(&bytes);
            length += bytes.len() as u64;
            tail = check.commit(length);
            assert!(holds(&mut file, tail, length).unwrap());
            file.seek(SeekFrom::End(0)).unwrap();
        }
        assert!(tail.from > 0);
        let mut resumed = TailCheck::resume(tail, length);
        file.write_all(b"more").unwrap();
        resumed.update(b"more");
        let tail = resumed.commit(length + 4);
        assert!(holds(&mut file, tail, length + 4).unwrap());
        assert!(!holds(&mut file, tail, length + 3).unwrap());
        file.seek(SeekFrom::End(-1)).unwrap();
        file.write_all(b"x").unwrap();
        assert!(!holds(&mut file, tail, length + 4).unwrap());
    }
}
