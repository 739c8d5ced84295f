//! What the embedded log alone has to answer for: its directory, reopening, retention, a full disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use penstock_broker::embedded::{EmbeddedBroker, EmbeddedSettings};
use penstock_broker::{
    Broker, ConsumerSpec, Created, Error, ErrorKind, Message, OutRecord, Polled, ProducerSpec,
    ReaderSpec, Retry, StartAt, TopicPartitionOffset, TopicSpec,
};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(100);

fn open(directory: &Path) -> Result<EmbeddedBroker, Error> {
    let cleaning_interval = Duration::from_millis(50);
    EmbeddedBroker::open(&EmbeddedSettings {
        cleaning_interval,
        ..EmbeddedSettings::new(directory)
    })
}

fn refused(directory: &Path) -> Error {
    open(directory).err().expect("the directory is refused")
}

fn fill(broker: &dyn Broker, topic: &str, values: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    for value in values {
        producer
            .send(
                OutRecord::new(topic, Some(value.as_ref()))
                    .key(b"key")
                    .partition(0),
            )
            .unwrap();
    }
    producer
        .flush(LIMIT)
        .unwrap()
        .into_iter()
        .for_each(|delivery| {
            delivery.unwrap();
        });
}

fn read_all(broker: &dyn Broker, topic: &str) -> Vec<Message> {
    let mut reader = broker.reader(ReaderSpec::new("reader")).unwrap();
    reader.assign(topic, 0, StartAt::Earliest).unwrap();
    let (_, high) = reader.watermarks(topic, 0).unwrap();
    let mut all = Vec::new();
    while reader.position(topic, 0).unwrap() < high {
        all.extend(reader.poll(1000, MOMENT).unwrap());
    }
    all
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "never so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_directory_in_use_is_refused_with_its_name_and_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path()).unwrap();
    let error = refused(directory.path());
    assert_eq!((error.kind, error.retry), (ErrorKind::Locked, Retry::Never));
    assert_eq!(
        error.message,
        format!(
            "data directory {} is in use by another process (process {}); stop it or choose another directory",
            directory.path().display(),
            std::process::id()
        )
    );
    drop(broker);
    open(directory.path()).unwrap();
}

#[test]
fn clients_keep_the_log_open_after_the_broker_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path()).unwrap();
    broker.create_topic(&TopicSpec::new("t", 1)).unwrap();
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    drop(broker);
    producer.send(OutRecord::new("t", Some(b"v"))).unwrap();
    assert_eq!(producer.flush(LIMIT).unwrap().len(), 1);
    assert_eq!(refused(directory.path()).kind, ErrorKind::Locked);
    drop(producer);
    assert_eq!(read_all(&open(directory.path()).unwrap(), "t").len(), 1);
}

#[test]
fn everything_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let spec = TopicSpec::new("t", 2)
        .config("max.message.bytes", "5000")
        .config("cleanup.policy", "compact");
    {
        let broker = open(directory.path()).unwrap();
        broker.create_topic(&TopicSpec::new("deleted", 1)).unwrap();
        broker.create_topic(&spec).unwrap();
        broker.delete_topic("deleted").unwrap();
        fill(&broker, "t", ["a", "b"]);
        broker
            .set_group_offsets("g", &[TopicPartitionOffset::new("t", 0, 1)])
            .unwrap();
    }
    let broker = open(directory.path()).unwrap();
    assert_eq!(broker.create_topic(&spec).unwrap(), Created::Existed);
    assert_eq!(broker.topics().unwrap().len(), 1);
    assert_eq!(
        broker.topic_config("t").unwrap()["max.message.bytes"],
        "5000"
    );
    assert_eq!(
        broker.group_offsets("g", &["t"]).unwrap(),
        [TopicPartitionOffset::new("t", 0, 1)]
    );
    assert_eq!(broker.watermarks("t", 0).unwrap(), (0, 2));
    fill(&broker, "t", ["c"]);
    let last = read_all(&broker, "t").pop().unwrap();
    assert_eq!((last.offset, last.value.as_deref()), (2, Some(&b"c"[..])));
}

