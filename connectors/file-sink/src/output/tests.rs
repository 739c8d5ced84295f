//! A device without room, in the place of the data file.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use penstock_connect::Retry;
use penstock_connect::config::ConfigValue;

use super::*;
use crate::config::Compression;

fn take(output: &mut Output, offset: i64) {
    let line = |lines: &mut Vec<u8>| {
        lines.extend_from_slice(format!("{offset}\n").as_bytes());
        Ok::<_, Infallible>(())
    };
    output.take(offset, SystemTime::now(), line).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_full_device_does_not_take_is_kept_and_written_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{}/{{topic}}-{{partition}}", dir.path().display());
    let template = Arc::new(PathTemplate::parse(&text).unwrap());
    let partition = TopicPartition {
        topic: "a".into(),
        partition: 0,
    };
    let mut encoder = ChunkEncoder::new(Compression::None).unwrap();
    let now = SystemTime::now();
    let mut output = Output::create(&template, Rotation::default(), &partition).unwrap();
    take(&mut output, 0);
    output.commit(&mut encoder, now).unwrap();

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let real = output.handles.as_mut().unwrap().data.replace(full).unwrap();
    for offset in 1..4 {
        take(&mut output, offset);
        let error = output.commit(&mut encoder, now).unwrap_err();
        assert_eq!(error.retry, Retry::Backoff);
        assert!(
            error.message.contains("make room there; nothing is lost"),
            "{error}"
        );
        assert_eq!(output.durable(), Some(1));
    }
    output.handles.as_mut().unwrap().data.replace(real);
    output.commit(&mut encoder, now).unwrap();
    assert_eq!(output.durable(), Some(4));
    assert_eq!(
        std::fs::read_to_string(dir.path().join("a-0")).unwrap(),
        "0\n1\n2\n3\n"
    );
}

#[test]
fn a_rename_that_failed_comes_before_anything_else_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{}/{{topic}}-{{partition}}", dir.path().display());
    let template = Arc::new(PathTemplate::parse(&text).unwrap());
    let partition = TopicPartition {
        topic: "a".into(),
        partition: 0,
    };
    let mut encoder = ChunkEncoder::new(Compression::None).unwrap();
    let now = SystemTime::now();
    let mut output = Output::create(&template, Rotation::default(), &partition).unwrap();
    take(&mut output, 7);
    output.commit(&mut encoder, now).unwrap();
    // As a commit leaves it whose sidecar is written and whose rename failed.
    output.committed.rotating = true;
    (output.first, output.started) = (None, None);
    take(&mut output, 8);
    output.commit(&mut encoder, now).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(
        (read("a-0-00000000000000000007"), read("a-0")),
        ("7\n".into(), "8\n".into())
    );
    assert_eq!(output.committed.first, Some(8));
}

#[test]
fn a_file_is_complete_by_the_age_of_its_first_record_whatever_the_clock_does() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{}/{{topic}}-{{partition}}", dir.path().display());
    let template = Arc::new(PathTemplate::parse(&text).unwrap());
    let partition = TopicPartition {
        topic: "a".into(),
        partition: 0,
    };
    let mut encoder = ChunkEncoder::new(Compression::None).unwrap();
    let hour = Duration::from_secs(3600);
    let rotation = Rotation {
        bytes: None,
        age: Some(hour),
    };
    let start = SystemTime::now();
    let mut output = Output::create(&template, rotation, &partition).unwrap();
    take(&mut output, 0);
    assert!(!output.commit(&mut encoder, start).unwrap().1);
    assert!(!output.commit(&mut encoder, start - 2 * hour).unwrap().1);
    drop(output);
    let mut output = Output::recover(&template, rotation, &partition)
        .unwrap()
        .unwrap();
    assert!(!output.needs_commit(start + hour / 2));
    assert!(output.needs_commit(start + 2 * hour));
    assert!(output.commit(&mut encoder, start + 2 * hour).unwrap().1);
    assert!(!output.needs_commit(start + 4 * hour));
}
