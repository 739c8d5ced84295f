//! A process that writes is killed again and again; every record is in the files once.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::*;

const DIR: &str = "FILE_SINK_TEST_DIR";
const KEYS: &str = "FILE_SINK_TEST_KEYS";
const SEED: &str = "FILE_SINK_TEST_SEED";

/// A small generator of test sizes (xorshift).
struct Sizes(u64);

impl Sizes {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Not a test by itself: the process that [`killed_and_read_back`] starts and kills.
#[test]
#[ignore = "writes until it is killed"]
fn writes_until_it_is_killed() {
    let (Ok(dir), Ok(keys), Ok(seed)) =
        (std::env::var(DIR), std::env::var(KEYS), std::env::var(SEED))
    else {
        return;
    };
    let mut sizes = Sizes(seed.parse().unwrap());
    let partitions = [partition("a", 0), partition("a", 1), partition("b", 0)];
    let mut sink = sink(Path::new(&dir), &keys);
    let durable = open(&mut sink, &partitions).unwrap();
    let mut next: Vec<i64> = partitions
        .iter()
        .map(|p| {
            durable
                .iter()
                .find(|position| position.partition == *p)
                .map_or(0, |position| position.offset)
        })
        .collect();
    loop {
        for (partition, next) in partitions.iter().zip(&mut next) {
            let end = *next + i64::try_from(sizes.below(4000)).unwrap();
            write(&mut sink, records(partition, *next..end)).unwrap();
            *next = end;
        }
        if sizes.below(3) > 0 {
            flush(&mut sink).unwrap();
        }
    }
}

/// Starts the writer and kills it after that many milliseconds.
fn write_and_kill(dir: &Path, keys: &str, seed: u64, millis: u64) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "writes_until_it_is_killed"])
        .env(DIR, dir)
        .env(KEYS, keys)
        .env(SEED, (seed | 1).to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(millis));
    assert!(
        writer.try_wait().unwrap().is_none(),
        "the writer ends only when it is killed"
    );
    writer.kill().unwrap();
    writer.wait().unwrap();
}

/// Kills writers at random moments, at least `kills` times and until every partition has got
/// somewhere, however slow the machine; then looks at the files.
fn killed_and_read_back(keys: &str, extension: &str, kills: u64) {
    let dir = tempfile::tempdir().unwrap();
    let partitions = [partition("a", 0), partition("a", 1), partition("b", 0)];
    let mut sizes = Sizes(0x9e37_79b9_7f4a_7c15 ^ keys.len() as u64);
    let mut longest = 60;
    let durable = loop {
        for _ in 0..kills {
            let (seed, millis) = (sizes.below(u64::MAX), 5 + sizes.below(longest));
            write_and_kill(dir.path(), keys, seed, millis);
        }
        let durable = open(&mut sink(dir.path(), keys), &partitions).unwrap();
        if durable.len() == partitions.len()
            && durable.iter().all(|position| position.offset > 1000)
        {
            break durable;
        }
        longest *= 2;
    };
    for (position, prefix) in durable.iter().zip(["a-0", "a-1", "b-0"]) {
        let found = numbers(&files(dir.path(), prefix, extension));
        assert!(
            found.iter().copied().eq(0..position.offset),
            "{prefix}: not every record once up to {}",
            position.offset
        );
    }
}

#[test]
fn plain_files_hold_every_record_once() {
    killed_and_read_back("", ".jsonl", 25);
}

#[test]
fn rotated_files_hold_every_record_once() {
    killed_and_read_back("rotate.bytes=100kb\nmax.open.files=2", ".jsonl", 25);
}

#[test]
fn gzip_files_hold_every_record_once() {
    killed_and_read_back(
        "file={topic}-{partition}.jsonl.gz\nfile.compression.type=gzip\nrotate.bytes=20kb",
        ".jsonl.gz",
        15,
    );
}

#[test]
fn zstd_files_hold_every_record_once() {
    killed_and_read_back(
        "file={topic}-{partition}.jsonl.zst\nfile.compression.type=zstd\nrotate.bytes=20kb",
        ".jsonl.zst",
        15,
    );
}
