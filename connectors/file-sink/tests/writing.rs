//! What lies in the files after writing, flushing, rotating and starting again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use futures::executor::block_on;
use penstock_connect::{Metrics, RecordErrorKind, Retry, Sink};
use support::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_partition_gets_its_file_and_flush_says_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (partition("a", 0), partition("a", 1));
    let mut sink = sink(dir.path(), "file=deep/er/{topic}/{partition}.jsonl");
    assert_eq!(open(&mut sink, &[a.clone(), b.clone()]).unwrap(), []);
    let batch = vec![record(&a, 5), record(&b, 70), record(&a, 6), record(&b, 72)];
    assert_eq!(write(&mut sink, batch).unwrap(), []);
    assert_eq!(
        flush(&mut sink).unwrap(),
        [position(&a, 7), position(&b, 73)]
    );
    assert_eq!(numbers(&[dir.path().join("deep/er/a/0.jsonl")]), [5, 6]);
    assert_eq!(numbers(&[dir.path().join("deep/er/a/1.jsonl")]), [70, 72]);
}

#[test]
fn nothing_is_made_for_a_partition_without_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path(), "");
    open(&mut sink, &[partition("a", 0)]).unwrap();
    assert_eq!(flush(&mut sink).unwrap(), []);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_new_sink_goes_on_from_the_sidecar_and_drops_what_was_not_flushed() {
    for (keys, file) in [
        ("", "a-0.jsonl"),
        (
            "file={topic}-{partition}.gz\nfile.compression.type=gzip",
            "a-0.gz",
        ),
        (
            "file={topic}-{partition}.zst\nfile.compression.type=zstd",
            "a-0.zst",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let a = partition("a", 0);
        let mut first = sink(dir.path(), keys);
        write(&mut first, records(&a, 0..10)).unwrap();
        flush(&mut first).unwrap();
        // Enough for chunks to be in the file before the flush that never comes.
        write(&mut first, records(&a, 10..20_000)).unwrap();
        drop(first);
        let path = dir.path().join(file);
        let before = std::fs::metadata(&path).unwrap().len();
        let mut second = sink(dir.path(), keys);
        assert_eq!(
            open(&mut second, std::slice::from_ref(&a)).unwrap(),
            [position(&a, 10)]
        );
        assert!(
            std::fs::metadata(&path).unwrap().len() < before,
            "{file} was cut back"
        );
        write(&mut second, records(&a, 10..30)).unwrap();
        assert_eq!(flush(&mut second).unwrap(), [position(&a, 30)]);
        assert_eq!(numbers(&[path]), (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn records_that_are_given_again_are_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let metrics = Metrics::new();
    let mut sink = sink_with_metrics(dir.path(), "", &metrics);
    write(&mut sink, records(&a, 0..10)).unwrap();
    flush(&mut sink).unwrap();
    write(&mut sink, records(&a, 10..20)).unwrap();
    write(&mut sink, records(&a, 10..25)).unwrap();
    flush(&mut sink).unwrap();
    assert_eq!(
        numbers(&[dir.path().join("a-0.jsonl")]),
        (0..25).collect::<Vec<_>>()
    );
    let left_out = metrics.counter(
        "penstock_file_sink_records_left_out_total",
        "",
        &["connector", "task", "reason"],
    );
    assert_eq!(
        left_out
            .with_label_values(&["files", "0", "taken before"])
            .get(),
        10
    );
}

#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "");
    write(&mut sink, records(&a, 0..10)).unwrap();
    flush(&mut sink).unwrap();
    let error = write(&mut sink, records(&a, 0..3)).unwrap_err();
    assert_eq!(error.retry, Retry::Reconnect);
    assert!(
        error
            .message
            .contains("holds everything below offset 10, and offset 0 came"),
        "{error}"
    );
    assert_eq!(
        numbers(&[dir.path().join("a-0.jsonl")]),
        (0..10).collect::<Vec<_>>()
    );
}

#[test]
fn several_records_made_from_one_are_all_written() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "");
    write(&mut sink, vec![record(&a, 3), record(&a, 3), record(&a, 4)]).unwrap();
    flush(&mut sink).unwrap();
    assert_eq!(numbers(&[dir.path().join("a-0.jsonl")]), [3, 3, 4]);
}

#[test]
fn a_record_that_is_not_json_is_rejected_and_the_others_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "");
    let batch = vec![
        record(&a, 0),
        with_value(&a, 1, Some("{\"n\":".into())),
        record(&a, 2),
    ];
    let rejected = write(&mut sink, batch).unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(
        (rejected[0].0, rejected[0].1.kind),
        (1, RecordErrorKind::Malformed)
    );
    assert_eq!(flush(&mut sink).unwrap(), [position(&a, 3)]);
    assert_eq!(numbers(&[dir.path().join("a-0.jsonl")]), [0, 2]);
}

#[test]
fn the_position_moves_over_records_that_leave_no_line() {
    for (behaviour, text, rejections) in
        [("write", "null\n", 0), ("ignore", "", 0), ("fail", "", 1)]
    {
        let dir = tempfile::tempdir().unwrap();
        let a = partition("a", 0);
        let keys = format!("behavior.on.null.values={behaviour}");
        let mut first = sink(dir.path(), &keys);
        let rejected = write(&mut first, vec![with_value(&a, 8, None)]).unwrap();
        assert_eq!(rejected.len(), rejections, "{behaviour}");
        assert_eq!(flush(&mut first).unwrap(), [position(&a, 9)]);
        let path = dir.path().join("a-0.jsonl");
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            text,
            "{behaviour}"
        );
        drop(first);
        let mut second = sink(dir.path(), &keys);
        assert_eq!(
            open(&mut second, std::slice::from_ref(&a)).unwrap(),
            [position(&a, 9)]
        );
    }
}

