//! The sidecar of a data file: what of it is durable, and up to which offset.
//!
//! `FILE.position` has two slots of 512 bytes. Commit `n` goes to slot `n % 2` in one write and one
//! sync, so a torn write leaves the commit before it intact, and a full disk cannot stop it (the
//! slots are there from the start). A slot is a JSON object, blanks, the CRC-32 of both in hex, and a
//! newline. The open sidecar is locked: nobody else writes the same data file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use penstock_connect::Error;
use serde::{Deserialize, Serialize};

use crate::failure::{failed, sync_failed};
use crate::tail::Tail;

const FORMAT: u8 = 1;
const SLOT: usize = 512;
const TEXT: usize = SLOT - 9;

/// What is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u8,
    /// Number of the commit.
    pub(crate) commit: u64,
    /// Next offset to be read; none before the first flush.
    pub(crate) offset: Option<i64>,
    /// Bytes of the data file that count.
    pub(crate) length: u64,
    /// Offset of the data file's first record.
    pub(crate) first: Option<i64>,
    /// When the first record was written to the data file, in milliseconds since the epoch.
    pub(crate) started: Option<i64>,
    checked_from: u64,
    crc32: u32,
    /// The data file is complete and about to get its final name. No new data file is made before
    /// this is taken back.
    pub(crate) rotating: bool,
}

impl State {
    /// Nothing written yet.
    pub(crate) fn new() -> Self {
        Self {
            format: FORMAT,
            commit: 0,
            offset: None,
            length: 0,
            first: None,
            started: None,
            checked_from: 0,
            crc32: 0,
            rotating: false,
        }
    }

    /// The state after the data file got its final name.
    pub(crate) fn after_rotation(&self) -> Self {
        Self {
            commit: self.commit + 1,
            offset: self.offset,
            ..Self::new()
        }
    }

    /// The checksum of the data file's end.
    pub(crate) fn tail(&self) -> Tail {
        Tail {
            from: self.checked_from,
            crc: self.crc32,
        }
    }

    pub(crate) fn set_tail(&mut self, tail: Tail) {
        self.checked_from = tail.from;
        self.crc32 = tail.crc;
    }
}

/// The sidecar of this data file.
pub(crate) fn path_of(data: &Path) -> PathBuf {
    let mut path = data.as_os_str().to_owned();
    path.push(".position");
    path.into()
}

/// An open, locked sidecar.
#[derive(Debug)]
pub(crate) struct Sidecar {
    path: PathBuf,
    file: File,
}

impl Sidecar {
    /// Opens and locks an existing sidecar; `None` if there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::lock(path, file).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open", path, error)),
        }
    }

    /// Opens and locks the sidecar, making a blank one if there is none.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| failed("create", path, error))?;
        Self::lock(path, file)
    }

    fn lock(path: &Path, file: File) -> Result<Self, Error> {
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::backoff(format!(
                "{} is locked: another task or process is writing this file; stop it, or give this connector \
                 a `file` of its own",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed("lock", path, error)),
        }
    }

    /// Reads the last commit; `None` if no slot is readable.
    pub(crate) fn read(&mut self) -> Result<Option<State>, Error> {
        let mut bytes = Vec::with_capacity(2 * SLOT);
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| {
                (&mut self.file)
                    .take(2 * SLOT as u64)
                    .read_to_end(&mut bytes)
            })
            .map_err(|error| failed("read", &self.path, error))?;
        let slots = bytes.chunks(SLOT).filter_map(parse_slot);
        match slots.max_by_key(|state| state.commit) {
            Some(state) if state.format != FORMAT => Err(Error::never(format!(
                "{} has format {}, and this version knows {FORMAT}; use the version that wrote it",
                self.path.display(),
                state.format
            ))),
            state => Ok(state),
        }
    }

    /// Makes `state` durable.
    pub(crate) fn commit(&mut self, state: &State) -> Result<(), Error> {
        let slot = print_slot(state).map_err(|error| failed("write", &self.path, error))?;
        let place = state.commit % 2 * SLOT as u64;
        self.file
            .seek(SeekFrom::Start(place))
            .and_then(|_| self.file.write_all(&slot))
            .map_err(|error| failed("write", &self.path, error))?;
        self.file
            .sync_data()
            .map_err(|error| sync_failed(&self.path, error))
    }

    /// Takes up the room of both slots and makes `state` the first commit.
    pub(crate) fn initialise(&mut self, state: &State) -> Result<(), Error> {
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&[0; 2 * SLOT]))
            .map_err(|error| failed("write", &self.path, error))?;
        self.commit(state)
    }
}

