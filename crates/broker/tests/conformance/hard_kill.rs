//! A process that moves records in transactions is killed again and again; nothing is lost, doubled
//! or half there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use penstock_broker::{
    Broker, Consumer, ConsumerSpec, Error, Message, OutRecord, Polled, Producer, ProducerSpec,
    Retry, TopicPartitionOffset, TopicSpec,
};

use crate::support::{Fixture, next_offsets, open, unique, values};

const RECORDS: usize = 3000;
const PARTITIONS: i32 = 2;

pub(crate) fn what_was_committed_before_a_hard_kill_is_there_once(fixture: &Fixture) {
    let (input, output) = (fixture.topic("in", PARTITIONS), unique("out"));
    fixture
        .broker
        .create_topic(&TopicSpec::new(&output, PARTITIONS))
        .unwrap();
    let group = unique("group");
    for partition in 0..PARTITIONS {
        fixture.fill(
            &input,
            partition,
            (0..RECORDS).map(|i| format!("{partition}:{i}")),
        );
    }
    let embedded = fixture.broker.kind() == "embedded";
    let fixture_address = fixture.address.clone();
    // The embedded log belongs to one process at a time: hand over a copy of the directory.
    let copy = tempfile::tempdir().unwrap();
    let address = if embedded {
        let from = fixture_address.trim_start_matches("embedded:");
        std::fs::copy(format!("{from}/log.redb"), copy.path().join("log.redb")).unwrap();
        format!("embedded:{}", copy.path().display())
    } else {
        fixture_address
    };

    // A killed group member holds its partitions on Kafka until its session ends.
    let kills = if embedded { 8 } else { 2 };
    let mut told = BTreeMap::new();
    for kill in 0..=kills {
        // Kill in the middle of the work, at another point each time.
        let commits_until_kill = (kill < kills).then_some(3 + kill * 5);
        run_and_kill(
            &address,
            &input,
            &output,
            &group,
            commits_until_kill,
            &mut told,
        );
    }

    let broker = if embedded {
        open(&address)
    } else {
        fixture.broker.clone()
    };
    let after = Fixture::of(broker, address);
    for partition in 0..PARTITIONS {
        let expected: Vec<String> = (0..RECORDS).map(|i| format!("{partition}:{i}")).collect();
        let read = after.read_partition(&output, partition);
        assert!(
            values(&read) == expected,
            "partition {partition}: {} records",
            read.len()
        );
    }
    let committed = after.broker.group_offsets(&group, &[&input]).unwrap();
    assert!(
        committed
            .iter()
            .all(|offset| offset.offset == RECORDS as i64),
        "{committed:?}"
    );
    assert_eq!(committed.len(), PARTITIONS as usize);
}

/// Runs the mover and kills it after a number of commits, or lets it finish. What it said it had
/// committed only ever grows.
fn run_and_kill(
    address: &str,
    input: &str,
    output: &str,
    group: &str,
    commits: Option<usize>,
    told: &mut BTreeMap<i32, i64>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "hard_kill::mover",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("MOVER", [address, input, output, group].join(" "))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        let Some(said) = line
            .split_once("committed ")
            .map(|(_, said)| said.to_owned())
        else {
            continue;
        };
        let (partition, next) = said.split_once(' ').unwrap();
        let (partition, next): (i32, i64) = (partition.parse().unwrap(), next.parse().unwrap());
        let before = told.insert(partition, next).unwrap_or(0);
        assert!(
            next > before,
            "partition {partition} went back from {before} to {next}"
        );
        seen += 1;
        if Some(seen) == commits {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(status.success(), commits.is_none(), "{status}");
}

/// Moves records from one topic to another, one transaction a batch, and aborts every third. It does
/// what an error asks for, as any task has to.
#[test]
#[ignore = "the process that the hard kill test starts"]
fn mover() {
    let Ok(arguments) = std::env::var("MOVER") else {
        return;
    };
    let words: Vec<&str> = arguments.split(' ').collect();
    let [address, input, output, group] = words[..] else {
        panic!("{words:?}")
    };
    let broker = open(address);
    let mut done = BTreeMap::new();
    while done.len() < PARTITIONS as usize || done.values().any(|next| *next < RECORDS as i64) {
        if let Err(error) = move_records(&*broker, input, output, group, &mut done) {
            eprintln!("{error}");
            assert_ne!(error.retry, Retry::Never, "{error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Moves records until all are moved, or until an error that only new clients get over.
fn move_records(
    broker: &dyn Broker,
    input: &str,
    output: &str,
    group: &str,
    done: &mut BTreeMap<i32, i64>,
) -> Result<(), Error> {
    let overrides = BTreeMap::from([("session.timeout.ms".to_owned(), "6000".to_owned())]);
    let spec = ConsumerSpec::new(group, vec![input.to_owned()]);
    let mut member = broker.consumer(ConsumerSpec { overrides, ..spec })?;
    let mut producer = broker.producer(ProducerSpec {
        client_id: "mover".into(),
        transactional_id: Some(format!("{group}-mover")),
        ..ProducerSpec::default()
    })?;
    let mut batches = 0;
    while done.len() < PARTITIONS as usize || done.values().any(|next| *next < RECORDS as i64) {
        let messages = match member.poll(10, Duration::from_millis(100))? {
            Polled::Messages(messages) => messages,
            Polled::Revoked { .. } => {
                member.release()?;
                continue;
            }
            Polled::Assigned(partitions) => {
                for committed in member.committed(&partitions)? {
                    done.insert(committed.partition, committed.offset);
                }
                continue;
            }
            Polled::Idle => continue,
        };
        batches += 1;
        if batches % 3 == 0 {
            producer.begin()?;
            for message in &messages {
                let record = OutRecord::new(output, Some(b"aborted"));
                producer.send(record.partition(message.partition))?;
            }
            producer.flush(Duration::from_secs(30))?;
            producer.abort()?;
        }
        let offsets = next_offsets(&messages);
        if let Err(error) = move_batch(&mut *producer, &*member, output, &messages, &offsets) {
            if error.retry != Retry::Abort {
                return Err(error);
            }
            producer.abort()?;
            for message in messages.iter().rev() {
                member.seek(input, message.partition, message.offset)?;
            }
            continue;
        }
        for offset in offsets {
            println!("committed {} {}", offset.partition, offset.offset);
            done.insert(offset.partition, offset.offset);
        }
    }
    Ok(())
}

fn move_batch(
    producer: &mut dyn Producer,
    member: &dyn Consumer,
    output: &str,
    messages: &[Message],
    offsets: &[TopicPartitionOffset],
) -> Result<(), Error> {
    producer.begin()?;
    for message in messages {
        let record = OutRecord::new(output, message.value.as_deref());
        producer.send(record.partition(message.partition))?;
    }
    loop {
        match producer.commit(Some((&member.group_metadata()?, offsets))) {
            Ok(_) => return Ok(()),
            Err(error) if error.retry == Retry::Backoff => {
                std::thread::sleep(Duration::from_millis(100))
            }
            Err(error) => return Err(error),
        }
    }
}
