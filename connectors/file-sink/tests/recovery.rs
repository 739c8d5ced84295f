//! What a sink makes of the files it finds: after a kill at any point, and after somebody touched them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use penstock_connect::Retry;
use support::*;

/// Writes `0..10` in two flushes, so that the file is 10 lines long and the sidecar has both slots.
fn written(dir: &Path) {
    let a = partition("a", 0);
    let mut sink = sink(dir, "");
    write(&mut sink, records(&a, 0..5)).unwrap();
    flush(&mut sink).unwrap();
    write(&mut sink, records(&a, 5..10)).unwrap();
    flush(&mut sink).unwrap();
}

#[test]
fn a_file_that_is_not_as_it_was_written_is_left_alone_with_a_reason() {
    type Touch = fn(&Path, &Path);
    let cases: [(Touch, &str); 6] = [
        (
            |data, _| std::fs::write(data, "{\"n\":0}\n").unwrap(),
            "has 8 bytes, but",
        ),
        (
            |data, _| {
                let text = std::fs::read_to_string(data)
                    .unwrap()
                    .replace("\"n\":3", "\"n\":9");
                std::fs::write(data, text).unwrap();
            },
            "is not as it was written: it was edited or replaced",
        ),
        (
            |data, _| {
                let text = std::fs::read_to_string(data).unwrap();
                std::fs::write(data, format!("# note\n{text}")).unwrap();
            },
            "is not as it was written: it was edited or replaced",
        ),
        (
            |data, _| std::fs::remove_file(data).unwrap(),
            "is missing, but",
        ),
        (
            |_, sidecar| std::fs::remove_file(sidecar).unwrap(),
            "a-0.jsonl.position beside it is missing or damaged",
        ),
        (
            |_, sidecar| std::fs::write(sidecar, [b'x'; 1024]).unwrap(),
            "a-0.jsonl.position beside it is missing or damaged",
        ),
    ];
    for (touch, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let (data, sidecar) = (
            dir.path().join("a-0.jsonl"),
            dir.path().join("a-0.jsonl.position"),
        );
        touch(&data, &sidecar);
        let before = std::fs::read(&data).ok();
        let error = open(&mut sink(dir.path(), ""), &[partition("a", 0)]).unwrap_err();
        assert_eq!(error.retry, Retry::Never, "{error}");
        assert!(error.message.contains(expected), "{error}");
        assert!(error.message.contains("restart the task"), "{error}");
        assert_eq!(std::fs::read(&data).ok(), before, "{expected}");
    }
}

#[test]
fn the_advice_works_moving_both_files_away_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    std::fs::remove_file(dir.path().join("a-0.jsonl")).unwrap();
    std::fs::remove_file(dir.path().join("a-0.jsonl.position")).unwrap();
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "");
    assert_eq!(open(&mut sink, std::slice::from_ref(&a)).unwrap(), []);
    write(&mut sink, records(&a, 10..12)).unwrap();
    flush(&mut sink).unwrap();
    assert_eq!(numbers(&[dir.path().join("a-0.jsonl")]), [10, 11]);
}

#[test]
fn a_torn_last_commit_falls_back_to_the_one_before_and_the_rest_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    // The commits were 0 (made), 1 and 2: the last is in the first slot.
    damage_slot(dir.path(), 0);
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "");
    assert_eq!(
        open(&mut sink, std::slice::from_ref(&a)).unwrap(),
        [position(&a, 5)]
    );
    write(&mut sink, records(&a, 5..10)).unwrap();
    flush(&mut sink).unwrap();
    assert_eq!(
        numbers(&[dir.path().join("a-0.jsonl")]),
        (0..10).collect::<Vec<_>>()
    );
}