fn print_slot(state: &State) -> io::Result<Vec<u8>> {
    let mut slot = serde_json::to_vec(state)?;
    debug_assert!(slot.len() <= TEXT, "the longest numbers fit into a slot");
    slot.resize(TEXT, b' ');
    let crc = crc32fast::hash(&slot);
    writeln!(slot, "{crc:08x}")?;
    Ok(slot)
}

fn parse_slot(slot: &[u8]) -> Option<State> {
    let (text, crc) = slot.split_at_checked(TEXT)?;
    let crc = crc.strip_suffix(b"\n").filter(|crc| crc.len() == 8)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if crc32fast::hash(text) != crc {
        return None;
    }
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::Retry;
    use proptest::prelude::*;

    fn state(commit: u64) -> State {
        State {
            commit,
            offset: Some(i64::try_from(commit).unwrap() * 10),
            length: commit * 100,
            ..State::new()
        }
    }

    fn committed(path: &Path, commits: u64) {
        let mut sidecar = Sidecar::open_or_create(path).unwrap();
        assert_eq!(sidecar.read().unwrap(), None);
        sidecar.initialise(&state(0)).unwrap();
        for commit in 1..=commits {
            sidecar.commit(&state(commit)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_torn_commit_leaves_the_one_before_it(commits in 1..6u64, at in 0..SLOT, byte: u8) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f.position");
            committed(&path, commits);
            let mut bytes = std::fs::read(&path).unwrap();
            let place = usize::try_from(commits % 2).unwrap() * SLOT + at;
            let expected = if bytes[place] == byte { commits } else { commits - 1 };
            bytes[place] = byte;
            std::fs::write(&path, bytes).unwrap();
            let read = Sidecar::open(&path).unwrap().unwrap().read().unwrap();
            prop_assert_eq!(read, Some(state(expected)));
        }
    }

    #[test]
    fn the_longest_state_fits_into_its_slot() {
        let longest = State {
            format: u8::MAX,
            commit: u64::MAX,
            offset: Some(i64::MIN),
            length: u64::MAX,
            first: Some(i64::MIN),
            started: Some(i64::MIN),
            checked_from: u64::MAX,
            crc32: u32::MAX,
            rotating: false,
        };
        let slot = print_slot(&longest).unwrap();
        assert_eq!(slot.len(), SLOT);
        assert_eq!(parse_slot(&slot), Some(longest));
    }

    #[test]
    fn other_bytes_are_no_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.position");
        for bytes in [&b""[..], &[0; 1024], b"something else", &[b' '; 2000]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Sidecar::open(&path).unwrap().unwrap().read().unwrap(), None);
        }
    }

    #[test]
    fn a_newer_format_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.position");
        let mut sidecar = Sidecar::open_or_create(&path).unwrap();
        sidecar
            .initialise(&State {
                format: 2,
                ..State::new()
            })
            .unwrap();
        let error = sidecar.read().unwrap_err();
        assert!(error.message.contains("has format 2"), "{error}");
    }

    #[test]
    fn a_second_writer_waits_and_is_told_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.position");
        let first = Sidecar::open_or_create(&path).unwrap();
        let error = Sidecar::open_or_create(&path).unwrap_err();
        assert_eq!(error.retry, Retry::Backoff);
        assert!(error.message.contains("another task or process"), "{error}");
        drop(first);
        assert!(Sidecar::open(&path).unwrap().is_some());
    }
}