#[test]
fn a_directory_that_cannot_be_used_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refused(&file.join("log"));
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(
        error.message.contains(&*file.display().to_string()),
        "{error}"
    );

    std::fs::write(
        directory.path().join("log.redb"),
        "not a log at all, but long enough to be read",
    )
    .unwrap();
    let error = refused(directory.path());
    assert!(
        error
            .message
            .contains(&*directory.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn a_log_of_another_layout_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let meta = redb::TableDefinition::<&str, u32>::new("meta");
    {
        let store = redb::Database::create(directory.path().join("log.redb")).unwrap();
        let write = store.begin_write().unwrap();
        write
            .open_table(meta)
            .unwrap()
            .insert("format", 99)
            .unwrap();
        write.commit().unwrap();
    }
    let error = refused(directory.path());
    assert!(
        error
            .message
            .contains("has layout 99, this version reads layout 1"),
        "{error}"
    );
}

#[test]
fn retention_takes_old_records_from_the_front() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path()).unwrap();
    broker
        .create_topic(&TopicSpec::new("time", 1).config("retention.ms", "3600000"))
        .unwrap();
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    for (value, timestamp) in [("old", Some(1000)), ("new", None)] {
        let record = OutRecord {
            timestamp,
            ..OutRecord::new("time", Some(value.as_bytes()))
        };
        producer.send(record).unwrap();
        producer.flush(LIMIT).unwrap();
    }
    eventually("the old record is gone", || {
        broker.watermarks("time", 0).unwrap() == (1, 2)
    });
    assert_eq!(
        read_all(&broker, "time")[0].value.as_deref(),
        Some(&b"new"[..])
    );

    broker
        .create_topic(&TopicSpec::new("size", 1).config("retention.bytes", "300000"))
        .unwrap();
    fill(&broker, "size", (0..1000).map(|_| [7; 1000]));
    eventually("the topic has its size", || {
        let (low, high) = broker.watermarks("size", 0).unwrap();
        high == 1000 && (600..=710).contains(&low)
    });
    let mut late = broker
        .consumer(ConsumerSpec::new("late", vec!["size".to_owned()]))
        .unwrap();
    broker
        .set_group_offsets("other", &[TopicPartitionOffset::new("size", 0, 5)])
        .unwrap();
    let first = loop {
        if let Polled::Messages(messages) = late.poll(10, LIMIT).unwrap() {
            break messages[0].offset;
        }
    };
    assert_eq!(first, broker.watermarks("size", 0).unwrap().0);
}

#[test]
fn a_tombstone_outlives_what_it_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path()).unwrap();
    let spec = TopicSpec::new("t", 1)
        .config("cleanup.policy", "compact")
        .config("max.compaction.lag.ms", "0")
        .config("delete.retention.ms", "3600000");
    broker.create_topic(&spec).unwrap();
    fill(&broker, "t", ["secret"]);
    let mut producer = broker.producer(ProducerSpec::default()).unwrap();
    producer
        .send(OutRecord::new("t", None).key(b"key").timestamp(1000))
        .unwrap();
    producer.flush(LIMIT).unwrap();
    eventually("the value is gone", || read_all(&broker, "t").len() == 1);
    // Whoever reads from the start has delete.retention.ms to see the deletion, however old it is.
    for round in 1..=3 {
        producer
            .send(OutRecord::new("t", Some(b"v")).key(b"other"))
            .unwrap();
        producer.flush(LIMIT).unwrap();
        eventually("one more record is compacted away", || {
            read_all(&broker, "t").len() == 2
        });
        let kept = read_all(&broker, "t");
        assert_eq!(
            (kept[0].offset, kept[0].value.is_none()),
            (1, true),
            "round {round}"
        );
    }
}