fn damage_slot(dir: &Path, slot: usize) {
    let path = dir.join("a-0.jsonl.position");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[slot * 512 + 20] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_kill_at_any_point_of_a_rotation_is_exact() {
    const COMPLETE: &str = "a-0-00000000000000000000.jsonl";
    // What the kill left: the complete file still under its old name, or renamed and perhaps taken
    // away; each with the sidecar still saying that it is about to be renamed.
    for (renamed, taken_away) in [(false, false), (true, false), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let a = partition("a", 0);
        let mut first = sink(dir.path(), "rotate.bytes=1");
        write(&mut first, records(&a, 0..10)).unwrap();
        flush(&mut first).unwrap();
        drop(first);
        // The commits were 0 (made), 1 (rotating) and 2 (rotated): 2 is in the first slot.
        damage_slot(dir.path(), 0);
        if !renamed {
            std::fs::rename(dir.path().join(COMPLETE), dir.path().join("a-0.jsonl")).unwrap();
        }
        if taken_away {
            std::fs::remove_file(dir.path().join(COMPLETE)).unwrap();
        }
        let mut second = sink(dir.path(), "");
        assert_eq!(
            open(&mut second, std::slice::from_ref(&a)).unwrap(),
            [position(&a, 10)]
        );
        write(&mut second, records(&a, 10..15)).unwrap();
        flush(&mut second).unwrap();
        assert_eq!(
            numbers(&[dir.path().join("a-0.jsonl")]),
            (10..15).collect::<Vec<_>>()
        );
        drop(second);
        let mut third = sink(dir.path(), "rotate.bytes=1");
        open(&mut third, std::slice::from_ref(&a)).unwrap();
        flush(&mut third).unwrap();
        let next = dir.path().join("a-0-00000000000000000010.jsonl");
        assert_eq!(numbers(&[next]), (10..15).collect::<Vec<_>>());
        assert_eq!(dir.path().join(COMPLETE).exists(), !taken_away);
        if !taken_away {
            assert_eq!(
                numbers(&[dir.path().join(COMPLETE)]),
                (0..10).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_kill_before_the_first_flush_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut first = sink(dir.path(), "");
    write(&mut first, records(&a, 0..20_000)).unwrap();
    assert!(
        std::fs::metadata(dir.path().join("a-0.jsonl"))
            .unwrap()
            .len()
            > 0
    );
    drop(first);
    let mut second = sink(dir.path(), "");
    assert_eq!(open(&mut second, std::slice::from_ref(&a)).unwrap(), []);
    write(&mut second, records(&a, 0..3)).unwrap();
    flush(&mut second).unwrap();
    assert_eq!(numbers(&[dir.path().join("a-0.jsonl")]), [0, 1, 2]);
}

#[test]
fn a_file_that_is_taken_away_while_it_is_written_stops_the_task_before_a_position_moves() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut first = sink(dir.path(), "");
    write(&mut first, records(&a, 0..3)).unwrap();
    flush(&mut first).unwrap();
    let (data, away) = (dir.path().join("a-0.jsonl"), dir.path().join("elsewhere"));
    std::fs::rename(&data, &away).unwrap();
    write(&mut first, records(&a, 3..5)).unwrap();
    let error = flush(&mut first).unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error
            .message
            .contains("was moved, deleted or replaced while it was being written"),
        "{error}"
    );
    drop(first);
    std::fs::rename(&away, &data).unwrap();
    let mut second = sink(dir.path(), "");
    assert_eq!(
        open(&mut second, std::slice::from_ref(&a)).unwrap(),
        [position(&a, 3)]
    );
    assert_eq!(numbers(&[data]), [0, 1, 2]);
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    std::fs::create_dir(dir.path().join("a-0.jsonl.position")).unwrap();
    let (passes, stays) = (
        (Retry::Backoff, "nothing is lost"),
        (Retry::Never, "restart the task"),
    );
    for (keys, topic, expected, (retry, advice)) in [
        ("file=file/{topic}-{partition}", "a", "/file", passes),
        ("file=file/deeper/{topic}-{partition}", "a", "/file", passes),
        ("", "a", "a-0.jsonl.position", passes),
        (
            "",
            &*"日本".repeat(60),
            ".jsonl.position: File name too long",
            stays,
        ),
    ] {
        let error = open(&mut sink(dir.path(), keys), &[partition(topic, 0)]).unwrap_err();
        assert_eq!(error.retry, retry, "{error}");
        assert!(error.message.contains(expected), "{error}");
        assert!(error.message.contains(advice), "{error}");
    }
}
