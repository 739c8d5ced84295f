//! A disk that is full and gets room again: the task waits, and nothing is lost or written twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;
use std::process::Command;

use penstock_connect::Retry;
use support::*;

const DISK: &str = "FILE_SINK_TEST_DISK";

/// Takes up all the room but a little.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).unwrap();
    let mut length = 0;
    while let Ok(written) = file.write(&[0; 4096]) {
        length += written as u64;
    }
    file.set_len(length - (24 << 10)).unwrap();
}

/// Not a test by itself: runs where a small file system is mounted at `DISK`.
#[test]
#[ignore = "runs on a file system of its own"]
fn fills_the_disk() {
    let Ok(disk) = std::env::var(DISK) else {
        return;
    };
    let disk = Path::new(&disk);
    for (keys, extension) in [
        (
            "file={topic}-{partition}.jsonl\nrotate.bytes=100kb",
            ".jsonl",
        ),
        (
            "file={topic}-{partition}.jsonl.zst\nfile.compression.type=zstd",
            ".jsonl.zst",
        ),
    ] {
        let a = partition("a", 0);
        let mut sink = sink(disk, keys);
        let ballast = disk.join("ballast");
        fill(&ballast);
        let (mut next, mut waits, mut batch) = (0, 0, Vec::new());
        while next < 12_000 {
            if batch.is_empty() {
                batch = records(&a, next..next + 500);
            }
            let result = write(&mut sink, batch.clone()).map(|_| batch.clear());
            let result = result.and_then(|()| flush(&mut sink));
            match result {
                Ok(durable) => {
                    next = durable[0].offset;
                    batch.clear();
                }
                Err(error) => {
                    assert_eq!(error.retry, Retry::Backoff, "{error}");
                    assert!(
                        error.message.contains("make room there; nothing is lost"),
                        "{error}"
                    );
                    waits += 1;
                    // The same batch is given again, as the runner does, before there is room.
                    if waits % 3 == 0 {
                        let _ = std::fs::remove_file(&ballast);
                        for complete in files(disk, "a-0", extension).iter().rev().skip(1) {
                            let moved = std::env::temp_dir().join(complete.file_name().unwrap());
                            std::fs::copy(complete, moved).unwrap();
                            std::fs::remove_file(complete).unwrap();
                        }
                    }
                }
            }
        }
        assert!(waits > 0, "the disk was never full");
        let mut all = files(&std::env::temp_dir(), "a-0", extension);
        all.extend(files(disk, "a-0", extension));
        assert_eq!(numbers(&all), (0..12_000).collect::<Vec<_>>());
        std::fs::remove_dir_all(disk).ok();
    }
}

#[test]
fn a_full_disk_makes_the_task_wait_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, elsewhere) = (dir.path().join("disk"), dir.path().join("elsewhere"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let mounts = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
        ])
        .arg(&disk)
        .output();
    if !mounts.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "no file system may be mounted here, and a run that counts needs one (unshare, user namespaces)"
        );
        eprintln!("skipped: no file system may be mounted here");
        return;
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=500k tmpfs "$0" && exec "$1" --ignored --exact fills_the_disk --nocapture"#)
        .arg(&disk)
        .arg(std::env::current_exe().unwrap())
        .env(DISK, &disk)
        .env("TMPDIR", &elsewhere)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}