#[test]
fn a_topic_deleted_under_its_reader_is_lost_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path()).unwrap();
    broker.create_topic(&TopicSpec::new("t", 1)).unwrap();
    fill(&broker, "t", ["old"]);
    let mut member = broker
        .consumer(ConsumerSpec::new("g", vec!["t".to_owned()]))
        .unwrap();
    assert!(matches!(
        member.poll(10, LIMIT).unwrap(),
        Polled::Assigned(_)
    ));
    assert!(matches!(
        member.poll(10, LIMIT).unwrap(),
        Polled::Messages(_)
    ));
    broker.delete_topic("t").unwrap();
    broker.create_topic(&TopicSpec::new("t", 1)).unwrap();
    fill(&broker, "t", ["new"]);
    assert!(matches!(
        member.poll(10, LIMIT).unwrap(),
        Polled::Revoked { lost: true, .. }
    ));
    member.release().unwrap();
    assert!(matches!(
        member.poll(10, LIMIT).unwrap(),
        Polled::Assigned(_)
    ));
    let Polled::Messages(messages) = member.poll(10, LIMIT).unwrap() else {
        panic!("no messages")
    };
    assert_eq!(messages[0].value.as_deref(), Some(&b"new"[..]));
}

/// The child's files may not grow past a limit, which is how a full disk looks to it; then the limit
/// is lifted.
#[test]
fn a_full_disk_stops_writes_and_work_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 8000; exec \"$0\" --ignored --exact writer_on_a_small_disk --nocapture"])
        .arg(test)
        .env("SMALL_DISK", directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the child has met the full disk", || {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the child has ended early"
        );
        directory.path().join("full").exists()
    });
    let lifted = Command::new("prlimit")
        .args(["--pid", &child.id().to_string(), "--fsize=unlimited"])
        .status();
    assert!(lifted.unwrap().success(), "prlimit (util-linux) is needed");
    assert!(child.wait().unwrap().success());

    let broker = open(directory.path()).unwrap();
    let read = read_all(&broker, "t");
    let expected: u64 = std::fs::read_to_string(directory.path().join("written"))
        .unwrap()
        .parse()
        .unwrap();
    let numbers: Vec<u64> = read
        .iter()
        .map(|m| u64::from_le_bytes(m.value.as_deref().unwrap()[..8].try_into().unwrap()))
        .collect();
    assert_eq!(
        numbers,
        (0..expected).collect::<Vec<_>>(),
        "what was acknowledged is there, once and in order"
    );
}

#[test]
#[ignore = "the process that the full-disk test starts"]
fn writer_on_a_small_disk() {
    let Ok(directory) = std::env::var("SMALL_DISK") else {
        return;
    };
    let directory = Path::new(&directory);
    let broker = open(directory).unwrap();
    broker.create_topic(&TopicSpec::new("t", 1)).unwrap();
    let mut producer = broker
        .producer(ProducerSpec {
            transactional_id: Some("tx".into()),
            ..ProducerSpec::default()
        })
        .unwrap();
    let (mut written, mut refusals, mut after) = (0_u64, 0, 0);
    while after < 5 {
        let mut value = vec![7; 100_000];
        value[..8].copy_from_slice(&written.to_le_bytes());
        producer.begin().unwrap();
        producer.send(OutRecord::new("t", Some(&value))).unwrap();
        match producer.commit(None) {
            Ok(_) => {
                written += 1;
                after += u32::from(refusals > 0);
            }
            Err(error) => {
                assert_eq!(
                    (error.retry, error.kind),
                    (Retry::Abort, ErrorKind::Storage),
                    "{error}"
                );
                assert!(
                    error.message.contains("is full")
                        && error.message.contains(&*directory.display().to_string()),
                    "{error}"
                );
                producer.abort().unwrap();
                assert_eq!(
                    broker.watermarks("t", 0).unwrap().1,
                    written as i64,
                    "reading goes on"
                );
                refusals += 1;
                std::fs::write(directory.join("full"), "").unwrap();
                std::thread::sleep(MOMENT);
            }
        }
    }
    std::fs::write(directory.join("written"), written.to_string()).unwrap();
}