#[test]
fn a_file_of_the_given_size_gets_the_offset_of_its_first_record_into_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut sink = sink(dir.path(), "rotate.bytes=60");
    for start in [4, 8, 12] {
        write(&mut sink, records(&a, start..start + 4)).unwrap();
        flush(&mut sink).unwrap();
    }
    write(&mut sink, records(&a, 16..17)).unwrap();
    flush(&mut sink).unwrap();
    assert_eq!(
        names(dir.path()),
        [
            "a-0-00000000000000000004.jsonl",
            "a-0-00000000000000000008.jsonl",
            "a-0-00000000000000000012.jsonl",
            "a-0.jsonl",
            "a-0.jsonl.position"
        ]
    );
    assert_eq!(
        numbers(&files(dir.path(), "a-0", ".jsonl")),
        (4..17).collect::<Vec<_>>()
    );
}

#[test]
fn a_file_of_the_given_age_is_completed_although_no_record_comes() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut first = sink(dir.path(), "rotate.ms=1");
    write(&mut first, records(&a, 0..3)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(flush(&mut first).unwrap(), [position(&a, 3)]);
    assert_eq!(
        names(dir.path()),
        ["a-0-00000000000000000000.jsonl", "a-0.jsonl.position"]
    );
    drop(first);
    let mut second = sink(dir.path(), "rotate.ms=1");
    assert_eq!(
        open(&mut second, std::slice::from_ref(&a)).unwrap(),
        [position(&a, 3)]
    );
    assert_eq!(flush(&mut second).unwrap(), [position(&a, 3)]);
    assert_eq!(
        names(dir.path()),
        ["a-0-00000000000000000000.jsonl", "a-0.jsonl.position"]
    );
}

#[test]
fn a_complete_file_may_be_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    let mut first = sink(dir.path(), "rotate.bytes=1");
    write(&mut first, records(&a, 0..3)).unwrap();
    flush(&mut first).unwrap();
    std::fs::remove_file(dir.path().join("a-0-00000000000000000000.jsonl")).unwrap();
    drop(first);
    let mut second = sink(dir.path(), "rotate.bytes=1");
    assert_eq!(
        open(&mut second, std::slice::from_ref(&a)).unwrap(),
        [position(&a, 3)]
    );
}

#[test]
fn a_complete_file_never_overwrites_another() {
    let dir = tempfile::tempdir().unwrap();
    let a = partition("a", 0);
    std::fs::write(
        dir.path().join("a-0-00000000000000000000.jsonl"),
        "precious\n",
    )
    .unwrap();
    let mut sink = sink(dir.path(), "rotate.bytes=1");
    write(&mut sink, records(&a, 0..3)).unwrap();
    let error = flush(&mut sink).unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error
            .message
            .contains("a-0-00000000000000000000.jsonl, which exists already"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("a-0-00000000000000000000.jsonl")).unwrap(),
        "precious\n"
    );
}

#[test]
fn more_partitions_than_open_files_are_written_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let partitions: Vec<_> = (0..20).map(|number| partition("a", number)).collect();
    let mut sink = sink(dir.path(), "max.open.files=3");
    open(&mut sink, &partitions).unwrap();
    for round in 0..5 {
        for offset in round * 10..round * 10 + 10 {
            write(
                &mut sink,
                partitions.iter().map(|p| record(p, offset)).collect(),
            )
            .unwrap();
        }
        let durable = flush(&mut sink).unwrap();
        assert_eq!(durable.len(), 20);
        assert!(
            durable
                .iter()
                .all(|position| position.offset == round * 10 + 10)
        );
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, |fds| {
            fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
                .filter(|target| {
                    target.starts_with(dir.path())
                        && target.extension().is_some_and(|e| e == "jsonl")
                })
                .count()
        });
        assert!(open <= 3, "{open} data files are open");
    }
    for number in 0..20 {
        let path = dir.path().join(format!("a-{number}.jsonl"));
        assert_eq!(numbers(&[path]), (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn partitions_that_were_closed_can_be_written_by_another_sink() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (partition("a", 0), partition("b", 0));
    let mut first = sink(dir.path(), "");
    write(&mut first, vec![record(&a, 0), record(&b, 0)]).unwrap();
    flush(&mut first).unwrap();
    let mut second = sink(dir.path(), "");
    let error = open(&mut second, std::slice::from_ref(&a)).unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert!(
        error
            .message
            .contains("is locked: another task or process is writing this file"),
        "{error}"
    );
    block_on(first.close(std::slice::from_ref(&a))).unwrap();
    assert_eq!(
        open(&mut second, std::slice::from_ref(&a)).unwrap(),
        [position(&a, 1)]
    );
    write(&mut second, records(&a, 1..3)).unwrap();
    write(&mut first, records(&b, 1..3)).unwrap();
    flush(&mut second).unwrap();
    flush(&mut first).unwrap();
    for file in ["a-0.jsonl", "b-0.jsonl"] {
        assert_eq!(numbers(&[dir.path().join(file)]), [0, 1, 2]);
    }
}
